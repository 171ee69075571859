//! What the tree promises about itself: files keep their form, modules their floor, tables agree with
//! the source, and what operators install names only what exists and is accepted by its own tool.
//!
//! A tool that is not installed skips its test with a line that names both.

mod dashboards;
mod deploy;
mod files;
mod floors;
mod hooks;
mod known;
mod kubernetes;
mod licences;
mod metrics;
mod rules;
mod runbooks;
mod source;
mod tables;
mod tree;
