//! Records made by hand.

use probe_abi::{
    miss::Miss,
    python::{RawFrame, StackResult as Raw},
    record::RawFile,
};
use zerocopy::{FromZeros, IntoBytes};

use super::*;
use crate::{event::StackResult, python::Version};

/// A registration record with its frames; the sizes are filled in.
fn record(change: impl FnOnce(&mut RawRegistration), frames: &[u8]) -> Vec<u8> {
    let mut raw = RawRegistration::new_zeroed();
    raw.header.kind = Kind::REGISTRATION;
    raw.header.size = (size_of_val(&raw) + frames.len()) as u32;
    raw.python.size = frames.len() as u32;
    raw.signal = 15;
    raw.python.interpreters = 0x5555_0000;
    raw.python.version = 0x030b;
    change(&mut raw);
    [raw.as_bytes(), frames].concat()
}

fn registration_of(bytes: &[u8]) -> Registration {
    match decode(bytes).expect("a record").1.what {
        What::Registration(registration) => *registration,
        other => panic!("{other:?}"),
    }
}

fn frame(change: impl FnOnce(&mut RawFrame), file: &[u8], name: &[u8], table: &[u8]) -> Vec<u8> {
    let mut raw = RawFrame::new_zeroed();
    raw.file_size = file.len() as u16;
    raw.name_size = name.len() as u16;
    raw.table_size = table.len() as u32;
    change(&mut raw);
    let mut bytes = [raw.as_bytes(), file, name, table].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

#[test]
fn lifecycle_records() {
    let mut raw = RawLifecycle::new_zeroed();
    raw.header = RawHeader {
        when: 5,
        start: 129_999_999,
        sequence: 7,
        size: 80,
        cpu: 1,
        tgid: 30,
        tid: 31,
        uid: 33,
        kind: Kind::FORK,
        reserved: 0,
    };
    raw.other = 40;
    raw.other_start = 130_000_000;
    raw.flags = RawLifecycle::SHARES_HANDLERS;
    raw.file = RawFile {
        inode: 1,
        device: 2,
        generation: 3,
    };
    let (stamp, event) = decode(raw.as_bytes()).expect("a fork");
    assert_eq!(
        stamp,
        Stamp {
            cpu: 1,
            sequence: 7
        }
    );
    assert_eq!((event.when, event.tid), (Instant(5), 31));
    assert_eq!(event.process, ProcessKey { pid: 30, start: 12 });
    let child = ProcessKey { pid: 40, start: 13 };
    assert_eq!(
        event.what,
        What::Forked {
            child,
            shares_handlers: true
        }
    );

    raw.header.kind = Kind::EXEC;
    let file = FileKey {
        inode: 1,
        device: 2,
        generation: 3,
    };
    assert_eq!(
        decode(raw.as_bytes()).expect("an exec").1.what,
        What::Executed { file }
    );
    raw.header.kind = Kind::EXIT;
    assert_eq!(
        decode(raw.as_bytes()).expect("an exit").1.what,
        What::Exited { code: 40 }
    );
}

#[test]
fn frames_refer_to_the_frame_before() {
    // Two entries of one unit each: the line stays, then goes down by one.
    let table = [0x80, 0, 0x80 | 11 << 3, 0, 0];
    let frames = [
        frame(|raw| raw.first_line = 10, b"/srv/app.py", b"f", &table),
        frame(
            |raw| (raw.flags, raw.instruction) = (RawFrame::SAME_CODE, 2),
            b"",
            b"",
            b"",
        ),
        frame(
            |raw| (raw.flags, raw.first_line, raw.name_kind) = (RawFrame::SAME_FILE, 20, 1),
            b"",
            b"leaf_\xe9",
            &table,
        ),
        frame(|raw| raw.flags = RawFrame::UNREADABLE, b"", b"", b""),
        frame(
            |raw| (raw.flags, raw.instruction) = (RawFrame::SAME_CODE, -2),
            b"",
            b"",
            b"",
        ),
        frame(
            |raw| {
                raw.flags = RawFrame::FILE_CUT | RawFrame::NAME_CUT | RawFrame::TABLE_CUT;
                raw.first_line = 1;
                raw.instruction = 4;
            },
            b"/srv",
            b"ma",
            &table,
        ),
    ];
    let bytes = record(|raw| raw.python.frames = 6, &frames.concat());
    let found: Vec<_> = registration_of(&bytes)
        .python
        .frames
        .into_iter()
        .map(|frame| (frame.file, frame.function, frame.line))
        .collect();
    let expected = [
        ("/srv/app.py", "f", Some(10)),
        ("/srv/app.py", "f", Some(11)),
        ("/srv/app.py", "leaf_é", Some(20)),
        ("?", "?", None),
        ("?", "?", None),
        ("/srv…", "ma…", None),
    ];
    assert_eq!(
        found,
        expected.map(|(file, name, line)| (file.into(), name.into(), line))
    );
}

#[test]
fn stacks_say_what_they_are() {
    let of = |result, miss| {
        let change = |raw: &mut RawRegistration| {
            (raw.python.result, raw.python.miss, raw.python.interpreter) = (result, miss, -1);
        };
        registration_of(&record(change, &[])).python
    };
    assert_eq!(of(Raw::COMPLETE, 0).result, StackResult::Complete);
    assert_eq!(of(Raw::TRUNCATED, 0).result, StackResult::Truncated);
    assert_eq!(of(Raw::NONE, 0).result, StackResult::None);
    let failed = of(Raw::FAILED, Miss::NodeBound as u16);
    assert_eq!(failed.result, StackResult::Failed("node_bound".into()));
    assert_eq!(
        (failed.version, failed.interpreter),
        (Some(Version::new(3, 11)), None)
    );
    // A version whose lines nobody can read, and none at all.
    let frames = frame(|raw| raw.first_line = 10, b"a", b"b", &[0x80, 0]);
    for (version, known) in [(0x0207, Some(Version::new(2, 7))), (0, None)] {
        let change = |raw: &mut RawRegistration| {
            (raw.python.version, raw.python.frames) = (version, 1);
        };
        let stack = registration_of(&record(change, &frames)).python;
        assert_eq!((stack.version, stack.frames[0].line), (known, None));
    }
}

#[test]
fn contested_is_what_another_thread_changed() {
    const KILL: u64 = 1 << 8;
    let with = |asked: (u64, u64, u64), new: (u64, u64, u64), result| {
        let raw = |(handler, flags, mask)| RawDisposition {
            handler,
            flags,
            mask,
        };
        let change = |record: &mut RawRegistration| {
            (record.asked, record.new, record.result) = (raw(asked), raw(new), result);
        };
        registration_of(&record(change, &[])).contested
    };
    // SA_RESTORER is the C library's, and SIGKILL cannot be blocked: the same.
    assert!(!with((0x5000, 0x0400_0000, KILL | 2), (0x5000, 0, 2), 0));
    assert!(with((0x5000, 0, 0), (0x6000, 0, 0), 0), "another handler");
    assert!(with((0x5000, 4, 0), (0x5000, 0, 0), 0), "other flags");
    assert!(with((0x5000, 0, 2), (0x5000, 0, 0), 0), "another mask");
    assert!(with((0x5000, 0, 0), (0, 0, 0), 0), "another action");
    assert!(
        !with((1, 4, 2), (1, 0, 0), 0),
        "ignore has no flags that matter"
    );
    assert!(
        !with((0x5000, 0, 0), (0x6000, 0, 0), -22),
        "the call failed"
    );
}

#[test]
fn numbers_that_are_no_signal_and_no_errno() {
    let of = |signal, result| {
        let change = |raw: &mut RawRegistration| (raw.signal, raw.result) = (signal, result);
        let found = registration_of(&record(change, &[]));
        (found.signal, found.number, found.errno)
    };
    assert_eq!(of(15, 0), (Some(Signal::TERM), 15, 0));
    assert_eq!(of(70, -22), (None, 70, 22));
    assert_eq!(of(0, i32::MIN), (None, 0, i32::MAX));
}

#[test]
fn errors_say_what_and_where() {
    let says = |bytes: &[u8]| decode(bytes).expect_err("no record").to_string();
    assert_eq!(
        says(&[0; 40]),
        "failed to decode a record: the header takes 48 bytes, only 40 are there"
    );
    let whole = record(|_| (), &[]);
    assert_eq!(
        says(&whole[..180]),
        "failed to decode a record: the record, as its header says, takes 224 bytes, only 180 \
         are there"
    );
    assert!(says(&record(|raw| raw.header.size = 180, &[])).contains("180 bytes, not a multiple"));
    assert!(says(&record(|raw| raw.header.size = 80, &[])).contains("a registration takes 224"));
    assert!(says(&record(|raw| raw.header.size = 0, &[])).contains("a registration takes 224"));
    assert!(says(&record(|raw| raw.header.kind = Kind(99), &[])).contains("kind 99"));
    assert_eq!(
        says(&record(|raw| raw.python.size = 8, &[])),
        "failed to decode a record of kind 1: its header says 224 bytes, its parts make 232"
    );
    let fork = |raw: &mut RawRegistration| raw.header.kind = Kind::FORK;
    assert!(
        says(&record(fork, &[])).contains("kind 2: its header says 224 bytes, its parts make 80")
    );
    assert!(says(&record(|raw| raw.python.result = Raw(9), &[])).contains("result 9"));
    let failed =
        |raw: &mut RawRegistration| (raw.python.result, raw.python.miss) = (Raw::FAILED, 500);
    assert!(says(&record(failed, &[])).contains("reason 500"));

    let one = |change: fn(&mut RawFrame), file: &[u8]| {
        says(&record(
            |raw| raw.python.frames = 1,
            &frame(change, file, b"", b""),
        ))
    };
    assert_eq!(
        one(|raw| raw.table_size = 90, b""),
        "failed to decode frame 0 of 1: it takes 128 bytes, 32 are left"
    );
    assert!(one(|raw| raw.table_size = u32::MAX, b"").contains("frame 0 of 1"));
    assert!(one(|raw| raw.flags = RawFrame::SAME_CODE, b"").contains("there is none"));
    assert!(one(|raw| raw.flags = RawFrame::SAME_FILE, b"").contains("there is none"));
    assert!(one(|raw| raw.flags = RawFrame::SAME_FILE, b"a").contains("its flags 0x2 say"));
    assert!(one(|raw| raw.flags = RawFrame::UNREADABLE, b"a").contains("its flags 0x20 say"));
    assert!(says(&record(|_| (), &frame(|_| (), b"", b"", b""))).contains("32 bytes are left"));
    assert!(
        says(&record(|raw| raw.python.frames = u32::MAX, &[])).contains("frame 0 of 4294967295")
    );
}

#[test]
fn what_lies_behind_the_record_is_not_looked_at() {
    let mut bytes = record(|_| (), &[]);
    bytes.extend([0xff; 9]);
    assert!(decode(&bytes).is_ok());
}

/// A record whose body is garbled has its number all the same: it arrived, it is no gap.
#[test]
fn a_garbled_record_keeps_its_number() {
    let bytes = record(
        |raw| {
            raw.header.sequence = 9;
            raw.header.cpu = 3;
            raw.header.kind = Kind(77);
        },
        &[],
    );
    assert!(decode(&bytes).is_err());
    let number = stamp(&bytes).map(|stamp| (stamp.cpu, stamp.sequence));
    assert_eq!(number, Some((3, 9)));
    assert!(stamp(&bytes[..47]).is_none());
}
