//! The map of the crate, in the order of the data path.

pub mod engine;
pub mod event;
pub mod policy;
pub mod probe;
pub mod process;
pub mod python;
