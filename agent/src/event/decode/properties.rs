//! Properties: any bytes decode or err, what was encoded comes back.

use probe_abi::miss::Miss;
use proptest::{collection::vec, option, prelude::*, sample::subsequence};

use super::*;
use crate::{
    event::{
        Attempt, Delivered, Fate, Frame, PythonStack, Sent, Source, StackResult, Wanted,
        testing::encode,
    },
    python::Version,
};

const STAMP: Stamp = Stamp {
    cpu: 1,
    sequence: 7,
};

fn disposition() -> impl Strategy<Value = Disposition> {
    let action = prop_oneof![
        Just(Action::Default),
        Just(Action::Ignore),
        (2..u64::MAX).prop_map(Action::Handler),
    ];
    (action, any::<u64>(), any::<u64>()).prop_map(|(action, flags, mask)| Disposition {
        action,
        flags,
        mask,
    })
}

fn python_stack() -> impl Strategy<Value = PythonStack> {
    let result = prop_oneof![
        Just(StackResult::Complete),
        Just(StackResult::Truncated),
        Just(StackResult::None),
        (0..Miss::TABLE.len()).prop_map(|i| StackResult::Failed(Miss::TABLE[i].0.to_owned())),
    ];
    // Few texts, so that neighbours are alike; cut, wide and odd ones among them.
    let text = prop_oneof![
        Just(String::new()),
        Just("?".to_owned()),
        Just("/srv/app.py".to_owned()),
        ".{0,20}",
        ".{0,20}…",
    ];
    let line = option::weighted(0.8, 0..=i32::MAX.cast_unsigned());
    let frame = (text.clone(), line, text).prop_map(|(file, line, function)| Frame {
        file,
        line,
        function,
    });
    let frames = vec((frame, 1..4usize), 0..12).prop_map(|runs| {
        runs.into_iter()
            .flat_map(|(frame, times)| vec![frame; times])
            .collect()
    });
    let flags = any::<(bool, bool, u32)>();
    let crossed = subsequence((0..48).collect::<Vec<usize>>(), 0..8);
    let interpreter = option::of(0..i64::MAX);
    (result, frames, flags, interpreter, any::<bool>(), crossed).prop_map(
        |(result, frames, (thread_known, ambiguous, left_out), interpreter, known, mut crossed)| {
            let mut frames: Vec<Frame> = frames;
            crossed.retain(|at| *at < frames.len());
            if !known {
                // Without a version there is no line.
                frames.iter_mut().for_each(|frame| frame.line = None);
            }
            let version = known.then_some(Version::new(3, 11));
            PythonStack {
                result,
                version,
                interpreter,
                thread_known,
                ambiguous,
                frames,
                left_out,
                crossed,
            }
        },
    )
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let line = option::of(1..=u32::MAX);
    let function = (".{0,20}…?", line, ".{0,20}…?").prop_map(|(file, line, function)| Frame {
        file,
        line,
        function,
    });
    // The longest names that are whole and that are cut, within a character or behind one.
    let name = prop_oneof!["[a-zé]{0,31}", "[a-z]{62}", "[a-z]{60}é…", "[a-z]{60,63}…"];
    prop_oneof![
        Just(Wanted::Unknown),
        Just(Wanted::Default),
        Just(Wanted::Ignore),
        function.prop_map(Wanted::Function),
        name.prop_map(Wanted::Object),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let key = || {
        (any::<u32>(), 0..u64::MAX / 10_000_000).prop_map(|(pid, start)| ProcessKey { pid, start })
    };
    let registration = (
        (any::<u32>(), 0..4096i32, any::<bool>(), any::<u64>()),
        (disposition(), disposition(), python_stack()),
    )
        .prop_map(|((number, errno, contested, folded), (old, new, python))| {
            What::Registration(Box::new(Registration {
                signal: Signal::new(number % 80),
                number: number % 80,
                old,
                new,
                errno,
                contested: contested && errno == 0,
                folded,
                python,
                native: NativeStack::default(),
            }))
        });
    let attempt = (any::<i64>(), wanted(), any::<u64>(), python_stack()).prop_map(
        |(number, handler, folded, python)| {
            What::Attempted(Box::new(Attempt {
                signal: u32::try_from(number).ok().and_then(Signal::new),
                number,
                handler,
                folded,
                python,
                native: NativeStack::default(),
                source: Source::Probe,
            }))
        },
    );
    let number = || (1..=64_u32).prop_filter_map("a signal", Signal::new);
    let sent = (
        number(),
        key(),
        any::<(u32, i32, bool, u64)>(),
        0..Fate::ALL.len(),
    )
        .prop_map(|(signal, by, (by_tid, code, to_process, folded), fate)| {
            What::Sent(Sent {
                signal,
                by,
                by_tid,
                code,
                to_process,
                fate: Fate::ALL[fate],
                folded,
            })
        });
    let delivered = (number(), any::<(u64, u64, i32, u64)>()).prop_map(
        |(signal, (handler, flags, code, folded))| {
            What::Delivered(Delivered {
                signal,
                action: Action::from_address(handler),
                flags,
                code,
                folded,
            })
        },
    );
    let what = prop_oneof![
        2 => sent,
        2 => delivered,
        4 => registration,
        4 => attempt,
        1 => Just(What::Reloads),
        1 => (key(), any::<bool>())
            .prop_map(|(child, shares_handlers)| What::Forked { child, shares_handlers }),
        1 => any::<(u64, u32, u32)>().prop_map(|(inode, device, generation)| What::Executed {
            file: FileKey { inode, device, generation },
        }),
        1 => any::<u32>().prop_map(|code| What::Exited { code }),
    ];
    (any::<u64>(), key(), any::<u32>(), what).prop_map(|(when, process, tid, what)| Event {
        when: Instant(when),
        process,
        tid,
        what,
    })
}

proptest! {
    #[test]
    fn what_was_encoded_comes_back(event in event(), cpu: u32, sequence: u64) {
        let stamp = Stamp { cpu, sequence };
        let bytes = encode(stamp, &event).expect("a record can bring it");
        prop_assert_eq!(bytes.len() % 8, 0);
        prop_assert_eq!(decode(&bytes), Ok((stamp, event)));
    }

    #[test]
    fn a_record_that_ends_early_is_refused(event in event()) {
        let bytes = encode(STAMP, &event).expect("a record can bring it");
        for length in 0..bytes.len() {
            prop_assert!(decode(&bytes[..length]).is_err());
            // The same with a header that says so, too.
            let mut cut = bytes[..length].to_vec();
            let at = std::mem::offset_of!(RawHeader, size);
            if let Some(size) = cut.get_mut(at..at + 4) {
                size.copy_from_slice(&(length as u32).to_ne_bytes());
                prop_assert!(decode(&cut).is_err());
            }
        }
    }

    #[test]
    fn flipped_bits_do_no_harm(event in event(), flips in vec(any::<usize>(), 1..8)) {
        let mut bytes = encode(STAMP, &event).expect("a record can bring it");
        for flip in flips {
            let bit = flip % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn any_bytes_decode_or_err(mut bytes in vec(any::<u8>(), 0..600), kind in 0..10u16) {
        let _ = decode(&bytes);
        // Random bytes seldom get past the header.
        if bytes.len() >= 48 {
            let size = bytes.len() as u32 / 8 * 8;
            bytes[24..28].copy_from_slice(&size.to_ne_bytes());
            bytes[44..46].copy_from_slice(&kind.to_ne_bytes());
            let _ = decode(&bytes);
        }
    }
}
