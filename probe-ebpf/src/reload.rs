//! Hook: uprobe on httpd's `ap_read_config`, in each httpd's program file.
//!
//! Since: 5.10
//! Fires when: a watched process begins to read httpd's configuration: a server at its start, where
//! it does so twice, and at each restart, graceful or not.
//! Emits: `RawLifecycle`
//! Why this hook: children that are made from here on have the new configuration, and a file's
//! time of change says nothing of when a server read it. Exported by httpd since 1.3.

#![forbid(unsafe_code)]

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use probe_abi::{miss::Miss, process::RawProcess, record::Kind};

use crate::{
    emit,
    maps::{self, tally},
    once, scratch, task,
};

/// A server begins to read its configuration.
#[uprobe]
pub fn reload(ctx: ProbeContext) -> u32 {
    tally(try_reload(&ctx));
    0
}

#[inline(always)]
fn try_reload(ctx: &ProbeContext) -> Result<(), Miss> {
    let Some(process) = maps::process(task::tgid()) else {
        return Ok(());
    };
    if once::is_repeated(ctx) || process.flags & RawProcess::EXEMPT != 0 {
        return Ok(());
    }
    // The row is claimed for its number alone: a record of this processor's may be sent before
    // this one is.
    let slot = scratch::claim()?;
    let sent = scratch::row(slot).and_then(|row| {
        let number = scratch::number(slot, row);
        emit::lifecycle(&task::lifecycle(Kind::RELOAD, number))
    });
    scratch::release(slot);
    sent
}
