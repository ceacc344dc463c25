//! What an account knows of people, as plainly as it can be said.

use std::collections::BTreeSet;

use super::model::{Model, PEOPLE, Rule};

pub const TAGS: [&str; 2] = ["vip", "spring"];

/// What an import brings of one person.
#[derive(Clone, Debug)]
pub struct Brought {
    pub person: usize,
    /// The value of a variable, the only one there is.
    pub number: Option<u8>,
    /// So many seconds ago they wrote; what lies ahead counts as now.
    pub wrote: Option<i64>,
    pub tag: Option<usize>,
    pub out: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub number: Option<u8>,
    pub wrote_at: Option<i64>,
    pub tags: BTreeSet<usize>,
    pub opted_out: bool,
}

/// Who is known, by number.
pub type Contacts = [Option<Known>; PEOPLE];

impl Model {
    /// New, changed, same, and how many were skipped by it. Who comes twice is counted once.
    pub fn import(&mut self, brought: &[Brought]) -> [u64; 4] {
        let [mut new, mut changed, mut same, mut skipped] = [0; 4];
        let (before, mut gone) = (self.contacts.clone(), Vec::new());
        for row in brought {
            let mut after = self.contacts[row.person].clone().unwrap_or_default();
            after.number = row.number.or(after.number);
            after.wrote_at = after.wrote_at.max(row.wrote.map(|ago| self.now - ago.max(0)));
            after.tags.extend(row.tag);
            if row.out && !after.opted_out {
                gone.push(row.person);
            }
            after.opted_out |= row.out;
            self.contacts[row.person] = Some(after);
        }
        for person in brought.iter().map(|row| row.person).collect::<BTreeSet<usize>>() {
            match &before[person] {
                None => new += 1,
                known if *known == self.contacts[person] => same += 1,
                Some(_) => changed += 1,
            }
        }
        if !gone.is_empty() && self.keeps(Rule::ImportsOptOut) {
            gone.into_iter().for_each(|person| self.set_opted_out(person, true));
            skipped = self.sweep();
        }
        [new, changed, same, skipped]
    }

    /// How many tags came, or went.
    pub fn tag(&mut self, person: usize, tag: usize, away: bool) -> u64 {
        if away {
            return self.contacts[person].as_mut().is_some_and(|known| known.tags.remove(&tag)).into();
        }
        self.contacts[person].get_or_insert_default().tags.insert(tag).into()
    }

    pub fn hear_from(&mut self, person: usize, ago: i64) {
        let known = self.contacts[person].get_or_insert_default();
        known.wrote_at = known.wrote_at.max(Some(self.now - ago.max(0)));
    }

    pub fn has_opted_out(&self, person: usize) -> bool {
        self.contacts[person].as_ref().is_some_and(|known| known.opted_out)
    }

    /// Whether somebody wants messages; what is pending for whom does not is skipped. How many had not said so before, and
    /// how many were skipped by it.
    pub fn opt(&mut self, person: usize, out: bool) -> (u64, u64) {
        let news = u64::from(self.has_opted_out(person) != out);
        if !out && news == 0 {
            return (0, 0);
        }
        // Who has opted out by an answer meanwhile is swept first.
        let before = self.sweep();
        if out || news > 0 {
            self.set_opted_out(person, out);
        }
        (news, before + self.sweep())
    }
}
