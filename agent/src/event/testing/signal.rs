//! Records of signals, as the probe would write them.

use probe_abi::record::{Kind, RawHeader, RawSignal};
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::nanoseconds;
use crate::event::{Action, Event, Fate, What};

/// The record of a signal; `None` for any other event.
pub(super) fn encode(mut header: RawHeader, event: &Event) -> Option<Vec<u8>> {
    let mut raw = RawSignal::new_zeroed();
    raw.target = event.process.pid;
    raw.target_start = header.start;
    raw.target_tid = event.tid;
    match &event.what {
        What::Sent(sent) => {
            header.kind = Kind::SENT;
            header.tgid = sent.by.pid;
            header.start = nanoseconds(sent.by.start)?;
            header.tid = sent.by_tid;
            let fate = Fate::ALL.iter().position(|fate| *fate == sent.fate)?;
            raw.result = u32::try_from(fate).ok()?;
            raw.group = sent.to_process.into();
            (raw.signal, raw.code) = (sent.signal.number().into(), sent.code);
            raw.folded = sent.folded;
        }
        What::Delivered(delivered) => {
            header.kind = Kind::DELIVERED;
            (raw.signal, raw.code) = (delivered.signal.number().into(), delivered.code);
            raw.handler = match delivered.action {
                Action::Default => 0,
                Action::Ignore => 1,
                Action::Handler(address) => address,
            };
            raw.flags = delivered.flags;
            raw.folded = delivered.folded;
        }
        _ => return None,
    }
    raw.header = header;
    Some(raw.as_bytes().to_vec())
}
