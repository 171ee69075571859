//! Policy cases as one table: events in, findings out, through the real process table.

use super::{
    Engine,
    events::{
        CHILD, HTTPD, LIBRARY, MASTER, MOD_WSGI, MPM, PYTHON, WORKER, event, fork, found,
        on_thread, set,
    },
    restriction_cases, shutdown_cases, takeover_cases,
};
use crate::{
    event::{Action, Event, Signal, What},
    policy::{
        Settings, State,
        finding::WallClock,
        rules::{RULES, Restriction},
    },
};

pub(super) const APP: &[&str] = &["/srv/app.py:reload"];

/// What is told: `rule+also@signal` of what is new, `-rule@signal` of what ends, `=rule@signal` of
/// what opens again or reaches more workers.
pub(super) fn run(restriction: Option<Restriction>, events: Vec<Event>) -> Vec<String> {
    let mut engine = engine(restriction);
    let news = events.into_iter().flat_map(|event| engine.step(event).news);
    let told = news.filter(|news| news.is_told).map(|news| {
        let finding = &news.finding;
        let rule = match finding.state {
            State::Resolved => format!("-{}", finding.rule),
            State::Open if !news.is_new => format!("={}", finding.rule),
            State::Open => {
                let also = finding.also.iter().map(|rule| format!("+{rule}"));
                finding.rule.clone() + &also.collect::<String>()
            }
        };
        format!("{rule}@{}", finding.evidence.signal.name)
    });
    told.collect()
}

/// An engine that knows a server with one worker.
pub(super) fn engine(restriction: Option<Restriction>) -> Engine {
    let mut engine = Engine::new(Settings {
        restriction,
        clock: WallClock { offset: 0 },
        ..Settings::default()
    });
    for event in [
        found(MASTER, None),
        set(MASTER, Signal::TERM, Action::Default, MPM, &[]),
        fork(MASTER, WORKER, false),
    ] {
        assert!(engine.step(event).news.is_empty());
    }
    engine
}

/// What happens, under which restriction (`None` is the server's own), and what is told of it.
pub(super) type Case = (
    &'static str,
    Option<Restriction>,
    Vec<Event>,
    &'static [&'static str],
);

/// A row of the table.
pub(super) fn case(
    name: &'static str,
    restriction: Option<Restriction>,
    events: Vec<Event>,
    findings: &'static [&'static str],
) -> Case {
    (name, restriction, events, findings)
}

fn cases() -> Vec<Case> {
    use Action::{Default, Ignore};
    #[expect(non_upper_case_globals, reason = "as the directive has it")]
    const On: Option<Restriction> = Some(Restriction::On);
    #[expect(non_upper_case_globals, reason = "as the directive has it")]
    const Off: Option<Restriction> = Some(Restriction::Off);
    let w = WORKER;
    vec![
        case(
            "the server's own registrations, from worker start to stop",
            On,
            vec![
                set(w, Signal::TERM, MPM, HTTPD, &[]),
                set(w, Signal::HUP, HTTPD, MPM, &[]),
                set(w, Signal::PIPE, Default, Ignore, &[]),
                set(w, Signal::TERM, HTTPD, MOD_WSGI, &[]),
                set(w, Signal::TERM, MOD_WSGI, Default, &[]),
            ],
            &[],
        ),
        case(
            "the interpreter's start, first import of signal, and shutdown",
            On,
            vec![
                set(w, Signal::XFSZ, Default, Ignore, &[]),
                set(
                    w,
                    Signal::INT,
                    Default,
                    PYTHON,
                    &["<frozen importlib._bootstrap>:_call"],
                ),
                set(w, Signal::INT, PYTHON, Default, &[]),
            ],
            &[],
        ),
        case(
            "a reserved signal under On",
            On,
            vec![set(w, Signal::TERM, MPM, LIBRARY, APP)],
            &["reserved-signal+restricted-registration@SIGTERM"],
        ),
        case(
            "a reserved signal under Off",
            Off,
            vec![set(w, Signal::HUP, MPM, PYTHON, APP)],
            &["reserved-signal@SIGHUP"],
        ),
        case(
            "SIGXCPU is a daemon's, and nobody's else",
            Off,
            vec![
                set(w, Signal::XCPU, Default, LIBRARY, APP),
                set(w, Signal::XCPU, LIBRARY, Default, APP),
                set(w, Signal::TERM, MPM, MOD_WSGI, &[]),
                set(w, Signal::XCPU, MOD_WSGI, LIBRARY, APP),
            ],
            &["reserved-signal@SIGXCPU"],
        ),
        case(
            "any other signal: restricted under On, free under Off",
            On,
            vec![set(w, Signal::USR2, Default, LIBRARY, APP)],
            &["restricted-registration@SIGUSR2"],
        ),
        case(
            "any other signal under Off",
            Off,
            vec![set(w, Signal::USR2, Default, LIBRARY, APP)],
            &[],
        ),
        case(
            "SIGPIPE to default, and back",
            On,
            vec![
                set(w, Signal::PIPE, Ignore, Default, APP),
                set(w, Signal::PIPE, Default, Ignore, APP),
            ],
            &[
                "sigpipe-not-ignored+restricted-registration@SIGPIPE",
                "-sigpipe-not-ignored@SIGPIPE",
            ],
        ),
        case(
            "SIGPIPE to ignore where it is ignored, as MySQL's client does",
            On,
            vec![set(w, Signal::PIPE, Ignore, Ignore, APP)],
            &[],
        ),
        case(
            "SIGALRM under Off",
            Off,
            vec![set(w, Signal::ALRM, Default, LIBRARY, APP)],
            &["sigalrm@SIGALRM"],
        ),
        case(
            "SIGALRM under On",
            On,
            vec![set(w, Signal::ALRM, Default, LIBRARY, APP)],
            &["restricted-registration+sigalrm@SIGALRM"],
        ),
        case(
            "a secondary thread under Off",
            Off,
            vec![on_thread(set(w, Signal::USR2, Default, LIBRARY, APP), 201)],
            &["secondary-thread@SIGUSR2"],
        ),
        case(
            "a library's own thread, without Python",
            On,
            vec![on_thread(set(w, Signal::TERM, MPM, LIBRARY, &[]), 201)],
            &["reserved-signal+restricted-registration+secondary-thread@SIGTERM"],
        ),
        case(
            "os.system: two signals ignored and put back",
            On,
            vec![
                set(w, Signal::INT, MPM, Ignore, APP),
                set(w, Signal::QUIT, Default, Ignore, APP),
                set(w, Signal::INT, Ignore, MPM, APP),
                set(w, Signal::QUIT, Ignore, Default, APP),
            ],
            &[
                "reserved-signal+restricted-registration@SIGINT",
                "restricted-registration@SIGQUIT",
                "-reserved-signal@SIGINT",
                "-restricted-registration@SIGQUIT",
            ],
        ),
        case(
            "an application's forked child is exempt",
            On,
            vec![
                fork(w, CHILD, false),
                set(CHILD, Signal::TERM, MPM, LIBRARY, APP),
            ],
            &[],
        ),
        case(
            "a child that shares its parent's handlers is not",
            On,
            vec![
                fork(w, CHILD, true),
                set(CHILD, Signal::TERM, MPM, LIBRARY, APP),
            ],
            &["reserved-signal+restricted-registration+secondary-thread@SIGTERM"],
        ),
        case(
            "the worker's exit ends what it had taken",
            On,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                event(w, What::Exited { code: 9 }),
            ],
            &[
                "reserved-signal+restricted-registration@SIGTERM",
                "-reserved-signal@SIGTERM",
            ],
        ),
        case(
            "the same cause twice is one finding",
            On,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                fork(MASTER, CHILD, false),
                set(CHILD, Signal::TERM, MPM, LIBRARY, APP),
            ],
            &["reserved-signal+restricted-registration@SIGTERM"],
        ),
    ]
}

fn all() -> impl Iterator<Item = Case> {
    cases()
        .into_iter()
        .chain(restriction_cases::cases())
        .chain(shutdown_cases::cases())
        .chain(takeover_cases::cases())
}

/// Every case gives exactly its findings.
#[test]
fn every_case_gives_its_findings() {
    for (name, restriction, events, expected) in all() {
        assert_eq!(run(restriction, events), expected, "{name}");
    }
}

/// Every rule fires in some case and stays silent in another.
#[test]
fn every_rule_has_a_case_for_and_against() {
    for rule in RULES {
        let names = |told: &Vec<String>| {
            told.iter()
                .filter(|line| !line.starts_with(['-', '=']))
                .any(|line| {
                    line.split('@')
                        .next()
                        .unwrap_or("")
                        .split('+')
                        .any(|r| r == rule.id)
                })
        };
        let results: Vec<bool> = all()
            .map(|(_, r, events, _)| names(&run(r, events)))
            .collect();
        assert!(results.contains(&true), "no case fires {}", rule.id);
        assert!(
            results.contains(&false),
            "no case leaves {} silent",
            rule.id
        );
    }
}
