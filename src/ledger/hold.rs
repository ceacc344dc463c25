//! What people are told of a broadcast that the ledger itself holds back, with the way out.

use super::recollection::APPROVED;
use crate::delivery::gate::Gate;
use crate::delivery::likeness::Likeness;

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

/// Another one's account and content for mostly the same people, of so many planned, under a key that nobody chose.
pub fn duplicate(other: &str, likeness: Likeness, planned: i64) -> String {
    let Likeness { shared, compared } = likeness;
    let whom = if compared < planned {
        format!("to {shared} of {compared} recipients that were looked up, of {planned} in all")
    } else if shared == planned {
        "to the same recipients".to_owned()
    } else {
        format!("to {shared} of its {planned} recipients")
    };
    format!(
        "the BroadcastMessage `{other}` says the same through the same account {whom}; so this may be that one under another \
         name; nobody is messaged. If it is meant, set `spec.idempotencyKey`, e.g. to its own name; if not, delete it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_two_broadcasts_share_is_told_as_it_was_found() {
        let told = |shared, compared, planned| duplicate("sale", Likeness { shared, compared }, planned);
        for (words, told) in [
            ("`sale` says the same through the same account to the same recipients; so", told(5, 5, 5)),
            (" account to 3 of its 4 recipients; so", told(3, 4, 4)),
            (" account to 900 of 1000 recipients that were looked up, of 5000 in all; so", told(900, 1000, 5000)),
        ] {
            assert!(told.contains(words), "{told}");
        }
    }
}
