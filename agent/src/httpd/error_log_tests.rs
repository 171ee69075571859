//! Logs of real servers (`tests/fixtures/error_logs`: httpd 2.4.71 at `LogLevel info`), and lines that
//! an application might write.

use std::{collections::BTreeMap, fmt::Write as _};

use proptest::prelude::*;

use super::*;

const NOW: Instant = Instant(1_000);

/// All attempts of a log, in the order in which they are complete.
fn read(log: &str) -> Vec<LoggedAttempt> {
    let mut reader = Reader::default();
    let mut found: Vec<_> = (log.lines())
        .flat_map(|line| reader.read(line, NOW))
        .collect();
    assert_eq!(reader.overdue(NOW), []);
    found.extend(reader.overdue(Instant(NOW.0 + 1)));
    assert!(reader.open.is_empty());
    found
}

fn told(attempts: &[LoggedAttempt]) -> String {
    attempts.iter().fold(String::new(), |mut text, attempt| {
        let tid = attempt.tid.unwrap_or_default();
        writeln!(text, "{} {tid} {}", attempt.pid, attempt.signal).expect("a string");
        for Frame {
            file,
            line,
            function,
        } in &attempt.frames
        {
            let line = line.expect("a line");
            writeln!(text, "  {file}:{line} {function}").expect("a string");
        }
        text
    })
}

fn fixture(name: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/error_logs");
    std::fs::read_to_string(format!("{root}/{name}")).expect(name)
}

/// Daemon and embedded mode, from the main thread and from four at once.
#[test]
fn logs_of_real_servers() {
    for version in ["4.9.4", "5.0.2", "6.1.1"] {
        let mut found = read(&fixture(&format!("{version}.log")));
        found.sort_by_key(|attempt| (attempt.pid, attempt.tid));
        let expected = fixture(&format!("{version}.txt"));
        assert_eq!(told(&found), expected, "{version}");
    }
}

/// One thread's lines as 4.9.4 writes them.
fn lines(pid: u32, tid: u64, signal: i64, frames: &[&str]) -> Vec<String> {
    let head = format!("[Sun Nov 22 21:37:18.196675 2026] [wsgi:warn] [pid {pid}:tid {tid}] ");
    let first = format!("mod_wsgi (pid={pid}): Callback registration for signal {signal} ignored.");
    let mut lines = vec![head.clone() + &first];
    for (number, function) in (1..).zip(frames) {
        lines.push(format!(
            "{head}  File \"/srv/app.py\", line {number}, in {function}"
        ));
        lines.push(format!(
            "{head}    [pid 9] File \"x\", line 7, in {function}()"
        ));
    }
    lines
}

fn functions(attempt: &LoggedAttempt) -> Vec<&str> {
    let frames = attempt.frames.iter();
    frames.map(|frame| frame.function.as_str()).collect()
}

#[test]
fn a_stack_ends_where_another_line_comes() {
    let stack = lines(7, 8, 15, &["outer", "inner"]);
    let head = "[Sun Nov 22 21:37:18.196675 2026] [wsgi:error] [pid 7:tid 8]";
    for next in [
        format!("{head} [client 127.0.0.1:1] something else"),
        format!("{head}   File \"/srv/other.py\", line 1, in other"),
        format!("{head} Traceback (most recent call last):"),
        stack[0].clone(),
    ] {
        let mut reader = Reader::default();
        for line in &stack {
            assert_eq!(reader.read(line, NOW), []);
        }
        let other = next.replace("tid 8", "tid 9");
        if next != stack[0] {
            assert_eq!(reader.read(&other, NOW), [], "another thread's");
        }
        let found = reader.read(&next, NOW);
        let [attempt] = &*found else {
            panic!("{next}: {found:?}");
        };
        assert_eq!(functions(attempt), ["inner", "outer"]);
        assert_eq!((attempt.pid, attempt.tid, attempt.signal), (7, Some(8), 15));
        assert!(!attempt.truncated);
    }
}

#[test]
fn what_stays_incomplete_is_told_in_time() {
    let mut reader = Reader::default();
    for line in lines(7, 8, 15, &["outer"]) {
        assert_eq!(reader.read(&line, Instant(5)), []);
    }
    for line in lines(7, 9, 1, &["late"]) {
        assert_eq!(reader.read(&line, Instant(6)), []);
    }
    let found = reader.overdue(Instant(6));
    assert_eq!(found.iter().map(functions).collect::<Vec<_>>(), [["outer"]]);
    assert_eq!(reader.overdue(Instant(6)), []);
    assert_eq!(reader.overdue(Instant(7)).len(), 1);
}

/// What an application prints has another level, or names a client; an id that is not its own is
/// somebody else's word.
#[test]
fn what_an_application_prints_is_no_attempt() {
    let message = "mod_wsgi (pid=7): Callback registration for signal 15 ignored.";
    for line in [
        format!("[wsgi:error] [pid 7:tid 8] {message}"),
        format!("[wsgi:error] [pid 7:tid 8] [remote 127.0.0.1:1] {message}"),
        format!("[wsgi:warn] [pid 7:tid 8] [client 127.0.0.1:1] {message}"),
        format!("[wsgi:warn] [pid 8:tid 8] {message}"),
        format!("[wsgi:warn] [pid 7:tid 8] {message} "),
        format!(
            "[wsgi:warn] [pid 7:tid 8] {}",
            message.replace("15", "SIGTERM")
        ),
        format!(
            "[wsgi:warn] [pid 7:tid 8] {}",
            message.replace("pid=7", "pid=")
        ),
    ] {
        assert_eq!(read(&line), [], "{line}");
    }
    assert_eq!(
        read(&format!("[wsgi:warn] [pid 7:tid 8] {message}")).len(),
        1
    );
}

#[test]
fn other_formats() {
    let before_6 = "mod_wsgi (pid=7): Callback registration for signal 15 ignored.";
    let from_6 = "Ignoring Python signal handler registration for signal 15 in WSGI process; \
                  mod_wsgi manages signals.";
    let frame = "  File \"/srv/app.py\", line 3, in <module>";
    for (head, tid) in [
        ("[Sun Nov 22 21:37:18 2026] [wsgi:warn] [pid 7] ", None),
        (
            "[wsgi:warn] [pid 7:tid 139794358273792] ",
            Some(139_794_358_273_792),
        ),
        ("2026-11-22 warn pid=7 tid=8: ", Some(8)),
        ("[warn] pid 7 wsgi_interp.c(87): ", None),
        ("{\"level\":\"warn\",\"pid\":\"7\",\"tid\":\"8\"} ", Some(8)),
    ] {
        for message in [before_6, from_6] {
            let log = format!("{head}{message}\n{head}{frame}\n{head}    import x\n{head}other");
            let found = read(&log);
            let [attempt] = &*found else {
                panic!("{head}: {found:?}");
            };
            assert_eq!((attempt.pid, attempt.tid, attempt.signal), (7, tid, 15));
            assert_eq!(functions(attempt), ["<module>"], "{head}");
        }
    }
    // Without a process id, nobody knows whose frames follow.
    for head in ["", "[warn] ", "Sun Nov 22 21:37:18 2026|warn|7/8|"] {
        let mut reader = Reader::default();
        let found = reader.read(&format!("{head}{before_6}"), NOW);
        assert_eq!(
            found.iter().map(|a| (a.pid, a.tid)).collect::<Vec<_>>(),
            [(7, None)]
        );
        assert_eq!(reader.read(&format!("{head}{frame}"), NOW), []);
        assert_eq!(reader.read(&format!("{head}{from_6}"), NOW), []);
        assert_eq!(reader.nameless(), 1);
        assert!(reader.open.is_empty());
    }
}

#[test]
fn names_are_as_they_were() {
    for (text, file, line, function) in [
        (
            r#"/tmp/\xc3\xa4 b, line 3, in x.py", line 4, in \xc3\xbcbung"#,
            "/tmp/ä b, line 3, in x.py",
            4,
            "übung",
        ),
        (
            r#"a\\n\n\t\r\v\b"b", line 1, in f"#,
            "a\\n\n\t\r\u{b}\u{8}\"b",
            1,
            "f",
        ),
        (r#"<string>", line 2, in f\xc"#, "<string>", 2, "f\\xc"),
        (r#"x", line 2, in f\x"#, "x", 2, "f\\x"),
        (r#"x", line 2, in \"#, "x", 2, "\\"),
        (r#"x", line 2, in \xff"#, "x", 2, "\u{fffd}"),
    ] {
        let expected = Frame {
            file: file.to_owned(),
            line: Some(line),
            function: function.to_owned(),
        };
        assert_eq!(frame(text), Some(expected), "{text}");
    }
    assert_eq!(frame("x\", line -1, in f"), None);
    assert_eq!(frame("x\", line 1"), None);
    let long = frame(&format!("x\", line 1, in {}", "ü".repeat(9_000))).expect("a frame");
    assert_eq!(long.function.trim_end_matches('…').len(), TEXT_MAX);
    assert!(long.function.ends_with('…'));
}

#[test]
fn everything_is_bounded() {
    let names: Vec<String> = (0..2 * FRAMES_MAX).map(|n| format!("f{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = read(&lines(7, 8, 15, &names).join("\n"));
    assert_eq!(
        (found[0].frames.len(), found[0].truncated),
        (FRAMES_MAX, true)
    );
    assert_eq!(functions(&found[0])[0], names[2 * FRAMES_MAX - 1]);

    let mut recursion = lines(7, 8, 15, &["outer", "f"]);
    let repeated = |times: &str| {
        let head = "[wsgi:warn] [pid 7:tid 8]";
        format!("{head}   [Previous line repeated {times} more times]")
    };
    recursion.push(repeated("3"));
    let found = read(&recursion.join("\n"));
    assert_eq!(functions(&found[0]), ["f", "f", "f", "f", "outer"]);
    recursion.push(repeated(&u64::MAX.to_string()));
    let found = read(&recursion.join("\n"));
    assert_eq!(
        (found[0].frames.len(), found[0].truncated),
        (FRAMES_MAX, true)
    );

    let mut reader = Reader::default();
    let complete: usize = (0..1_000)
        .map(|tid| reader.read(&lines(7, tid, 15, &[])[0], NOW).len())
        .sum();
    assert_eq!((complete, reader.open.len()), (1_000 - OPEN_MAX, OPEN_MAX));
}

proptest! {
    /// Threads and processes write at the same time: each keeps its own lines.
    #[test]
    fn mixed_lines_are_told_apart(
        stacks in prop::collection::btree_map(
            (1..4_u32, 1..9_u64),
            (1..65_i64, prop::collection::vec("[a-z<>]{1,9}", 0..6)),
            1..12,
        ),
        mix in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let mut threads: BTreeMap<_, _> = stacks
            .iter()
            .map(|(&(pid, tid), (signal, frames))| {
                let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
                ((pid, tid), lines(pid, tid, *signal, &frames).into_iter())
            })
            .collect();
        let mut log = String::new();
        for index in mix {
            let key = *index.get(&threads.keys().copied().collect::<Vec<_>>());
            if let Some(line) = threads.get_mut(&key).and_then(Iterator::next) {
                log += &(line + "\n");
            }
        }
        for line in threads.into_values().flatten() {
            log += &(line + "\n");
        }
        let found: BTreeMap<_, _> = read(&log)
            .into_iter()
            .map(|attempt| ((attempt.pid, attempt.tid.expect("an id")), attempt))
            .collect();
        prop_assert_eq!(found.len(), stacks.len());
        for (who, (signal, frames)) in &stacks {
            let innermost: Vec<&str> = frames.iter().rev().map(String::as_str).collect();
            prop_assert_eq!(functions(&found[who]), innermost);
            prop_assert_eq!(found[who].signal, *signal);
        }
    }

    #[test]
    fn any_lines_are_survived(
        lines in prop::collection::vec(
            prop_oneof![
                "\\PC{0,80}",
                "\\[wsgi:(warn|info)\\] \\[pid [0-9]{1,12}(:tid [0-9]{1,22})?\\] ( {0,5}[\\[\\]FileP\", 0-9]{0,40})",
                "(\\[pid 1\\] )?mod_wsgi \\(pid=[01]\\): Callback registration for signal -?[0-9]{1,20} ignored\\.",
                "\\[pid 1\\]   File \".{0,9}\", line [0-9]{0,12}, in .{0,5}",
                "\\[pid 1\\]   \\[Previous line repeated [0-9]{0,30} more times\\]",
            ],
            0..40,
        ),
    ) {
        let found = read(&lines.join("\n"));
        prop_assert!(found.iter().all(|attempt| attempt.frames.len() <= FRAMES_MAX));
    }
}
