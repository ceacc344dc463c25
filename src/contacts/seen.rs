//! Who was in a file already, so that counts add up however it is cut into chunks.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// So many people are remembered, in some 80 MB at most. Whoever comes again after that many others counts by what has changed.
const MAX_REMEMBERED: usize = 4_000_000;

/// The people of a file, each as a hash: of ten million no two are likely to have the same one.
#[derive(Debug, Default)]
pub struct Seen {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl Seen {
    pub fn contains(&self, recipient: &str) -> bool {
        self.hashes.contains(&self.hasher.hash_one(recipient))
    }

    pub fn add(&mut self, recipient: &str) {
        if self.hashes.len() < MAX_REMEMBERED {
            self.hashes.insert(self.hasher.hash_one(recipient));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_remembered_as_fit() {
        let mut seen = Seen { hashes: (0..MAX_REMEMBERED as u64 - 1).collect(), ..Seen::default() };
        seen.add("one");
        seen.add("two");
        assert_eq!((seen.contains("one"), seen.contains("two"), seen.hashes.len()), (true, false, MAX_REMEMBERED));
    }
}
