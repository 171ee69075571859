//! A real server's error log, followed while it is rotated: each blocked attempt is told once, with
//! its stack, by every version of mod_wsgi that is here.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the right end, also in what several tests share"
)]

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use sigblame::{
    event::Instant,
    httpd::{
        error_log::{LoggedAttempt, Reader},
        follow::Follower,
    },
};
use sigblame_tests::{
    httpd::{Builder, Httpd, Installation, Mpm, Place, Python},
    skip, wait_for,
};

const APP: &str = "import os, signal, threading

def attempt(number):
    signal.signal(number, signal.SIG_DFL)

def application(environ, start_response):
    numbers = [int(n) for n in environ['QUERY_STRING'].split(',')]
    threads = [threading.Thread(target=attempt, args=(n,)) for n in numbers]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [str(os.getpid()).encode()]
";

struct Log {
    follower: Follower,
    reader: Reader,
}

impl Log {
    /// The attempts on these signals, which are the only ones since the last call.
    fn attempts(&mut self, signals: &[i64]) -> Vec<LoggedAttempt> {
        let mut found = Vec::new();
        wait_for(Duration::from_secs(5), || {
            for line in self.follower.poll() {
                found.extend(self.reader.read(&line, Instant(1)));
            }
            // Nothing follows the last stacks: the server is done with them when it has answered.
            found.extend(self.reader.overdue(Instant(2)));
            (found.len() >= signals.len()).then_some(())
        });
        found.sort_by_key(|attempt| attempt.signal);
        let told: Vec<_> = found.iter().map(|attempt| attempt.signal).collect();
        assert_eq!(told, signals, "{found:#?}");
        found
    }
}

fn start(installation: Installation) -> Httpd {
    let builder = Builder::on(installation, Mpm::Event).unwrap();
    let builder = builder.directive("LogLevel info").file("app.wsgi", APP);
    let place = Place::daemon("group", "%{GLOBAL}");
    let builder = builder.unwrap().daemon("group", "threads=2");
    let builder = builder.script("/daemon", "app.wsgi", &place);
    let place = Place::embedded("%{GLOBAL}");
    builder.script("/", "app.wsgi", &place).start().unwrap()
}

/// Asks for attempts and compares what the log tells of them.
fn check(server: &Httpd, log: &mut Log) {
    let signals: Vec<i64> = (1..=8).collect();
    for path in ["/?1,2,3,4,5,6,7,8", "/daemon?8,7,6,5,4,3,2,1"] {
        let answer = server.get(path).unwrap();
        assert_eq!(answer.status, 200, "{}", server.error_log());
        for attempt in log.attempts(&signals) {
            assert_eq!(attempt.pid.to_string(), answer.body, "{attempt:?}");
            let frames = attempt.frames.iter();
            let functions: Vec<_> = frames.map(|frame| frame.function.as_str()).collect();
            let expected = ["attempt", "run", "_bootstrap_inner", "_bootstrap"];
            assert_eq!(functions, expected, "{attempt:?}");
            assert_eq!(attempt.frames[0].line, Some(4));
            assert!(attempt.frames[0].file.ends_with("/app.wsgi"), "{attempt:?}");
        }
    }
}

#[test]
fn blocked_attempts_are_told_by_a_log_that_is_rotated() {
    let built = Python::all()
        .into_iter()
        .filter_map(|python| Some((python.mod_wsgi, python.installation().ok()?)));
    let built: BTreeMap<_, _> = built.collect();
    let all = Installation::find().into_iter().chain(built.into_values());
    let all: Vec<Installation> = all.collect();
    if all.is_empty() {
        skip(
            "blocked_attempts_are_told_by_a_log_that_is_rotated",
            "no httpd with mod_wsgi is installed; `cargo xtask test` installs it",
        );
    }
    for installation in all {
        eprintln!("{}", installation.mod_wsgi.display());
        let server = start(installation);
        let path = server.dir().join("error.log");
        let name = path.to_str().unwrap().to_owned();
        let mut log = Log {
            follower: Follower::new(Path::new("/proc"), server.pid(), &name),
            reader: Reader::default(),
        };
        log.follower.poll();
        assert!(log.follower.is_open());
        check(&server, &mut log);
        // As logrotate does it: the server writes to the old file until it reloads.
        fs::rename(&path, path.with_extension("1")).unwrap();
        fs::write(&path, "").unwrap();
        check(&server, &mut log);
        server.graceful().unwrap();
        check(&server, &mut log);
        assert!(fs::metadata(&path).unwrap().len() > 0);
        fs::write(&path, "").unwrap();
        check(&server, &mut log);
    }
}
