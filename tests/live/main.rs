//! What needs root, a real server and a real kernel. `cargo xtask test` runs it, one test at a time.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the right end, also in what several tests share"
)]

mod attribution;
mod background;
mod bad_input;
mod capabilities;
mod children;
mod clean;
mod demo_routes;
mod doctor;
mod drift;
mod error_log;
mod flood;
mod intercept;
mod intercepted;
mod interpreters;
mod late_start;
mod liar;
mod libraries;
mod life;
mod listener;
mod matrix;
mod native;
mod odd_calls;
mod prometheus;
mod replay;
mod restart;
mod restrict_off;
mod restriction;
mod server;
mod short_lived;
mod shutdown;
mod status;
mod support;
mod takeovers;
