//! Writes down in a database whom a broadcast was sent to, beside the sending and after it: a transaction of some people at a
//! time, with a pause between.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::errand::{Errand, Page};
use crate::api::{SqlWriteBack, WriteBackTarget};
use crate::audience::{Materials, SentPerson, SqlWriter, WriteFault, Written};
use crate::delivery::outcome::Fault;
use crate::ledger::{
    BroadcastId, LedgerError, Owed, PutOff, RefusedPerson, ReportWriteBacks, SenderLedger, TakeWriteBacks, WriteBack,
    WriteBackPage,
};

/// Between two transactions: the sending comes first, and the database has others to serve.
const PAUSE: Duration = Duration::from_secs(1);

/// What writes for one broadcast.
pub struct SqlErrand<L> {
    pub ledger: Arc<L>,
    pub broadcast: BroadcastId,
    /// Random, made at process start.
    pub holder: String,
    /// Where the URL of the database is.
    pub materials: Arc<dyn Materials>,
}

impl<L: SenderLedger> Errand for SqlErrand<L> {
    const NAME: &'static str = "people to be written to the database";

    async fn page(&mut self) -> Result<Page, LedgerError> {
        let target = WriteBackTarget::Sql;
        let request = TakeWriteBacks { broadcast: self.broadcast, holder: self.holder.clone(), target };
        let page = self.ledger.take_write_backs(&request).await?;
        let WriteBackPage { now, name, write_back: Some(WriteBack::Sql(spec)), people, .. } = page else {
            return Ok(Page::nothing(page.now, Instant::now(), page.next_at));
        };
        if people.is_empty() {
            return Ok(Page::nothing(now, Instant::now(), page.next_at));
        }
        let written = self.write(&spec, &name, &people).await;
        let report = self.report(spec, &people, written);
        self.ledger.report_write_backs(&report).await?;
        sleep(PAUSE).await;
        Ok(Page::Done)
    }
}

impl<L: SenderLedger> SqlErrand<L> {
    async fn write(&self, spec: &SqlWriteBack, name: &str, people: &[Owed]) -> Written {
        let stopped = |fault| Written { stopped: Some(fault), ..Written::default() };
        let (materials, of) = (self.materials.clone(), spec.clone());
        // A Secret is a file, which may be slow.
        let opened = tokio::task::spawn_blocking(move || SqlWriter::open(&of, materials.as_ref())).await;
        let writer = match opened {
            Ok(Ok(writer)) => writer,
            Ok(Err(fault)) => return stopped(fault),
            Err(_) => {
                let message = "reading the Secret with the URL broke off".to_owned();
                return stopped(WriteFault { reason: "SecretKeyUnusable", code: None, message });
            }
        };
        let person = |owed: &Owed| SentPerson {
            recipient: owed.recipient.clone(),
            message_id: owed.message_id.clone(),
            sent_at: owed.sent_at_text(),
        };
        let people: Vec<SentPerson> = people.iter().map(person).collect();
        writer.write(name, &people).await
    }

    fn report(&self, spec: SqlWriteBack, people: &[Owed], written: Written) -> ReportWriteBacks {
        let Written { done, refused, stopped } = written;
        let fault = |told: WriteFault| Fault::new(told.reason, told.code, told.message);
        let seq = |place: usize| people.get(place).map(|owed| owed.seq);
        let done: Vec<i64> = done.into_iter().filter_map(seq).collect();
        let refused = refused
            .into_iter()
            .filter_map(|(place, told)| Some(RefusedPerson { seq: seq(place)?, fault: fault(told) }));
        let refused: Vec<RefusedPerson> = refused.collect();
        let put_off = stopped.map(|told| PutOff { fault: fault(told), retry_after_ms: None });
        tracing::debug!(done = done.len(), refused = refused.len(), "people were written to the database");
        if let Some(told) = put_off.as_ref().map(|put_off| &put_off.fault).or(refused.first().map(|one| &one.fault)) {
            tracing::info!(
                reason = told.reason,
                message = told.message,
                "the database did not take everybody; they are tried again"
            );
        }
        let (broadcast, holder) = (self.broadcast, self.holder.clone());
        ReportWriteBacks { broadcast, holder, write_back: WriteBack::Sql(spec), done, refused, put_off }
    }
}
