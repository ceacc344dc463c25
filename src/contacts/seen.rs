//! Who was in a file already, so that counts add up however it is cut into chunks.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// So many people are remembered: what a table of 2^22 places of 9 bytes has room for, 36 MiB, and 54 MiB while it takes the place
/// of one of half the size. One more would double it. Whoever comes again after that many others counts by what has
/// changed.
const MAX_REMEMBERED: usize = (1 << 22) / 8 * 7;

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
        assert_eq!(seen.hashes.capacity(), MAX_REMEMBERED, "another table than the bound was reckoned for");
    }
}
