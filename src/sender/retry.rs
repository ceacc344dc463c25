//! When a call that the ledger did not answer is repeated.

use std::time::Duration;

use super::clock::Local;
use crate::delivery::backoff::scatter;
use crate::delivery::time::Span;
use crate::ledger::LedgerError;

/// The wait before an unanswered request is repeated, doubled each time up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Who was not answered for so long gives up: an operator starts anew, even on another node, in less. Nothing is lost by
/// it, the flight journal goes on from there, and people see an end with its cause where they saw silence.
const LONGEST_SILENCE: Span = Span::from_secs(5 * 60);

/// Waits that double up to a limit, with jitter, until something succeeds or the silence was too long.
#[derive(Debug)]
pub struct Retry {
    seed: u64,
    failures: u32,
    silent_since: Option<Local>,
}

impl Retry {
    /// The jitter is taken from `name`, which must differ from process to process.
    pub fn new(name: &str) -> Retry {
        let seed = name.bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Retry { seed, failures: 0, silent_since: None }
    }

    /// How long to wait before the next try; `None` when there should be none.
    pub fn after_failure(&mut self, now: Local) -> Option<Duration> {
        let silent_since = *self.silent_since.get_or_insert(now);
        if now - silent_since > LONGEST_SILENCE {
            return None;
        }
        let ceiling = FIRST_RETRY.saturating_mul(1 << self.failures.min(10)).min(LONGEST_RETRY);
        self.failures = self.failures.saturating_add(1);
        let part = scatter(self.seed.wrapping_add(u64::from(self.failures))) as f64 / u64::MAX as f64;
        Some(ceiling.mul_f64(0.5 + part / 2.0))
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.silent_since = None;
    }

    /// Repeats a call of the ledger while its error may pass by itself.
    pub async fn answered<T, C: Future<Output = Result<T, LedgerError>>>(
        mut self,
        call: impl Fn() -> C,
    ) -> Result<T, LedgerError> {
        loop {
            let error = match call().await {
                Err(error) if error.is_transient() => error,
                answered => return answered,
            };
            let Some(wait) = self.after_failure(Local::now()) else { return Err(error) };
            tracing::warn!(reason = error.reason(), %error, "the ledger did not answer; asking again");
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::time::Timestamp;

    fn at(millis: i64) -> Local {
        Local(Timestamp::EPOCH + Span::from_millis(millis))
    }

    #[test]
    fn waits_double_up_to_a_limit_and_differ_from_process_to_process() {
        let (mut one, mut other) = (Retry::new("one"), Retry::new("other"));
        let mut differ = false;
        for failure in 0..20 {
            let (wait, others) = (one.after_failure(at(0)).unwrap(), other.after_failure(at(0)).unwrap());
            let ceiling = FIRST_RETRY.saturating_mul(1 << failure.min(10)).min(LONGEST_RETRY);
            assert!(wait <= ceiling && wait >= ceiling / 2, "{wait:?} of {ceiling:?}");
            differ |= wait != others;
        }
        assert!(differ);
    }

    #[test]
    fn a_long_silence_ends_the_tries_and_an_answer_begins_them_anew() {
        let mut retry = Retry::new("one");
        assert!(retry.after_failure(at(0)).is_some());
        assert!(retry.after_failure(at(LONGEST_SILENCE.as_millis())).is_some());
        assert!(retry.after_failure(at(LONGEST_SILENCE.as_millis() + 1)).is_none());
        retry.succeeded();
        assert!(retry.after_failure(at(LONGEST_SILENCE.as_millis() + 1)).is_some());
    }
}
