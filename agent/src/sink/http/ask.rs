//! Questions that only the loop can answer: who the servers and the workers are now.
//!
//! The loop owns the state and shares none of it. It takes a snapshot when somebody asks, so that
//! nobody pays while nobody does. The queue is short and an answer's time is limited: an agent that
//! is busy says so.

use std::{
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Serialize;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time,
};

use super::{Shared, fail, respond};
use crate::engine::status::{Agent, ExceptionStatus, Hook, SCHEMA, Server, Snapshot, Worker};

/// Who asks; the answer goes back this way.
pub type Question = oneshot::Sender<Arc<Snapshot>>;

/// Questions that may wait: as many as there are connections. One snapshot answers all of them.
const QUEUE: usize = 128;

/// How long an answer may take. The loop is away for some tens of milliseconds at most, while it
/// looks at every process of the host.
const PATIENCE: Duration = Duration::from_secs(5);

const STOPPING: &str = "sigblame is stopping";
const TOO_MANY: &str = "too many ask for the status at once; ask again in a second";
const BUSY: &str = "sigblame is too busy to answer within 5 seconds; ask again";

/// Where questions are left and fetched.
pub(super) struct Desk {
    sender: mpsc::Sender<Question>,
    receiver: Mutex<Option<mpsc::Receiver<Question>>>,
}

impl Default for Desk {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
        }
    }
}

impl Shared {
    /// The questions, for the one who answers them: `None` from the second time on.
    pub fn questions(&self) -> Option<mpsc::Receiver<Question>> {
        let mut receiver = self.desk.receiver.lock();
        receiver
            .as_mut()
            .unwrap_or_else(|poisoned| poisoned.get_mut())
            .take()
    }

    /// What became of one way of attaching a hook, by now.
    pub fn hook(&self, hook: Hook) {
        let mut hooks = self.hooks();
        let is_this =
            |known: &&mut Hook| (&known.hook, &known.mechanism) == (&hook.hook, &hook.mechanism);
        match hooks.iter_mut().find(is_this) {
            Some(known) => *known = hook,
            None => hooks.push(hook),
        }
    }

    fn hooks(&self) -> MutexGuard<'_, Vec<Hook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the loop knows now, or one sentence on why nobody can tell.
    async fn snapshot(&self) -> Result<Arc<Snapshot>, String> {
        if let Some(reason) = self.waiting().as_deref() {
            return Err(format!("sigblame is not ready: {reason}"));
        }
        let (question, answer) = oneshot::channel();
        self.desk
            .sender
            .try_send(question)
            .map_err(|error| match error {
                TrySendError::Full(_) => TOO_MANY.to_owned(),
                TrySendError::Closed(_) => STOPPING.to_owned(),
            })?;
        match time::timeout(PATIENCE, answer).await {
            Ok(answer) => answer.map_err(|_| STOPPING.to_owned()),
            Err(_) => Err(BUSY.to_owned()),
        }
    }
}

/// This process.
pub(super) fn agent() -> Agent {
    Agent {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: process::id(),
        started: format!("{:.6}", jiff::Timestamp::now()),
    }
}

/// [`crate::engine::status::Status`], borrowed.
#[derive(Serialize)]
struct StatusBody<'a> {
    schema: u32,
    time: &'a str,
    agent: &'a Agent,
    hooks: &'a [Hook],
    exceptions: &'a [ExceptionStatus],
    servers: &'a [Server],
}

pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Response {
    match shared.snapshot().await {
        Ok(snapshot) => respond(&StatusBody {
            schema: SCHEMA,
            time: &snapshot.time,
            agent: &shared.agent,
            hooks: &shared.hooks(),
            exceptions: &snapshot.exceptions,
            servers: &snapshot.servers,
        }),
        Err(sentence) => fail(StatusCode::SERVICE_UNAVAILABLE, &sentence),
    }
}

#[derive(Serialize)]
struct WorkersBody<'a> {
    workers: &'a [Worker],
}

pub(super) async fn workers(State(shared): State<Arc<Shared>>) -> Response {
    match shared.snapshot().await {
        Ok(snapshot) => respond(&WorkersBody {
            workers: &snapshot.workers,
        }),
        Err(sentence) => fail(StatusCode::SERVICE_UNAVAILABLE, &sentence),
    }
}
