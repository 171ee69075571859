//! Which application a call belongs to, by what the configuration and the stack tell.

use super::*;
use crate::{
    event::StackResult,
    httpd::{ImportScript, Place, Script},
    python::Version,
};

fn place() -> Place {
    Place {
        file: "/etc/httpd.conf".into(),
        line: 1,
    }
}

fn script(file: &str, process_group: &str, application_group: Option<&str>) -> Script {
    Script {
        file: file.to_owned(),
        process_group: Some(process_group.to_owned()),
        application_group: application_group.map(str::to_owned),
        place: place(),
    }
}

/// Two applications in `shop`, one in embedded mode, one whose group a request tells.
fn configuration() -> Configuration {
    Configuration {
        scripts: vec![
            script("/srv/shop.wsgi", "shop", Some("")),
            script("/srv/billing.wsgi", "shop", Some("x|/billing")),
            script("/srv/pages.wsgi", "", Some("x|/pages")),
            script("/srv/any.wsgi", "any", None),
        ],
        import_scripts: vec![ImportScript {
            file: "/srv/warm.py".to_owned(),
            process_group: "shop".to_owned(),
            application_group: "x|/billing".to_owned(),
            place: place(),
        }],
        ..Configuration::default()
    }
}

/// A stack in an interpreter; `frames` innermost first, as `file:function`.
fn python(interpreter: Option<i64>, frames: &[&str]) -> PythonStack {
    let frames = frames.iter().filter_map(|frame| frame.split_once(':'));
    PythonStack {
        result: StackResult::Complete,
        version: Some(Version::new(3, 11)),
        interpreter,
        frames: frames
            .map(|(file, function)| Frame {
                file: file.to_owned(),
                line: Some(1),
                function: function.to_owned(),
            })
            .collect(),
        ..PythonStack::default()
    }
}

/// What is tried, in which process group, with which stack; group and script of the answer.
type Case = (
    &'static str,
    Option<&'static str>,
    PythonStack,
    [Option<&'static str>; 2],
);

#[test]
fn the_configuration_and_the_stack_tell_the_application() {
    let library = "/usr/lib/django.py:WSGIHandler.__call__";
    let cases: [Case; 9] = [
        (
            "the main interpreter, by its number",
            Some("shop"),
            python(Some(0), &[library]),
            [Some("%{GLOBAL}"), Some("/srv/shop.wsgi")],
        ),
        (
            "a script on the stack",
            Some("shop"),
            python(Some(1), &["/srv/x.py:f", "/srv/billing.wsgi:application"]),
            [Some("x|/billing"), Some("/srv/billing.wsgi")],
        ),
        (
            "an import script has its application's group",
            Some("shop"),
            python(Some(1), &["/srv/warm.py:<module>"]),
            [Some("x|/billing"), Some("/srv/warm.py")],
        ),
        (
            "one group, and two scripts in it",
            Some("shop"),
            python(Some(1), &[library]),
            [Some("x|/billing"), None],
        ),
        (
            "embedded mode has one application",
            Some(""),
            python(Some(1), &[library]),
            [Some("x|/pages"), Some("/srv/pages.wsgi")],
        ),
        (
            "only a request tells",
            Some("any"),
            python(Some(1), &[library]),
            [None, Some("/srv/any.wsgi")],
        ),
        (
            "an unknown group may be any",
            None,
            python(Some(1), &[library]),
            [None, None],
        ),
        (
            "interpreters without numbers (3.6)",
            Some(""),
            python(None, &[library]),
            [Some("x|/pages"), Some("/srv/pages.wsgi")],
        ),
        (
            "a script that no configuration names",
            Some("none"),
            python(Some(1), &["/srv/own.wsgi:application"]),
            [None, Some("/srv/own.wsgi")],
        ),
    ];
    for (what, group, python, expected) in cases {
        let mut learned = Learned::default();
        let found = learned.application(Some(&configuration()), group, &python);
        let found = [found.group.as_deref(), found.script.as_deref()];
        assert_eq!(found, expected, "{what}");
    }
}

/// What the import of a script told of its interpreter holds for requests, whose stacks begin in a
/// library.
#[test]
fn an_interpreter_is_known_from_an_earlier_call() {
    let mut learned = Learned::default();
    let configuration = configuration();
    let mut told = |frames: &[&str], interpreter| {
        let python = python(Some(interpreter), frames);
        let found = learned.application(Some(&configuration), Some("shop"), &python);
        found.script
    };
    assert_eq!(told(&["/srv/lib.py:f"], 1), None);
    let import = ["/srv/billing.wsgi:<module>"];
    let billing = Some("/srv/billing.wsgi".to_owned());
    assert_eq!(told(&import, 1), billing);
    assert_eq!(told(&["/srv/lib.py:f"], 1), billing);
    assert_eq!(told(&["/srv/lib.py:f"], 2), None);
}

/// Without Python on the stack, no application made the call, whoever lives in the process.
#[test]
fn no_frames_no_application() {
    let mut learned = Learned::default();
    let found = learned.application(Some(&configuration()), Some(""), &python(Some(1), &[]));
    assert_eq!(found, Application::default());
}

#[test]
fn an_import_script_counts_while_it_is_imported() {
    let configuration = configuration();
    let inside = |group: Option<&str>, application: Option<&str>, frames: &[&str]| {
        let python = python(Some(1), frames);
        in_import_script(&configuration, group, application, &python.frames)
    };
    let import = ["/srv/lib.py:f", "/srv/warm.py:<module>"];
    assert!(inside(Some("shop"), Some("x|/billing"), &import));
    assert!(inside(None, None, &import));
    assert!(!inside(Some("other"), None, &import));
    assert!(!inside(Some("shop"), Some("%{GLOBAL}"), &import));
    assert!(!inside(
        Some("shop"),
        Some("x|/billing"),
        &["/srv/warm.py:later"]
    ));
    assert!(!inside(Some("shop"), None, &["/srv/billing.wsgi:<module>"]));
}
