//! Who asked: the server, the interpreter or the application. Pure.
//!
//! What goes by what: a Python frame on the stack means the application, unless it is the
//! interpreter importing its own signal module, or httpd that was called by Python and made the
//! call itself. Without a Python frame the new handler's owner tells, then the native stack.

use serde::{Deserialize, Serialize};

use crate::{
    event::{Action, Frame, PythonStack, Registration, Signal},
    process::{
        ModuleKind, Modules,
        stack::{self, Caller},
    },
    python::Version,
};

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// httpd, its modules, APR, mod_wsgi, the C library.
    Server,
    /// CPython's own start-up and shutdown.
    Interpreter,
    /// A Python frame or an extension.
    Application,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Self; 3] = [Self::Server, Self::Interpreter, Self::Application];

    /// The name that JSON and metric labels use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Interpreter => "interpreter",
            Self::Application => "application",
        }
    }
}

/// How the registration was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Route {
    /// Python's `signal.signal`.
    #[serde(rename = "signal.signal")]
    SignalSignal,
    /// Anything else: C, `ctypes`, `faulthandler`, another runtime.
    #[serde(rename = "native")]
    Native,
    /// mod_wsgi's intercept swallowed it.
    #[serde(rename = "intercept")]
    Intercept,
    /// Nobody saw the call.
    #[serde(rename = "unknown")]
    Unknown,
}

/// The owner of an address, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A mapped file.
    Module {
        /// Whose it is.
        kind: ModuleKind,
        /// The path's last part.
        name: String,
    },
    /// Memory of the process that no file backs: code made at run time.
    Anonymous,
    /// The process is gone, and what was mapped in it is not known.
    Unknown,
}

impl Owner {
    /// The name that users see.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Module { name, .. } => Some(name),
            Self::Anonymous => Some("[anonymous]"),
            Self::Unknown => None,
        }
    }

    /// Whether httpd or one of its parts owns it.
    #[must_use]
    pub fn is_server(&self) -> bool {
        matches!(
            self,
            Self::Module {
                kind: ModuleKind::Httpd
                    | ModuleKind::Mpm
                    | ModuleKind::ModWsgi
                    | ModuleKind::HttpdPart,
                ..
            }
        )
    }

    /// Whether it belongs to the application: an extension, a library, code made at run time.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(
            self,
            Self::Anonymous
                | Self::Module {
                    kind: ModuleKind::Other,
                    ..
                }
        )
    }

    fn is(&self, wanted: ModuleKind) -> bool {
        matches!(self, Self::Module { kind, .. } if *kind == wanted)
    }
}

/// Who owns a handler; `None` where there is none.
///
/// An address outside every known module is anonymous memory only where the modules were read
/// for this very event; otherwise a library may have been loaded since.
#[must_use]
pub fn owner(modules: &Modules, fresh: bool, action: Action) -> Option<Owner> {
    let Action::Handler(address) = action else {
        return None;
    };
    Some(match modules.at(address) {
        Some(module) => Owner::Module {
            kind: module.kind,
            name: module.name().to_owned(),
        },
        None if fresh => Owner::Anonymous,
        None => Owner::Unknown,
    })
}

/// Who asked for a registration.
///
/// `old` and `new` own the handlers before and after; `None` where there is no handler.
#[must_use]
pub fn origin(registration: &Registration, old: Option<&Owner>, new: Option<&Owner>) -> Origin {
    if is_c_librarys_own(registration) && !new.is_some_and(Owner::is_foreign) {
        return Origin::Server;
    }
    let caller = stack::caller(&registration.native);
    if let Some(innermost) = registration.python.frames.first() {
        let within = stack::server_within_python(&registration.native);
        if within && !new.is_some_and(Owner::is_foreign) {
            return Origin::Server;
        }
        if is_mod_wsgis_own(registration) {
            return Origin::Server;
        }
        let importing = is_import_system(innermost);
        let python = new.is_some_and(|owner| owner.is(ModuleKind::Python));
        // CPython's `_signal` puts `default_int_handler` on SIGINT where it finds the default,
        // as a side effect of the first `import signal` (`signal_get_set_handlers`,
        // Modules/signalmodule.c, 3.6 to 3.15).
        return if importing && python && registration.signal == Some(Signal::INT) {
            Origin::Interpreter
        } else {
            Origin::Application
        };
    }
    // Python code ran, and which is not known. The interpreter itself sets no other signal from there.
    if stack::runs_unknown_python(&registration.python, &registration.native)
        && registration.signal != Some(Signal::INT)
        && caller != Some(Caller::Server)
    {
        return Origin::Application;
    }
    match (registration.new.action, new, caller) {
        (Action::Handler(_), Some(owner), _) if owner.is_foreign() => Origin::Application,
        (Action::Handler(_), Some(owner), _) if owner.is(ModuleKind::Python) => Origin::Interpreter,
        (_, _, Some(Caller::Application)) => Origin::Application,
        (_, _, Some(Caller::Server)) => Origin::Server,
        (_, _, Some(Caller::Interpreter)) => Origin::Interpreter,
        // Without a frame and without an owner there is no one to blame.
        (Action::Handler(_), _, None) => Origin::Server,
        // A library puts back what it had replaced, from a thread without Python.
        _ if old.is_some_and(Owner::is_foreign) => Origin::Application,
        // Start and shutdown of an interpreter: a thread state, and no frame on it.
        _ if registration.python.thread_known => Origin::Interpreter,
        // CPython's start ignores SIGPIPE and SIGXFSZ before there is a thread state
        // (`_PySignal_Init`); nobody in httpd touches SIGXFSZ.
        _ if registration.signal == Some(Signal::XFSZ) => Origin::Interpreter,
        _ => Origin::Server,
    }
}

/// Whether mod_wsgi made the call through Python: in a service script it gives SIGTERM a handler
/// that ends the script (`newInterpreterObject`, wsgi_interp.c, 4.7 to 6.1), before any code of the
/// application runs. Nobody else calls `signal.signal` from no Python code and no library.
fn is_mod_wsgis_own(registration: &Registration) -> bool {
    registration.signal == Some(Signal::TERM)
        && registration.python.frames.len() == 1
        && route(&registration.python) == Route::SignalSignal
        && stack::blamed(&registration.python, &registration.native)
            .native
            .is_none()
}

/// Whether the signal is one that the C library keeps to itself: it takes 33 when a process makes its
/// first thread, whoever asks for that, and refuses both to its callers (glibc's `SIGCANCEL` and
/// `SIGSETXID`, sysdeps/unix/sysv/linux/internal-signals.h, 2.2 to 2.41; musl has the same two).
fn is_c_librarys_own(registration: &Registration) -> bool {
    matches!(registration.number, 32 | 33)
}

/// How the registration was made: through Python's `signal.signal`, or past it.
#[must_use]
pub fn route(python: &PythonStack) -> Route {
    match python.frames.first() {
        // `signal.signal` is a Python function around `_signal.signal` (Lib/signal.py, 3.5+).
        Some(frame)
            if frame.function == "signal"
                && frame.file.ends_with("/signal.py")
                && is_standard_library(&frame.file, python.version) =>
        {
            Route::SignalSignal
        }
        _ => Route::Native,
    }
}

/// Whether the frame is importlib's own.
fn is_import_system(frame: &Frame) -> bool {
    frame.file.starts_with("<frozen importlib")
}

/// Whether a file is part of Python's own library: `…/python3.11/…`, but not what pip or
/// Debian installed below it.
pub(super) fn is_standard_library(file: &str, version: Option<Version>) -> bool {
    if file.starts_with("<frozen ") {
        return true;
    }
    let Some(version) = version else {
        return false;
    };
    let Version { major, minor, .. } = version;
    let installed = file.contains("/site-packages/") || file.contains("/dist-packages/");
    !installed
        && (file.contains(&format!("/python{version}/"))
            || file.contains(&format!("/python{major}{minor}.zip/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use probe_abi::miss::Miss;

    use crate::event::{Code, Disposition, NativeFrame, NativeStack, StackResult};

    fn module(kind: ModuleKind) -> Owner {
        Owner::Module {
            kind,
            name: "x".to_owned(),
        }
    }

    fn registration(signal: Signal, action: Action, files: &[(&str, &str)]) -> Registration {
        Registration {
            signal: Some(signal),
            number: u32::from(signal.number()),
            old: Disposition::default(),
            new: Disposition {
                action,
                ..Disposition::default()
            },
            errno: 0,
            contested: false,
            folded: 0,
            python: PythonStack {
                version: Some(Version::new(3, 11)),
                frames: files
                    .iter()
                    .map(|(file, function)| Frame {
                        file: (*file).to_owned(),
                        line: Some(1),
                        function: (*function).to_owned(),
                    })
                    .collect(),
                ..PythonStack::default()
            },
            native: NativeStack::default(),
        }
    }

    /// The interpreter's own SIGINT at `import signal` is its own; an extension's handler that
    /// is set while it is imported is the application's.
    #[test]
    fn an_import_is_the_interpreters_only_for_its_own_handler() {
        let frames = [("<frozen importlib._bootstrap>", "_call_with_frames_removed")];
        let set = registration(Signal::INT, Action::Handler(7), &frames);
        let python = module(ModuleKind::Python);
        assert_eq!(origin(&set, None, Some(&python)), Origin::Interpreter);
        let extension = module(ModuleKind::Other);
        assert_eq!(origin(&set, None, Some(&extension)), Origin::Application);
    }

    /// A thread that Python starts, the first of its process, makes glibc take its own signal 33;
    /// a library that takes it past glibc is the application's.
    #[test]
    fn the_c_librarys_own_signals_are_nobodys_doing() {
        let frames = [("/usr/lib/python3.11/threading.py", "Thread.start")];
        let signal = Signal::new(33).unwrap();
        let set = registration(signal, Action::Handler(7), &frames);
        let cases = [
            (module(ModuleKind::Libc), Origin::Server),
            (Owner::Unknown, Origin::Server),
            (module(ModuleKind::Other), Origin::Application),
        ];
        for (owner, expected) in cases {
            assert_eq!(origin(&set, None, Some(&owner)), expected, "{owner:?}");
        }
    }

    /// Without a frame, the handler's owner decides.
    #[test]
    fn the_owner_decides_where_no_python_runs() {
        let set = registration(Signal::TERM, Action::Handler(7), &[]);
        let cases = [
            (module(ModuleKind::Mpm), Origin::Server),
            (module(ModuleKind::ModWsgi), Origin::Server),
            (module(ModuleKind::Libc), Origin::Server),
            (module(ModuleKind::Python), Origin::Interpreter),
            (module(ModuleKind::Other), Origin::Application),
            (Owner::Anonymous, Origin::Application),
            (Owner::Unknown, Origin::Server),
        ];
        for (owner, expected) in cases {
            assert_eq!(origin(&set, None, Some(&owner)), expected, "{owner:?}");
        }
    }

    /// Code of an interpreter that the probe knew nothing of is an application's all the same.
    #[test]
    fn python_that_is_not_known_is_the_applications() {
        let mut set = registration(Signal::USR2, Action::Ignore, &[]);
        set.python.result = StackResult::failed(Miss::InterpreterUnknown);
        set.native.frames = vec![NativeFrame {
            module: "libpython3.11.so.1.0".into(),
            symbol: Some("_PyEval_EvalFrameDefault".into()),
            offset: 1,
            code: Code::Module(ModuleKind::Python),
        }];
        assert_eq!(origin(&set, None, None), Origin::Application);
        set.signal = Some(Signal::INT);
        assert_ne!(origin(&set, None, None), Origin::Application);
    }

    /// A default without a frame: by what stood there, and by whether an interpreter ends.
    #[test]
    fn a_default_without_a_frame() {
        let mut set = registration(Signal::INT, Action::Default, &[]);
        assert_eq!(origin(&set, None, None), Origin::Server);
        let library = module(ModuleKind::Other);
        assert_eq!(origin(&set, Some(&library), None), Origin::Application);
        set.python.thread_known = true;
        assert_eq!(origin(&set, None, None), Origin::Interpreter);
    }

    /// The standard library is never blamed; a package installed beside it is.
    #[test]
    fn blame_passes_over_the_standard_library() {
        let set = registration(
            Signal::TERM,
            Action::Ignore,
            &[
                ("/usr/lib/python3.11/signal.py", "signal"),
                ("<frozen runpy>", "run_path"),
                (
                    "/venv/lib/python3.11/site-packages/gunicorn/arbiter.py",
                    "init_signals",
                ),
                ("/srv/app.py", "<module>"),
            ],
        );
        let blamed = stack::blamed(&set.python, &set.native);
        let frame = blamed.python.map(|frame| frame.function.as_str());
        assert_eq!(frame, Some("init_signals"));
        assert_eq!(route(&set.python), Route::SignalSignal);
    }

    /// An application's own file called signal.py is not Python's.
    #[test]
    fn a_file_called_signal_is_not_the_library() {
        let set = registration(
            Signal::TERM,
            Action::Ignore,
            &[("/srv/signal.py", "signal")],
        );
        assert_eq!(route(&set.python), Route::Native);
    }
}
