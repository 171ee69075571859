//! What people read, to the letter.

use super::*;
use crate::{
    escape::tests::{HOSTILE, is_quiet},
    policy::{
        finding::{Cause, DriftRef, Lasting, ShutdownRef, TakenFrom},
        sample,
    },
};

#[test]
fn a_finding_reads_from_top_to_bottom() {
    let mut shown = sample::finding();
    shown.count = 3;
    assert_eq!(
        finding(&shown, false),
        "2026-01-31T12:00:00.000000Z critical SIGTERM mod_wsgi.so → libpython3.11.so.1.0 \
         apache2 daemon demo pid 42 tid 43 reserved-signal (also restricted-registration) ×3\n  \
         blame Billing.reload_on_hangup (/srv/app/billing.py:42)\n  \
         under WSGIRestrictSignal on (default), application demo|/billing, \
         script /srv/app/billing.wsgi\n  \
         at signal (/usr/lib/python3.11/signal.py:56)\n  \
         at Billing.reload_on_hangup (/srv/app/billing.py:42)\n  \
         what SIGTERM, by which the server stops this worker, was taken.\n  \
         mend Use mod_wsgi.subscribe_shutdown instead.\n"
    );
}

/// What became of it: how far it reaches, from whom it was taken, and how it ended.
#[test]
fn a_finding_says_what_became_of_it() {
    let mut shown = sample::finding();
    shown.extent.workers = 3;
    shown.extent.of = 8;
    shown.extent.workers_ever = 5;
    shown.taken_from = Some(TakenFrom {
        id: "aabb".to_owned(),
        fingerprint: "ccdd".to_owned(),
        blame: Blame {
            module: Some("libjvm.so".to_owned()),
            ..Blame::default()
        },
    });
    let open = finding(&shown, false);
    assert!(
        open.contains("(also restricted-registration) in 3 of 8 workers\n"),
        "{open}"
    );
    assert!(
        open.contains("\n  chain taken from libjvm.so, finding aabb\n  what "),
        "{open}"
    );
    shown.state = State::Resolved;
    shown.count = 50;
    shown.exposure_seconds = Some(0.5);
    shown.lasting = Some(Lasting::Temporary);
    let over = finding(&shown, false);
    let end = "(also restricted-registration) ×50, over after 0.500 s, temporary, in 5 workers\n";
    assert!(over.ends_with(end), "{over}");
    assert_eq!(over.lines().count(), 1);
}

#[test]
fn a_trace_line_says_what_is_missing() {
    let mut line = sample::trace_line();
    let evidence = &mut line.evidence;
    evidence.change.old.owner = None;
    evidence.change.old.kind = "default".to_owned();
    evidence.change.contested = true;
    evidence.outcome = Outcome::Failed;
    evidence.worker.ns_pid = Some(7);
    evidence.worker.process_group = None;
    evidence.blame = Blame {
        module: Some("/opt/libjvm.so".to_owned()),
        ..Blame::default()
    };
    evidence.python.frames = vec![Frame {
        file: "x.py".to_owned(),
        line: None,
        function: "f".to_owned(),
    }];
    evidence.python.left_out = 2;
    evidence.python.result = "truncated".to_owned();
    assert_eq!(
        trace_line(&line, false),
        "2026-01-31T12:00:00.000000Z application SIGTERM default → libpython3.11.so.1.0 \
         (contested) (failed) apache2 daemon pid 42 (7 inside) tid 43\n  \
         blame /opt/libjvm.so\n  under WSGIRestrictSignal on (default), \
         application demo|/billing, script /srv/app/billing.wsgi\n  at f (x.py)\n  … 2 outer frames are not shown\n  \
         stack truncated\n"
    );
}

fn native(module: &str, symbol: Option<&str>, code: &str, python_inside: usize) -> NativeFrame {
    NativeFrame {
        module: module.into(),
        symbol: symbol.map(Into::into),
        offset: 0x1f,
        code: code.to_owned().into(),
        python_inside,
    }
}

/// Libraries stand between the Python frames that called them and those that they called.
#[test]
fn both_stacks_read_as_one() {
    let mut line = sample::trace_line();
    line.evidence.native.result = "truncated(copy_ended)".to_owned();
    line.evidence.native.frames = vec![
        native("libc.so.6", Some("sigaction"), "c-library", 0),
        native("libcurl.so.4", Some("multi_perform"), "application", 0),
        native("libpython3.11.so.1.0", None, "interpreter", 0),
        native("libevent.so", None, "application", 1),
        native("mod_wsgi.so", None, "server", 2),
        native("libpreload.so", None, "application", 2),
    ];
    let shown = trace_line(&line, false);
    let (_, stack) = shown.split_once("billing.wsgi\n").expect("the blame");
    assert_eq!(
        stack,
        "  at libcurl.so.4!multi_perform+0x1f\n  \
         at signal (/usr/lib/python3.11/signal.py:56)\n  \
         at libevent.so+0x1f\n  \
         at Billing.reload_on_hangup (/srv/app/billing.py:42)\n  \
         at libpreload.so+0x1f\n  \
         native truncated(copy_ended)\n"
    );
}

#[test]
fn colours_add_nothing_but_colour() {
    let coloured = finding(&sample::finding(), true);
    let mut plain = coloured.replace("\u{1b}[0m", "");
    for style in [DIM, BOLD, RED, YELLOW, CYAN] {
        plain = plain.replace(&format!("\u{1b}[{style}m"), "");
    }
    assert_ne!(coloured, plain);
    assert_eq!(plain, finding(&sample::finding(), false));
}

#[test]
fn no_name_breaks_or_spoofs_a_line() {
    let mut shown = sample::finding();
    let hostile = || HOSTILE.to_owned();
    shown.rule = hostile();
    shown.also = vec![hostile()];
    shown.message = hostile();
    shown.remedy = hostile();
    shown.time = hostile();
    let evidence = &mut shown.evidence;
    evidence.signal.name = hostile();
    evidence.server.name = hostile();
    evidence.worker.role = hostile();
    evidence.worker.process_group = Some(hostile());
    evidence.change.old.owner = Some(hostile());
    evidence.change.new.owner = Some(format!("/x/{HOSTILE}"));
    evidence.change.new.symbol = Some(hostile());
    evidence.blame.file = Some(hostile());
    evidence.blame.function = Some(hostile());
    evidence.blame.module = Some(hostile());
    evidence.python.result = hostile();
    evidence.native.result = hostile();
    evidence.native.frames = vec![native(HOSTILE, Some(HOSTILE), "application", 1)];
    for frame in &mut evidence.python.frames {
        frame.file = hostile();
        frame.function = hostile();
    }
    shown.taken_from = Some(TakenFrom {
        id: hostile(),
        fingerprint: hostile(),
        blame: shown.evidence.blame.clone(),
    });
    shown.cause = Some(Cause {
        id: hostile(),
        fingerprint: hostile(),
        rule: hostile(),
        signal: shown.evidence.signal.clone(),
        since: hostile(),
        blame: shown.evidence.blame.clone(),
    });
    shown.shutdown = Some(shutdown(HOSTILE));
    shown.drift = Some(DriftRef {
        seen: hostile(),
        address: Some(hostile()),
        by_32_bit_call: true,
        differs_from: 1,
        agrees_with: 2,
    });
    let text = finding(&shown, false);
    assert!(text.lines().all(is_quiet), "{text:?}");
    // Head, blame, restriction, three frames, states of the stacks, chain, shutdown, cause, drift,
    // message, remedy.
    assert_eq!(text.lines().count(), 14);
}

/// One that was sent a SIGTERM and did not hear it, every name in it being this.
fn shutdown(name: &str) -> ShutdownRef {
    let name = || name.to_owned();
    ShutdownRef {
        signal: sample::finding().evidence.signal,
        sent_at: name(),
        sent_by: name(),
        occasion: name(),
        result: name(),
        handled_by: Some(name()),
        seconds: Some(3.01),
        killed: true,
        confirmed_by: vec![name()],
    }
}

/// What a shutdown that hangs says: what was asked, whose fault it is, and how it ended.
#[test]
fn a_hang_names_its_cause() {
    let mut shown = sample::finding();
    shown.shutdown = Some(ShutdownRef {
        occasion: "restart".to_owned(),
        sent_by: "master".to_owned(),
        sent_at: "2026-01-31T12:10:00Z".to_owned(),
        result: "ignored".to_owned(),
        handled_by: None,
        confirmed_by: vec!["AH00045".to_owned()],
        ..shutdown("")
    });
    shown.cause = Some(Cause {
        id: "aabb".to_owned(),
        fingerprint: "ccdd".to_owned(),
        rule: "reserved-signal".to_owned(),
        signal: shown.evidence.signal.clone(),
        since: "2026-01-31T12:04:00Z".to_owned(),
        blame: Blame::default(),
    });
    let open = finding(&shown, false);
    let lines = "\n  asked restart: SIGTERM by master at 2026-01-31T12:10:00Z, ignored, AH00045\n  \
                 cause reserved-signal, taken since 2026-01-31T12:04:00Z, finding aabb\n  what ";
    assert!(open.contains(lines), "{open}");
    shown.state = State::Resolved;
    let over = finding(&shown, false);
    assert!(
        over.ends_with(", over: killed 3.0 s after it was asked\n"),
        "{over}"
    );
}
