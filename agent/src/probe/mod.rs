//! The kernel half, seen from user space: the object, its hooks, its maps and its ring.
//!
//! `btf`, `kernel` and `tracefs` are pure: bytes and texts of this kernel in, offsets out.
//! `load` and `hooks` put the programs into the kernel, `ring` hears them, and `maps` is what
//! the agent tells them.

pub mod hooks;
pub mod load;
pub mod maps;
pub mod ring;
