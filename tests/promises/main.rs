//! What the tree promises about itself: the files that operators install name only what exists, and
//! every one is accepted by its own tool.
//!
//! A tool that is not installed skips its test with a line that names both.

mod dashboards;
mod deploy;
mod files;
mod floors;
mod known;
mod kubernetes;
mod metrics;
mod rules;
mod runbooks;
mod source;
