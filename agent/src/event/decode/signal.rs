//! Signals that were sent or taken.

use probe_abi::record::{Kind, RawSignal};

use super::DecodeError;
use crate::{
    event::{Action, Delivered, Fate, Sent, Signal, What},
    process::ProcessKey,
};

/// Whose event it is, of which thread, and what it says.
pub(super) fn decode(raw: &RawSignal) -> Result<(ProcessKey, u32, What), DecodeError> {
    let signal =
        Signal::new(raw.signal).ok_or(DecodeError::UnknownSignal { signal: raw.signal })?;
    let target = ProcessKey::from_kernel(raw.target, raw.target_start);
    if raw.header.kind == Kind::DELIVERED {
        let delivered = Delivered {
            signal,
            action: Action::from_address(raw.handler),
            flags: raw.flags,
            code: raw.code,
            folded: raw.folded,
        };
        return Ok((target, raw.target_tid, What::Delivered(delivered)));
    }
    let fate = usize::try_from(raw.result).ok();
    let fate = fate.and_then(|number| Fate::ALL.get(number)).copied();
    let sent = Sent {
        signal,
        by: ProcessKey::from_kernel(raw.header.tgid, raw.header.start),
        by_tid: raw.header.tid,
        code: raw.code,
        to_process: raw.group != 0,
        fate: fate.ok_or(DecodeError::UnknownFate { fate: raw.result })?,
        folded: raw.folded,
    };
    Ok((target, raw.target_tid, What::Sent(sent)))
}
