//! What an SRE reads, from objects as the API gives them; and how they are asked for.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{
    engine::status::{BlockedStatus, TakenBy, sample},
    escape::tests::{HOSTILE, is_quiet},
    event::Signal,
    policy::sample as policy_sample,
    sink::{
        http::{self, Shared},
        metrics::Metrics,
    },
    store::Store,
};

mod exceptions;

fn shown(report: &Report) -> String {
    text(report, Look::default())
}

#[test]
fn what_stands_out_is_shown_and_the_rest_is_a_line() {
    assert_eq!(
        shown(&sample::report()),
        "\
sigblame 0.1.0, up 5 min: 1 server, 3 workers, 1 with signals taken
1 exception, 1 expired
  expired on 2026-01-01: rule reserved-signal, signal SIGTERM, module takeover*.so (until the next release)

apache2 pid 10, up 3 h, event MPM, mod_wsgi 4.9.4
  config       /etc/apache2/apache2.conf
  restriction  on, by default
  embedded: 2 workers
    runs site (/srv/app.wsgi)
    untouched: mod_mpm_event.so SIGHUP SIGTERM; ignored SIGPIPE SIGXFSZ; the other 60 default
    pid 42, up 5 min
      SIGTERM: takeover.so!on_term  critical reserved-signal for 3 min
        by Billing.reload_on_hangup (/srv/app/billing.py:42)
    pid 41, up 5 min: untouched
  daemon demo: 1 worker
    runs site (/srv/app.wsgi)
    untouched: mod_mpm_event.so SIGHUP; ignored SIGPIPE SIGXFSZ; mod_wsgi.so SIGTERM; the other 60 \
         default
    pid 43, up 5 min: untouched
"
    );
}

/// What was there before the agent came has no finding, and must not look well.
#[test]
fn what_has_no_finding_stands_out_all_the_same() {
    let mut report = sample::report();
    let worker = &mut report.workers[1];
    worker.signals[Signal::TERM.index()].taken_by = None;
    worker.signals[Signal::PIPE.index()] = sample::plain(Signal::PIPE, "default");
    worker.signals[Signal::USR2.index()] =
        sample::handler(Signal::USR2, "libpython3.11.so.1.0", "interpreter");
    worker.signals[Signal::WINCH.index()] = sample::plain(Signal::WINCH, "ignore");
    let lone = &mut report.workers[0];
    lone.signals[Signal::PIPE.index()] = sample::plain(Signal::PIPE, "default");
    lone.signals[Signal::QUIT.index()] =
        sample::handler(Signal::QUIT, "libpython3.11.so.1.0", "interpreter");
    let text = shown(&report);
    for line in [
        "      SIGTERM: takeover.so!on_term  mod_mpm_event.so in its siblings",
        "      SIGPIPE: default  ignored in its siblings",
        "      SIGUSR2: libpython3.11.so.1.0  default in its siblings",
        "      SIGWINCH: ignored  default in its siblings",
        "      SIGPIPE: default  Apache ignores it: a client that hangs up can kill the process",
        "      SIGQUIT: libpython3.11.so.1.0  no open finding: set before sigblame came, or allowed",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(!text.contains("signals taken"), "{text}");
}

/// Where the master itself was taken, its workers inherit it.
#[test]
fn a_master_is_shown_where_it_stands_out() {
    let mut report = sample::report();
    report.status.servers[0].signals[Signal::TERM.index()] = sample::taken();
    assert!(
        shown(&report).contains("  master pid 10\n      SIGTERM: takeover.so!on_term  critical"),
        "{}",
        shown(&report)
    );
}

#[test]
fn one_cause_is_told_once() {
    let mut report = sample::report();
    let worker = &mut report.workers[1];
    let mut again = sample::taken();
    again.number = Signal::INT.number();
    again.name = Signal::INT.to_string();
    worker.signals[Signal::INT.index()] = again;
    let text = shown(&report);
    assert!(
        text.contains("      SIGINT SIGTERM: takeover.so!on_term  critical"),
        "{text}"
    );
    assert_eq!(text.matches("billing.py").count(), 1, "{text}");
}

#[test]
fn every_signal_is_there_for_who_wants_them_all() {
    let look = Look {
        all: true,
        ..Look::default()
    };
    let text = text(&sample::report(), look);
    // Three workers and the master.
    for (line, times) in [
        ("      SIGHUP      mod_mpm_event.so", 4),
        ("      SIGRTMIN+10 default", 4),
        (
            "      SIGTERM     takeover.so!on_term  critical reserved-signal for 3 min",
            1,
        ),
        ("      SIGTERM     mod_wsgi.so", 1),
    ] {
        assert_eq!(text.lines().filter(|l| *l == line).count(), times, "{text}");
    }
}

#[test]
fn what_is_missing_is_said() {
    let mut report = sample::report();
    report.status.hooks = vec![sample::hook("inventory", "iter", Some("not permitted"))];
    report.workers.clear();
    report.status.servers[0].problems = vec!["/etc/x:3: an include of nothing".to_owned()];
    report.status.servers[0].restrict_signal_from = "/etc/x:7".to_owned();
    let text = shown(&report);
    for line in [
        "hook inventory is missing (iter): not permitted",
        "  restriction  on, by /etc/x:7",
        "  problem      /etc/x:3: an include of nothing",
        "  workers      none yet",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    report.status.servers.clear();
    assert!(shown(&report).contains("no httpd with mod_wsgi runs here"));
    let mut unseen = sample::report();
    for signal in unseen.workers.iter_mut().flat_map(|w| &mut w.signals) {
        if signal.kind == "default" {
            "unknown".clone_into(&mut signal.kind);
        }
    }
    assert!(shown(&unseen).contains("the other 60 unknown: nobody has looked yet"));
}

/// A service script is never restricted.
#[test]
fn workers_under_another_restriction_say_so() {
    let mut report = sample::report();
    report.workers[0].restrict_signal = "off".to_owned();
    report.workers[0].restrict_signal_from = "/etc/x:9".to_owned();
    report.status.servers[0].restrict_signal_from = "assumed".to_owned();
    let text = shown(&report);
    let daemons = "  daemon demo: 1 worker\n    restriction off, by /etc/x:9\n";
    assert!(text.contains(daemons), "{text}");
    assert_eq!(text.matches("restriction").count(), 2, "{text}");
    assert!(
        text.contains("on, assumed: the server's configuration is not known"),
        "{text}"
    );
}

/// A prefork server has hundreds of workers.
#[test]
fn many_workers_that_are_alike_are_one_line() {
    let mut report = sample::report();
    let calm = report.workers.remove(2);
    report.workers.clear();
    for pid in 100..150 {
        let mut worker = calm.clone();
        worker.pid = pid;
        worker.ns_pid = Some(if pid == 101 { 7 } else { pid });
        report.workers.push(worker);
    }
    report.workers[0].started = "2026-01-31T12:02:50.000000Z".to_owned();
    let text = shown(&report);
    let line = text.lines().find(|line| line.contains("pid 100")).unwrap();
    assert!(
        line.starts_with("    pid 100 101 (7 inside) 102 103 "),
        "{line}"
    );
    assert!(
        line.ends_with(" 118 119 and 30 more, up 10 s to 5 min: untouched"),
        "{line}"
    );
    report.workers[1].signals[Signal::TERM.index()] = sample::taken();
    let text = shown(&report);
    assert!(
        text.contains("    pid 101 (7 inside), up 5 min\n      SIGTERM: takeover.so"),
        "{text}"
    );
}

/// A narrow terminal breaks the long lines itself, but for the list that we know how to break.
/// What was blocked changes no disposition, and is told all the same, once for each cause.
#[test]
fn blocked_attempts_are_told_by_their_cause() {
    let mut report = sample::report();
    let blocked = |signal: &str| BlockedStatus {
        signal: signal.to_owned(),
        by: TakenBy::from(&policy_sample::finding()),
    };
    report.workers[0].blocked_attempts = vec![blocked("SIGHUP"), blocked("SIGTERM")];
    let text = shown(&report);
    let line = "    blocked SIGHUP SIGTERM by Billing.reload_on_hangup (/srv/app/billing.py:42)\n";
    assert_eq!(text.matches(line).count(), 1, "{text}");
}

#[test]
fn the_untouched_signals_fit_a_narrow_terminal() {
    let look = Look {
        width: Some(40),
        ..Look::default()
    };
    let text = text(&sample::report(), look);
    let from = text.find("    untouched").expect("the list");
    let list: Vec<&str> = text[from..].lines().take(3).collect();
    assert_eq!(
        list,
        [
            "    untouched: mod_mpm_event.so SIGHUP",
            "      SIGTERM; ignored SIGPIPE SIGXFSZ;",
            "      the other 60 default",
        ]
    );
}

#[test]
fn colours_add_nothing_but_colour() {
    let look = Look {
        colour: true,
        ..Look::default()
    };
    let coloured = text(&sample::report(), look);
    let mut plain = coloured.replace("\u{1b}[0m", "");
    for style in ["1", "2", "1;31", "1;33", "1;36"] {
        plain = plain.replace(&format!("\u{1b}[{style}m"), "");
    }
    assert_ne!(coloured, plain);
    assert_eq!(plain, shown(&sample::report()));
}

#[test]
fn no_name_breaks_or_spoofs_a_line() {
    let mut report = sample::report();
    let hostile = || HOSTILE.to_owned();
    let lines = shown(&report).lines().count();
    report.status.agent.version = hostile();
    let server = &mut report.status.servers[0];
    server.name = hostile();
    server.mpm = Some(hostile());
    server.mod_wsgi = Some(hostile());
    server.config = Some(hostile());
    server.restrict_signal = hostile();
    server.restrict_signal_from = hostile();
    for worker in &mut report.workers {
        worker.server = hostile();
        worker.restrict_signal = hostile();
        worker.process_group = Some(hostile());
        worker.applications[0].group = Some(hostile());
        worker.applications[0].script = Some(hostile());
        for signal in &mut worker.signals {
            signal.owner = Some(hostile());
            signal.symbol = signal.symbol.as_ref().map(|_| hostile());
            signal.flags = vec![hostile()];
            if let Some(taken) = &mut signal.taken_by {
                taken.rule = hostile();
                taken.blame.file = Some(hostile());
                taken.blame.function = Some(hostile());
            }
        }
    }
    for all in [false, true] {
        let look = Look {
            all,
            ..Look::default()
        };
        let text = text(&report, look);
        assert!(text.lines().all(is_quiet), "{text:?}");
    }
    assert_eq!(shown(&report).lines().count(), lines);
    assert!(json(&report).lines().all(is_quiet));
}

/// An agent's endpoints, answered as the loop does.
async fn agent() -> SocketAddr {
    let shared = Shared::new(Metrics::new().unwrap(), Store::new(10));
    shared.set_ready();
    let mut questions = shared.questions().unwrap();
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            let _ = question.send(Arc::new(sample::snapshot()));
        }
    });
    let listener = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(http::serve(listener, shared, std::future::pending()));
    address
}

/// What goes out as JSON comes back as it was, over a real socket.
#[tokio::test]
async fn the_agent_is_asked_over_http() {
    let address = agent().await;
    let report = ask(address).await.unwrap();
    let expected = sample::report();
    assert_eq!(report.workers, expected.workers);
    assert_eq!(report.status.servers, expected.status.servers);
    assert_eq!(report.status.time, expected.status.time);
    let json: serde_json::Value = serde_json::from_str(&json(&report)).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["servers"][0]["workers"]["service-script"], 0);
    assert_eq!(
        json["workers"][1]["signals"][14]["taken_by"]["rule"],
        "reserved-signal"
    );
    // An agent that listens everywhere is asked here.
    let anywhere = SocketAddr::new("0.0.0.0".parse().unwrap(), address.port());
    assert_eq!(ask(anywhere).await.unwrap().workers, report.workers);
}

#[tokio::test]
async fn without_an_agent_there_is_one_clear_sentence() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(
        ask(address).await.unwrap_err().to_string(),
        format!(
            "failed to reach a running agent at {address}: nobody listens there; start one with \
             `sigblame run`, or say with --web.listen-address where it listens"
        )
    );
}

/// Whoever listens there instead may say anything.
#[tokio::test]
async fn what_is_no_agent_is_named_and_not_obeyed() {
    let hostile = "{\"error\": \"x\u{9b}2Jy\"}";
    for (answer, sentence) in [
        (
            "SSH-2.0-OpenSSH\r\n".to_owned(),
            "invalid HTTP version parsed",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "its status is 404",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
            "it is no status (missing",
        ),
        (
            format!(
                "HTTP/1.1 503 Busy\r\nContent-Length: {}\r\n\r\n{hostile}",
                hostile.len()
            ),
            "failed to get the status from the agent at 127.0.0.1",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let error = ask(address).await.unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
        assert!(is_quiet(&error), "{error:?}");
    }
}
