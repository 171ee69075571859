//! `<WSGIInterpreterOptions>` of mod_wsgi 6: the restriction of each interpreter by itself.

use sigblame_tests::{
    agent::Trace,
    httpd::{Httpd, Mpm, Place},
    skip,
};

use super::{
    builder,
    compare::{Mount, Visit, compare, place},
    pip, stripped,
};
use crate::support::ask;

/// Sections with a word for the restriction, in their order in the configuration.
const SECTIONS: [(&str, bool); 6] = [
    ("process-group=work", false),
    ("application-group=a", false),
    ("process-group=work application-group=b", true),
    ("process-group=%{GLOBAL} application-group=b", false),
    ("application-group=%{GLOBAL}", false),
    ("process-group=other", true),
];

/// An interpreter, and the section that holds for it: the one with most matching names, the later
/// one on a tie (`wsgi_resolve_interpreter_options` of mod_wsgi 6.1.1).
struct Interpreter {
    path: &'static str,
    process_group: Option<&'static str>,
    application_group: &'static str,
    section: Option<usize>,
}

const fn interpreter(
    path: &'static str,
    process_group: Option<&'static str>,
    application_group: &'static str,
    section: Option<usize>,
) -> Interpreter {
    Interpreter {
        path,
        process_group,
        application_group,
        section,
    }
}

const INTERPRETERS: [Interpreter; 8] = [
    interpreter("/embedded-a", None, "a", Some(1)),
    interpreter("/embedded-b", None, "b", Some(3)),
    interpreter("/embedded-c", None, "c", None),
    interpreter("/work-a", Some("work"), "a", Some(1)),
    interpreter("/work-b", Some("work"), "b", Some(2)),
    interpreter("/work-c", Some("work"), "c", Some(0)),
    interpreter("/other-a", Some("other"), "a", Some(5)),
    interpreter("/main", Some("main"), "%{GLOBAL}", Some(4)),
];

/// What holds in each interpreter is what Python in it says, and the place is the section's line.
#[test]
fn each_interpreter_has_the_word_of_its_section() {
    let name = "restriction::interpreters::each_interpreter_has_the_word_of_its_section";
    let installation = match pip(11) {
        Ok(installation) => installation,
        Err(why) => return skip(name, &why),
    };
    let trace = Trace::start(&[]).unwrap();
    let mut builder = builder(&installation, stripped, Mpm::Event).restrict(true);
    for group in ["work", "other", "main"] {
        builder = builder.daemon(group, "processes=1 threads=2");
    }
    for (names, on) in SECTIONS {
        builder = builder
            .directive(format!("<WSGIInterpreterOptions {names}>"))
            .restrict(on)
            .directive("</WSGIInterpreterOptions>");
    }
    let application = builder.app_dir().join("application.py");
    let application = std::fs::read_to_string(application).unwrap();
    for at in &INTERPRETERS {
        let place = match at.process_group {
            Some(group) => Place::daemon(group, at.application_group),
            None => Place::embedded(at.application_group),
        };
        // A script of its own tells the interpreters of a process apart.
        let script = format!("{}.py", at.path.trim_start_matches('/'));
        builder = builder.file(&script, &application).unwrap();
        builder = builder.script(at.path, &script, &place);
    }
    let server = builder.start().unwrap();
    let visits: Vec<_> = INTERPRETERS.iter().map(|at| go(&server, at)).collect();
    let lines = trace.finish(server.pid()).unwrap();
    for (at, visits) in INTERPRETERS.iter().zip(&visits) {
        let on = at.section.is_none_or(|section| SECTIONS[section].1);
        assert_eq!(
            visits[0].is_restricted(),
            on,
            "{}: mod_wsgi's own word",
            at.path
        );
        let is_here = |line: &&serde_json::Value| {
            visits.iter().any(|visit| {
                visit.calls().iter().any(|call| {
                    line["worker"]["pid"] == visit.answer["pid"]
                        && line["application"]["interpreter"] == call["interpreter"]
                })
            })
        };
        let lines: Vec<_> = lines.iter().filter(is_here).collect();
        compare(&server, visits, &lines);
    }
    let told: usize = visits.iter().flatten().map(Visit::told).sum();
    assert_eq!(lines.len(), told, "{lines:#?}");
}

/// An attempt, and two calls that no mod_wsgi stops.
fn go(server: &Httpd, at: &Interpreter) -> [Visit<'static>; 3] {
    let from = match at.section {
        // The section's one line is its second.
        Some(section) => after(&place(
            server,
            &format!("<WSGIInterpreterOptions {}>", SECTIONS[section].0),
        )),
        None => place(server, "WSGIRestrictSignal"),
    };
    ["one", "slip", "give_back"].map(|way| Visit {
        mount: Mount {
            path: at.path,
            role: if at.process_group.is_some() {
                "daemon"
            } else {
                "embedded"
            },
            mpm: Mpm::Event,
        },
        way,
        from: from.clone(),
        answer: ask(server, &format!("{}/{way}", at.path)),
    })
}

fn after(place: &str) -> String {
    let (file, line) = place.rsplit_once(':').unwrap();
    format!("{file}:{}", line.parse::<u32>().unwrap() + 1)
}
