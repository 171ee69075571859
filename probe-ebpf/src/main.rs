//! The kernel half: what runs at each hook.
//!
//! | hook | programs | record | file |
//! |---|---|---|---|
//! | registration, upper rung | `registration_before`, `registration_after` | `RawRegistration` | `registration.rs` |
//! | registration, lower rung | `registration_enter`, `registration_exit` | `RawRegistration` | `registration.rs` |
//! | intercept | `intercept` | `RawIntercept` | `intercept.rs` |
//! | reload | `reload` | `RawLifecycle` | `reload.rs` |
//! | interpreter | `interpreter` | none: it fills the process's row | `interpreter.rs` |
//! | lifecycle | `lifecycle_fork`, `lifecycle_exec`, `lifecycle_exit` | `RawLifecycle` | `lifecycle.rs` |
//! | signal | `signal_generate`, `signal_deliver` | `RawSignal` | `signal.rs` |
//! | inventory | `inventory` | `RawInventory`, through the iterator's own file | `inventory.rs` |
//!
//! Every program is three lines: it tallies the miss of a `try_…` function. Unsafe code lives
//! in `maps` and `scratch` (what a map's value may be used for), `read` (memory that is not ours), `emit`
//! (the ring), `once` (the cookie of an attachment), `walk` and `inventory` (attributes that only unsafe can spell); the program
//! files forbid it.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    expect(internal_features, reason = "the target's AtomicU64 has no addition")
)]

/// The kernel's target is the only one for which this crate has contents; on the host it is an
/// empty program, so that `cargo check --workspace` needs no excludes.
#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod emit;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod intercept;
#[cfg(target_arch = "bpf")]
mod interpreter;
#[cfg(target_arch = "bpf")]
mod inventory;
#[cfg(target_arch = "bpf")]
mod lifecycle;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod native;
#[cfg(target_arch = "bpf")]
mod once;
#[cfg(target_arch = "bpf")]
mod python;
#[cfg(target_arch = "bpf")]
mod read;
#[cfg(target_arch = "bpf")]
mod registration;
#[cfg(target_arch = "bpf")]
mod reload;
#[cfg(target_arch = "bpf")]
mod scratch;
#[cfg(target_arch = "bpf")]
mod signal;
#[cfg(target_arch = "bpf")]
mod task;
#[cfg(target_arch = "bpf")]
mod walk;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier accepts no program that could get here.
    loop {}
}

/// The kernel's tracing helpers are for programs under a licence compatible with the GPL.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
