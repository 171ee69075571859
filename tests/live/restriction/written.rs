//! The restriction, written in the ways that httpd understands: what holds is what Python in a worker
//! says, and the place is the line that says so.

use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Builder, Mpm},
};

use super::{EMBEDDED, Restriction, Watched, compare::place, site, system, whole};

/// One way to write it.
struct Writing {
    /// What is in the server's own file.
    lines: &'static [&'static str],
    on: bool,
    /// The file of the application's directory whose line it is, or what the line in the server's
    /// own file begins with.
    from: From,
}

enum From {
    Line(&'static str),
    File(&'static str, u32),
    Default,
}

/// Files that are included; `APP` is their directory.
const FILES: [(&str, &str); 4] = [
    ("third.inc", "# One.\n\nWSGIRestrictSignal Off\n"),
    ("z1.conf", "WSGIRestrictSignal Off\n"),
    ("z2.conf", "# The last one counts.\nWSGIRestrictSignal On\n"),
    ("nested.inc", "Include \"APP/third.inc\"\n"),
];

const WRITINGS: &[Writing] = &[
    Writing {
        lines: &["WSGIRestrictSignal On", "WSGIRestrictSignal Off"],
        on: false,
        from: From::Line("WSGIRestrictSignal Off"),
    },
    Writing {
        lines: &["Include \"APP/nested.inc\""],
        on: false,
        from: From::File("third.inc", 3),
    },
    Writing {
        lines: &[
            "IncludeOptional \"APP/z*.conf\"",
            "IncludeOptional \"APP/none*\"",
        ],
        on: true,
        from: From::File("z2.conf", 2),
    },
    Writing {
        lines: &[
            "<IfModule !wsgi_module>",
            "WSGIRestrictSignal On",
            "</IfModule>",
            "<IfModule mod_wsgi.c>",
            "<IfDefine !NEVER>",
            "  WSGIRestrictSignal Off",
            "</IfDefine>",
            "</IfModule>",
            "<IfDefine NEVER>",
            "WSGIRestrictSignal On",
            "</IfDefine>",
        ],
        on: false,
        from: From::Line("  WSGIRestrictSignal Off"),
    },
    Writing {
        lines: &["Define WORD off", "wsgirestrictsignal \"${WORD}\""],
        on: false,
        from: From::Line("wsgirestrictsignal"),
    },
    Writing {
        // httpd counts a continued line by its end.
        lines: &["WSGIRestrictSignal On", "WSGIRestrictSignal \\", "  Off"],
        on: false,
        from: From::Line("  Off"),
    },
    Writing {
        lines: &[
            "<IfFile \"APP/z1.conf\">",
            "WSGIRestrictSignal Off",
            "</IfFile>",
        ],
        on: false,
        from: From::Line("WSGIRestrictSignal"),
    },
    Writing {
        lines: &["# WSGIRestrictSignal Off"],
        on: true,
        from: From::Default,
    },
];

#[test]
fn each_way_to_write_it_is_read() {
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&[]).unwrap();
    for writing in WRITINGS {
        let builder = write(writing);
        let word = (Mpm::Event, Restriction::Default);
        let mut watched = Watched::start(&agent, &mut trace, builder, word);
        watched.from = match writing.from {
            From::Default => "default".to_owned(),
            From::Line(words) => place(&watched.server, words),
            From::File(name, line) => {
                format!("{}:{line}", watched.server.app_file(name).display())
            }
        };
        let visit = watched.go(EMBEDDED, "one");
        assert_eq!(
            visit.is_restricted(),
            writing.on,
            "{:?}: mod_wsgi's own word",
            writing.lines
        );
        watched.go(EMBEDDED, "slip");
        watched.settle();
    }
}

fn write(writing: &Writing) -> Builder {
    let mut builder = site(&system().unwrap(), whole, Mpm::Event, "");
    let app = builder.app_dir();
    let app = app.to_str().unwrap();
    for (name, text) in FILES {
        builder = builder.file(name, &text.replace("APP", app)).unwrap();
    }
    for line in writing.lines {
        builder = builder.directive(line.replace("APP", app));
    }
    builder
}
