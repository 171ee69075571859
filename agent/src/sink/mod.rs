//! Telling: what leaves the agent, each way in its own file.

pub mod audit;
pub mod http;
pub mod log;
pub mod metrics;
pub mod text;
