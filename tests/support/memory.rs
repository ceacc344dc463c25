//! How much memory a run may take, whatever its provider answers.

use std::sync::OnceLock;

use super::campaign::Campaign;
use super::stage::Stage;

/// Beyond what a run takes whose provider behaves: an eighth of the long bodies of one test together.
const MORE_KIB: u64 = 32 * 1024;

/// The most that a run of a few people may take. What one takes against a provider that behaves is measured, once: of an
/// unoptimized build most of that is the program itself.
pub fn most_kib() -> u64 {
    static BEHAVED: OnceLock<u64> = OnceLock::new();
    let behaved = BEHAVED.get_or_init(|| {
        let ended = Stage::open(&[]).run(&[Campaign::new("behaved", 24, 40)]);
        assert!(ended.peak_kib > 0, "the memory of a run is not seen");
        ended.expect(0);
        ended.peak_kib
    });
    behaved + MORE_KIB
}
