//! Medians and what the values lay between: a mean would be the busy neighbour's.

use serde_json::{Value, json};

/// A median and what the values lay between.
pub(super) struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// Of at least one value.
    pub(super) fn of(values: &[f64]) -> Self {
        Self {
            median: median(values),
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            most: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// Without digits behind the point.
    pub(super) fn whole(&self) -> String {
        format!("{:.0} ({:.0}–{:.0})", self.median, self.least, self.most)
    }

    /// With two.
    pub(super) fn fine(&self) -> String {
        format!("{:.2} ({:.2}–{:.2})", self.median, self.least, self.most)
    }

    pub(super) fn json(&self) -> Value {
        json!({ "median": self.median, "least": self.least, "most": self.most })
    }
}

/// The middle value, or the mean of the two in the middle; 0 of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.get(middle.wrapping_sub(1))) {
        (Some(upper), Some(lower)) if sorted.len().is_multiple_of(2) => {
            f64::midpoint(*upper, *lower)
        }
        (Some(value), _) => *value,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
