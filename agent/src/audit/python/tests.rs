//! One row for each way to write it.

use super::*;

/// Uses in few words: line, name, effect, signals, handler, when.
fn told(source: &str) -> Vec<String> {
    let audited = audit(source.as_bytes(), false);
    assert_eq!(audited.problem, None, "{source}");
    audited.uses.iter().map(short).collect()
}

fn short(found: &super::super::uses::Use) -> String {
    use super::super::uses::When;
    let mut signals: Vec<String> = found
        .signals
        .known
        .iter()
        .map(ToString::to_string)
        .collect();
    if found.signals.others {
        signals.push("?".to_owned());
    }
    let when = match &found.when {
        When::Call(name) => name.clone(),
        other => other.name().to_owned(),
    };
    let likely = if found.likely { " likely" } else { "" };
    format!(
        "{} {} {} {} {when}{likely}",
        found.line.unwrap_or_default(),
        found.what,
        signals.join(","),
        found.handler.name()
    )
}

#[track_caller]
fn check(source: &str, expected: &[&str]) {
    assert_eq!(told(source), expected, "{source}");
}

#[test]
fn a_function_is_found_under_any_name() {
    let found = |line: u32| format!("{line} signal.signal SIGTERM handler import");
    for source in [
        "import signal\nsignal.signal(signal.SIGTERM, print)",
        "import signal as s\ns.signal(s.SIGTERM, print)",
        "from signal import signal as reg, SIGTERM\nreg(SIGTERM, print)",
        "from signal import *\nsignal(SIGTERM, print)",
        "from signal import signal, Signals\nsignal(Signals.SIGTERM, print)",
        "import signal, signal as s\nsignal.signal(s.Signals['SIGTERM'], print)",
        "import signal\nsignal.signal(signalnum=15, handler=print)",
        "import signal\nsignal.signal(signal.Signals(15), print)",
        "import signal; f = signal.signal\nf(signal.SIGTERM, print)",
        "import signal\ngetattr(signal, 'signal')(getattr(signal, 'SIGTERM'), print)",
        "import importlib; s = importlib.import_module('signal')\ns.signal(s.SIGTERM, print)",
        "s = __import__('signal')\ns.signal(s.SIGTERM, print)",
        "try: import signal\nexcept ImportError: signal = None\nelse: signal.signal(signal.SIGTERM, print)",
        "import signal\nif (t := signal.SIGTERM): signal.signal(t, print)",
    ] {
        let line = u32::try_from(source.lines().count()).unwrap();
        check(source, &[&found(line)]);
    }
}

/// What only has the name is not reported.
#[test]
fn others_of_the_name_are_left_alone() {
    for source in [
        "from django.dispatch import Signal as signal\nsignal.signal(15, print)",
        "from blinker import signal\nsignal('x')",
        "import scipy.signal\nscipy.signal.signal(1, 2)",
        "from scipy import signal\nsignal.signal(15, print)",
        "from . import signal\nsignal.signal(15, print)",
        "from .signal import signal\nsignal(15, print)",
        "from django.db.models import signals\nsignals.post_save.connect(print)",
        "import signal\ndef f(signal): signal.signal(15, print)",
        "import signal\ndef f():\n  signal = object()\n  signal.signal(15, print)",
        "import signal\n[signal.signal(15, print) for signal in x]",
        "import signal\ndef f():\n  for signal in x: signal.signal(15, print)",
        "import signal\nlambda signal: signal.signal(15, print)",
        "import signal\nclass A:\n  def signal(self): self.signal(15)\n",
        "# signal.signal(15, print)\n'signal.signal(15, print)'",
        "import signal\nsignal.getsignal(signal.SIGTERM)",
        "import signal\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  signal.signal(15, print)",
        "import signal, sys\nif sys.platform == 'win32': signal.signal(15, print)",
        "import signal, os\nif os.name != 'nt': pass\nelse: signal.signal(15, print)",
        "def f(x: 'signal.signal(15, 0)'): pass",
        "import faulthandler\nfaulthandler.dump_traceback_later(5)",
        "import os\nwrapt.iswrapped(os.system)",
        "from signal import signal\nhasattr(signal, 'SIGTERM')",
        "class L:\n  def add_signal_handler(self, s): pass\n  def f(self): self.add_signal_handler(15)",
    ] {
        check(source, &[]);
    }
}

#[test]
fn signals_and_handlers_are_resolved() {
    for (source, expected) in [
        ("signal.signal(x, y)", "? handler"),
        (
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            "SIGTERM ignore",
        ),
        ("signal.signal(2, signal.SIG_DFL)", "SIGINT default"),
        ("signal.signal(2, 1)", "SIGINT ignore"),
        ("signal.signal(signal.SIGRTMIN, f())", "SIGRTMIN unknown"),
        ("signal.signal(signal.SIGCLD, print)", "SIGCHLD handler"),
        (
            "for s in (signal.SIGTERM, signal.SIGINT): signal.signal(s, print)",
            "SIGINT,SIGTERM handler",
        ),
        (
            "for s in [2, 15, x]: signal.signal(s, print)",
            "SIGINT,SIGTERM,? handler",
        ),
        (
            "S = {signal.SIGHUP: 1}\nfor s in S: signal.signal(s, print)",
            "SIGHUP handler",
        ),
        (
            "for s, h in {signal.SIGHUP: signal.SIG_IGN}.items(): signal.signal(s, h)",
            "SIGHUP ignore",
        ),
        (
            "for s, h in ((signal.SIGHUP, print), (signal.SIGINT, print)): signal.signal(s, h)",
            "SIGHUP,SIGINT handler",
        ),
        (
            "for n in ('SIGTERM', 'SIGINT'): signal.signal(getattr(signal, n), print)",
            "SIGINT,SIGTERM handler",
        ),
        (
            "[signal.signal(s, print) for s in (1, 2)]",
            "SIGHUP,SIGINT handler",
        ),
        (
            "def f(s): signal.signal(s, print)\nf(signal.SIGTERM)",
            "SIGTERM,? handler",
        ),
        (
            "def f(s=signal.SIGUSR1): signal.signal(s, print)\nf()",
            "SIGUSR1,? handler",
        ),
        (
            "class A:\n  S = (1, 2)\n  def __init__(self):\n    for s in self.S: signal.signal(s, print)\nA()",
            "SIGHUP,SIGINT handler",
        ),
        (
            "class A:\n  def __init__(self):\n    self.s = 15\n    signal.signal(self.s, self.f)\nA()",
            "SIGTERM handler",
        ),
        ("a = b\nb = a\nsignal.signal(a, print)", "? handler"),
    ] {
        let source = format!("import signal\n{source}");
        let found = told(&source);
        let [found] = &found[..] else {
            panic!("{source}: {found:?}")
        };
        let words: Vec<&str> = found.splitn(3, ' ').collect();
        assert_eq!(words[2], format!("{expected} import"), "{source}");
    }
}

#[test]
fn other_functions_have_their_own_effects() {
    for (source, expected) in [
        (
            "import _signal; _signal.signal(15, print)",
            "1 _signal.signal SIGTERM handler import",
        ),
        (
            "import signal; signal.siginterrupt(15, False)",
            "1 signal.siginterrupt SIGTERM unknown import",
        ),
        (
            "import signal; signal.set_wakeup_fd(1)",
            "1 signal.set_wakeup_fd  unknown import",
        ),
        (
            "import signal; signal.alarm(1)",
            "1 signal.alarm SIGALRM unknown import",
        ),
        (
            "import signal; signal.setitimer(signal.ITIMER_PROF, 1)",
            "1 signal.setitimer SIGPROF unknown import",
        ),
        (
            "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {15})",
            "1 signal.pthread_sigmask SIGTERM unknown import",
        ),
        (
            "import faulthandler; faulthandler.enable()",
            "1 faulthandler.enable SIGILL,SIGABRT,SIGBUS,SIGFPE,SIGSEGV handler import",
        ),
        (
            "from faulthandler import register; register(10)",
            "1 faulthandler.register SIGUSR1 handler import",
        ),
        (
            "import readline",
            "1 import readline SIGWINCH handler import",
        ),
        (
            "import os; os.system('x')",
            "1 os.system SIGINT,SIGQUIT handler import",
        ),
        (
            "import ctypes; ctypes.CDLL(None).signal(15, 1)",
            "1 ctypes signal SIGTERM ignore import",
        ),
        (
            "import ctypes; c = ctypes.cdll.LoadLibrary('libc.so.6'); c.sigaction(15, x, y)",
            "1 ctypes sigaction SIGTERM handler import",
        ),
        (
            "from cffi import FFI; f = FFI(); c = f.dlopen(None); c.signal(15, x)",
            "1 ctypes signal SIGTERM handler import",
        ),
        (
            "x.add_signal_handler(15, print)",
            "1 add_signal_handler SIGTERM handler import likely",
        ),
        (
            "import asyncio; asyncio.get_event_loop().add_signal_handler(15, print)",
            "1 add_signal_handler SIGTERM handler import likely",
        ),
        (
            "x.remove_signal_handler(15)",
            "1 remove_signal_handler SIGTERM default import likely",
        ),
        (
            "import functools, signal; functools.partial(signal.signal, 15, print)",
            "1 signal.signal SIGTERM handler import likely",
        ),
        (
            "import gevent; gevent.signal_handler(15, print)",
            "1 gevent.signal_handler SIGTERM handler import",
        ),
    ] {
        check(source, &[expected]);
    }
}

#[test]
fn what_runs_on_import_is_told_from_what_does_not() {
    for (source, when) in [
        ("S()", "import"),
        ("if x: S()", "import"),
        ("with x:\n  try: S()\n  finally: pass", "import"),
        ("class A: S()", "import"),
        ("[S() for x in y]", "import"),
        ("def f(x=S()): pass", "import"),
        ("@d(S())\ndef f(): pass", "import"),
        ("def f(): S()", "f"),
        ("class A:\n  def f(self): S()", "A.f"),
        ("def f():\n  def g(): S()\n  return g", "f.<locals>.g"),
        ("f = lambda: S()", "<lambda>"),
        ("f = lambda: S()\nf()", "import"),
        ("def f(): S()\nf()", "import"),
        ("def f(): S()\ndef g(): f()\ng()", "import"),
        ("def f(): S()\ndef g(): f()", "f"),
        ("def d(f): S()\n@d\ndef g(): pass", "import"),
        (
            "class A:\n  def __init__(self): self.f()\n  def f(self): S()\nA()",
            "import",
        ),
        (
            "class B:\n  def f(self): S()\nclass A(B): pass\na = A()\na.f()",
            "import",
        ),
        ("if __name__ == '__main__': S()", "program"),
        (
            "if __name__ == '__main__' and x:\n  def f(): S()\n  f()",
            "program",
        ),
        ("def f(): S()\nif __name__ == '__main__': f()", "f"),
        ("if __name__ == '__main__': pass\nelse: S()", "import"),
        (
            "import sys\nif sys.platform == 'win32': pass\nelse: S()",
            "import",
        ),
    ] {
        let source = format!(
            "import signal\n{}",
            source.replace("S()", "signal.signal(15, h)")
        );
        let found = told(&source);
        let [found] = &found[..] else {
            panic!("{source}: {found:?}")
        };
        let end = found.rsplit(' ').next();
        assert_eq!(end, Some(when), "{source}");
    }
    let program = audit(b"import signal\nsignal.signal(15, h)", true);
    assert!(short(&program.uses[0]).ends_with("program"));
}
