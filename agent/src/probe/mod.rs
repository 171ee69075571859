//! Hears: loads the kernel half, tells it where the running kernel keeps what it reads, and
//! takes records off the ring.

pub mod btf;
pub mod kernel;
pub mod tracefs;
