//! Every metric: name, labels and help.

use probe_abi::miss::Miss;
use prometheus::{
    CounterVec, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts,
    Registry, Result,
    core::{Collector, MetricVec, MetricVecBuilder},
    process_collector::ProcessCollector,
};

use super::{
    labels::{EventKind, Stage},
    series::{Series, Totals},
};

/// The name of every metric. Dashboards, alert rules and their tests may use these and no others.
pub const NAMES: &[&str] = &[
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
    "sigblame_blocked_attempts_total",
    "sigblame_build_info",
    "sigblame_event_delay_seconds",
    "sigblame_events_lost_total",
    "sigblame_events_total",
    "sigblame_findings_open",
    "sigblame_findings_total",
    "sigblame_hook_attached",
    "sigblame_override_seconds",
    "sigblame_probe_misses_total",
    "sigblame_probe_run_seconds_total",
    "sigblame_python_layout_disagreements_total",
    "sigblame_python_stacks_total",
    "sigblame_registrations_total",
    "sigblame_restrict_signal",
    "sigblame_ring_used_ratio",
    "sigblame_series_overflow_total",
    "sigblame_workers",
];

/// From a library's millisecond to a worker's whole life.
const OVERRIDE_BUCKETS: [f64; 11] = [
    0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0,
];

/// From an idle host to one that cannot keep up.
const DELAY_BUCKETS: [f64; 11] = [
    0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0,
];

/// The families, all of them in one registry of our own.
pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) registrations: Series<IntCounterVec>,
    pub(super) blocked_attempts: Series<IntCounterVec>,
    pub(super) findings: Series<IntCounterVec>,
    pub(super) findings_open: Series<IntGaugeVec>,
    pub(super) override_seconds: Series<HistogramVec>,
    pub(super) workers: Series<IntGaugeVec>,
    pub(super) restrict_signal: Series<IntGaugeVec>,
    pub(super) events: IntCounterVec,
    pub(super) events_lost: IntCounterVec,
    pub(super) probe_misses: Totals,
    pub(super) layout_disagreements: Totals,
    pub(super) python_stacks: IntCounterVec,
    pub(super) hook_attached: IntGaugeVec,
    pub(super) event_delay: Histogram,
    pub(super) ring_used: Gauge,
    pub(super) probe_run: Totals,
}

impl Families {
    /// The number after the labels says how many of them, the server's aside, an application
    /// can fill with what it likes.
    pub(super) fn new() -> Result<Self> {
        let make = Make::new()?;
        let families = Self {
            registrations: make.bounded(
                counters(
                    "sigblame_registrations_total",
                    "Calls that set, or failed to set, what a process does on a signal.",
                    &["server", "process_group", "signal", "origin", "outcome"],
                )?,
                1,
            )?,
            blocked_attempts: make.bounded(
                counters(
                    "sigblame_blocked_attempts_total",
                    "Calls of signal.signal that mod_wsgi swallowed.",
                    &["server", "process_group", "application", "signal"],
                )?,
                2,
            )?,
            findings: make.bounded(
                counters(
                    "sigblame_findings_total",
                    "Takeovers of a signal that a rule had something to say about.",
                    &[
                        "server",
                        "process_group",
                        "application",
                        "signal",
                        "rule",
                        "severity",
                    ],
                )?,
                2,
            )?,
            findings_open: make.bounded(
                gauges(
                    "sigblame_findings_open",
                    "Findings whose takeover goes on in at least one worker.",
                    &["server", "process_group", "application", "rule", "severity"],
                )?,
                2,
            )?,
            override_seconds: make.bounded(
                HistogramVec::new(
                    HistogramOpts::new(
                        "sigblame_override_seconds",
                        "How long a disposition was overridden before it was put back.",
                    )
                    .buckets(OVERRIDE_BUCKETS.to_vec()),
                    &["server", "signal"],
                )?,
                0,
            )?,
            workers: make.bounded(
                gauges(
                    "sigblame_workers",
                    "Processes of a server by their role.",
                    &["server", "role"],
                )?,
                0,
            )?,
            restrict_signal: make.bounded(
                gauges(
                    "sigblame_restrict_signal",
                    "Whether the restriction of signal handlers is in force (1) or not (0).",
                    &["server"],
                )?,
                0,
            )?,
            events: make.add(counters(
                "sigblame_events_total",
                "Events that reached the agent.",
                &["kind"],
            )?)?,
            events_lost: make.add(counters(
                "sigblame_events_lost_total",
                "Events that were lost, by the stage that lost them.",
                &["stage"],
            )?)?,
            probe_misses: Totals::new(make.add(CounterVec::new(
                Opts::new(
                    "sigblame_probe_misses_total",
                    "Why the kernel side could not do its whole job for an event.",
                ),
                &["reason"],
            )?)?),
            layout_disagreements: Totals::new(make.add(CounterVec::new(
                Opts::new(
                    "sigblame_python_layout_disagreements_total",
                    "Interpreters whose own description of their layout is not the table's, by the \
                     layout that is used.",
                ),
                &["layout"],
            )?)?),
            python_stacks: make.add(counters(
                "sigblame_python_stacks_total",
                "Python stacks of registrations by how they came out.",
                &["result"],
            )?)?,
            hook_attached: make.add(gauges(
                "sigblame_hook_attached",
                "Whether a kernel hook is attached (1) or not (0).",
                &["hook", "mechanism"],
            )?)?,
            event_delay: make.add(Histogram::with_opts(
                HistogramOpts::new(
                    "sigblame_event_delay_seconds",
                    "From an event in the kernel to its arrival in the agent.",
                )
                .buckets(DELAY_BUCKETS.to_vec()),
            )?)?,
            ring_used: make.add(Gauge::new(
                "sigblame_ring_used_ratio",
                "Part of the ring between kernel and agent that is in use.",
            )?)?,
            probe_run: Totals::new(make.add(CounterVec::new(
                Opts::new(
                    "sigblame_probe_run_seconds_total",
                    "Time that kernel programs ran, where the kernel counts it.",
                ),
                &["program"],
            )?)?),
            registry: make.registry,
        };
        families.start()?;
        Ok(families)
    }

    /// The series that are known beforehand.
    fn start(&self) -> Result<()> {
        for kind in EventKind::ALL {
            self.events.get_metric_with_label_values(&[kind.label()])?;
        }
        for stage in Stage::ALL {
            self.events_lost
                .get_metric_with_label_values(&[stage.label()])?;
        }
        for (reason, _) in Miss::TABLE {
            self.probe_misses.advance(reason, 0.0);
        }
        for layout in ["own", "none"] {
            self.layout_disagreements.advance(layout, 0.0);
        }
        for result in ["complete", "truncated", "none", "failed"] {
            self.python_stacks.get_metric_with_label_values(&[result])?;
        }
        Ok(())
    }
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

/// What making a family needs.
struct Make {
    registry: Registry,
    overflow: IntCounterVec,
}

impl Make {
    fn new() -> Result<Self> {
        let make = Self {
            registry: Registry::new(),
            overflow: counters(
                "sigblame_series_overflow_total",
                "Updates that went to a series named other, for want of room for their own.",
                &["metric"],
            )?,
        };
        make.add(make.overflow.clone())?;
        make.registry
            .register(Box::new(ProcessCollector::for_self()))?;
        let about = make.add(gauges(
            "sigblame_build_info",
            "The agent's version; always 1.",
            &["version"],
        )?)?;
        about
            .get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?
            .set(1);
        Ok(make)
    }

    fn add<C: Collector + Clone + 'static>(&self, family: C) -> Result<C> {
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn bounded<B>(&self, family: MetricVec<B>, named: usize) -> Result<Series<MetricVec<B>>>
    where
        B: MetricVecBuilder + 'static,
        MetricVec<B>: Collector + Clone,
    {
        let family = self.add(family)?;
        let name = family.desc().first().map(|d| d.fq_name.clone());
        let overflow = self
            .overflow
            .get_metric_with_label_values(&[name.unwrap_or_default()])?;
        Ok(Series::new(family, named, overflow))
    }
}
