//! Gives labels of a page to whom a broadcast was sent to, beside the sending and after it: call by call at the account's pace
//! for them, which the ledger keeps for all of its senders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::Request;
use tokio::time::{Instant, sleep, sleep_until};

use super::errand::{Errand, Page};
use super::transport::{Received, Transport};
use crate::api::{MessengerWriteBack, WriteBackTarget};
use crate::delivery::outcome::{Fault, Outcome, PermanentScope};
use crate::delivery::time::Span;
use crate::delivery::write_back::LABEL_INTERVAL;
use crate::ledger::{
    BroadcastId, LedgerError, Owed, PutOff, RefusedPerson, ReportWriteBacks, SenderLedger, TakeWriteBacks, WriteBack,
    WriteBackPage,
};
use crate::provider::label::Labels;
use crate::provider::{Answer, EncodeError, Provider};

/// Calls on the way at once: as many as the pace needs where an answer takes a while.
const AT_ONCE: usize = 4;
/// How long one call may take once connected: nobody waits for it.
const CALL_TIMEOUT: Span = Span::from_secs(10);
/// After so long a page is reported as far as it has come, well before its people may be given to others.
const LONGEST_PAGE: Duration = Duration::from_secs(60);
/// Pages of a list of labels that are read: a page has some dozens of labels, and Graph a limit of its own.
const MOST_LISTS: usize = 50;

/// The provider of the channel with its credentials, as they are now.
pub type ProviderNow = Arc<dyn Fn() -> Result<Arc<dyn Provider>, Fault> + Send + Sync>;

/// What labels people for one broadcast.
pub struct LabelErrand<L> {
    ledger: Arc<L>,
    broadcast: BroadcastId,
    /// Random, made at process start.
    holder: String,
    provider: ProviderNow,
    /// The ids of labels by name, as far as they are known.
    known: BTreeMap<String, String>,
}

/// What a page of people came to.
#[derive(Default)]
struct Labelled {
    done: Vec<i64>,
    refused: Vec<RefusedPerson>,
    put_off: Option<PutOff>,
}

/// Why a call was no success.
enum Failed {
    /// For everybody, for now.
    All(PutOff),
    /// Perhaps for this one alone.
    One(Fault),
}

impl<L: SenderLedger> LabelErrand<L> {
    pub fn new(ledger: Arc<L>, broadcast: BroadcastId, holder: String, provider: ProviderNow) -> LabelErrand<L> {
        LabelErrand { ledger, broadcast, holder, provider, known: BTreeMap::new() }
    }
}

impl<L: SenderLedger> Errand for LabelErrand<L> {
    const NAME: &'static str = "people to be labelled";

    async fn page(&mut self) -> Result<Page, LedgerError> {
        let target = WriteBackTarget::Messenger;
        let request = TakeWriteBacks { broadcast: self.broadcast, holder: self.holder.clone(), target };
        let page = self.ledger.take_write_backs(&request).await?;
        let taken = Instant::now();
        let WriteBackPage { now, write_back: Some(WriteBack::Messenger(spec)), people, .. } = page else {
            return Ok(Page::nothing(page.now, taken, page.next_at));
        };
        if people.is_empty() {
            return Ok(Page::nothing(now, taken, page.next_at));
        }
        let calls = people.len() * spec.labels.len();
        let Labelled { done, refused, put_off } = self.label(&spec, &people).await;
        if !refused.is_empty() || put_off.is_some() {
            // Perhaps it is the label that is gone.
            self.known.clear();
        }
        tracing::debug!(done = done.len(), refused = refused.len(), "people were labelled");
        if let Some(told) = put_off.as_ref().map(|put_off| &put_off.fault).or(refused.first().map(|one| &one.fault)) {
            tracing::info!(
                reason = told.reason,
                message = told.message,
                "not everybody was labelled; they are tried again"
            );
        }
        let (broadcast, holder, write_back) = (self.broadcast, self.holder.clone(), WriteBack::Messenger(spec));
        let report = ReportWriteBacks { broadcast, holder, write_back, done, refused, put_off };
        self.ledger.report_write_backs(&report).await?;
        sleep_until(taken + interval() * calls as u32).await;
        Ok(Page::Done)
    }
}

fn interval() -> Duration {
    LABEL_INTERVAL.to_duration()
}

impl<L: SenderLedger> LabelErrand<L> {
    async fn label(&mut self, spec: &MessengerWriteBack, people: &[Owed]) -> Labelled {
        let put_off = |put_off| Labelled { put_off: Some(put_off), ..Labelled::default() };
        let account = match self.account().await {
            Ok(account) => account,
            Err(fault) => return put_off(PutOff { fault, retry_after_ms: None }),
        };
        let Some(labels) = account.provider.labels() else {
            let fault = Fault::new("WriteBackRefused", None, "the channel's provider has no labels");
            return put_off(PutOff { fault, retry_after_ms: None });
        };
        match self.ids(&account, labels, &spec.labels).await {
            Ok(ids) => account.assign_all(labels, &ids, people).await,
            Err(Failed::All(why)) => put_off(why),
            Err(Failed::One(fault)) => put_off(PutOff { fault, retry_after_ms: None }),
        }
    }

    async fn account(&self) -> Result<Account, Fault> {
        let make = self.provider.clone();
        // A Secret is a file, which may be slow.
        let made = tokio::task::spawn_blocking(move || make()).await;
        let provider = made
            .unwrap_or_else(|_| Err(Fault::new("SecretKeyUnusable", None, "reading the channel's Secret broke off")))?;
        // One of its own: the connections of messages are opened ahead for them.
        let transport = Transport::new(provider.endpoint());
        let transport = transport.map_err(|error| Fault::new("WriteBackUnreachable", None, error.to_string()))?;
        Ok(Account { provider, transport })
    }

    /// The ids of these labels, in their order. Those that the page does not have are made.
    async fn ids(&mut self, account: &Account, labels: &dyn Labels, names: &[String]) -> Result<Vec<String>, Failed> {
        if names.iter().any(|name| !self.known.contains_key(name)) {
            self.list(account, labels).await?;
        }
        for name in names.iter().filter(|name| !self.known.contains_key(*name)).cloned().collect::<Vec<_>>() {
            sleep(interval()).await;
            let id = account.ask(labels.create(&name), |answer| labels.created(answer)).await?;
            self.known.insert(name, id);
        }
        Ok(names.iter().filter_map(|name| self.known.get(name).cloned()).collect())
    }

    async fn list(&mut self, account: &Account, labels: &dyn Labels) -> Result<(), Failed> {
        let mut after = None;
        for _ in 0..MOST_LISTS {
            let asked = labels.list(after.as_deref());
            let listed = account.ask(asked, |answer| labels.listed(answer)).await?;
            for (id, name) in listed.labels {
                // Of several of one name the first one listed is it, for every sender.
                self.known.entry(name).or_insert(id);
            }
            after = listed.after;
            if after.is_none() {
                break;
            }
            sleep(interval()).await;
        }
        Ok(())
    }
}

/// The account of the channel, and a way to it.
struct Account {
    provider: Arc<dyn Provider>,
    transport: Transport,
}

impl Account {
    async fn ask<T>(
        &self,
        request: Result<Request<Bytes>, EncodeError>,
        read: impl Fn(&Answer<'_>) -> Result<T, Outcome>,
    ) -> Result<T, Failed> {
        let request = request.map_err(|error| Failed::One(Fault::new("WriteBackFailed", None, error.to_string())))?;
        let answered = self.transport.ask(request, CALL_TIMEOUT).await;
        answered.and_then(|received: Received| read(&received.answer())).map_err(failed)
    }

    async fn assign(&self, labels: &dyn Labels, at: Instant, owed: &Owed, id: &str) -> (i64, Result<(), Failed>) {
        sleep_until(at).await;
        let assigned = self.ask(labels.assign(id, &owed.recipient), |answer| labels.assigned(answer)).await;
        (owed.seq, assigned)
    }

    /// Gives each of them every label, until something is wrong for everybody or it has taken long.
    async fn assign_all(&self, labels: &dyn Labels, ids: &[String], people: &[Owed]) -> Labelled {
        let begun = Instant::now();
        let mut calls = Vec::new();
        for owed in people {
            for id in ids {
                let at = begun + interval() * calls.len() as u32;
                calls.push(self.assign(labels, at, owed, id));
            }
        }
        let mut answers = futures::stream::iter(calls).buffered(AT_ONCE);
        let mut labelled = Labelled::default();
        let mut given: BTreeMap<i64, usize> = BTreeMap::new();
        while let Some((seq, assigned)) = answers.next().await {
            match assigned {
                Ok(()) => *given.entry(seq).or_default() += 1,
                Err(Failed::One(fault)) if labelled.refused.last().is_none_or(|last| last.seq != seq) => {
                    labelled.refused.push(RefusedPerson { seq, fault });
                }
                Err(Failed::One(_)) => {}
                Err(Failed::All(why)) => {
                    labelled.put_off = Some(why);
                    break;
                }
            }
            if begun.elapsed() > LONGEST_PAGE {
                break;
            }
        }
        labelled.done = given.into_iter().filter(|(_, count)| *count == ids.len()).map(|(seq, _)| seq).collect();
        labelled
    }
}

/// What an answer that is no yes means for the others.
fn failed(outcome: Outcome) -> Failed {
    let all = |fault, retry_after_ms| Failed::All(PutOff { fault, retry_after_ms });
    match outcome {
        Outcome::Permanent { scope: PermanentScope::Recipient | PermanentScope::OptedOut, fault }
        // Of this call alone there is only one parameter that differs from those that were taken.
        | Outcome::Permanent { scope: PermanentScope::Message, fault }
        | Outcome::Transient { fault, .. } => Failed::One(fault),
        Outcome::Throttled { retry_after_ms, fault, .. } => all(fault, retry_after_ms),
        Outcome::Auth { fault } | Outcome::Blocked { fault } => all(fault, None),
        // Once more is as good as once, so nobody needs to know what became of it; a provider that does not answer is not there.
        Outcome::Unknown { fault } if fault.reason == super::transport::NO_ANSWER => unreachable(fault),
        Outcome::Unknown { fault } => Failed::One(fault),
        Outcome::NotSent { fault } => unreachable(fault),
        Outcome::Accepted { .. } | Outcome::NotBegun => {
            Failed::One(Fault::new("WriteBackFailed", None, "the answer is of another kind"))
        }
    }
}

fn unreachable(fault: Fault) -> Failed {
    Failed::All(PutOff { fault: Fault { reason: "WriteBackUnreachable".to_owned(), ..fault }, retry_after_ms: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::outcome::ThrottleScope;

    fn of(outcome: Outcome) -> (bool, String, Option<u64>) {
        match failed(outcome) {
            Failed::One(fault) => (false, fault.reason, None),
            Failed::All(PutOff { fault, retry_after_ms }) => (true, fault.reason, retry_after_ms),
        }
    }

    #[test]
    fn what_one_call_meets_holds_up_others_only_where_they_would_meet_it_too() {
        let fault = |reason: &str| Fault::new(reason, None, "words");
        let one = |reason: &str| (false, reason.to_owned(), None);
        let all = |reason: &str, wish| (true, reason.to_owned(), wish);
        let permanent = |scope| Outcome::Permanent { scope, fault: fault("WrongPage") };
        assert_eq!(of(permanent(PermanentScope::Recipient)), one("WrongPage"));
        assert_eq!(of(permanent(PermanentScope::Message)), one("WrongPage"));
        assert_eq!(of(Outcome::Transient { cap: None, fault: fault("Temporary") }), one("Temporary"));
        assert_eq!(of(Outcome::Unknown { fault: fault("UnreadableAnswer") }), one("UnreadableAnswer"));
        assert_eq!(of(Outcome::Unknown { fault: fault("NoAnswer") }), all("WriteBackUnreachable", None));
        assert_eq!(of(Outcome::NotSent { fault: fault("NotSent") }), all("WriteBackUnreachable", None));
        assert_eq!(of(Outcome::Auth { fault: fault("TokenInvalid") }), all("TokenInvalid", None));
        assert_eq!(of(Outcome::Blocked { fault: fault("TemporarilyBlocked") }), all("TemporarilyBlocked", None));
        let throttled = Outcome::Throttled {
            scope: ThrottleScope::Account,
            retry_after_ms: Some(9),
            fault: fault("PageRateLimit"),
        };
        assert_eq!(of(throttled), all("PageRateLimit", Some(9)));
    }
}
