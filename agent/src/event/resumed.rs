//! What was open when the agent ended.

use serde::{Deserialize, Serialize};

/// What an agent before this one left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The host has not been started anew since: process ids and starts still name the same.
    pub same_boot: bool,
    /// Each finding that was open, as the book of findings writes and reads it.
    pub open: Vec<String>,
}
