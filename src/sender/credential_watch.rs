//! What a sender does whose credentials the provider has refused: it waits until another try is worth it.
//!
//! Nobody but a sender sees the Secret, so it stays and looks at what is mounted. A permission is mended at the provider
//! and shows nowhere, so the same credentials are tried again as well, with growing waits.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Between two looks at what is mounted. The kubelet takes up to a minute to bring a change.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many looks lie between two questions to the ledger.
const LOOKS_PER_QUESTION: u32 = 5;
/// The wait before the same credentials are tried again, doubled each time up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Credentials that served for so long are no longer those that were refused before.
const SERVED: Duration = Duration::from_secs(60);

/// Why the waiting has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// There are others, or it is time for the same ones: the account is to be tried with one message.
    Trying,
    /// The ledger does not hold them to be refused any more, or the broadcast has another reason to stop.
    Asking,
}

/// The waits of one process.
#[derive(Debug, Default)]
pub struct CredentialWatch {
    refusals: u32,
}

impl CredentialWatch {
    /// Waits after `in_use` were refused, having served for `served`. `mounted` reads what is mounted now; `is_refused`
    /// asks the ledger whether nothing but the credentials keeps the broadcast from being sent.
    pub async fn wait<C: PartialEq, E, F: Future<Output = Result<bool, E>>>(
        &mut self,
        in_use: &C,
        served: Duration,
        mounted: impl Fn() -> C,
        is_refused: impl Fn() -> F,
    ) -> Result<Worth, E> {
        if served >= SERVED {
            self.refusals = 0;
        }
        let try_at = Instant::now() + FIRST_WAIT.saturating_mul(1 << self.refusals.min(10)).min(LONGEST_WAIT);
        for look in 1_u32.. {
            sleep(LOOK_EVERY).await;
            if mounted() != *in_use {
                self.refusals = 0;
                return Ok(Worth::Trying);
            }
            if look.is_multiple_of(LOOKS_PER_QUESTION) && !is_refused().await? {
                return Ok(Worth::Asking);
            }
            if Instant::now() >= try_at {
                break;
            }
        }
        self.refusals = self.refusals.saturating_add(1);
        Ok(Worth::Trying)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    async fn refused() -> Result<bool, Infallible> {
        Ok(true)
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_credentials_are_tried_again_with_waits_up_to_five_minutes() {
        let mut watch = CredentialWatch::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            let began = Instant::now();
            let worth = watch.wait(&"old", Duration::ZERO, || "old", refused).await.unwrap();
            assert_eq!(worth, Worth::Trying);
            waits.push(began.elapsed().as_secs());
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_tried_at_once_however_long_the_wait_had_become() {
        let mut watch = CredentialWatch { refusals: 6 };
        let began = Instant::now();
        let mounted = || if began.elapsed() < Duration::from_secs(42) { "old" } else { "new" };
        assert_eq!(watch.wait(&"old", Duration::ZERO, mounted, refused).await.unwrap(), Worth::Trying);
        assert_eq!(began.elapsed().as_secs(), 42);
        let began = Instant::now();
        watch.wait(&"new", Duration::ZERO, || "new", refused).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 5, "and the waits begin anew");
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_another_sender_has_found_good_are_not_waited_for() {
        let asked = Cell::new(0);
        let is_refused = || {
            asked.set(asked.get() + 1);
            std::future::ready(Ok::<bool, Infallible>(asked.get() < 3))
        };
        let mut watch = CredentialWatch { refusals: 6 };
        let began = Instant::now();
        assert_eq!(watch.wait(&"old", Duration::ZERO, || "old", is_refused).await.unwrap(), Worth::Asking);
        assert_eq!(began.elapsed().as_secs(), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_after_a_minute_of_service_is_the_first_one() {
        let mut watch = CredentialWatch { refusals: 6 };
        let began = Instant::now();
        watch.wait(&"old", SERVED, || "old", refused).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 5);
    }
}
