//! Gives labels of a page to whom a broadcast was sent to, beside the sending and after it: call by call at the account's pace
//! for them, within the time that the ledger gives to one of its senders after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::Request;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::errand::{Errand, Page};
use super::transport::{Received, Transport};
use crate::api::{MessengerWriteBack, WriteBackTarget};
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::time::Span;
use crate::delivery::write_back::LABEL_INTERVAL;
use crate::ledger::{
    BroadcastId, LedgerError, Owed, PutOff, RefusedPerson, ReportWriteBacks, SenderLedger, TakeWriteBacks, WriteBack,
    WriteBackPage,
};
use crate::provider::label::{Labels, ListedLabels};
use crate::provider::{Answer, EncodeError, Provider};

/// Calls on the way at once: as many as the pace needs where an answer takes a while.
const AT_ONCE: usize = 4;
/// How long one call may take once connected: nobody waits for it.
const CALL_TIMEOUT: Span = Span::from_secs(10);
/// Pages of a list of labels that are read: a page has some dozens of labels, and Graph a limit of its own.
const MOST_LISTS: usize = 50;
/// A label is made only where so much is left of the time that the account is this sender's for its calls: whoever has it next sees
/// the label then, and makes none of the same name. An answer comes sooner, and `LABEL_WINDOW` has room for the list before it.
const CREATE_WITHIN: Duration = Duration::from_secs(2);

/// The provider of the channel with its credentials, as they are now.
pub type ProviderNow = Arc<dyn Fn() -> Result<Arc<dyn Provider>, Fault> + Send + Sync>;

/// What labels people for one broadcast.
pub struct LabelErrand<L> {
    ledger: Arc<L>,
    broadcast: BroadcastId,
    /// Random, made at process start.
    holder: String,
    provider: ProviderNow,
    known: KnownLabels,
}

/// The labels of the page, as far as they are known.
#[derive(Default)]
struct KnownLabels {
    /// Ids by name.
    ids: BTreeMap<String, String>,
    /// Where the list goes on: one that is long is gone through in the time of several pages.
    after: Option<String>,
    /// So much of the list was read.
    lists: usize,
    is_whole: bool,
    /// It was begun in the time that this page has: nobody has made a label since.
    is_fresh: bool,
    /// It was begun anew for a label that it lacked.
    is_read_again: bool,
}

impl KnownLabels {
    fn add(&mut self, listed: ListedLabels) {
        for (id, name) in listed.labels {
            // Of several of one name the first one listed is it, for every sender.
            self.ids.entry(name).or_insert(id);
        }
        self.lists += 1;
        self.is_whole = listed.after.is_none() || self.lists == MOST_LISTS;
        self.after = listed.after;
    }

    /// The list is looked at from the beginning where a label is missing again.
    fn begin_anew(&mut self) {
        (self.after, self.lists, self.is_whole) = (None, 0, false);
        (self.is_fresh, self.is_read_again) = (true, false);
    }

    /// Another page has begun, after time that was others': what was read of the list before may be out of date.
    fn go_on(&mut self) {
        self.is_fresh = self.lists == 0;
    }

    /// Whether a list that lacks a label is begun anew before the label is made. One that is too long to be read and leave time to
    /// make the label is gone by as it is the second time: else the label would never be made.
    fn begin_anew_if_stale(&mut self) -> bool {
        if self.is_fresh || self.is_read_again {
            return false;
        }
        self.begin_anew();
        self.is_read_again = true;
        true
    }

    fn lacks_any(&self, names: &[String]) -> bool {
        names.iter().any(|name| !self.ids.contains_key(name))
    }

    /// The ids of these labels, in their order. Those that the page does not have are made.
    async fn ids(&mut self, account: &Account, labels: &dyn Labels, names: &[String]) -> Result<Vec<String>, Failed> {
        self.go_on();
        loop {
            while self.lacks_any(names) && !self.is_whole {
                let asked = labels.list(self.after.as_deref());
                self.add(account.ask(asked, |answer| labels.listed(answer)).await?);
            }
            if !self.lacks_any(names) || !self.begin_anew_if_stale() {
                break;
            }
        }
        for name in names {
            if !self.ids.contains_key(name) {
                let id = account.create(labels, name).await?;
                self.ids.insert(name.clone(), id);
            }
        }
        self.begin_anew();
        Ok(names.iter().filter_map(|name| self.ids.get(name).cloned()).collect())
    }
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
    /// It was not made: the time of the page is over.
    Over,
}

/// The time that a page has for its calls, of whatever kind: one after another at the account's pace, and none later.
struct Turns {
    next: Mutex<Instant>,
    end: Instant,
}

impl Turns {
    fn until(end: Instant) -> Turns {
        Turns { next: Mutex::new(Instant::now()), end }
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Waits for the next turn; `false` where there is none any more. Turns that are missed are not made up for.
    async fn next(&self) -> bool {
        let mut next = self.next.lock().await;
        if *next >= self.end {
            return false;
        }
        sleep_until(*next).await;
        let now = Instant::now();
        *next = now + LABEL_INTERVAL.to_duration();
        now < self.end
    }
}

impl<L: SenderLedger> LabelErrand<L> {
    pub fn new(ledger: Arc<L>, broadcast: BroadcastId, holder: String, provider: ProviderNow) -> LabelErrand<L> {
        LabelErrand { ledger, broadcast, holder, provider, known: KnownLabels::default() }
    }
}

impl<L: SenderLedger> Errand for LabelErrand<L> {
    const NAME: &'static str = "people to be labelled";

    async fn page(&mut self) -> Result<Page, LedgerError> {
        let target = WriteBackTarget::Messenger;
        let request = TakeWriteBacks { broadcast: self.broadcast, holder: self.holder.clone(), target };
        let asked = Instant::now();
        let page = self.ledger.take_write_backs(&request).await?;
        let WriteBackPage { now, write_back: Some(WriteBack::Messenger(spec)), people, calls_until, .. } = page else {
            return Ok(Page::nothing(page.now, Instant::now(), page.next_at));
        };
        let Some(calls_until) = calls_until.filter(|_| !people.is_empty()) else {
            return Ok(Page::nothing(now, Instant::now(), page.next_at));
        };
        // Before the ledger's answer was even asked for: it is over in time for others.
        let turns = Turns::until(asked + (calls_until - now).to_duration());
        let Labelled { done, refused, put_off } = self.label(&spec, &people, turns).await;
        if !refused.is_empty() || put_off.is_some() {
            // Perhaps it is the label that is gone.
            self.known = KnownLabels::default();
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
        Ok(Page::Done)
    }
}

impl<L: SenderLedger> LabelErrand<L> {
    async fn label(&mut self, spec: &MessengerWriteBack, people: &[Owed], turns: Turns) -> Labelled {
        let put_off = |put_off| Labelled { put_off: Some(put_off), ..Labelled::default() };
        let account = match self.account(turns).await {
            Ok(account) => account,
            Err(fault) => return put_off(PutOff { fault, retry_after_ms: None }),
        };
        let Some(labels) = account.provider.labels() else {
            let fault = Fault::new("WriteBackRefused", None, "the channel's provider has no labels");
            return put_off(PutOff { fault, retry_after_ms: None });
        };
        match self.known.ids(&account, labels, &spec.labels).await {
            Ok(ids) => account.assign_all(labels, &ids, people).await,
            Err(Failed::All(why)) => put_off(why),
            Err(Failed::One(fault)) => put_off(PutOff { fault, retry_after_ms: None }),
            Err(Failed::Over) => Labelled::default(),
        }
    }

    async fn account(&self, turns: Turns) -> Result<Account, Fault> {
        let make = self.provider.clone();
        // A Secret is a file, which may be slow.
        let made = tokio::task::spawn_blocking(move || make()).await;
        let provider = made
            .unwrap_or_else(|_| Err(Fault::new("SecretKeyUnusable", None, "reading the channel's Secret broke off")))?;
        // One of its own: the connections of messages are opened ahead for them.
        let transport = Transport::new(provider.endpoint());
        let transport = transport.map_err(|error| Fault::new("WriteBackUnreachable", None, error.to_string()))?;
        Ok(Account { provider, transport, turns })
    }
}

/// The account of the channel, and a way to it.
struct Account {
    provider: Arc<dyn Provider>,
    transport: Transport,
    turns: Turns,
}

impl Account {
    /// Each call takes its turn, whatever it asks for.
    async fn ask<T>(
        &self,
        request: Result<Request<Bytes>, EncodeError>,
        read: impl Fn(&Answer<'_>) -> Result<T, Outcome>,
    ) -> Result<T, Failed> {
        let request = request.map_err(|error| Failed::One(Fault::new("WriteBackFailed", None, error.to_string())))?;
        if !self.turns.next().await {
            return Err(Failed::Over);
        }
        let answered = self.transport.ask(request, CALL_TIMEOUT).await;
        answered.and_then(|received: Received| read(&received.answer())).map_err(failed)
    }

    /// Makes a label, where whoever has the account next is sure to see it.
    async fn create(&self, labels: &dyn Labels, name: &str) -> Result<String, Failed> {
        if self.turns.left() < CREATE_WITHIN {
            return Err(Failed::Over);
        }
        let created = self.ask(labels.create(name), |answer| labels.created(answer));
        timeout_at(self.turns.end, created).await.unwrap_or(Err(Failed::Over))
    }

    async fn assign(&self, labels: &dyn Labels, owed: &Owed, id: &str) -> (i64, Result<(), Failed>) {
        let assigned = self.ask(labels.assign(id, &owed.recipient), |answer| labels.assigned(answer)).await;
        (owed.seq, assigned)
    }

    /// Gives each of them every label, until something is wrong for everybody or the time of the page is over.
    async fn assign_all(&self, labels: &dyn Labels, ids: &[String], people: &[Owed]) -> Labelled {
        let mut calls = Vec::new();
        for owed in people {
            for id in ids {
                calls.push(self.assign(labels, owed, id));
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
                Err(Failed::Over) => break,
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
        // Where it is the message that is refused: there is only one parameter that differs from those that were taken.
        Outcome::Permanent { fault, .. } | Outcome::Transient { fault, .. } | Outcome::AttachmentGone { fault } => {
            Failed::One(fault)
        }
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
#[path = "label_write_back_tests.rs"]
mod tests;
