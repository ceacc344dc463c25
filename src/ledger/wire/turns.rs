//! Calls that are taken in a few at a time: so many may wait, and fewer are carried out at once.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::server::Refused;

/// How long a call waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who has a place or a turn gives it up with its permit.
pub(super) struct Turns {
    places: Semaphore,
    turns: Semaphore,
    /// Of what there are too many, for whoever is turned away.
    kind: &'static str,
}

impl Turns {
    /// `places` wait for their turn or their answer; `at_once` have theirs.
    pub(super) fn new(places: usize, at_once: usize, kind: &'static str) -> Turns {
        Turns { places: Semaphore::new(places), turns: Semaphore::new(at_once), kind }
    }

    /// A place to wait in, if one is free.
    pub(super) fn place(&self) -> Result<SemaphorePermit<'_>, Refused> {
        self.places.try_acquire().map_err(|_| self.full())
    }

    /// The turn of who has a place.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Refused> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| self.full())
    }

    fn full(&self) -> Refused {
        Refused::for_now(format!("too many {} at once", self.kind))
    }
}
