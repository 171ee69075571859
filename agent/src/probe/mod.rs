//! Hears: the kernel half, seen from user space.
//!
//! `btf`, `kernel` and `tracefs` are pure: bytes and texts of this kernel in, offsets out.
//! `budget` says what each program may cost; `load` and `hooks` put the programs into the kernel, `ring` hears them, and `maps` and
//! `uprobes` are what the agent tells them.

pub mod btf;
pub mod budget;
pub mod hooks;
pub mod kernel;
pub mod load;
pub mod maps;
pub mod ring;
pub mod tracefs;
pub mod uprobes;
