//! The one loop that owns the state, and the only place where the parts that do IO meet.
//!
//! Order at start: attach, then scan, then drain. What happens between attaching and scanning
//! waits in the ring, and the table takes a process twice without harm.

mod ask;
mod budget;
mod clock;
mod configurations;
mod error_logs;
mod garbled;
mod inventory;
mod keep;
mod looks;
mod remember;
mod settings;
mod tell;
mod unwound;
mod watch;

use std::{
    collections::HashMap,
    future::ready,
    time::{Duration, Instant as Moment},
};

use anyhow::{Context as _, Result};
use probe_abi::map::EVENTS_SIZE;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::{MissedTickBehavior, interval, sleep_until},
};
use tracing::{error, info, warn};

use self::{
    ask::Questions, budget::Budget, configurations::Configurations, error_logs::ErrorLogs,
    garbled::Garbled, inventory::Inventories, keep::Keep, remember::Memory, unwound::Unwound,
    watch::Watch,
};
pub use self::{
    keep::Bounds,
    settings::settings,
    tell::{Output, Tell},
};
use crate::{
    capture::Input,
    config::Config,
    engine::Engine,
    event::{Event, What, decode},
    probe::{
        load::Probe,
        ring::{Gaps, Ring},
    },
    process::{ProcessKey, Role},
    sink::metrics::{EventKind, Stage},
};

/// How often gauges and kernel counters are brought up to date.
const TICK: Duration = Duration::from_secs(1);
/// How often `/proc` is looked at again, in case something was missed.
const RESCAN: Duration = Duration::from_secs(60);
/// How long after a look at `/proc` the next loss may cause another.
const LOSS_RESCAN: Duration = Duration::from_secs(5);
/// How long the ring is read before everything else gets its turn.
const TURN: Duration = Duration::from_millis(100);

/// The agent at work.
pub struct Agent {
    engine: Engine,
    watch: Watch,
    tell: Tell,
    gaps: Gaps,
    garbled: Garbled,
    keep: Keep,
    memory: Memory,
    budget: Budget,
    stacks_budget: Budget,
    unwound: Unwound,
    configurations: Configurations,
    error_logs: ErrorLogs,
    inventories: Inventories,
    /// Daemons whose group is not known, and how often they were looked at for it.
    groupless: HashMap<ProcessKey, u8>,
    /// The ring was empty when it was left.
    drained: bool,
    /// Bytes that were read since it was.
    backlog: usize,
    /// Records were lost: what the table believes may be old.
    stale: bool,
    /// When `/proc` was looked at last.
    scanned: Moment,
    exempt_before: u64,
    full_before: u64,
}

impl Agent {
    /// Puts the parts together.
    #[must_use]
    pub fn new(config: &Config, probe: Probe, tell: Tell) -> (Self, Ring) {
        let Probe {
            ring,
            controls,
            hooks,
            ..
        } = probe;
        for status in &hooks {
            tell.hook(status);
        }
        let agent = Self {
            engine: Engine::new(settings::of(config)),
            watch: Watch::new(&config.proc_root, controls),
            tell,
            gaps: Gaps::default(),
            garbled: Garbled::default(),
            keep: Keep::default(),
            memory: Memory::default(),
            budget: Budget::of_looks(),
            stacks_budget: Budget::of_stacks(),
            unwound: Unwound::new(&config.proc_root),
            configurations: Configurations::new(&config.proc_root),
            error_logs: ErrorLogs::new(&config.proc_root),
            inventories: Inventories::new(&hooks),
            groupless: HashMap::new(),
            drained: true,
            backlog: 0,
            stale: false,
            scanned: Moment::now(),
            exempt_before: 0,
            full_before: 0,
        };
        (agent, ring)
    }

    /// Scans, then drains until a signal or `stop` ends it. `load` reads the configuration
    /// again on SIGHUP.
    ///
    /// # Errors
    ///
    /// Where signals or the ring cannot be waited for, or the output is closed.
    pub async fn run(
        mut self,
        mut ring: Ring,
        load: impl Fn() -> Result<Config>,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<()> {
        let mut term = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
        let mut int = signal(SignalKind::interrupt()).context("failed to wait for SIGINT")?;
        let mut hangup = signal(SignalKind::hangup()).context("failed to wait for SIGHUP")?;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut rescan = interval(RESCAN);
        rescan.set_missed_tick_behavior(MissedTickBehavior::Skip);
        rescan.tick().await;
        let mut questions = Questions::of(self.tell.shared());

        self.scan();
        self.drain(&mut ring)?;
        self.tell.ready();
        info!(servers = self.engine.table.servers().count(), "watching");
        while !self.keep.is_over() {
            self.save();
            let due = self.watch.due();
            let until = self.configurations.until();
            let is_full = self.configurations.is_full();
            let deadline = self.engine.deadline().map(clock::moment);
            tokio::select! {
                Some(answer) = self.configurations.next() => self.configured(answer, &mut ring)?,
                () = sleep_until(until.unwrap_or_else(Moment::now).into()), if until.is_some() => {
                    self.drain(&mut ring)?;
                }
                readable = ring.readable(), if !is_full => {
                    readable.context("failed to wait for the ring")?;
                    self.drain(&mut ring)?;
                }
                () = sleep_until(due.unwrap_or_else(Moment::now).into()), if due.is_some() => {
                    self.look_at_candidates();
                }
                () = sleep_until(deadline.unwrap_or_else(Moment::now).into()), if deadline.is_some() => {
                    self.overdue(&mut ring)?;
                }
                // What is left shows in no readiness: that is told once.
                () = ready(()), if !self.drained && !is_full => self.drain(&mut ring)?,
                _ = tick.tick() => {
                    self.drain(&mut ring)?;
                    self.tick();
                    // Not each second while the loss goes on: looking takes time that draining
                    // needs.
                    if self.stale && self.scanned.elapsed() > LOSS_RESCAN {
                        warn!("records were lost; looking at every server again");
                        self.rescan(&mut ring)?;
                    }
                }
                _ = rescan.tick() => self.rescan(&mut ring)?,
                Some(question) = questions.next() => {
                    self.answer(question, &mut questions, &mut ring)?;
                }
                _ = hangup.recv() => self.reload(&load, &mut ring)?,
                _ = term.recv() => break,
                _ = int.recv() => break,
                _ = &mut stop => break,
            }
        }
        // What was there by now is told, however long that takes; what still comes need not be.
        self.await_configurations(&mut ring).await?;
        self.backlog = 0;
        self.drain(&mut ring)?;
        while !self.drained && self.backlog < EVENTS_SIZE as usize {
            self.drain(&mut ring)?;
        }
        self.tick();
        self.save_all();
        self.keep.end()
    }

    /// A scan after which nothing is known that is gone.
    ///
    /// What a process did before it went is in the ring, so that is read in between: to forget it
    /// at once would lose the last words of workers that live for one request.
    fn rescan(&mut self, ring: &mut Ring) -> Result<()> {
        self.stale = false;
        self.scanned = Moment::now();
        let known: Vec<ProcessKey> = self.engine.table.processes().map(|p| p.key).collect();
        let gone = known.into_iter().filter(|key| self.watch.has_left(*key));
        let gone: Vec<ProcessKey> = gone.collect();
        self.drain(ring)?;
        // Where there is more to read than that, the next rescan will do it.
        let forget = self.drained;
        let when = clock::now();
        for process in gone.into_iter().filter(|_| forget) {
            self.whole(Event {
                when,
                process,
                tid: process.pid,
                what: What::Exited { code: 0 },
            });
        }
        self.scan();
        Ok(())
    }

    /// Every httpd there is, with what stands on its signals.
    fn scan(&mut self) {
        let now = clock::now();
        let looks = self.watch.scan();
        let seen: Vec<ProcessKey> = looks.iter().map(|look| look.key).collect();
        self.watch.sweep(&seen);
        for look in looks {
            if let Some(event) = self.watch.admit(look, now) {
                self.whole(event);
            }
        }
        // Before anything is heard of what stands in them.
        self.resume_before();
        self.take_inventory();
    }

    /// Reads what is in the ring, for as long as others can wait. Whatever fills it faster than
    /// we read, the agent stops when it is told to, looks at its servers and keeps its gauges.
    fn drain(&mut self, ring: &mut Ring) -> Result<()> {
        let began = clock::now();
        let mut result = self.resume();
        if self.configurations.is_full() {
            return result;
        }
        let (drained, bytes) = ring.drain(Moment::now() + TURN, |record| {
            if result.is_ok() {
                result = self.record_in(record);
            }
        });
        self.backlog += bytes;
        self.tell.ring(self.backlog);
        if drained {
            self.backlog = 0;
            self.inventories.heard(began);
        }
        self.drained = drained;
        result
    }

    fn record_in(&mut self, bytes: &[u8]) -> Result<()> {
        // Also of a record that is garbled further on: it arrived, it is no gap.
        let lost = decode::stamp(bytes).map_or(0, |s| self.gaps.note(s.cpu, s.sequence));
        if lost > 0 {
            self.tell.lost(Stage::Ring, lost);
            self.inventories.lost(lost);
            self.stale = true;
        }
        if self.waits(bytes) {
            return Ok(());
        }
        self.take(bytes)
    }

    /// Takes in a record.
    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let mut event = match decode::decode(bytes) {
            Ok((_, event)) => event,
            Err(reason) => {
                self.tell.lost(Stage::Decode, 1);
                self.garbled.tell(&reason, bytes.len());
                return Ok(());
            }
        };
        self.tell.delay(clock::now().seconds_since(event.when));
        if let What::Registration(_) | What::Attempted(_) = event.what {
            self.prepare(&mut event, bytes);
        }
        match &event.what {
            // A server that was not looked at yet: its workers may be gone before they are.
            What::Forked { child, .. } if self.engine.table.get(event.process).is_none() => {
                self.watch.forked(event.process, *child);
                self.look_up_from(event.process, event.when);
            }
            What::Executed { file } => self.watch.executed(event.process, *file),
            // httpd writes before it kills, and this is the last moment at which that has an addressee.
            What::Exited { code } if self.engine.is_killed(event.process, *code) => {
                self.read_error_logs();
            }
            _ => {}
        }
        self.keep.keep(|| Input::of_record(bytes, &event));
        self.step(event)
    }

    /// Takes in an event that is not the ring's.
    fn whole(&mut self, event: Event) {
        self.keep.keep(|| Input::of(&event));
        if let Err(reason) = self.step(event) {
            error!(%reason, "failed to tell what was found");
        }
    }

    fn step(&mut self, event: Event) -> Result<()> {
        if let Some(kind) = EventKind::of(&event.what) {
            self.tell.event(kind);
        }
        self.forget(&event);
        let key = event.process;
        let is_found = matches!(event.what, What::Found(_));
        let reloads = matches!(event.what, What::Reloads);
        let step = self.engine.step(event);
        self.memory.note(&step);
        if is_found || reloads {
            self.read_configuration(key, reloads);
        }
        // An application may call httpd's function as often as it likes: that is no reload.
        let master = (self.engine.table.get(key)).filter(|process| process.role == Role::Master);
        if reloads && let Some(process) = master {
            // Another mod_wsgi may be loaded, or the same at another address.
            self.watch.hear_next(key, &process.modules);
            self.watch.look_soon(key);
        }
        self.tell
            .step(&self.engine, step)
            .context("failed to write a finding")
    }

    fn tick(&mut self) {
        let exempt = self.watch.exempt();
        self.tell.exempt(exempt.saturating_sub(self.exempt_before));
        self.exempt_before = exempt;
        self.read_error_logs();
        self.tell.tick(&self.engine, &self.watch);
        self.keep.tick(self.engine.table.servers().count());
        if let Some((probed, failed)) = self.watch.intercepts() {
            self.tell.intercepts(probed, &failed);
        }
        // The gap in the numbers shows with the next record, which may be long in coming.
        let full = self.watch.ring_full();
        self.stale |= full > self.full_before;
        self.inventories.lost(full.saturating_sub(self.full_before));
        self.take_wanted_inventory();
        self.full_before = full;
    }
}
