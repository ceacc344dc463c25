//! A sender's connections to its provider, opened before recipients are asked for that would need them.

use tokio::task::{JoinError, JoinSet};

use super::clock::Local;
use super::flight::Landing;
use super::transport::{Transport, is_answer};
use super::warmth::{Need, Warmth};
use crate::delivery::pacing::MAX_GROUP;
use crate::delivery::time::Span;
use crate::ledger::exchange::CONNECT_TIMEOUT;

pub struct Connections {
    transport: Transport,
    warmth: Warmth,
    /// At most one, which tells how many it was to open.
    opening: JoinSet<u32>,
}

impl Connections {
    pub fn new(transport: Transport) -> Connections {
        Connections { transport, warmth: Warmth::default(), opening: JoinSet::new() }
    }

    /// How many recipients may be asked for where this sender has a slot each `turn`; begins to open the connections that are missing for more.
    pub fn room(&mut self, turn: Span, now: Local) -> u32 {
        if !self.opening.is_empty() {
            return 0;
        }
        match self.warmth.need(turn, now) {
            Need::Nothing => MAX_GROUP,
            Need::Use => 1,
            Need::Connections(count) => {
                self.begin_to_open(count);
                0
            }
        }
    }

    fn begin_to_open(&mut self, count: u32) {
        let transport = self.transport.clone();
        self.opening.spawn(async move {
            // A provider that does not open connections in time takes no messages either: the next one tells.
            let _ = tokio::time::timeout(CONNECT_TIMEOUT.to_duration(), transport.open(count)).await;
            count
        });
    }

    /// Ends when connections that are being opened are open; never while none are.
    pub async fn opened(&mut self) -> Result<(), JoinError> {
        match self.opening.join_next().await {
            Some(opened) => self.enter(opened),
            None => std::future::pending().await,
        }
    }

    /// Whether some were opened since this was last asked.
    pub fn have_opened(&mut self) -> Result<bool, JoinError> {
        let Some(opened) = self.opening.try_join_next() else { return Ok(false) };
        self.enter(opened)?;
        Ok(true)
    }

    fn enter(&mut self, opened: Result<u32, JoinError>) -> Result<(), JoinError> {
        self.warmth.opened(opened?, Local::now());
        Ok(())
    }

    /// A message is handed over: the client for it.
    pub fn lend(&mut self, now: Local) -> Transport {
        self.warmth.used(now);
        self.transport.clone()
    }

    pub fn landed(&mut self, landing: &Landing, now: Local) {
        if is_answer(&landing.outcome) {
            self.warmth.answered(landing.took, now);
        }
    }
}
