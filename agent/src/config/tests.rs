//! What the configuration accepts, and the sentences with which it refuses.

use super::*;
use crate::event::Signal;

fn error(text: &str) -> String {
    Config::parse(text, "sigblame.yaml")
        .unwrap_err()
        .to_string()
}

#[test]
fn nothing_said_is_the_default() {
    for text in [
        "",
        "# a comment\n",
        "web:\nlog:\npolicy:\nexceptions:\nfindings:\n",
        "{}",
        "state_dir: ~\n",
    ] {
        assert_eq!(Config::parse(text, "f"), Ok(Config::default()), "{text:?}");
    }
}

#[test]
fn every_key_is_read() {
    let text = "web:\n  listen_address: '[::1]:80'\nstate_dir: /var/lib/sigblame\n\
                log: { level: debug, format: json }\npolicy: { restrict_signal: off, shutdown_grace_seconds: 7 }\n\
                exceptions: [{ signal: SIGALRM, reason: known }]\n\
                findings: { keep: 5 }\nproc_root: /host/proc\n";
    let expected = Config {
        web: Web {
            listen_address: "[::1]:80".parse().unwrap(),
        },
        state_dir: Some("/var/lib/sigblame".into()),
        log: Log {
            level: LogLevel::Debug,
            format: LogFormat::Json,
        },
        policy: Policy {
            restrict_signal: RestrictSignal::Off,
            shutdown_grace_seconds: 7,
        },
        exceptions: vec![Exception {
            rule: None,
            signal: Some(Signal::ALRM),
            application: None,
            module: None,
            server: None,
            process_group: None,
            reason: "known".to_owned(),
            until: None,
        }],
        findings: Findings { keep: 5 },
        proc_root: "/host/proc".into(),
    };
    assert_eq!(Config::parse(text, "f"), Ok(expected));
}

#[test]
fn a_switch_is_auto_on_or_off_however_yaml_spells_it() {
    for (word, expected) in [
        ("auto", RestrictSignal::Auto),
        ("Auto", RestrictSignal::Auto),
        ("\"auto\"", RestrictSignal::Auto),
        ("on", RestrictSignal::On),
        ("On", RestrictSignal::On),
        ("\"on\"", RestrictSignal::On),
        ("true", RestrictSignal::On),
        ("off", RestrictSignal::Off),
        ("\"off\"", RestrictSignal::Off),
        ("false", RestrictSignal::Off),
    ] {
        let text = format!("policy:\n  restrict_signal: {word}\n");
        let config = Config::parse(&text, "f").unwrap();
        assert_eq!(config.policy.restrict_signal, expected, "{word}");
        assert_eq!(Config::parse(&config.effective(), "f"), Ok(config));
    }
}

#[test]
fn errors_name_line_and_nearest_key() {
    let cases = [
        (
            "\n\npolcy:\n  a: b\n",
            "3: unknown key \"polcy\", did you mean \"policy\"?",
        ),
        (
            "web:\n  listen_adress: x\n",
            "2: unknown key \"listen_adress\", did you mean \"listen_address\"?",
        ),
        (
            "restrict_signal: on\n",
            "1: unknown key \"restrict_signal\", it belongs under \"policy\"",
        ),
        (
            "log:\n  zzz: 1\n",
            "2: unknown key \"zzz\"; the keys here are level and format",
        ),
        (
            "log:\n  level: inof\n",
            "2: \"inof\" is none of error, warn, info, debug and trace; did you mean \"info\"?",
        ),
        (
            "policy:\n  restrict_signal: maybe\n",
            "2: restrict_signal is \"maybe\", not auto, on or off",
        ),
        (
            "policy:\n  shutdown_grace_seconds: 0\n",
            "2: shutdown_grace_seconds is 0, not a number from 1 to 3600",
        ),
        (
            "findings:\n  keep: 0\n",
            "2: keep is 0, not a number from 1 to 1000000",
        ),
        (
            "findings:\n  keep: -3\n",
            "2: keep is -3, not a number from 1 to 1000000",
        ),
        (
            "findings:\n  keep: lots\n",
            "2: keep is \"lots\", not a number from 1 to 1000000",
        ),
        (
            "web:\n  listen_address: localhost:3\n",
            "2: listen_address is \"localhost:3\", not an address with a port like \
             \"127.0.0.1:9749\" or \"[::1]:9749\"",
        ),
        (
            "log: {}\nlog: {}\n",
            "2: the key \"log\" stands here a second time",
        ),
        (
            "policy: on\n",
            "1: keys with values are expected here, like \"key: value\"",
        ),
        (
            "---\n{}\n---\n{}\n",
            "4: a second YAML document begins here; one is allowed",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), format!("sigblame.yaml:{expected}"));
    }
}

#[test]
fn no_text_makes_it_panic() {
    for text in [
        "a: [",
        "\0",
        "\t",
        "a: &a [*a]",
        "*x",
        "&x",
        "- 3",
        "? : ?",
        "\u{feff}",
        "%YAML 9",
        "!!",
    ] {
        let _ = Config::parse(text, "f");
    }
}

#[test]
fn the_effective_configuration_reads_back() {
    let config = Config {
        state_dir: Some("/a \"b\" \\ \u{1b}\u{9b} ü: # x".into()),
        proc_root: "on".into(),
        ..Config::default()
    };
    for config in [config, Config::default()] {
        let text = config.effective();
        assert_eq!(Config::parse(&text, "f"), Ok(config), "{text}");
    }
}
