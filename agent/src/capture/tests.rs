//! What is kept comes back; what is no capture is refused, with its line.

use std::io::{self, Read as _};

use super::*;
use crate::{
    event::{
        Action, Attempt, Code, Fate, FileKey, Frame, NativeFrame, NativeResult, NativeStack,
        PythonStack, Reason, Registration, Sent, Signal, Source, StackCopy, StackResult, Wanted,
        decode::Stamp,
        testing::{encode, with_stack},
    },
    process::{Module, ModuleKind, ServerFacts, unknown_dispositions},
    python::Version,
};

const KEY: ProcessKey = ProcessKey { pid: 7, start: 70 };

/// What an application may have on its stack.
const SECRET: &[u8] = b"password";
const STACK: StackCopy<'_> = StackCopy {
    ip: 1,
    sp: 2,
    fp: u64::from_le_bytes(*b"password"),
    lr: 3,
    bytes: SECRET,
};

fn event(what: What) -> Event {
    Event {
        when: Instant(5_000),
        process: KEY,
        tid: KEY.pid,
        what,
    }
}

fn modules() -> Modules {
    let module = Module {
        start: 0x1000,
        end: 0x2000,
        path: "/usr/lib/é \"quoted\"\n.so".into(),
        kind: ModuleKind::ModWsgi,
    };
    Modules([module].into())
}

/// One event of each kind that is kept as it is.
fn looks() -> Vec<Event> {
    let mut dispositions = unknown_dispositions();
    dispositions[Signal::TERM.index()].action = Action::Handler(u64::MAX);
    let found = Found {
        parent: None,
        ns_pid: 1,
        modules: modules(),
        server: ServerFacts::default(),
        container: None,
        command: "(wsgi:demo)".to_owned(),
        daemon: None,
    };
    vec![
        event(What::Found(Box::new(found))),
        event(What::Mapped(modules())),
        event(What::Inventory(dispositions)),
        event(What::Configured {
            generation: 2,
            configuration: Arc::default(),
        }),
        event(What::Reclaimed {
            ns_pid: 8,
            notice: Notice::Asked,
        }),
        event(What::Exited { code: 0 }),
        Event {
            tid: 9,
            ..event(What::Attempted(Box::new(logged())))
        },
    ]
}

/// An attempt of which the error log tells.
fn logged() -> Attempt {
    Attempt {
        signal: Some(Signal::HUP),
        number: 1,
        handler: Wanted::Unknown,
        folded: 0,
        python: PythonStack {
            result: StackResult::Complete,
            version: Some(Version::new(3, 11)),
            frames: vec![Frame {
                file: "/srv/app.py".into(),
                line: Some(7),
                function: "application".into(),
            }],
            ..PythonStack::default()
        },
        native: NativeStack::default(),
        source: Source::ErrorLog,
    }
}

/// One event of each kind that the ring brings, with its record.
fn records() -> Vec<(Event, Vec<u8>)> {
    let native = NativeStack {
        result: NativeResult::Truncated(Reason::CopyEnded),
        frames: vec![NativeFrame {
            module: "libtakeover.so".into(),
            code: Code::Module(ModuleKind::Other),
            symbol: Some("reports_install".into()),
            offset: 0x40,
        }],
        old_symbol: None,
        new_symbol: Some("reports_on_signal".into()),
    };
    let attempt = Attempt {
        signal: None,
        number: -3,
        handler: Wanted::Function(Frame {
            file: "/srv/app.py".into(),
            line: Some(7),
            function: "on_hangup".into(),
        }),
        folded: 1,
        python: PythonStack::default(),
        native: native.clone(),
        source: Source::Probe,
    };
    let registration = Registration {
        signal: Some(Signal::TERM),
        number: 15,
        old: Disposition::default(),
        new: Disposition {
            action: Action::Handler(0x1234),
            flags: 0x1000_0000,
            mask: 1,
        },
        errno: 0,
        contested: false,
        folded: 3,
        python: PythonStack::default(),
        native,
    };
    let file = FileKey {
        inode: 1,
        device: 2,
        generation: 3,
    };
    let all = [
        What::Registration(Box::new(registration)),
        What::Forked {
            child: ProcessKey { pid: 8, start: 80 },
            shares_handlers: true,
        },
        What::Executed { file },
        What::Attempted(Box::new(attempt)),
        What::Reloads,
        What::Sent(Sent {
            signal: Signal::TERM,
            by: ProcessKey { pid: 6, start: 60 },
            by_tid: 6,
            code: 0,
            to_process: true,
            fate: Fate::Ignored,
            folded: 1,
        }),
        What::Exited { code: 9 },
    ];
    let stamp = Stamp {
        cpu: 0,
        sequence: 1,
    };
    all.into_iter()
        .map(|what| {
            let event = event(what);
            let record = encode(stamp, &event).expect("a record can bring it");
            let record = with_stack(&record, &STACK).unwrap_or(record);
            (event, record)
        })
        .collect()
}

fn header() -> Header {
    Header::new(&Settings {
        restriction: Some(Restriction::Off),
        clock: WallClock { offset: -5 },
        ..Settings::default()
    })
}

fn text(inputs: impl IntoIterator<Item = Input>) -> String {
    let line = |value: Result<String, _>| value.expect("JSON") + "\n";
    let mut text = line(serde_json::to_string(&header()));
    for input in inputs {
        text.push_str(&line(serde_json::to_string(&input)));
    }
    text
}

/// The error of a capture that must be refused.
fn refused(text: &str) -> String {
    read(text.as_bytes())
        .expect_err("it is no capture")
        .to_string()
}

/// What the engine was told is what a replay tells it, in the same order.
#[test]
fn every_kind_of_input_comes_back() {
    let mut inputs = Vec::new();
    let mut told = Vec::new();
    for (event, record) in records() {
        assert_eq!(
            Input::of(&event).is_some(),
            matches!(event.what, What::Exited { .. })
        );
        inputs.push(Input::of_record(&record, &event).expect("it is kept"));
        told.push(event);
    }
    for event in looks() {
        inputs.push(Input::of(&event).expect("it is kept as it is"));
        told.push(event);
    }
    let capture = read(text(inputs).as_bytes()).expect("a capture");
    assert_eq!(capture.events, told);
    assert_eq!(capture.cut, None);
    assert_eq!(capture.header, header());
    assert_eq!(
        capture.header.settings().restriction,
        Some(Restriction::Off)
    );
    assert_eq!(capture.header.settings().clock, WallClock { offset: -5 });
}

/// Other people's files stay readable: the shape is a promise, and a new one takes a new number.
#[test]
fn the_format_is_the_one_that_was_promised() {
    let native = NativeStack {
        old_symbol: Some("f".into()),
        ..NativeStack::default()
    };
    let written = text([
        Input::Gone(Instant(1), KEY),
        Input::Record("ab01".to_owned()),
        Input::Registration("ab01".to_owned(), native.clone()),
        Input::Attempt("ab01".to_owned(), native),
        Input::Reclaimed(Instant(1), KEY, 8, Notice::Killed),
        Input::Overdue(Instant(2)),
        Input::Logged(Instant(3), KEY, 9, Logged::from(&logged())),
        Input::Settings(Instant(4), Judged::from(&header().settings())),
    ]);
    assert_eq!(
        written,
        "{\"sigblame_capture\":4,\"clock\":{\"offset\":-5},\"restrict_signal\":\"off\"}\n\
         {\"gone\":[1,{\"pid\":7,\"start\":70}]}\n\
         {\"record\":\"ab01\"}\n\
         {\"registration\":[\"ab01\",{\"result\":\"none\",\"frames\":[],\"old_symbol\":\"f\",\
         \"new_symbol\":null}]}\n\
         {\"attempt\":[\"ab01\",{\"result\":\"none\",\"frames\":[],\"old_symbol\":\"f\",\
         \"new_symbol\":null}]}\n\
         {\"reclaimed\":[1,{\"pid\":7,\"start\":70},8,\"AH00046\"]}\n\
         {\"overdue\":2}\n\
         {\"logged\":[3,{\"pid\":7,\"start\":70},9,{\"number\":1,\"version\":[3,11],\
         \"result\":\"complete\",\"frames\":[{\"file\":\"/srv/app.py\",\"line\":7,\
         \"function\":\"application\"}]}]}\n\
         {\"settings\":[4,{\"clock\":{\"offset\":-5},\"restrict_signal\":\"off\"}]}\n"
    );
}

/// What lay on the stack stays out of the file, whatever it is; so do the registers, for any of
/// them may hold a value of the application's.
#[test]
fn no_stack_is_kept() {
    for (event, record) in records() {
        let kept = Input::of_record(&record, &event).expect("it is kept");
        let line = serde_json::to_string(&kept).expect("JSON");
        assert!(!line.contains(&digits_of(SECRET)), "{line}");
    }
}

/// The number is looked at before anything that another version may have named otherwise.
#[test]
fn another_versions_capture_is_refused_by_its_number() {
    for (format, rest) in [(1, ""), (5, ",\"when\":\"tomorrow\"")] {
        let other = format!("{{\"sigblame_capture\":{format}{rest}}}\n");
        let error = refused(&other);
        let told =
            format!("format {format}, this sigblame reads 2 to 4: replay it with the version");
        assert!(error.contains(&told), "{error}");
    }
}

#[test]
fn what_is_no_capture_is_refused() {
    assert_eq!(refused(""), "the capture is empty");
    for text in ["{}\n", "\n", "hello\n", "{\"sigblame_capture\":2}\n"] {
        let error = refused(text);
        assert!(error.starts_with("line 1 is not a line of"), "{error}");
    }
    let header =
        "{\"sigblame_capture\":2,\"clock\":{\"offset\":0},\"restrict_signal\":\"maybe\"}\n";
    assert!(refused(header).contains("maybe"));
}

/// A file without an end has no line of a capture at its head, and one that a tool can unpack is told
/// how.
#[test]
fn what_cannot_be_a_line_is_not_read_to_its_end() {
    let endless = io::BufReader::new(io::repeat(0));
    let error = Reader::new(endless).expect_err("it is no capture");
    assert!(error.to_string().contains("longer than 65536"), "{error}");
    let header = serde_json::to_string(&header()).expect("JSON") + "\n";
    let text = io::BufReader::new(header.as_bytes().chain(io::repeat(b' ')));
    let mut reader = Reader::new(text).expect("a header");
    let error = reader.next().expect("a line").expect_err("it has no end");
    assert!(error.to_string().starts_with("line 2 is not"), "{error}");
    assert!(reader.next().is_none(), "what is wrong is told once");
    for magic in [&[0x1f, 0x8b, 8, 0][..], &[0x28, 0xb5, 0x2f, 0xfd]] {
        let error = read(magic).expect_err("it is compressed").to_string();
        assert!(error.contains("zcat FILE | sigblame replay -"), "{error}");
    }
}

/// Other settings are no event, and those who ask for events only do not see them.
#[test]
fn settings_change_in_the_middle() {
    let settings = Settings {
        restriction: None,
        ..header().settings()
    };
    let inputs = [
        Input::Gone(Instant(1), KEY),
        Input::Settings(Instant(2), Judged::from(&settings)),
        Input::Overdue(Instant(3)),
    ];
    let text = text(inputs);
    let told: Result<Vec<Told>, _> = Reader::new(text.as_bytes()).expect("a header").collect();
    let told = told.expect("a capture");
    assert_eq!(told[1], Told::Settings(settings));
    assert_eq!(read(text.as_bytes()).expect("a capture").events.len(), 2);
}

/// A line that is whole and wrong is damage, also where it is the last one.
#[test]
fn garbled_lines_are_refused_with_their_number() {
    let (_, record) = records().swap_remove(1);
    let good = Input::Record(digits_of(&record));
    let short = Input::Record(digits_of(&record[..record.len() - 1]));
    let fork = Input::Registration(digits_of(&record), NativeStack::default());
    let attempt = Input::Attempt(digits_of(&record), NativeStack::default());
    let odd = Input::Record("abc".to_owned());
    let other = Input::Record("é0".to_owned());
    let sign = Input::Record("+f".to_owned());
    let few = Input::Inventory(Instant(1), KEY, vec![Disposition::default(); 3]);
    for (input, reason) in [
        (short, "bytes"),
        (fork, "no registration"),
        (attempt, "no attempt"),
        (odd, "not hexadecimal"),
        (other, "not hexadecimal"),
        (sign, "not hexadecimal"),
        (few, "64 dispositions"),
    ] {
        for inputs in [
            vec![good.clone(), input.clone(), good.clone()],
            vec![good.clone(), input],
        ] {
            let error = refused(&text(inputs));
            assert!(error.starts_with("line 3 holds no record"), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }
    let error = refused(&format!("{}{{\"told\":1}}\n", text([good])));
    assert!(error.starts_with("line 3 is not a line of"), "{error}");
}

/// A crash may cut anywhere, also in the middle of a character: what is whole is read.
#[test]
fn a_capture_that_is_cut_off_is_read_up_to_the_cut() {
    let inputs: Vec<Input> = looks().iter().filter_map(Input::of).collect();
    let text = text(inputs);
    let bytes = text.as_bytes();
    let whole = read(bytes).expect("a capture");
    let first = text.find('\n').expect("a header") + 1;
    for end in first..bytes.len() {
        let part = read(&bytes[..end]).expect("a capture that is cut off");
        let lines = bytes[..end].iter().filter(|byte| **byte == b'\n').count();
        // A last line that lacks nothing but its newline is whole.
        let complete = bytes[end] == b'\n' || bytes[end - 1] == b'\n';
        let events = lines - 1 + usize::from(bytes[end] == b'\n');
        assert_eq!(part.cut, (!complete).then_some(lines + 1), "at byte {end}");
        assert_eq!(part.events, whole.events[..events], "at byte {end}");
    }
    let error = read(&bytes[..first / 2]).expect_err("half a header tells nothing");
    assert!(error.to_string().starts_with("line 1"), "{error}");
}
