//! What the table knows about one call: who made it, where, and under which restriction. Pure.

use crate::{
    event::{Attempt, Disposition, Instant, Registration},
    httpd::InForce,
    process::{
        application::Application,
        origin::{Origin, Owner, Route},
        server::Server,
        table::Process,
        takeover::Turn,
    },
};

/// Who, where, and under which restriction.
#[derive(Clone, Debug)]
pub struct Context {
    /// When.
    pub when: Instant,
    /// Whose.
    pub process: Process,
    /// Its server.
    pub server: Server,
    /// Which thread.
    pub tid: u32,
    /// The daemon's process group; `None` for an embedded worker, and where nothing tells.
    pub process_group: Option<String>,
    /// Which application.
    pub application: Application,
    /// The restriction in force, by the server's configuration; `None` while that is not known.
    pub restriction: Option<InForce>,
}

/// A registration, with all that the table knows about it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Who, where, and under which restriction.
    pub context: Context,
    /// The call.
    pub registration: Registration,
    /// Who asked.
    pub origin: Origin,
    /// How.
    pub route: Route,
    /// Who owns the old handler.
    pub old_owner: Option<Owner>,
    /// Who owns the new handler.
    pub new_owner: Option<Owner>,
    /// What it means for the signal's takeovers.
    pub turn: Turn,
}

/// A blocked attempt, with all that the table knows about it.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// Who, where, and under which restriction.
    pub context: Context,
    /// The call.
    pub attempt: Attempt,
    /// What stands on the signal, before and after.
    pub stands: Disposition,
    /// Who owns what stands.
    pub owner: Option<Owner>,
}
