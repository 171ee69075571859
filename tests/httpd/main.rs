//! The agent's reader of configurations against httpd itself: `-t -D DUMP_CONFIG` prints every
//! directive that httpd took, with file and line.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the right end, also in what several tests share"
)]

mod generated;
mod golden;
mod oracle;
mod running;
