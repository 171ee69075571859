//! A copy of a stack that notes which of its words were looked at.
//!
//! A walk depends on the registers and on these words, and on nothing else of the stack: where
//! they are the same again, so is the walk. A process that registers in a loop is then as cheap as
//! a few hundred look-ups, and its stacks are as true as the first. The words themselves may be
//! secrets, so that only a hash of them is kept.

use std::{
    cell::RefCell,
    collections::VecDeque,
    hash::{BuildHasher as _, RandomState},
};

use crate::event::{NativeStack, StackCopy};

/// Walks of one process that are remembered.
const WALKS_MAX: usize = 8;

/// The copy, and the words that were read of it.
pub(super) struct Recorded<'a> {
    /// What the probe copied.
    pub(super) copy: StackCopy<'a>,
    addresses: RefCell<Vec<u64>>,
}

impl<'a> Recorded<'a> {
    pub(super) fn new(copy: StackCopy<'a>) -> Self {
        Self {
            copy,
            addresses: RefCell::default(),
        }
    }

    /// The word at an address, if it was copied.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        self.addresses.borrow_mut().push(address);
        self.copy.word(address)
    }
}

/// A walk, and what it depended on: a hash, with a key that nobody knows, of the registers, the
/// handlers and the words at these addresses.
#[derive(Clone, Debug)]
struct Walk {
    addresses: Vec<u64>,
    hash: u64,
    stack: NativeStack,
}

/// The last walks of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Walks {
    walks: VecDeque<Walk>,
    key: RandomState,
}

impl Walks {
    fn hash(&self, copy: &StackCopy<'_>, handlers: [Option<u64>; 2], addresses: &[u64]) -> u64 {
        let words: Vec<_> = addresses.iter().map(|at| copy.word(*at)).collect();
        let registers = [copy.ip, copy.sp, copy.fp, copy.lr];
        self.key.hash_one((registers, handlers, words))
    }

    /// The walk of a stack that would go the same way.
    pub(super) fn same(
        &self,
        copy: &StackCopy<'_>,
        handlers: [Option<u64>; 2],
    ) -> Option<&NativeStack> {
        let same = |walk: &&Walk| self.hash(copy, handlers, &walk.addresses) == walk.hash;
        self.walks.iter().find(same).map(|walk| &walk.stack)
    }

    /// Remembers a walk.
    pub(super) fn keep(
        &mut self,
        recorded: Recorded<'_>,
        handlers: [Option<u64>; 2],
        stack: &NativeStack,
    ) {
        if self.walks.len() == WALKS_MAX {
            self.walks.pop_front();
        }
        let addresses = recorded.addresses.into_inner();
        let hash = self.hash(&recorded.copy, handlers, &addresses);
        self.walks.push_back(Walk {
            addresses,
            hash,
            stack: stack.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another word that was read, another register, another handler: another walk. What was not
    /// read may be anything.
    #[test]
    fn a_walk_is_the_same_where_what_it_read_is() {
        let copy = |bytes, fp| StackCopy {
            ip: 1,
            sp: 0x1000,
            fp,
            lr: 0,
            bytes,
        };
        let (first, other) = ([1_u8; 24], [[1_u8; 16].as_slice(), &[2; 8]].concat());
        let mut walks = Walks::default();
        let recorded = Recorded::new(copy(&first, 5));
        recorded.word(0x1000);
        recorded.word(0x1020);
        walks.keep(recorded, [None, Some(9)], &NativeStack::default());
        let same = |copy: StackCopy<'_>, new| walks.same(&copy, [None, new]).is_some();
        assert!(same(copy(&first, 5), Some(9)));
        assert!(same(copy(&other, 5), Some(9)), "that word was not read");
        assert!(!same(copy(&first, 6), Some(9)));
        assert!(!same(copy(&first, 5), Some(8)));
        assert!(!same(copy(&[2; 24], 5), Some(9)));
        assert!(
            !same(copy(&[1; 48], 5), Some(9)),
            "a word that was missing is there"
        );
        for _ in 0..100 {
            walks.keep(
                Recorded::new(copy(&first, 7)),
                [None; 2],
                &NativeStack::default(),
            );
        }
        assert_eq!(walks.walks.len(), WALKS_MAX);
    }
}
