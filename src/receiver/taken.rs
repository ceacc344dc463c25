//! Which calls were taken already. A provider repeats what it was not answered, and somebody who has kept a call may repeat it
//! as often as they like: neither has to reach the ledger again.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};

/// So many calls are remembered, some hours of a busy channel. What an older one tells of messages and wishes changes nothing in the
/// ledger either: only where its provider names no time would it say once more that somebody wrote.
const MAX_REMEMBERED: usize = 20_000;

/// The hash of a call: it is told by its content, and none of that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallHash([u8; 32]);

impl CallHash {
    /// Of everything that says what is told, and to whom.
    pub fn of(parts: &[&[u8]]) -> CallHash {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        CallHash(hash)
    }
}

/// The calls of this process that the ledger has.
#[derive(Default)]
pub struct TakenCalls(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    known: HashSet<CallHash>,
    /// The oldest first.
    order: VecDeque<CallHash>,
}

impl TakenCalls {
    pub fn holds(&self, call: &CallHash) -> bool {
        self.lock().known.contains(call)
    }

    /// Only once the ledger has it: what was not taken in must be repeated.
    pub fn add(&self, call: CallHash) {
        let mut remembered = self.lock();
        if !remembered.known.insert(call) {
            return;
        }
        remembered.order.push_back(call);
        if remembered.order.len() > MAX_REMEMBERED
            && let Some(oldest) = remembered.order.pop_front()
        {
            remembered.known.remove(&oldest);
        }
    }

    /// Each change is complete before the lock is let go, so a poisoned lock guards nothing broken.
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_call_is_forgotten_for_the_newest() {
        let calls = TakenCalls::default();
        let call = |number: usize| CallHash::of(&[b"acme", &number.to_be_bytes()]);
        (0..=MAX_REMEMBERED).for_each(|number| calls.add(call(number)));
        assert!(!calls.holds(&call(0)) && calls.holds(&call(1)) && calls.holds(&call(MAX_REMEMBERED)));
        calls.add(call(1));
        assert_eq!(calls.lock().order.len(), MAX_REMEMBERED, "one that is known takes no further place");
    }

    #[test]
    fn a_call_is_told_by_all_of_its_parts_and_where_they_end() {
        assert!(CallHash::of(&[b"ab", b"c"]) != CallHash::of(&[b"a", b"bc"]));
        assert!(CallHash::of(&[b"ab", b"c"]) == CallHash::of(&[b"ab", b"c"]));
    }
}
