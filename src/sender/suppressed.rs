//! People who get nothing from an account, as the lists of its channels name them: read for a plan, and again for one that is
//! sealed.

use std::sync::Arc;

use tokio::sync::watch;

use super::chunks::{Chunk, read_chunks};
use super::planner::{PlanError, Restarts};
use crate::audience::{Materials, Source};
use crate::ledger::SenderLedger;
use crate::ledger::plan::PlanTicket;

/// One list, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// The name of the MessageChannel.
    pub channel: String,
    /// The field of it: `spec.suppression.sources[0]`.
    pub field: String,
    pub source: Source,
}

impl Suppressed {
    /// Why the list could not be read, with its place. What is no fault of the list stays as it is.
    pub(super) fn place(&self, error: PlanError) -> PlanError {
        match error {
            PlanError::Source(_) | PlanError::Rows(_) => PlanError::Suppression {
                channel: self.channel.clone(),
                field: self.field.clone(),
                error: Box::new(error),
            },
            other => other,
        }
    }
}

/// Reads the lists anew for a sealed plan and skips whoever of them is still pending; returns how many. Nobody may be sent to
/// after an error: who is on a list that cannot be read is not known.
///
/// # Errors
/// See [`PlanError`].
pub async fn suppress_pending<L: SenderLedger>(
    ledger: &L,
    plan: PlanTicket,
    lists: &[Suppressed],
    materials: &Arc<dyn Materials>,
    stop: &watch::Receiver<bool>,
) -> Result<u64, PlanError> {
    let mut restarts = Restarts::default();
    loop {
        match read_and_skip(ledger, plan, lists, materials, stop.clone()).await {
            Err(error) if restarts.allow(&error) => {}
            done => return done,
        }
    }
}

async fn read_and_skip<L: SenderLedger>(
    ledger: &L,
    plan: PlanTicket,
    lists: &[Suppressed],
    materials: &Arc<dyn Materials>,
    mut stop: watch::Receiver<bool>,
) -> Result<u64, PlanError> {
    let mut skipped = 0;
    for list in lists {
        let mut chunks = read_chunks(list.source.clone(), materials.clone(), |recipient| recipient.id);
        loop {
            let chunk: Option<Chunk<String>> = tokio::select! {
                biased;
                Ok(_) = stop.wait_for(|stopped| *stopped) => return Err(PlanError::Interrupted),
                chunk = chunks.next() => chunk,
            };
            let Some(chunk) = chunk else { break };
            let ids = chunk.map_err(|error| list.place(error))?;
            skipped += ledger.suppress_pending(plan, &ids).await?;
        }
    }
    Ok(skipped)
}
