//! Who is to be written down elsewhere of those a message was sent to. How long somebody waits who was refused is drawn by
//! each ledger for itself, so only its bounds are known here: nothing is asked that would hang on it.

use std::collections::BTreeMap;

use herald::api::WriteBackTarget;
use herald::delivery::time::Span;
use herald::ledger::{Owed, WriteBackPage, WrittenBack};

use super::declarations;
use super::model::{Model, Rule};

/// Of a Messenger target: each is a call for everybody.
pub const LABELS: i64 = 5;
/// So many calls are given at once, and so many seconds they are that one sender's.
const CALLS: i64 = 50;
const WINDOW: i64 = 5;
/// So long people belong to whom they were given.
const LEASE: i64 = 150;
/// So often somebody is refused for themselves.
const TRIES: u32 = 5;
/// So many may be refused since somebody was taken, before it is the target that is to blame.
const FEW: usize = 5;
const DAY: i64 = 24 * 3_600;
const GIVE_UP_AFTER: i64 = 3 * DAY;
const FORGOTTEN_AFTER: i64 = 4 * DAY;
/// The longest wish of a target that is followed.
const LONGEST_WISH: i64 = 15 * 60;

/// The longest wait after so many failures.
fn longest(earlier: u32, limit: i64) -> i64 {
    limit.min(5 << earlier.min(30))
}

fn longest_of_target(failures: u32) -> i64 {
    longest(failures, 6 * 3_600)
}

fn longest_of_person(tries: u32) -> i64 {
    longest(tries.max(1) - 1, 15 * 60)
}

/// Which targets a broadcast names, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub messenger: bool,
    pub sql: bool,
    pub edition: u8,
}

impl Named {
    pub fn targets(self) -> impl Iterator<Item = WriteBackTarget> {
        let is_named = move |target: &WriteBackTarget| match target {
            WriteBackTarget::Messenger => self.messenger,
            WriteBackTarget::Sql => self.sql,
        };
        WriteBackTarget::ALL.into_iter().filter(is_named)
    }

    fn names(self, target: WriteBackTarget) -> bool {
        self.targets().any(|named| named == target)
    }
}

/// What becomes of one person of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Done,
    Refused,
    Nothing,
}

/// What is told of people that were taken.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub edition: u8,
    pub done: Vec<usize>,
    pub refused: Vec<usize>,
    pub put_off: bool,
}

/// Why somebody was last not written: the codes of the faults.
pub const OF_PERSON: &str = "person";
pub const OF_TARGET: &str = "target";

/// A wait that ends between these two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wait {
    from: i64,
    to: i64,
}

impl Wait {
    fn is_over(self, now: i64) -> bool {
        self.to <= now
    }

    fn is_known(self, now: i64) -> bool {
        self.from == self.to || self.to <= now
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Debt {
    tries: u32,
    wait: Wait,
    was_refused: bool,
}

/// One target of a broadcast.
#[derive(Clone, Debug)]
struct Target {
    edition: u8,
    owed: BTreeMap<usize, Debt>,
    done: i64,
    failed: i64,
    /// When somebody was last written, or became owed, or it was named otherwise.
    moved_at: i64,
    holder: Option<usize>,
    lease: i64,
    /// In a row, for everybody.
    failures: u32,
    wait: Wait,
    /// Who were refused for the first time since somebody was last taken, as it is named now; `None` where nobody was.
    in_vain: Option<usize>,
    given_up: bool,
    error: Option<&'static str>,
}

/// What a broadcast owes.
#[derive(Clone, Debug, Default)]
pub struct Debts {
    named: Named,
    targets: BTreeMap<WriteBackTarget, Target>,
}

/// What may be seen of one target.
pub type Stands = (WriteBackTarget, i64, i64, i64, Option<String>, bool);

pub fn plainly(stands: &WrittenBack) -> Stands {
    let WrittenBack { target, pending, done, failed, last_error, due_at } = stands;
    let code = last_error.as_ref().and_then(|fault| fault.code.clone());
    (*target, *pending, *done, *failed, code, due_at.is_some())
}

impl Target {
    fn is_held_by_another(&self, writer: usize, now: i64) -> bool {
        self.holder.is_some_and(|holder| holder != writer) && self.lease > now
    }

    fn refuse(&mut self, person: usize, is_of_target: bool, now: i64, gives_up: bool) {
        let Some(debt) = self.owed.get_mut(&person) else { return };
        self.error = Some(OF_PERSON);
        debt.tries += u32::from(!is_of_target);
        if !is_of_target && debt.tries >= TRIES && gives_up {
            self.owed.remove(&person);
            self.failed += 1;
            return;
        }
        debt.was_refused = true;
        debt.wait = Wait { from: now, to: now + longest_of_person(debt.tries) };
    }

    /// Whether what was refused is the fault of the target: it takes nobody now, and has taken nobody since more than a few were
    /// refused.
    fn is_to_blame(&mut self, told: &Told) -> bool {
        if !told.done.is_empty() || told.refused.is_empty() {
            return false;
        }
        let is_new = |person: &&usize| self.owed.get(person).is_some_and(|debt| debt.tries == 0);
        let newly = told.refused.iter().filter(is_new).count();
        self.in_vain = self.in_vain.map(|earlier| earlier + newly);
        self.in_vain.is_none_or(|people| people > FEW)
    }

    /// Returns whether everybody has to wait.
    fn hear(&mut self, told: &Told, now: i64, gives_up: bool) -> bool {
        let is_of_target = self.is_to_blame(told);
        told.refused.iter().for_each(|person| self.refuse(*person, is_of_target, now, gives_up));
        told.put_off || is_of_target
    }

    fn put_off(&mut self, wish: Option<i64>, code: &'static str, now: i64) {
        let longest = now + longest_of_target(self.failures);
        self.failures += 1;
        let wish = now + wish.unwrap_or_default().min(LONGEST_WISH);
        self.wait = Wait { from: wish, to: wish.max(longest) };
        self.given_up = now >= self.moved_at + GIVE_UP_AFTER;
        self.error = Some(code);
    }
}

impl Debts {
    pub fn names_any(&self) -> bool {
        self.named.targets().next().is_some()
    }

    /// Who was paused or gone goes on with all of their patience.
    pub fn resume(&mut self, now: i64) {
        self.targets.values_mut().filter(|target| !target.given_up).for_each(|target| target.moved_at = now);
    }

    /// A target that is named otherwise is tried at once; one that is named no more keeps what it owes.
    pub fn declare(&mut self, named: Named, now: i64) {
        self.named = named;
        for target in named.targets() {
            let new = Target {
                edition: named.edition,
                owed: BTreeMap::new(),
                done: 0,
                failed: 0,
                moved_at: now,
                holder: None,
                lease: 0,
                failures: 0,
                wait: Wait::default(),
                in_vain: None,
                given_up: false,
                error: None,
            };
            let known = self.targets.entry(target).or_insert(new);
            if known.edition != named.edition {
                let (wait, edition) = (Wait::default(), named.edition);
                let known_before = known.clone();
                *known = Target {
                    edition,
                    failures: 0,
                    wait,
                    in_vain: None,
                    given_up: false,
                    moved_at: now,
                    ..known_before
                };
            }
        }
    }

    /// Somebody was sent to. One that was given up is tried once more for all.
    pub fn owe(&mut self, person: usize, now: i64) {
        for target in self.named.targets() {
            let Some(target) = self.targets.get_mut(&target) else { continue };
            target.owed.insert(person, Debt::default());
            target.moved_at = now;
            if std::mem::take(&mut target.given_up) {
                (target.failures, target.wait) = (0, Wait::default());
            }
        }
    }

    pub fn everybody_is_dead(&mut self) {
        self.targets.values_mut().for_each(|target| (target.holder, target.lease) = (None, 0));
    }

    pub fn stands(&self, goes_on: bool, now: i64) -> Vec<Stands> {
        let stands = |name: WriteBackTarget| {
            let target = self.targets.get(&name)?;
            let left = target.owed.len() as i64;
            let is_forgotten = goes_on && left > 0 && now >= target.moved_at + FORGOTTEN_AFTER;
            let is_given_up = target.given_up || is_forgotten;
            let (pending, given_up) = if is_given_up { (0, left) } else { (left, 0) };
            let error = target.error.map(str::to_owned);
            Some((name, pending, target.done, target.failed + given_up, error, goes_on && pending > 0))
        };
        self.named.targets().filter_map(stands).collect()
    }

    /// By when it is known who is due, where it is not known now and somebody might be.
    pub fn uncertain_until(&self, name: WriteBackTarget, now: i64) -> Option<i64> {
        let target = self.targets.get(&name)?;
        if !target.wait.is_known(now) {
            return Some(target.wait.to);
        }
        // Who was never refused is due.
        let is_known = target.owed.values().any(|debt| !debt.was_refused);
        let waits = target.owed.values().map(|debt| debt.wait).filter(|wait| !wait.is_known(now));
        if is_known { None } else { waits.map(|wait| wait.to).max() }
    }

    /// How long a target may ask to be left alone so that its wait is known; nobody says so where it failed too often.
    pub fn wish(&self, name: WriteBackTarget) -> Option<i64> {
        let longest = longest_of_target(self.targets.get(&name)?.failures);
        (longest <= LONGEST_WISH).then_some(longest)
    }
}

impl Model {
    fn goes_on(&self, which: usize) -> bool {
        let broadcast = &self.broadcasts[which];
        !broadcast.is_suspended() && !broadcast.is_released()
    }

    pub fn write_backs_stand(&self, which: usize) -> Vec<Stands> {
        self.broadcasts[which].debts.stands(self.goes_on(which), self.now)
    }

    /// What is wrong with what a writer was given.
    pub fn take_write_backs(
        &mut self,
        which: usize,
        name: WriteBackTarget,
        writer: usize,
        pages: &[WriteBackPage],
    ) -> Result<(), String> {
        let (now, goes_on, lends) = (self.now, self.goes_on(which), self.keeps(Rule::WriteBacksAreLent));
        let calls_are_free = name == WriteBackTarget::Sql || self.calls_free_at <= now;
        let debts = &mut self.broadcasts[which].debts;
        let is_named = debts.named.names(name);
        let target = debts.targets.get_mut(&name).filter(|target| goes_on && is_named && !target.given_up);
        let Some(target) = target else { return pages.iter().try_for_each(is_silent) };
        let is_open = calls_are_free && target.wait.is_over(now) && !(lends && target.is_held_by_another(writer, now));
        for page in pages {
            target.judge(name, page, is_open, now)?;
        }
        if !pages[0].people.is_empty() {
            (target.holder, target.lease) = (Some(writer), now + LEASE);
            if name == WriteBackTarget::Messenger {
                self.calls_free_at = now + WINDOW;
            }
        }
        Ok(())
    }

    /// What a writer tells of people it was given.
    pub fn report_write_backs(
        &mut self,
        which: usize,
        name: WriteBackTarget,
        writer: usize,
        told: &Told,
        wish: Option<i64>,
    ) {
        let (now, gives_up) = (self.now, self.keeps(Rule::RefusedAreGivenUp));
        let Some(target) = self.broadcasts[which].debts.targets.get_mut(&name) else { return };
        let done = told.done.iter().filter(|person| target.owed.remove(person).is_some()).count() as i64;
        let is_theirs = target.holder == Some(writer);
        let (had_failed, mut refused) = (target.failed > 0, false);
        let mut waits = false;
        if is_theirs {
            (target.holder, target.lease) = (None, 0);
            if told.edition == target.edition {
                refused = told.refused.iter().any(|person| target.owed.contains_key(person));
                waits = target.hear(told, now, gives_up);
            }
        }
        target.done += done;
        if done > 0 {
            (target.moved_at, target.failures, target.wait) = (now, 0, Wait::default());
            target.in_vain = if told.edition == target.edition { Some(0) } else { target.in_vain };
        }
        if waits {
            let code = if told.put_off { OF_TARGET } else { OF_PERSON };
            target.put_off(wish.filter(|_| told.put_off), code, now);
        } else if done > 0 && !refused && !had_failed {
            target.error = None;
        }
    }
}

fn is_silent(page: &WriteBackPage) -> Result<(), String> {
    let is_silent = page.people.is_empty() && page.write_back.is_none();
    if is_silent { Ok(()) } else { Err(format!("nothing is to be written, and {page:?} is given")) }
}

impl Target {
    /// What is wrong with one page.
    fn judge(&self, name: WriteBackTarget, page: &WriteBackPage, is_open: bool, now: i64) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{why} in {page:?} of {self:?}, now {now}"));
        let numbers: Vec<usize> = page.people.iter().map(|owed: &Owed| owed.seq as usize).collect();
        if !is_open || self.owed.is_empty() {
            let is_told = self.owed.is_empty() || page.next_at.is_some_and(|at| at > page.now);
            return if numbers.is_empty() && is_told {
                Ok(())
            } else {
                wrong("it is not open: people, or no next time")
            };
        }
        let size = if name == WriteBackTarget::Messenger { (CALLS / LABELS) as usize } else { usize::MAX };
        let fresh: Vec<usize> = self.owed.iter().filter(|(_, debt)| !debt.was_refused).map(|(seq, _)| *seq).collect();
        let first = fresh.len().min(size);
        if !numbers.starts_with(&fresh[..first]) {
            return wrong("who was never refused does not come first");
        }
        let rest = &numbers[first..];
        let may_come = |seq: &usize| self.owed.get(seq).is_some_and(|debt| debt.was_refused && debt.wait.from <= now);
        let must_come = self.owed.values().filter(|debt| debt.was_refused && debt.wait.is_over(now)).count();
        if !rest.iter().all(may_come) || rest.len() < must_come.min(size - first) || numbers.len() > size {
            return wrong("those who were refused are not all due");
        }
        let named = (!numbers.is_empty()).then(|| declarations::write_back(name, self.edition));
        let is_paced = name == WriteBackTarget::Messenger && !numbers.is_empty();
        if page.calls_until != is_paced.then(|| page.now + Span::from_secs(WINDOW)) {
            return wrong("another window for calls");
        }
        if page.write_back != named { wrong("another target") } else { Ok(()) }
    }
}
