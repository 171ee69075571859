//! Takeovers: who gives back what to whom.

use super::*;

const SERVER: Disposition = handler(100);

const fn handler(address: u64) -> Disposition {
    Disposition {
        action: Action::Handler(address),
        flags: 0x1000_0000,
        mask: 0,
    }
}

const IGNORE: Disposition = Disposition {
    action: Action::Ignore,
    flags: 0,
    mask: 0,
};

/// Feeds (old, new, foreign) steps on one signal and tells what each meant.
fn run(signal: Signal, steps: &[(Disposition, Disposition, bool)]) -> Vec<(Turn, usize)> {
    let (mut takeovers, mut next) = (Takeovers::default(), 0);
    steps
        .iter()
        .map(|(old, new, foreign)| {
            let (turn, ended) = takeovers.turn(Instant(5), signal, (old, new), *foreign, &mut next);
            (turn, ended.len())
        })
        .collect()
}

/// `os.system`: taken, and given back by the same code.
#[test]
fn a_temporary_takeover_ends_when_the_old_disposition_returns() {
    let steps = [(SERVER, IGNORE, true), (IGNORE, SERVER, true)];
    assert_eq!(
        run(Signal::INT, &steps),
        [(Turn::Begins(0), 0), (Turn::GivesBack, 1)]
    );
}

/// A takes, B takes from A, B gives back to A, A gives back to the server.
#[test]
fn a_chain_unwinds_one_by_one() {
    let (a, b) = (handler(1), handler(2));
    let steps = [
        (SERVER, a, true),
        (a, b, true),
        (b, a, true),
        (a, SERVER, true),
    ];
    let expected = [
        (Turn::Begins(0), 0),
        (Turn::Begins(1), 0),
        (Turn::GivesBack, 1),
        (Turn::GivesBack, 1),
    ];
    assert_eq!(run(Signal::TERM, &steps), expected);
}

/// B gives back straight to the server: both takeovers are over.
#[test]
fn a_chain_can_end_at_once() {
    let (a, b) = (handler(1), handler(2));
    let steps = [(SERVER, a, true), (a, b, true), (b, SERVER, true)];
    assert_eq!(run(Signal::TERM, &steps)[2], (Turn::GivesBack, 2));
}

/// The server sets its own handler again: whatever was taken is the server's again.
#[test]
fn the_server_takes_back() {
    let steps = [
        (SERVER, handler(1), true),
        (handler(1), handler(101), false),
    ];
    assert_eq!(run(Signal::TERM, &steps)[1], (Turn::GivesBack, 1));
}

/// `signal` and `siginterrupt` are one doing; ignore to ignore is none.
#[test]
fn pairs_are_folded_and_repetitions_are_nothing() {
    let restart = handler(1);
    let interrupt = Disposition {
        flags: 0,
        ..restart
    };
    let steps = [(SERVER, restart, true), (restart, interrupt, true)];
    assert_eq!(
        run(Signal::TERM, &steps),
        [(Turn::Begins(0), 0), (Turn::Repeats(0), 0)]
    );
    let other_flags = Disposition {
        flags: 0x1000_0000,
        ..IGNORE
    };
    assert_eq!(
        run(Signal::PIPE, &[(IGNORE, other_flags, true)]),
        [(Turn::Nothing, 0)]
    );
}

/// A process that alternates between ever new handlers costs bounded memory.
#[test]
fn a_loop_of_handlers_is_bounded() {
    let (mut takeovers, mut next) = (Takeovers::default(), 0);
    for address in 10..1000 {
        let step = (&handler(address), &handler(address + 1));
        takeovers.turn(Instant(1), Signal::TERM, step, true, &mut next);
    }
    assert_eq!(takeovers.running.len(), CHAIN);
    assert_eq!(
        takeovers.running[0].id, 0,
        "the first one knows what the server had set"
    );
}

/// Who was displaced from a loop was not given back.
#[test]
fn displaced_is_not_restored() {
    let (mut takeovers, mut next) = (Takeovers::default(), 0);
    let mut ends = Vec::new();
    for address in 10..30 {
        let step = (&handler(address), &handler(address + 1));
        let (_, ended) = takeovers.turn(Instant(1), Signal::TERM, step, true, &mut next);
        ends.extend(ended.iter().map(|ended| ended.how));
    }
    assert_eq!(ends, [Ending::Displaced; 4]);
}

/// B gives back to A although C took it in between; `signal(3)` brings other flags along.
#[test]
fn a_link_gives_back_over_the_one_above_it() {
    let (a, b, c) = (handler(1), handler(2), handler(3));
    let flagless = Disposition { flags: 0, ..a };
    for back in [a, flagless] {
        let steps = [
            (SERVER, a, true),
            (a, b, true),
            (b, c, true),
            (c, back, true),
        ];
        assert_eq!(run(Signal::TERM, &steps)[3], (Turn::GivesBack, 2));
    }
}

/// SA_RESETHAND: the kernel takes the handler away when it runs; setting itself again is one doing,
/// and what another finds at its default was given back.
#[test]
fn what_the_kernel_took_away_is_no_new_takeover() {
    let default = Disposition::default();
    let steps = [(default, handler(1), true), (default, handler(1), true)];
    let again = [(Turn::Begins(0), 0), (Turn::Repeats(0), 0)];
    assert_eq!(run(Signal::USR2, &steps), again);
    let steps = [(default, handler(1), true), (default, handler(2), true)];
    let other = [(Turn::Begins(0), 0), (Turn::Begins(1), 1)];
    assert_eq!(run(Signal::USR2, &steps), other);
}

/// Calls of which nothing was heard: what stands before the next one tells who is left.
#[test]
fn what_stands_tells_what_was_lost() {
    let (a, b, c) = (handler(1), handler(2), handler(3));
    // B gave back to A unheard, before C came.
    let steps = [(SERVER, a, true), (a, b, true), (a, c, true)];
    assert_eq!(run(Signal::TERM, &steps)[2], (Turn::Begins(2), 1));
    // Both did.
    let steps = [(SERVER, a, true), (a, b, true), (SERVER, c, true)];
    assert_eq!(run(Signal::TERM, &steps)[2], (Turn::Begins(2), 2));
    // What nobody was seen to set tells nothing.
    let steps = [(SERVER, a, true), (handler(9), c, true)];
    assert_eq!(run(Signal::TERM, &steps)[1], (Turn::Begins(1), 0));
}

/// A takeover names the one from which it took the signal.
#[test]
fn a_chain_is_linked() {
    let (mut takeovers, mut next) = (Takeovers::default(), 0);
    for step in [(&SERVER, &handler(1)), (&handler(1), &handler(2))] {
        takeovers.turn(Instant(1), Signal::TERM, step, true, &mut next);
    }
    assert_eq!(takeovers.taken_from(0), None);
    assert_eq!(takeovers.taken_from(1), Some(0));
}

/// Other flags for a handler that nobody took, like Go's SA_ONSTACK, are no takeover.
#[test]
fn other_flags_take_nothing() {
    let steps = [(
        handler(1),
        Disposition {
            flags: 1,
            ..handler(1)
        },
        true,
    )];
    assert_eq!(run(Signal::INT, &steps), [(Turn::Nothing, 0)]);
}
