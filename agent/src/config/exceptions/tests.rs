//! Exceptions as they are written, misspelt and shown.

use jiff::civil::date;

use super::*;
use crate::config::Config;

const WHOLE: &str = "exceptions:
  - rule: restricted-registration
    signal: SIGUSR2
    application: 'demo|/*'
    module: libjvm.so*
    server: apache2
    process_group: ''
    reason: 'the JVM wakes its threads with it'
    until: 2027-01-31
  - { module: polars, reason: 'SIGINT is nobody''s in a worker' }
";

fn read(text: &str) -> Vec<Exception> {
    Config::parse(text, "f").unwrap().exceptions
}

#[test]
fn every_key_is_read_and_shown_again() {
    let exceptions = read(WHOLE);
    assert_eq!(exceptions.len(), 2);
    let first = &exceptions[0];
    assert_eq!(first.rule.as_deref(), Some("restricted-registration"));
    assert_eq!(first.signal, Some(Signal::USR2));
    assert_eq!(first.until, Some(date(2027, 1, 31)));
    assert_eq!(
        first.covers(),
        "rule restricted-registration, signal SIGUSR2, application demo|/*, module libjvm.so*, \
         server apache2, process group "
    );
    let config = Config::parse(WHOLE, "f").unwrap();
    let effective = config.effective();
    assert_eq!(Config::parse(&effective, "f"), Ok(config), "{effective}");
    // A capture keeps them in JSON.
    let json = serde_json::to_string(&exceptions).unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<Exception>>(&json).unwrap(),
        exceptions
    );
}

#[test]
fn errors_name_line_and_nearest_value() {
    let cases = [
        (
            "- rule: sigpipe-ignored\n    reason: x",
            "2: unknown rule \"sigpipe-ignored\", did you mean \"sigpipe-not-ignored\"?",
        ),
        (
            "- rule: 7\n    reason: x",
            "2: unknown rule \"7\"; there are sigpipe-not-ignored, ",
        ),
        (
            "- reason: x\n    signal: usr2",
            "3: unknown signal \"usr2\", did you mean \"SIGUSR2\"?",
        ),
        (
            "- reason: x\n    signal: 12",
            "3: unknown signal \"12\", did you mean \"SIGUSR2\"?",
        ),
        (
            "- reason: x\n    signal: SIGTREM",
            "3: unknown signal \"SIGTREM\", did you mean \"SIGTERM\"?",
        ),
        (
            "- reason: x\n    signal: 99",
            "3: unknown signal \"99\"; write its name, like \"SIGUSR2\"",
        ),
        (
            "- rule: sigalrm\n    reason: x\n    until: 2027-02-30",
            "4: until is \"2027-02-30\", not a day like \"2027-01-31\"",
        ),
        (
            "- rule: sigalrm\n    reason: x\n    until: 2027-02-03T12:00",
            "4: until is \"2027-02-03T12:00\", not a day",
        ),
        (
            "- rule: sigalrm\n    reason: x\n    untill: 2027-02-03",
            "4: unknown key \"untill\", did you mean \"until\"?",
        ),
        (
            "- rule: sigalrm",
            "2: this exception has no reason; say why the finding is accepted",
        ),
        (
            "- rule: sigalrm\n    reason: ' '",
            "2: this exception has no reason",
        ),
        (
            "- reason: x\n    server: apache2",
            "2: this exception would cover every finding; name a rule, a signal",
        ),
    ];
    for (text, expected) in cases {
        let error = Config::parse(&format!("exceptions:\n  {text}\n"), "f").unwrap_err();
        let expected = format!("f:{expected}");
        assert!(
            error.to_string().starts_with(&expected),
            "{error}\n{expected}"
        );
    }
    let error = Config::parse("exceptions:\n  rule: sigalrm\n", "f").unwrap_err();
    assert_eq!(error.line, Some(2), "{error}");
}

#[test]
fn patterns_stand_for_texts_and_file_names() {
    for (pattern, path, fits) in [
        ("libjvm.so*", "/usr/lib/jvm/lib/server/libjvm.so", true),
        ("/srv/*", "/srv/app/billing.py", true),
        ("billing.py", "/srv/app/billing.py", true),
        ("illing.py", "/srv/app/billing.py", false),
        ("*", "", true),
        ("", "/srv", false),
        ("lib?vm.so", "/usr/libjvm.so", true),
    ] {
        assert_eq!(
            Pattern::new(pattern).fits_path(path),
            fits,
            "{pattern} {path}"
        );
    }
}

/// What comes behind the configuration is still YAML, whatever the reason says.
#[test]
fn the_comments_say_what_holds_and_what_has_ended() {
    let text = format!("{WHOLE}  - {{ signal: SIGALRM, until: 2026-01-01, reason: \"a\\nb\" }}\n");
    let exceptions = read(&text);
    let comments = comments(&exceptions, date(2027, 1, 31));
    assert_eq!(comments.lines().count(), 4, "{comments}");
    assert!(comments.starts_with("# exceptions on 2027-01-31: 2 in force, 1 expired\n"));
    assert!(
        comments.contains("expired   on 2026-01-01: signal SIGALRM (a\\nb)"),
        "{comments}"
    );
    assert!(
        comments.contains("in force  until 2027-01-31: rule"),
        "{comments}"
    );
    assert!(
        comments.contains("in force  for ever: module polars ("),
        "{comments}"
    );
    let config = Config::parse(&text, "f").unwrap();
    let printed = format!("{}{comments}", config.effective());
    assert_eq!(Config::parse(&printed, "f"), Ok(config));
}
