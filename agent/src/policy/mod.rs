//! So what: whether an observation breaks a rule.

pub mod finding;

pub use finding::{Finding, Origin, Outcome, Route, Severity, State};
