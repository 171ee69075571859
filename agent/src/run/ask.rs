//! Answers who asks for the status.

use std::{
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use anyhow::Result;
use tokio::sync::mpsc;

use super::{Agent, clock};
use crate::{
    probe::ring::Ring,
    sink::http::{Shared, ask::Question},
};

/// How old what the kernel said of every signal may be. Reading it walks all tasks of the host.
const AGE: Duration = Duration::from_secs(1);

/// The questions that wait.
pub(super) struct Questions {
    queue: mpsc::Receiver<Question>,
    /// When the kernel was asked last.
    inventory: Option<Moment>,
}

impl Questions {
    /// Those that the endpoints are asked.
    pub(super) fn of(shared: &Shared) -> Self {
        Self {
            // Where somebody else answers, nobody asks here.
            queue: shared.questions().unwrap_or_else(|| mpsc::channel(1).1),
            inventory: None,
        }
    }

    /// The next one; `None` where nobody can ask.
    pub(super) async fn next(&mut self) -> Option<Question> {
        self.queue.recv().await
    }
}

impl Agent {
    /// Answers everybody who waits with one snapshot. What happened before the question is in it,
    /// and what stands is what the kernel says, not only what its events said.
    pub(super) fn answer(
        &mut self,
        first: Question,
        questions: &mut Questions,
        ring: &mut Ring,
    ) -> Result<()> {
        let mut waiting = vec![first];
        while let Ok(question) = questions.queue.try_recv() {
            waiting.push(question);
        }
        waiting.retain(|question| !question.is_closed());
        if waiting.is_empty() {
            return Ok(());
        }
        self.drain(ring)?;
        if questions.inventory.is_none_or(|last| last.elapsed() > AGE) {
            self.take_inventory();
            questions.inventory = Some(Moment::now());
        }
        let snapshot = Arc::new(self.engine.snapshot(clock::now()));
        for question in waiting {
            // Who does not wait any longer has gone.
            let _ = question.send(Arc::clone(&snapshot));
        }
        Ok(())
    }
}
