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
