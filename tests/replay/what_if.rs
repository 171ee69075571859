//! What would have been said under another policy: the same events, other words.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use sigblame::{
    event::What,
    httpd::{Place, Switch},
    policy::{Settings, rules::Restriction},
};

use crate::{capture, told::replay};

/// Under the restriction, in each mount: SIGTERM and SIGINT, SIGPIPE; five of faulthandler, SIGQUIT,
/// SIGALRM, SIGUSR2; three attempts, which each generation makes.
const ON: [(&str, usize); 4] = [
    ("blocked-attempt", 6),
    ("reserved-signal", 4),
    ("restricted-registration", 16),
    ("sigpipe-not-ignored", 2),
];
/// Without it. All of them came from threads that serve requests; what was blocked was blocked.
const OFF: [(&str, usize); 5] = [
    ("blocked-attempt", 6),
    ("reserved-signal", 4),
    ("secondary-thread", 14),
    ("sigalrm", 2),
    ("sigpipe-not-ignored", 2),
];

/// The capture's own verdict is one of several: the same events under another policy of sigblame's
/// own, which is stronger than what the server says.
#[test]
fn without_the_restriction_only_its_own_rule_falls_silent() -> Result<()> {
    let capture = capture()?;
    for (restriction, expected) in [
        (None, BTreeMap::from(ON)),
        (Some(Restriction::On), BTreeMap::from(ON)),
        (Some(Restriction::Off), BTreeMap::from(OFF)),
    ] {
        let settings = Settings {
            restriction,
            ..capture.header.settings()
        };
        let (_, told) = replay(settings, capture.events.clone());
        assert_eq!(told.by_rule(), expected, "{restriction:?}");
        let from = restriction.map_or("default", |_| "configuration");
        for finding in &told.findings {
            let server = &finding.evidence.server;
            assert_eq!(server.restrict_signal_from, from);
            let blocked = finding.rule == "blocked-attempt";
            // What was blocked was restricted, whatever anybody says.
            let on = blocked || restriction != Some(Restriction::Off);
            assert_eq!(server.restrict_signal, if on { "on" } else { "off" });
        }
    }
    Ok(())
}

/// What the server says counts for the workers that were started under it: with another word in what
/// was read when it started, or when it restarted, other verdicts come.
#[test]
fn the_configuration_of_its_generation_judges_a_worker() -> Result<()> {
    let capture = capture()?;
    let readings = capture.events.iter().filter_map(|event| match event.what {
        What::Configured { generation, .. } => Some(generation),
        _ => None,
    });
    let restart = readings.max().context("no configuration in the capture")?;
    let switch = Switch {
        on: false,
        place: Place {
            file: "/srv/httpd.conf".into(),
            line: 7,
        },
    };
    // Every link was clicked before the restart.
    for (reading, expected, from) in [
        (restart - 1, BTreeMap::from(OFF), "/srv/httpd.conf:7"),
        (restart, BTreeMap::from(ON), "default"),
    ] {
        let mut switched = 0;
        let events = capture.events.iter().cloned().map(|mut event| {
            if let What::Configured {
                generation,
                configuration,
            } = &mut event.what
                && *generation == reading
            {
                Arc::make_mut(configuration).restrict_signal = Some(switch.clone());
                switched += 1;
            }
            event
        });
        let (_, told) = replay(capture.header.settings(), events);
        assert_eq!(told.by_rule(), expected, "reading {reading}");
        assert!(switched > 0);
        let taken = told.findings.iter().filter(|f| f.rule != "blocked-attempt");
        for finding in taken {
            let found = &finding.evidence.server.restrict_signal_from;
            assert_eq!(found, from, "{}", finding.message);
        }
    }
    Ok(())
}
