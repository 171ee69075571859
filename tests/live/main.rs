//! What needs root, a real server and a real kernel. `cargo xtask test` runs it, one test at a time.

mod server;
