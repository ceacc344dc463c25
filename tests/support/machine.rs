//! How many tests of a program run side by side. Most of them wait, so there may be many; but what they judge by time they
//! judge of a machine that has time for them.

// Each test file uses another part of it.
#![allow(dead_code)]

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Tests that run `herald` beside each other, at rates up to 200 a second each, on a machine with two processors.
const SEATS: usize = 16;
/// Two at once, and some others beside them.
const OF_FEW: usize = 5;

static MACHINE: Machine =
    Machine { state: Mutex::new(State { next: 0, called: 0, free: SEATS }), changed: Condvar::new() };

struct Machine {
    state: Mutex<State>,
    changed: Condvar,
}

/// Whoever comes draws a number; they are called in turn, so that who needs many seats gets them in the end.
struct State {
    next: u64,
    called: u64,
    free: usize,
}

/// Part of the machine, until it is dropped. One a test: who holds one and waits for another may wait forever.
pub struct Seats(usize);

/// For a test that asks how soon something goes on, or how much of a rate is used: it has the machine to itself.
pub fn alone() -> Seats {
    MACHINE.take(SEATS)
}

/// For a test whose pace is judged, or that bounds what is on the wire at a moment: two of them at once. What a machine delays
/// is known where a pace is judged, see [`super::pace`].
pub fn among_few() -> Seats {
    MACHINE.take(OF_FEW)
}

/// For all others.
pub fn among_others() -> Seats {
    MACHINE.take(1)
}

impl Machine {
    /// A test that failed has left whole numbers behind.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, seats: usize) -> Seats {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let waits = |state: &mut State| state.called != number || state.free < seats;
        let mut state = self.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        state.called += 1;
        state.free -= seats;
        self.changed.notify_all();
        Seats(seats)
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        MACHINE.state().free += self.0;
        MACHINE.changed.notify_all();
    }
}
