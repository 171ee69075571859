//! What `sigblame status` says of the configuration's exceptions.

use jiff::civil::date;

use crate::{
    engine::status::sample,
    event::Signal,
    policy::finding::ExceptionRef,
    status::{Look, text},
};

/// What covers nothing any more, or nothing yet, is said where everybody looks; what is covered has
/// its reason beside it.
#[test]
fn exceptions_show_what_they_do() {
    let mut report = sample::report();
    let today = date(2026, 1, 1);
    report.status.exceptions = vec![
        sample::exception(today, "expired", 3),
        sample::exception(today, "in-force", 0),
        sample::exception(today, "in-force", 2),
    ];
    let term = &mut report.workers[1].signals[Signal::TERM.index()];
    let taken = term.taken_by.as_mut().unwrap();
    taken.exception = Some(ExceptionRef {
        reason: "until the next release".to_owned(),
        until: None,
    });
    let text = text(&report, Look::default());
    let what = "rule reserved-signal, signal SIGTERM, module takeover*.so (until the next release)";
    for line in [
        "3 exceptions, 1 expired",
        &format!("  expired on 2026-01-01: {what}"),
        &format!("  covers nothing yet: {what}"),
    ] {
        assert_eq!(
            text.lines().filter(|l| *l == line).count(),
            1,
            "{line}: {text}"
        );
    }
    assert_eq!(
        text.matches("(excepted: until the next release)").count(),
        1,
        "{text}"
    );
    assert_eq!(text.matches(what).count(), 2, "{text}");
}
