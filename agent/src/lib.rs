//! The map of the crate, in the order of the data path.

pub mod cli;
pub mod config;
pub mod doctor;
pub mod engine;
pub mod escape;
pub mod event;
pub mod policy;
pub mod probe;
pub mod process;
pub mod python;
pub mod sink;
pub mod store;
