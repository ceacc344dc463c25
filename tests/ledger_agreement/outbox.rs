//! What waits for the endpoint of a broadcast. Which events come is the ledgers' to say, of what may have happened; who gets
//! them, and when again, is said here.

use std::collections::BTreeMap;

use herald::api::NotificationEvent;
use herald::ledger::{NotificationKey, NotificationPage};

use super::model::Broadcast;

/// So long events belong to whom they were given.
const LEASE: i64 = 150;
/// Where the longest wish that a failing endpoint is asked to tell is reached.
const MOST_FAILURES: u32 = 7;
/// The most that are given at once.
const PAGE: usize = 16;
const DAY: i64 = 24 * 3_600;
/// What is refused for so long is given up.
const GIVE_UP_AFTER: i64 = 3 * DAY;
/// So is, by upkeep, what nobody could tell anything of.
const FORGOTTEN_AFTER: i64 = 4 * DAY;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Taken,
    Failed,
    Gone,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Event {
    happened_at: i64,
    holder: Option<usize>,
    lease: i64,
    not_before: i64,
    failures: u32,
    /// Whether it was taken, once that is decided.
    taken: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub struct Outbox {
    events: BTreeMap<NotificationKey, Event>,
    /// Nothing that waits for its endpoint is put off for longer.
    put_off: i64,
    is_gone: bool,
    /// Whether an event belongs to whom it was given.
    lends: bool,
}

impl Outbox {
    pub fn new(lends: bool) -> Outbox {
        Outbox { lends, ..Outbox::default() }
    }

    /// What is wrong with what a poster was given of this broadcast.
    pub fn take(
        &mut self,
        poster: usize,
        page: &NotificationPage,
        broadcast: &Broadcast,
        now: i64,
    ) -> Result<(), String> {
        let given: Vec<&NotificationKey> = page.notifications.iter().map(|one| &one.key).collect();
        for key in &given {
            match self.events.get(*key) {
                _ if self.is_gone => return Err(format!("{key:?} for an endpoint that is gone")),
                Some(event) if !event.may_be_given(poster, now) => return Err(format!("{key:?} is given: {event:?}")),
                None if !has_happened(key, broadcast) => return Err(format!("{key:?} has not happened")),
                _ => {}
            }
        }
        let owed = |(key, event): (&NotificationKey, &Event)| {
            let is_due = event.holder == Some(poster) || now >= self.put_off;
            (event.may_be_given(poster, now) && is_due && !given.contains(&key)).then(|| key.clone())
        };
        let missing: Vec<NotificationKey> = self.events.iter().filter_map(owed).collect();
        let begins = NotificationEvent::BroadcastStarted;
        let started = self.events.keys().chain(given.iter().copied()).any(|key| key.event == begins);
        // It may have been given up before anybody has seen it.
        let begins = broadcast.begun_at().is_some_and(|at| now < at + GIVE_UP_AFTER);
        let is_silent = begins && !started && !self.is_gone && now >= self.put_off;
        if given.len() < PAGE && (!missing.is_empty() || is_silent) {
            return Err(format!("only {given:?} are given, and not {missing:?}; started: {started}"));
        }
        for notification in &page.notifications {
            let happened_at = notification.happened_at.0 / 1_000_000_000;
            let event = self.events.entry(notification.key.clone()).or_default();
            if *event == Event::default() {
                event.happened_at = happened_at;
            } else if event.happened_at != happened_at {
                return Err(format!("{notification:?} has happened at {}", event.happened_at));
            }
            (event.holder, event.lease) = (Some(poster), if self.lends { now + LEASE } else { 0 });
        }
        Ok(())
    }

    /// One of those that were seen so far, and how long its endpoint asks to be left alone when it fails: as long as the
    /// ledger would wait at most, so that it is known. `None` when there is none, or it has failed too often for that.
    pub fn one_seen(&self, which: usize) -> Option<(NotificationKey, u64)> {
        let (key, event) = self.events.iter().nth(which % self.events.len().max(1))?;
        (event.failures < MOST_FAILURES).then(|| (key.clone(), 5_000 << event.failures))
    }

    pub fn report(&mut self, poster: usize, key: &NotificationKey, told: Told, now: i64) {
        let open = |event: &&mut Event| event.taken.is_none();
        match told {
            Told::Taken => {
                let event = self.events.get_mut(key).filter(|event| event.taken.is_none());
                event.into_iter().for_each(|event| event.settle(true));
            }
            Told::Gone => {
                self.is_gone = true;
                self.events.values_mut().filter(open).for_each(|event| event.settle(false));
            }
            Told::Failed => {
                let is_theirs = |event: &&mut Event| event.taken.is_none() && event.holder == Some(poster);
                if let Some(event) = self.events.get_mut(key).filter(is_theirs) {
                    event.not_before = now + (5 << event.failures);
                    event.failures += 1;
                    (event.holder, event.lease) = (None, 0);
                    self.put_off = self.put_off.max(event.not_before);
                    if now >= event.happened_at + GIVE_UP_AFTER {
                        event.settle(false);
                    }
                }
                // Whatever waits for it waits as long.
                let until = self.events.values().filter(|event| event.taken.is_none()).map(|event| event.not_before);
                let until = until.max().unwrap_or_default();
                let idle = |event: &&mut Event| event.taken.is_none() && event.holder.is_none();
                for event in self.events.values_mut().filter(idle) {
                    event.not_before = until;
                    if now >= event.happened_at + GIVE_UP_AFTER {
                        event.settle(false);
                    }
                }
            }
        }
    }

    /// What nobody has told anything of for too long is given up.
    pub fn forget(&mut self, now: i64) {
        let is_old = |event: &&mut Event| now >= event.happened_at + FORGOTTEN_AFTER && event.lease <= now;
        let open = self.events.values_mut().filter(|event| event.taken.is_none());
        open.filter(is_old).for_each(|event| event.settle(false));
    }

    pub fn everybody_is_dead(&mut self) {
        let open = self.events.values_mut().filter(|event| event.taken.is_none());
        open.for_each(|event| (event.holder, event.lease) = (None, 0));
    }

    /// How many were taken, of those that were seen.
    pub fn taken(&self) -> usize {
        self.events.values().filter(|event| event.taken == Some(true)).count()
    }
}

impl Event {
    fn may_be_given(&self, poster: usize, now: i64) -> bool {
        let is_free = self.not_before <= now && self.lease <= now;
        self.taken.is_none() && (is_free || self.holder == Some(poster))
    }

    fn settle(&mut self, taken: bool) {
        *self = Event { taken: Some(taken), ..Event::default() };
    }
}

fn has_happened(key: &NotificationKey, broadcast: &Broadcast) -> bool {
    match key.event {
        NotificationEvent::BatchCompleted => broadcast.was_complete(key.occurrence as usize),
        NotificationEvent::BroadcastStarted => broadcast.has_begun() && key.occurrence == 1,
        NotificationEvent::BroadcastFinished => broadcast.has_finished(),
        NotificationEvent::BroadcastSuspended | NotificationEvent::BroadcastStalled => key.occurrence >= 1,
    }
}
