//! What a ledger was known to hold of each broadcast: a ledger that holds less has lost commits.

use crate::ledger::exchange::BroadcastId;

/// Broadcasts that are kept: far more than are under way at a time. The longest unheard of go first.
const MAX_KNOWN: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub broadcast: BroadcastId,
    /// What it is called outside the ledger: an older copy may not have it at all, another ledger calls it by another id.
    pub name: String,
    pub revision: i64,
}

/// The latest heard of last.
#[derive(Debug, Default)]
pub struct KnownRevisions(Vec<Known>);

impl KnownRevisions {
    pub fn name(&mut self, broadcast: BroadcastId, name: &str) {
        name.clone_into(&mut self.entry(broadcast).name);
    }

    /// Returns whether it was news.
    pub fn learn(&mut self, broadcast: BroadcastId, revision: i64) -> bool {
        let known = self.entry(broadcast);
        let news = revision > known.revision;
        known.revision = known.revision.max(revision);
        news
    }

    /// The highest revision of a broadcast; 0 for one that was never heard of.
    pub fn of(&self, broadcast: BroadcastId) -> i64 {
        self.highest(|known| known.broadcast == broadcast)
    }

    /// The same by its name, in whatever ledger it was.
    pub fn of_name(&self, name: &str) -> i64 {
        self.highest(|known| known.name == name)
    }

    pub fn all(&self) -> &[Known] {
        &self.0
    }

    fn highest(&self, of: impl Fn(&&Known) -> bool) -> i64 {
        self.0.iter().filter(of).map(|known| known.revision).max().unwrap_or_default()
    }

    fn entry(&mut self, broadcast: BroadcastId) -> &mut Known {
        let place = self.0.iter().position(|known| known.broadcast == broadcast);
        let known = place.map_or(Known { broadcast, name: String::new(), revision: 0 }, |place| self.0.remove(place));
        self.0.push(known);
        if self.0.len() > MAX_KNOWN {
            self.0.remove(0);
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_only_grows_and_is_found_by_every_name() {
        let mut known = KnownRevisions::default();
        let (one, other) = (BroadcastId(1), BroadcastId(2));
        assert!(known.learn(one, 9));
        assert!(!known.learn(one, 8));
        known.name(one, "default/sale");
        known.name(other, "default/sale");
        assert_eq!((known.of(one), known.of_name("default/sale")), (9, 9));
        assert_eq!((known.of(other), known.of_name("default/other")), (0, 0));
    }

    #[test]
    fn the_number_of_broadcasts_is_bounded_and_the_longest_unheard_of_goes() {
        let mut known = KnownRevisions::default();
        for number in 0..MAX_KNOWN as i64 {
            known.learn(BroadcastId(number), 1);
        }
        known.learn(BroadcastId(0), 2);
        known.learn(BroadcastId(-1), 1);
        assert_eq!((known.of(BroadcastId(0)), known.of(BroadcastId(1)), known.all().len()), (2, 0, MAX_KNOWN));
    }
}
