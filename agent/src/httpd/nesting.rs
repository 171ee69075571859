//! Sections: which are open, and how they end.

use super::{
    Place, lines,
    reader::{Frame, Open, Reader},
};

/// Sections within sections; httpd has no limit, and no server comes near.
const NESTING_MAX: usize = 100;

impl Reader<'_> {
    /// Opens a section, if there are not too many.
    pub(super) fn push(&mut self, open: Open) {
        self.open.push(open);
        if self.open.len() > NESTING_MAX {
            self.budget.over = Some("more than 100 sections are in one another");
        }
    }

    /// `</NAME>`.
    pub(super) fn close(&mut self, section: &str) {
        let name = section.strip_suffix('>').unwrap_or(section);
        let base = self.base();
        let is_it = |open: &Open| open.name[1..] == *name;
        let Some(at) = (self.open.iter().rposition(is_it)).filter(|at| *at >= base) else {
            return self.problem(&format!("</{name}> closes nothing"));
        };
        if at + 1 < self.open.len() {
            self.problem(&format!("</{name}> closes another section, too"));
        }
        for open in self.open.drain(at..) {
            if !open.is_condition {
                self.said.close();
            }
        }
    }

    /// Skips a section: `ap_soak_end_container`.
    pub(super) fn skip(&mut self, name: &str, place: &Place) {
        let mut open = vec![name.to_owned()];
        while let Some(line) = self.line() {
            let mut rest = line.as_str();
            if !rest.starts_with(['<', '"', '\'']) {
                continue;
            }
            let word = lines::word(&mut rest).to_ascii_lowercase();
            if let Some(closed) = word.strip_prefix("</") {
                let closed = closed.strip_suffix('>').unwrap_or(closed);
                let Some(at) = open.iter().rposition(|open| open[1..] == *closed) else {
                    self.problem(&format!("</{closed}> closes nothing"));
                    continue;
                };
                open.truncate(at);
                if open.is_empty() {
                    return;
                }
            } else if let Some(inner) = word.strip_prefix('<') {
                let inner = inner.strip_suffix('>').filter(|_| rest.is_empty());
                open.push(inner.map_or(word.clone(), |inner| format!("<{inner}")));
                if open.len() > NESTING_MAX {
                    self.budget.over = Some("more than 100 sections are in one another");
                }
            }
        }
        self.problems
            .add(place.clone(), &format!("{name}> is not closed"));
    }

    /// At a file's end its sections have to be closed.
    pub(super) fn close_file(&mut self) {
        let Some(Frame::File { base, .. }) = self.frames.pop() else {
            return;
        };
        while self.open.len() > base {
            if let Some(open) = self.open.pop() {
                if !open.is_condition {
                    self.said.close();
                }
                let what = format!("{}> is not closed", open.name);
                self.problems.add(open.place, &what);
            }
        }
    }

    fn base(&self) -> usize {
        let bases = self.frames.iter().rev().filter_map(|frame| match frame {
            Frame::File { base, .. } => Some(*base),
            _ => None,
        });
        bases.take(1).next().unwrap_or_default()
    }
}
