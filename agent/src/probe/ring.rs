//! The ring: hands out one borrowed record at a time, and proves losses by sequence numbers.

use std::{collections::HashMap, io, time::Instant};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use probe_abi::map;
use tokio::io::{Interest, unix::AsyncFd};

/// The consumer's end of the ring.
pub struct Ring {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl Ring {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, String> {
        let map = ebpf
            .take_map(map::EVENTS)
            .ok_or_else(|| "the object has no map EVENTS".to_owned())?;
        let ring = RingBuf::try_from(map).map_err(|error| error.to_string())?;
        // SAFETY: the ring owns its descriptor for as long as it lives, and shows no other.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
            .map_err(|error| format!("failed to wait for the ring: {error}"))?;
        Ok(Self { ring })
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    ///
    /// The reactor's, when the runtime shuts down.
    pub async fn readable(&mut self) -> io::Result<()> {
        self.ring.readable_mut().await?.clear_ready();
        Ok(())
    }

    /// Hands records to `each` until there is none or it is late; says whether there was none,
    /// and how many bytes there were. A record's room in the ring is free again when `each`
    /// returns.
    pub fn drain(&mut self, late: Instant, mut each: impl FnMut(&[u8])) -> (bool, usize) {
        let mut bytes = 0;
        while let Some(record) = self.ring.get_mut().next() {
            bytes += record.len();
            each(&record);
            if Instant::now() >= late {
                return (false, bytes);
            }
        }
        (true, bytes)
    }
}

/// Follows the sequence numbers of each processor.
#[derive(Debug, Default)]
pub struct Gaps {
    last: HashMap<u32, u64>,
}

impl Gaps {
    /// How many records of this processor are missing before this one.
    ///
    /// The numbers start at 1 with the programs, and the ring is there before they are, so
    /// that a first number above 1 is a gap, too.
    pub fn note(&mut self, processor: u32, sequence: u64) -> u64 {
        let last = self.last.insert(processor, sequence).unwrap_or(0);
        sequence.saturating_sub(last.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::Gaps;

    /// A gap is counted once, on the processor where it is.
    #[test]
    fn gaps_are_counted_by_processor() {
        let mut gaps = Gaps::default();
        assert_eq!(
            [gaps.note(0, 1), gaps.note(1, 1), gaps.note(0, 2)],
            [0, 0, 0]
        );
        assert_eq!(gaps.note(0, 7), 4);
        assert_eq!(gaps.note(1, 2), 0);
        assert_eq!(gaps.note(0, 8), 0);
        assert_eq!(
            gaps.note(2, 3),
            2,
            "the first record of a processor can show a loss"
        );
    }
}
