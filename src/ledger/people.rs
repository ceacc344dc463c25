//! What people did, as call-backs tell it: who wrote, and who wants messages or none.

use std::collections::BTreeMap;

use crate::audience::canonical_id;
use crate::delivery::provider_event::{Deed, ProviderEvent};
use crate::delivery::time::Timestamp;

/// The reason of an opt-out that a call-back told.
pub const OPTED_OUT: &str = "OptedOut";

/// The deeds of some events, each person once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// When each was last heard of.
    pub heard: Vec<(String, Timestamp)>,
    pub wishes: Vec<Wish>,
    /// The same of marketing messages alone.
    pub of_marketing: Vec<Wish>,
}

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub recipient: String,
    /// No messages, or messages again.
    pub opts_out: bool,
    /// When they said so, by the provider's clock.
    pub at: Timestamp,
}

impl Deeds {
    /// The later wish of a person counts, of two at one time the one for no messages. Who opted out by blocking was not active by that.
    /// An id that no audience could hold is nobody's.
    pub fn of(events: &[ProviderEvent]) -> Deeds {
        let mut heard: BTreeMap<&str, Timestamp> = BTreeMap::new();
        let mut wishes: BTreeMap<&str, (Timestamp, bool)> = BTreeMap::new();
        let mut of_marketing = wishes.clone();
        for event in events {
            let ProviderEvent::Person { recipient, deed, at } = event else { continue };
            if canonical_id(recipient).ok() != Some(recipient.as_str()) {
                continue;
            }
            let (wishes, told) = match deed {
                Deed::Wrote => {
                    let last = heard.entry(recipient).or_insert(*at);
                    *last = (*last).max(*at);
                    continue;
                }
                Deed::OptedOut | Deed::OptedIn => (&mut wishes, (*at, *deed == Deed::OptedOut)),
                Deed::StoppedMarketing | Deed::ResumedMarketing => {
                    (&mut of_marketing, (*at, *deed == Deed::StoppedMarketing))
                }
            };
            let last = wishes.entry(recipient).or_insert(told);
            *last = (*last).max(told);
        }
        let wish = |(recipient, (at, opts_out)): (&str, _)| Wish { recipient: recipient.to_owned(), opts_out, at };
        Deeds {
            heard: heard.into_iter().map(|(recipient, at)| (recipient.to_owned(), at)).collect(),
            wishes: wishes.into_iter().map(wish).collect(),
            of_marketing: of_marketing.into_iter().map(wish).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(recipient: &str, deed: Deed, at: i64) -> ProviderEvent {
        ProviderEvent::Person { recipient: recipient.into(), deed, at: Timestamp::from_secs(at) }
    }

    #[test]
    fn the_last_wish_of_each_person_counts_in_whatever_order_it_is_told() {
        let told = [
            person("ann", Deed::OptedOut, 5),
            person("ann", Deed::OptedIn, 3),
            person("ben", Deed::OptedOut, 5),
            person("ben", Deed::OptedIn, 5),
            person("cem", Deed::OptedIn, 6),
            person("cem", Deed::OptedOut, 5),
            person("ann", Deed::Wrote, 4),
            person("ann", Deed::Wrote, 2),
            person("  eve ", Deed::OptedOut, 9),
            person("dan", Deed::ResumedMarketing, 4),
            person("dan", Deed::StoppedMarketing, 5),
            person("ann", Deed::ResumedMarketing, 6),
        ];
        let deeds = Deeds::of(&told);
        let wishes = [("ann", true, 5), ("ben", true, 5), ("cem", false, 6)].map(|(recipient, opts_out, at)| Wish {
            recipient: recipient.to_owned(),
            opts_out,
            at: Timestamp::from_secs(at),
        });
        assert_eq!(deeds.wishes, wishes);
        let of_marketing = deeds.of_marketing.iter().map(|wish| (wish.recipient.as_str(), wish.opts_out));
        assert_eq!(of_marketing.collect::<Vec<_>>(), [("ann", false), ("dan", true)]);
        assert_eq!(deeds.heard, [("ann".to_owned(), Timestamp::from_secs(4))]);
    }
}
