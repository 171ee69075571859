//! Which records could not be decoded: all are counted, one of each kind is told.

use std::{collections::HashSet, mem::Discriminant};

use tracing::error;

use crate::event::decode::DecodeError;

/// The kinds of damage that were told. There are as many as `DecodeError` has variants, so that a
/// probe gone wrong can fill neither the log nor the memory.
#[derive(Debug, Default)]
pub(super) struct Garbled(HashSet<Discriminant<DecodeError>>);

impl Garbled {
    /// Tells it, unless one of its kind was told before. Whether it was told.
    pub(super) fn tell(&mut self, reason: &DecodeError, bytes: usize) -> bool {
        let new = self.0.insert(std::mem::discriminant(reason));
        if new {
            error!(
                %reason,
                bytes,
                "a record of the probe is garbled; more of this kind are only counted, in \
                 sigblame_events_lost_total{{stage=\"decode\"}}"
            );
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many there are and whatever their numbers, one line a kind.
    #[test]
    fn each_kind_of_damage_is_told_once() {
        let mut garbled = Garbled::default();
        let told = (0..1000_u16).filter(|kind| {
            let unknown = garbled.tell(&DecodeError::UnknownKind { kind: *kind }, 48);
            let uneven = garbled.tell(&DecodeError::SizeUneven { size: 3 }, 48);
            unknown || uneven
        });
        assert_eq!(told.collect::<Vec<_>>(), [0]);
    }
}
