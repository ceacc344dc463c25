//! One exchange: record, renew, take, reserve, in one transaction.

use super::claim::{Asking, BetweenParts, Survey};
use super::opened::{self, Opened};
use super::rate_class::Passage;
use super::record::{Evidence, record};
use super::rows::{self, BroadcastRow, SenderRow};
use super::store::Store;
use super::value::args;
use super::zones::{Zones, ZonesNow};
use super::{loss, take};
use crate::delivery::gate::Closed;
use crate::delivery::pacing::{self, Ask, GUARD, Offer, Slots};
use crate::delivery::rate_class::{self, RateClass};
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::{
    Assignment, Directive, ExchangeReply, ExchangeRequest, MAX_REPORTS, PlannedContent, START_TOLERANCE,
};

/// When everybody is in backoff or held by other senders, ask again after this long.
const LOOK_AGAIN: Span = Span::from_millis(500);

/// The state of one exchange while its transaction runs.
pub struct Turn<'a, S> {
    pub store: &'a mut S,
    pub broadcast: BroadcastRow,
    pub zones: Zones,
    pub sender: SenderRow,
    pub survey: Survey,
    /// What of its message has a ceiling of its own.
    pub class: Option<RateClass>,
    pub number: u64,
    /// Somebody was sent to who is to be written down elsewhere.
    pub owes: bool,
    pub now: Timestamp,
}

type Answer = Result<ExchangeReply, LedgerError>;

/// What a sender gets.
struct Given {
    rows: Vec<Assignment>,
    directive: Directive,
    /// See [`ExchangeReply::more_at`].
    more_at: Option<Timestamp>,
}

impl From<Directive> for Given {
    fn from(directive: Directive) -> Given {
        Given { rows: Vec::new(), directive, more_at: None }
    }
}

pub async fn exchange<S: Store>(store: &mut S, request: &ExchangeRequest) -> sqlx::Result<Answer> {
    let Some(opened) = opened::open(store, request.broadcast, &request.holder).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    let Opened { mut broadcast, sender, now } = opened;
    let mut sender = match sender {
        Some(sender) => sender,
        None => rows::introduce(store, broadcast.id, &request.holder, &request.display).await?,
    };
    if let Err(refused) = admit(&sender, request) {
        return Ok(Err(refused));
    }
    let repeated = request.number == sender.last_number as u64;

    if request.retry_credentials && !repeated {
        broadcast.account.stopped_message = None;
    }
    // A repeated request's outcomes change nothing the second time: their attempts are decided or superseded.
    let sent_before = broadcast.counts.sent;
    let recorded = record(store, &mut broadcast, &request.outcomes, now, Evidence::Seen).await?;
    let owes = broadcast.write_backs.is_some() && broadcast.counts.sent > sent_before;
    sender.proven |= recorded.proof;
    if request.held_up {
        broadcast.held_up_at = Some(now.0);
    }

    loss::heard_of(store, &mut broadcast, request.known_revision).await?;

    let mut braked = recorded.braked;
    if let Some(usage) = request.usage.as_ref().filter(|_| !repeated) {
        braked |= broadcast.tell_usage(usage, now);
    }
    let asking = Asking { braked, ..asking(&broadcast, &sender, request.number, now) };
    let zones = broadcast.zones()?;
    let class = broadcast.rate_class()?;
    let open = (broadcast.parts() > 1).then(|| zones.at(now, START_TOLERANCE).open);
    let of_class: Vec<i64> = class.iter().flat_map(|class| &class.parts).map(|part| i64::from(*part)).collect();
    let most = class.as_ref().map_or(0, |class| i64::from(class.most_waiting()) + 1);
    let between = open.as_deref().map(|zones| BetweenParts { zones, class: &of_class, most });
    let survey = store.survey(&asking, between).await?;
    let mut turn = Turn { store, broadcast, zones, sender, survey, class, number: request.number, owes, now };
    if braked {
        turn.give_slots_again();
    }
    let given = if repeated { turn.repeat().await? } else { turn.serve(request).await? };
    if request.leaving {
        turn.hand_back().await?;
    }
    turn.reply(request, given).await.map(Ok)
}

fn asking(broadcast: &BroadcastRow, sender: &SenderRow, number: u64, now: Timestamp) -> Asking {
    Asking {
        broadcast: broadcast.id,
        account: broadcast.account_id,
        sender: sender.id,
        proven: sender.proven,
        request: number as i64,
        now,
        braked: false,
        allowed: broadcast.allowed(),
        reply_window: broadcast.reply_window.map(Span),
        notifies: broadcast.notifications.is_some(),
        classes: broadcast.class_rate().is_some(),
    }
}

/// What may be done with an offer.
enum Usable {
    Slots(Slots, ZonesNow),
    Wait { until: Timestamp, hungry: bool },
}

/// The slots by which something can be begun before an instant.
fn until(instant: Timestamp, slots: Slots) -> Option<Slots> {
    let room = instant - START_TOLERANCE - slots.first;
    if room < Span::ZERO {
        return None;
    }
    let count = i64::from(slots.count).min(room.0 / slots.interval.0.max(1) + 1);
    Some(Slots { count: count as u32, ..slots })
}

fn admit(sender: &SenderRow, request: &ExchangeRequest) -> Result<(), LedgerError> {
    let last = sender.last_number as u64;
    if request.number < last || request.number == 0 {
        return Err(LedgerError::StaleRequest { number: request.number, last });
    }
    if sender.closed && request.number != last {
        return Err(LedgerError::SenderClosed);
    }
    if request.outcomes.len() > MAX_REPORTS {
        return Err(LedgerError::RequestTooLarge { limit: MAX_REPORTS });
    }
    Ok(())
}

impl<S: Store> Turn<'_, S> {
    pub fn asking(&self) -> Asking {
        asking(&self.broadcast, &self.sender, self.number, self.now)
    }

    /// The answer to a request that was answered before: the same recipients and attempts. New slots where the old have
    /// passed, if there are any; never anything released, since the first answer may have arrived after all.
    async fn repeat(&mut self) -> sqlx::Result<Given> {
        let mut given = take::given_before(self).await?;
        let (earliest, inactive_since) = (self.now + pacing::GUARD, self.asking().inactive_since_now());
        let passed = given.iter().filter(|one| one.may_move(earliest, inactive_since)).count() as u32;
        if passed > 0 && self.broadcast.gate().closed(self.now).is_none() {
            let ask = self.ask(passed);
            if let Usable::Slots(slots, zones) = self.usable(&ask) {
                let class_from = self.class.as_ref().and_then(|class| match self.offer_of_class(class.rate) {
                    Offer::Slots(offered) => Some(offered.first),
                    Offer::Wait { .. } => None,
                });
                let moved = take::move_slots(self, &mut given, &slots, &zones, class_from).await?;
                if !moved.is_empty() {
                    self.book(&ask, &slots, moved.len() as u32, true);
                    self.book_of_class(moved.iter().map(|(part, slot)| (*part, *slot)));
                }
            }
        }
        let closed = self.broadcast.gate().closed(self.now);
        let rows = given.into_iter().map(|one| one.assignment).collect();
        let directive = closed.map_or(Directive::Continue, |reason| self.stop_or_wait(reason));
        Ok(Given { rows, directive, more_at: None })
    }

    async fn serve(&mut self, request: &ExchangeRequest) -> sqlx::Result<Given> {
        if let Some(reason) = self.broadcast.gate().closed(self.now) {
            return Ok(self.stop_or_wait(reason).into());
        }
        if request.wants == 0 || request.leaving {
            return Ok(Directive::Continue.into());
        }
        let ask = self.ask(request.wants);
        let (slots, zones) = match self.usable(&ask) {
            Usable::Slots(slots, zones) => (slots, zones),
            Usable::Wait { until, hungry } => {
                self.leave(&ask, until, hungry);
                return Ok(self.wait(until));
            }
        };
        let (slots, lanes) = match self.pass(&ask, slots) {
            Passage::Open(slots, lanes) => (slots, lanes),
            Passage::Closed { until } => {
                self.leave(&ask, until, false);
                return Ok(self.wait(until));
            }
        };
        let sought = lanes.as_ref().is_some_and(|lanes| !lanes.narrow.is_empty());
        let (rows, due) = take::take(self, &slots, &zones, lanes).await?;
        if sought {
            self.book_of_class(rows.iter().map(|row| (row.part, row.slot)));
        }
        let Some(last) = rows.last() else {
            let until = self.look_again_at(due);
            self.leave(&ask, until, false);
            return Ok(self.wait(until));
        };
        let used = rate_class::place(&slots, last.slot) + 1;
        let more = used == slots.count && request.wants > used;
        self.book(&ask, &slots, used, more);
        if self.class.is_some() && !more {
            // It waits for its rate class, or for nobody: to count as hungry it would hold up the others of the account.
            self.broadcast.flow_hungry_until = self.now.0;
        }
        let more_at = self.more_at(&slots, used);
        self.broadcast.first_attempt_at.get_or_insert(self.now.0);
        self.broadcast.trouble_reason = None;
        Ok(Given { rows, directive: Directive::Continue, more_at })
    }

    /// Who waits for the rate class asks then, whatever it holds until later.
    fn wait(&self, until: Timestamp) -> Given {
        Given { rows: Vec::new(), directive: Directive::Wait { until }, more_at: self.class.is_some().then_some(until) }
    }

    /// Books what was given of the rate class: one request of it at most.
    fn book_of_class(&mut self, mut given: impl Iterator<Item = (u32, Timestamp)>) {
        if let Some(class) = self.class.clone() {
            let slot = given.find(|(part, _)| class.holds(*part)).map(|(_, slot)| slot);
            self.book_class(&class, slot);
        }
    }

    /// The slots that pacing offers, as far as somebody may be messaged at them, and in which zones. End and quiet hours are
    /// judged for the slots' time, not for now: slots by which nothing could be begun before the end are left, and so are those
    /// after one of the zones has become quiet.
    fn usable(&self, ask: &Ask) -> Usable {
        let offer = match pacing::offer(&self.broadcast.pace(), &self.broadcast.flow(), &self.survey.rivals, ask) {
            Offer::Slots(slots) => Offer::Slots(self.on_time_for_class(slots)),
            wait => wait,
        };
        let first = match offer {
            Offer::Slots(slots) => slots.first,
            Offer::Wait { until, .. } => until,
        };
        let end = self.broadcast.end_at.map_or(Timestamp::NEVER, Timestamp);
        let zones = self.zones.at(first, START_TOLERANCE);
        // Who waits for the end of quiet hours does not wait for slots: others of the account get them.
        if let Some(until) = zones.opens().filter(|_| zones.open.is_empty()) {
            return Usable::Wait { until: until.min(end), hungry: false };
        }
        match offer {
            Offer::Wait { until, hungry } => Usable::Wait { until, hungry },
            Offer::Slots(slots) => match until(end.min(zones.closes), slots) {
                Some(slots) => Usable::Slots(slots, zones),
                None => Usable::Wait { until: end, hungry: false },
            },
        }
    }

    fn stop_or_wait(&self, reason: Closed) -> Directive {
        match (reason, self.broadcast.start_at) {
            (Closed::NotPlanned, _) if self.broadcast.is_being_planned(self.now) => {
                Directive::Wait { until: self.now + LOOK_AGAIN }
            }
            (Closed::NotPlanned, _) => Directive::Plan,
            (Closed::Scheduled, Some(start)) => Directive::Wait { until: Timestamp(start) },
            _ => Directive::Stop { reason },
        }
    }

    /// When somebody may be there to take. Who is in flight at another sender may come back at any time.
    fn look_again_at(&self, due: Option<Timestamp>) -> Timestamp {
        let soon = self.now + LOOK_AGAIN;
        match due {
            Some(due) if self.broadcast.counts().inflight == 0 => due.max(soon),
            _ => soon,
        }
    }

    fn ask(&self, want: u32) -> Ask {
        let mut brake = self.broadcast.brake();
        brake.clamp(self.now);
        let own = self.broadcast.own_rate().map(|rate| rate.interval());
        // A message that is all of the rate class is never sent quicker than that.
        let class = self.class.as_ref().filter(|class| class.is_all_of(self.broadcast.parts()));
        let own = own.max(class.map(|class| class.rate.interval()));
        // At the slots that are given away, which may be most of a second ahead: what the brake remembers of them later is the
        // factor of their own time.
        let first = self.broadcast.pace().next_slot.max(self.now + GUARD).max(brake.hold_until);
        let interval = brake.interval(self.broadcast.ceiling(), first);
        Ask {
            now: self.now,
            want,
            interval,
            own_interval: own.filter(|own| *own > interval),
            hold_until: brake.hold_until,
            rejoins: self.class.is_some(),
        }
    }

    /// A sender gives back what it holds when it is throttled. The slots after those that anybody still has are free then:
    /// else the account would stand still until they have passed.
    fn give_slots_again(&mut self) {
        let mut pace = self.broadcast.pace();
        let mut brake = self.broadcast.brake();
        let after_last = self.survey.last_slot.map_or(self.now, |last| last + self.broadcast.ceiling().interval());
        let free = after_last.max(self.now);
        if free < pace.next_slot {
            pace.next_slot = free;
            brake.pull_in(free);
            self.broadcast.set_pace(&pace);
            self.broadcast.set_brake(&brake);
        }
    }

    fn book(&mut self, ask: &Ask, slots: &Slots, taken: u32, more: bool) {
        let (mut pace, mut flow) = (self.broadcast.pace(), self.broadcast.flow());
        pacing::take(&mut pace, &mut flow, &self.survey.rivals, ask, slots, taken, more);
        self.broadcast.set_pace(&pace);
        self.broadcast.set_flow(&flow);
    }

    fn leave(&mut self, ask: &Ask, until: Timestamp, hungry: bool) {
        let (mut pace, mut flow) = (self.broadcast.pace(), self.broadcast.flow());
        pacing::leave(&mut pace, &mut flow, &self.survey.rivals, ask, until, hungry);
        self.broadcast.set_pace(&pace);
        self.broadcast.set_flow(&flow);
        let mut brake = self.broadcast.brake();
        brake.clamp(self.now);
        self.broadcast.set_brake(&brake);
    }

    async fn hand_back(&mut self) -> sqlx::Result<()> {
        self.store
            .run(
                "UPDATE batch SET sender_id = NULL, lease_until = 0 WHERE broadcast_id = $1 AND sender_id = $2",
                args![self.broadcast.id, self.sender.id],
            )
            .await?;
        self.survey.held = None;
        self.sender.closed = true;
        Ok(())
    }

    async fn reply(mut self, request: &ExchangeRequest, given: Given) -> sqlx::Result<ExchangeReply> {
        let Given { rows, directive, more_at } = given;
        self.sender.last_number = self.number as i64;
        self.broadcast.save(self.store, Some(&self.sender), self.now).await?;
        let ask = self.ask(1);
        let holders = self.survey.others + i64::from(self.survey.held.is_some());
        let plan = self.broadcast.plan_epoch;
        let content = if rows.is_empty() || request.content_of == Some(plan) {
            None
        } else {
            let content = rows::parsed(&self.broadcast.content)?;
            Some(PlannedContent { plan, content })
        };
        Ok(ExchangeReply {
            now: self.now,
            revision: self.broadcast.revision,
            rows,
            interval: ask.own_interval.unwrap_or(ask.interval),
            turn: pacing::turn(&self.broadcast.flow(), &self.survey.rivals, &ask, holders.max(1) as u32),
            request_timeout: self.broadcast.request_timeout(),
            directive,
            more_at,
            content,
            notifications: self.survey.notifications || !self.broadcast.news.is_empty(),
            owes: self.owes,
        })
    }
}
