//! What people are told of a broadcast that the ledger itself holds back, with the way out.

use super::recollection::APPROVED;
use crate::delivery::gate::Gate;

/// An older copy of the ledger.
pub fn regressed(gate: &Gate, revision: i64, known: i64) -> String {
    if gate.at_risk {
        return "approved: everybody whom the ledger does not call sent, failed or skipped becomes unknown".to_owned();
    }
    format!(
        "the ledger lost commits: it is at revision {revision} of this broadcast, and revision {known} was known; nobody \
         is messaged. Put the right ledger back, or go on with this one: give the object's annotation `{APPROVED}` a new \
         value, e.g. today's date. Then everybody whom this ledger does not call sent, failed or skipped becomes unknown, \
         because they may have got it"
    )
}

/// A ledger that was made later than the object.
pub fn fresh(known: i64) -> String {
    format!(
        "the ledger is younger than this object and holds nothing of it, but its status tells of revision {known} of \
         another one; nobody is messaged. Put the right ledger back, or, to send it to everybody of its audience, to those \
         who got it already AGAIN: give the object's annotation `{APPROVED}` a new value, e.g. today's date"
    )
}

/// Another one's account, content and plan under a key that nobody chose.
pub fn duplicate(other: &str) -> String {
    format!(
        "it says the same to the same recipients through the same account as the BroadcastMessage `{other}`, and may be \
         that one under another name; nobody is messaged. If it is meant, set `spec.idempotencyKey`, e.g. to its own \
         name; if not, delete it"
    )
}
