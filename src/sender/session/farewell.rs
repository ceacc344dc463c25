//! How a session ends: in order, or after a failure.

use std::time::Duration;

use super::super::clock::Local;
use super::super::holding::Held;
use super::{Ended, Exchanged, Running, SessionError};
use crate::ledger::SenderLedger;

impl<L: SenderLedger> Running<L> {
    /// The last request: the claim is handed back.
    pub(super) async fn say_goodbye(&mut self) -> Result<Ended, SessionError> {
        let mut request = self.request(Vec::new(), 0, true);
        let mut after = Duration::ZERO;
        loop {
            let exchanged = self.post(request, after).await?;
            match exchanged.answer {
                Ok(reply) => {
                    self.ring(&reply);
                    return Ok(self.ended.unwrap_or(Ended::Stopped));
                }
                Err(error) if error.is_transient() && !self.gives_up() => {
                    let Some(next) = self.retry.after_failure(exchanged.received) else { return Err(error.into()) };
                    after = next;
                    request = exchanged.request;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// After a failure: what is on the wire is awaited, what was taken is given back, and the ledger is told all of it if
    /// it listens. What it does not hear the journal keeps for the next process.
    pub(super) async fn wind_up(&mut self) {
        self.holding.leave(Local::now());
        while let Some(flown) = self.flights.join_next().await {
            let _ = self.land([flown]);
        }
        if let Some(exchange) = self.exchange.take()
            && let Ok(Exchanged { answer: Ok(reply), .. }) = exchange.await
        {
            let rows = reply.rows.into_iter().map(|row| Held { slot: Local::now(), row });
            self.holding.receive(rows, reply.interval, reply.turn);
            self.holding.release(Local::now());
        }
        let outcomes = self.holding.ask(Local::now());
        let request = self.request(outcomes, 0, true);
        // This sender ends with the error it had; a second one would say nothing new.
        let _ = self.post(request, Duration::ZERO).await;
    }
}
