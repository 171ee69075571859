//! The map of the crate, in the order of the data path.
//!
//! `probe` hears, `event` says what, `httpd` and `process` say who, `python` says where, `policy` says so
//! what, `sink` tells. `engine` joins the pure ones; `run` wires them to the world. Which module
//! may import which is written in ARCHITECTURE.md, and a test holds it so.

pub mod probe;

pub mod event;

pub mod httpd;

pub mod process;

pub mod python;

pub mod native;
pub mod policy;

pub mod audit;

pub mod engine;

pub mod capture;

pub mod store;

pub mod sink;

pub mod run;

pub mod config;

pub mod cli;

pub mod doctor;

pub mod status;

pub mod record;
pub mod replay;

pub mod escape;

#[cfg(test)]
mod fuzz;
