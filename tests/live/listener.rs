//! The probe without the agent: what the kernel half tells, record by record.

use std::time::{Duration, Instant};

use sigblame::{
    event::{Event, decode},
    probe::{
        hooks::Chosen,
        load,
        maps::{Controls, Interpreter},
        ring::{Gaps, Ring},
    },
    process::scan::{Look, Scanner},
    python::{layout, reading::Reading},
};
use sigblame_tests::wait_for;
use tokio::runtime::Runtime;

use crate::support::PATIENCE;

/// A probe that is listened to.
pub(crate) struct Listener {
    // The ring goes before the runtime that waits for it.
    ring: Ring,
    pub(crate) controls: Controls,
    scanner: Scanner,
    gaps: Gaps,
    /// Records that are missing by their numbers.
    pub(crate) lost: u64,
    /// Every event so far, with its record.
    pub(crate) events: Vec<(Event, Vec<u8>)>,
    _runtime: Runtime,
}

impl Listener {
    /// Attaches, and knows the servers that are installed.
    pub(crate) fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        let probe = {
            let _entered = runtime.enter();
            load::load(&layout::raw(), &Chosen::default()).unwrap_or_else(|error| panic!("{error}"))
        };
        let mut listener = Self {
            ring: probe.ring,
            controls: probe.controls,
            scanner: Scanner::new("/proc"),
            gaps: Gaps::default(),
            lost: 0,
            events: Vec::new(),
            _runtime: runtime,
        };
        for (file, reload) in listener.scanner.installed_httpds() {
            listener.controls.judge_program(file, true).unwrap();
            let reload = reload.expect("httpd exports the function that reads its configuration");
            let file = (reload.file.device, reload.file.inode);
            let path = reload.open.path();
            listener
                .controls
                .attach_reload(file, &path, reload.offset)
                .unwrap();
        }
        listener
    }

    /// Watches a process of a server, its interpreter and the intercept of its mod_wsgi.
    pub(crate) fn watch(&mut self, look: &Look, intercept: u64) {
        let python = look.python.as_ref().map(|at| {
            let Reading::Row(layout) = at.python.reading else {
                panic!("{:?}", at.python);
            };
            Interpreter {
                interpreters: at.python.interpreters,
                current: at.python.current,
                layout,
            }
        });
        self.controls.watch(look.key.pid, python).unwrap();
        let modules = &look.found.modules.0;
        let module = modules
            .iter()
            .find(|module| module.kind == sigblame::process::ModuleKind::ModWsgi)
            .unwrap();
        let path = module.path.as_ref().as_ref();
        let file = (
            0,
            std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap()),
        );
        self.controls
            .attach_intercept(file, path, intercept)
            .unwrap();
    }

    /// The processes of a server.
    pub(crate) fn looks(&mut self, master: u32) -> Vec<Look> {
        let looks = self.scanner.all();
        let is_ours = |look: &Look| {
            look.key.pid == master || look.found.parent.is_some_and(|parent| parent.pid == master)
        };
        looks.into_iter().filter(is_ours).collect()
    }

    /// Reads what is there until `enough` of it is.
    pub(crate) fn wait(&mut self, what: &str, mut enough: impl FnMut(&[(Event, Vec<u8>)]) -> bool) {
        let found = wait_for(PATIENCE, || {
            self.drain();
            enough(&self.events).then_some(())
        });
        assert!(found.is_some(), "{what}: {:#?}", self.misses());
    }

    /// Reads what is there.
    pub(crate) fn drain(&mut self) {
        let Self {
            ring,
            gaps,
            lost,
            events,
            ..
        } = self;
        ring.drain(Instant::now() + Duration::from_secs(5), |bytes| {
            let (stamp, event) = decode::decode(bytes).unwrap_or_else(|error| panic!("{error}"));
            *lost += gaps.note(stamp.cpu, stamp.sequence);
            events.push((event, bytes.to_vec()));
        });
    }

    /// What was counted of one miss.
    pub(crate) fn miss(&self, label: &str) -> u64 {
        let misses = self.controls.misses();
        misses.iter().find(|miss| miss.0 == label).unwrap().1
    }

    /// Every miss that was counted.
    pub(crate) fn misses(&self) -> Vec<(&'static str, u64)> {
        let misses = self.controls.misses();
        misses.into_iter().filter(|miss| miss.1 > 0).collect()
    }
}
