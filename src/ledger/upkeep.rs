//! The loop that keeps a ledger up, in whichever process holds it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Ledger;
use super::clock::{Clock, SystemClock};
use crate::delivery::time::{Span, Timestamp};

/// Between two slices of upkeep when there is nothing more to do at once, and between two looks at the clock.
const INTERVAL: Duration = Duration::from_millis(500);
/// A process that did not come to look at the clock for so long was frozen, and could not hear senders either. Less than the
/// grace of a deadline, which covers what is shorter.
const STANDSTILL: Span = Span::from_secs(2);

/// Keeps the ledger up until it is dropped. A failure is logged and tried again.
///
/// To be begun when senders can be heard. That may be long after the ledger was opened, where something else was awaited
/// first, and again after the process was frozen: what they have kept meanwhile comes before anything is concluded from
/// their silence.
pub async fn keep_up(ledger: Arc<impl Ledger>) {
    attended(rounds(&*ledger), &SystemClock, || ledger.was_out_of_reach()).await;
}

async fn rounds(ledger: &impl Ledger) {
    loop {
        match ledger.maintain().await {
            Ok(true) => {}
            Ok(false) => sleep(INTERVAL).await,
            Err(error) => {
                tracing::warn!(reason = error.reason(), %error, "upkeep of the ledger failed");
                sleep(INTERVAL).await;
            }
        }
    }
}

/// Does `work`. Before its first step, and before it goes on after the process stood still, `stood_still` is called. The
/// clock is looked at every [`INTERVAL`] however long a step is awaited: what the ledger takes its time for is no
/// standstill.
async fn attended<T>(work: impl Future<Output = T>, clock: &impl Clock, stood_still: impl Fn()) -> T {
    let mut work = pin!(work);
    let mut looks = interval(INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked_at = Timestamp::EPOCH;
    poll_fn(|context| {
        // At most one tick is missed at a time, so this ends, and the next one will wake it.
        while looks.poll_tick(context).is_ready() {}
        let now = clock.now();
        if now - looked_at > STANDSTILL {
            stood_still();
        }
        looked_at = now;
        work.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::{Instant, advance};

    use super::*;

    /// The runtime's clock, which the tests move.
    struct RuntimeClock(Instant);

    impl Clock for RuntimeClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_700_000_000) + Span(self.0.elapsed().as_nanos() as i64)
        }
    }

    /// How often the work is found to have stood still, beside its beginning.
    async fn standstills(work: impl Future<Output = ()>) -> u32 {
        let found = Cell::new(0);
        attended(work, &RuntimeClock(Instant::now()), || found.set(found.get() + 1)).await;
        found.get() - 1
    }

    #[tokio::test(start_paused = true)]
    async fn upkeep_that_takes_its_time_is_no_standstill() {
        let slow_slices = async {
            for _ in 0..20 {
                sleep(Duration::from_secs(10)).await;
            }
        };
        assert_eq!(standstills(slow_slices).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stood_still_is_noticed_before_the_work_goes_on() {
        let found = Cell::new(0);
        let work = async {
            assert_eq!(found.get(), 1, "senders are heard from now on");
            sleep(Duration::from_secs(60)).await;
            assert_eq!(found.get(), 1);
            // Past every look that was due meanwhile.
            advance(Duration::from_secs(3)).await;
            assert_eq!(found.get(), 2);
        };
        attended(work, &RuntimeClock(Instant::now()), || found.set(found.get() + 1)).await;
    }
}
