//! The table of hooks, and how each is attached.
//!
//! A hook has rungs, best first: the first one that the kernel takes is used. What the kernel
//! refused stays visible as a row with its reason, in the log, in the metric
//! `sigblame_hook_attached` and in `sigblame doctor`.

use aya::{
    Btf, Ebpf,
    programs::{FEntry, FExit, Iter, Program, ProgramError, RawTracePoint, TracePoint, UProbe},
};

/// One row of the table.
#[derive(Debug)]
pub struct Hook {
    /// The name that metrics, `doctor` and the README use.
    pub name: &'static str,
    /// Without it the agent cannot do its main job.
    pub required: bool,
    /// Ways of attaching, best first.
    pub rungs: &'static [Rung],
    /// What the ring carries for it.
    pub emits: &'static str,
}

/// One way of attaching a hook.
#[derive(Debug)]
pub struct Rung {
    /// `fexit`, `tracepoint`, `raw_tracepoint`, `uprobe`, `iter`.
    pub mechanism: &'static str,
    /// The first kernel that has it.
    pub since: &'static str,
    /// Program and attach point; all of them, or the rung does not hold.
    pub programs: &'static [(&'static str, At)],
}

/// Where a program is attached.
#[derive(Clone, Copy, Debug)]
pub enum At {
    /// Entry of a kernel function.
    Fentry(&'static str),
    /// Exit of a kernel function.
    Fexit(&'static str),
    /// Category and name of a tracepoint.
    Tracepoint(&'static str, &'static str),
    /// Name of a raw tracepoint.
    RawTracepoint(&'static str),
    /// A function in a file, given later (see [`crate::probe::uprobes`]).
    File,
    /// An iterator over this kind of thing, read on demand.
    Iterator(&'static str),
}

/// Every hook.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: REGISTRATION,
        required: true,
        rungs: &[
            Rung {
                mechanism: "fexit",
                since: "5.10",
                programs: &[
                    ("registration_before", At::Fentry("do_sigaction")),
                    ("registration_after", At::Fexit("do_sigaction")),
                ],
            },
            Rung {
                mechanism: "tracepoint",
                since: "5.10",
                programs: &[
                    // The exit first: an entry without an exit would only fill the stash.
                    (
                        "registration_exit",
                        At::Tracepoint("syscalls", "sys_exit_rt_sigaction"),
                    ),
                    (
                        "registration_enter",
                        At::Tracepoint("syscalls", "sys_enter_rt_sigaction"),
                    ),
                ],
            },
        ],
        emits: "RawRegistration",
    },
    Hook {
        name: "lifecycle",
        required: true,
        rungs: &[Rung {
            mechanism: "raw_tracepoint",
            since: "5.10",
            programs: &[
                ("lifecycle_fork", At::RawTracepoint("sched_process_fork")),
                ("lifecycle_exec", At::RawTracepoint("sched_process_exec")),
                ("lifecycle_exit", At::RawTracepoint("sched_process_exit")),
            ],
        }],
        emits: "RawLifecycle",
    },
    Hook {
        name: "interpreter",
        required: false,
        rungs: &[Rung {
            mechanism: "uprobe",
            since: "5.10",
            programs: &[("interpreter", At::File)],
        }],
        emits: "nothing: it fills the process's row",
    },
    Hook {
        name: INTERCEPT,
        required: false,
        rungs: &[Rung {
            mechanism: "uprobe",
            since: "5.10",
            programs: &[("intercept", At::File)],
        }],
        emits: "RawIntercept",
    },
    Hook {
        name: RELOAD,
        required: false,
        rungs: &[Rung {
            mechanism: "uprobe",
            since: "5.10",
            programs: &[("reload", At::File)],
        }],
        emits: "RawLifecycle",
    },
    Hook {
        name: "signal",
        required: false,
        rungs: &[Rung {
            mechanism: "raw_tracepoint",
            since: "5.10",
            programs: &[
                ("signal_generate", At::RawTracepoint("signal_generate")),
                ("signal_deliver", At::RawTracepoint("signal_deliver")),
            ],
        }],
        emits: "RawSignal",
    },
    Hook {
        name: "inventory",
        required: false,
        rungs: &[Rung {
            mechanism: "iter",
            since: "5.10",
            programs: &[("inventory", At::Iterator("task"))],
        }],
        emits: "RawInventory",
    },
];

/// What became of one rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookStatus {
    /// [`Hook::name`].
    pub hook: &'static str,
    /// [`Rung::mechanism`].
    pub mechanism: &'static str,
    /// [`Hook::required`].
    pub required: bool,
    /// Whether this rung is in use.
    pub attached: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// The hook whose rung a developer may choose.
pub const REGISTRATION: &str = "registration";

/// The hook that hears what mod_wsgi's intercept swallows.
pub const INTERCEPT: &str = "intercept";
/// The hook that hears when a server begins to read its configuration.
pub const RELOAD: &str = "reload";

impl HookStatus {
    /// What was found out since: a program of [`At::File`] is loaded at once, and whether there is a
    /// file to which it can be attached shows only where there is a server. Whether that is news.
    pub fn update(&mut self, attached: bool, reason: Option<String>) -> bool {
        let is_new = (self.attached, &self.reason) != (attached, &reason);
        self.attached = attached;
        self.reason = reason;
        is_new
    }
}

/// The mechanisms of a hook, best first.
pub fn mechanisms(hook: &str) -> impl Iterator<Item = &'static str> {
    let mut hooks = HOOKS.iter();
    let rungs = hooks.find(|row| row.name == hook).map(|row| row.rungs);
    rungs.unwrap_or_default().iter().map(|rung| rung.mechanism)
}

/// Attaches every hook at its best rung; registrations by `only`, where that is given.
pub(super) fn attach_all(ebpf: &mut Ebpf, btf: &Btf, only: Option<&str>) -> Vec<HookStatus> {
    let mut statuses = Vec::new();
    for hook in HOOKS {
        let mut held = false;
        for rung in hook.rungs {
            let others = only.filter(|only| *only != rung.mechanism);
            let result = if held {
                Err("a better rung is in use".to_owned())
            } else if others.is_some() && hook.name == REGISTRATION {
                Err("left out by --registration-rung".to_owned())
            } else {
                attach(ebpf, btf, rung)
            };
            held |= result.is_ok();
            statuses.push(HookStatus {
                hook: hook.name,
                mechanism: rung.mechanism,
                required: hook.required,
                attached: result.is_ok(),
                reason: result.err(),
            });
        }
    }
    statuses
}

/// Loads all programs of a rung, then attaches them. What was done is undone by `unload` where
/// a later program fails.
fn attach(ebpf: &mut Ebpf, btf: &Btf, rung: &Rung) -> Result<(), String> {
    let mut outcome = Ok(());
    for (name, at) in rung.programs {
        outcome = load_one(ebpf, btf, name, *at);
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_ok() {
        for (name, at) in rung.programs {
            outcome = attach_one(ebpf, name, *at);
            if outcome.is_err() {
                break;
            }
        }
    }
    if outcome.is_err() {
        for (name, _) in rung.programs {
            unload(ebpf, name);
        }
    }
    outcome
}

fn load_one(ebpf: &mut Ebpf, btf: &Btf, name: &str, at: At) -> Result<(), String> {
    let program = ebpf.program_mut(name).ok_or_else(|| missing(name))?;
    let result = match (at, program) {
        (At::Fentry(function), Program::FEntry(p)) => p.load(function, btf),
        (At::Fexit(function), Program::FExit(p)) => p.load(function, btf),
        (At::Tracepoint(..), Program::TracePoint(p)) => p.load(),
        (At::RawTracepoint(_), Program::RawTracePoint(p)) => p.load(),
        (At::File, Program::UProbe(p)) => p.load(),
        (At::Iterator(kind), Program::Iter(p)) => p.load(kind, btf),
        _ => {
            return Err(format!(
                "the program {name} in the object is of another type"
            ));
        }
    };
    result.map_err(|error| format!("failed to load {name}: {}", explain(&error)))
}

fn attach_one(ebpf: &mut Ebpf, name: &str, at: At) -> Result<(), String> {
    fn of<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T, String>
    where
        &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        let program = ebpf.program_mut(name).ok_or_else(|| missing(name))?;
        program.try_into().map_err(|error| explain(&error))
    }
    let result = match at {
        At::Fentry(_) => of::<FEntry>(ebpf, name)?.attach().map(|_| ()),
        At::Fexit(_) => of::<FExit>(ebpf, name)?.attach().map(|_| ()),
        At::Tracepoint(category, event) => of::<TracePoint>(ebpf, name)?
            .attach(category, event)
            .map(|_| ()),
        At::RawTracepoint(event) => of::<RawTracePoint>(ebpf, name)?.attach(event).map(|_| ()),
        At::File => of::<UProbe>(ebpf, name).map(|_| Ok(()))?,
        At::Iterator(_) => of::<Iter>(ebpf, name).map(|_| Ok(()))?,
    };
    result.map_err(|error| format!("failed to attach {name}: {}", explain(&error)))
}

/// Takes a program out of the kernel again; one that was never loaded stays out.
fn unload(ebpf: &mut Ebpf, name: &str) {
    let _ = match ebpf.program_mut(name) {
        Some(Program::FEntry(program)) => program.unload(),
        Some(Program::FExit(program)) => program.unload(),
        Some(Program::TracePoint(program)) => program.unload(),
        Some(Program::RawTracePoint(program)) => program.unload(),
        _ => Ok(()),
    };
}

fn missing(name: &str) -> String {
    format!("the object has no program {name}")
}

/// An aya error with its causes in one line; the verifier's log shortened to its end, where
/// the reason stands.
fn explain(error: &ProgramError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Where the kernel refuses before it verifies, the log is empty.
    let line = line.trim_end_matches(". Verifier output:").to_owned();
    let characters = line.chars().count();
    if characters <= 400 {
        return line;
    }
    let head: String = line.chars().take(150).collect();
    let tail: String = line.chars().skip(characters - 240).collect();
    format!("{head} … {tail}")
}
