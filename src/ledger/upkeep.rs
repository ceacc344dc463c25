//! The loop that keeps a ledger up, in whichever process holds it.

use std::sync::Arc;
use std::time::Duration;

use super::Ledger;
use super::clock::{Clock, SystemClock};
use crate::delivery::time::{Span, Timestamp};

/// Between two slices of upkeep when there is nothing more to do at once.
const INTERVAL: Duration = Duration::from_millis(500);
/// A process that did not come to its upkeep for so long was frozen, and could not hear senders either. Less than the grace
/// of a deadline, which covers what is shorter.
const STANDSTILL: Span = Span::from_secs(2);

/// Keeps the ledger up until it is dropped. A failure is logged and tried again.
///
/// To be begun when senders can be heard. That may be long after the ledger was opened, where something else was awaited
/// first, and again after the process was frozen: what they have kept meanwhile comes before anything is concluded from
/// their silence.
pub async fn keep_up(ledger: Arc<impl Ledger>) {
    let mut looked_at = Timestamp::EPOCH;
    loop {
        let now = SystemClock.now();
        if now - looked_at > STANDSTILL {
            ledger.was_out_of_reach();
        }
        looked_at = now;
        match ledger.maintain().await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(INTERVAL).await,
            Err(error) => {
                tracing::warn!(reason = error.reason(), %error, "upkeep of the ledger failed");
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
}
