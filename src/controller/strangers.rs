//! How many tokens nobody knows are looked up: whoever brings many of them takes nothing from senders at work.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Looked up at once; each costs up to four calls.
const AT_ONCE: usize = 8;
/// Between two of them, so that they leave most of the calls a second to everything else.
pub const STRANGER_INTERVAL: Duration = Duration::from_millis(100);
/// So many of them may come together: the first wave of many broadcasts.
pub const STRANGERS_TOGETHER: u32 = 30;
/// How long a token waits for its turn to be looked up.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// More than may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many tokens are being looked up")]
pub struct TooMany;

/// The share of all strangers, whatever they want to be let in to.
pub struct Strangers {
    pub room: Semaphore,
    /// When the next one would have its turn if they had come evenly.
    next: Mutex<Option<Instant>>,
}

impl Default for Strangers {
    fn default() -> Strangers {
        Strangers { room: Semaphore::new(AT_ONCE), next: Mutex::default() }
    }
}

impl Strangers {
    /// Waits for a turn.
    ///
    /// # Errors
    /// [`TooMany`] where it would take longer than [`PATIENCE`].
    pub async fn turn(&self) -> Result<(), TooMany> {
        let now = Instant::now();
        let wait = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let evenly = next.map_or(now, |next| next.max(now));
            let wait = (evenly - now).saturating_sub(STRANGER_INTERVAL * STRANGERS_TOGETHER);
            if wait > PATIENCE {
                return Err(TooMany);
            }
            *next = Some(evenly + STRANGER_INTERVAL);
            wait
        };
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
