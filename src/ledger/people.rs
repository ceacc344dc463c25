//! What people did, as call-backs tell it: who wrote, and who wants messages or none.

use std::collections::BTreeMap;

use crate::audience::canonical_id;
use crate::delivery::outcome::{MAX_PROVIDER_ID, plain};
use crate::delivery::provider_event::{Deed, ProviderEvent};
use crate::delivery::time::{Span, Timestamp};

/// The reason of an opt-out that a call-back told.
pub const OPTED_OUT: &str = "OptedOut";

/// The deeds of some events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// When each was last heard of.
    pub heard: Vec<(String, Timestamp)>,
    /// In the order in which they were told.
    pub wishes: Vec<Wish>,
    /// The same of marketing messages alone.
    pub of_marketing: Vec<Wish>,
}

/// A wish that names its message is known by it for so long, since its provider signs no time: whoever kept the call could tell
/// it anew whenever they like. Longer than the secret that calls are signed with should go unchanged: another one makes every call of
/// before worthless.
pub const WISHES_KEPT_FOR: Span = Span::from_secs(2 * 365 * 24 * 3_600);
/// So many of a person are known by their messages: nobody changes their mind more often in that time. Beyond them an opt-out is
/// believed, and an opt-in is not.
pub const MAX_WISHES: i64 = 200;

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub recipient: String,
    /// No messages, or messages again.
    pub opts_out: bool,
    /// When they said so, by the provider's clock.
    pub at: Timestamp,
    /// The message that says so, where the provider does not tell when that was.
    pub message: Option<String>,
}

impl Wish {
    /// The later wish of each person counts, of two at one time the one for no messages.
    pub fn latest(wishes: &[Wish]) -> Vec<&Wish> {
        let mut latest: BTreeMap<&str, &Wish> = BTreeMap::new();
        for wish in wishes {
            let last = latest.entry(&wish.recipient).or_insert(wish);
            if (wish.at, wish.opts_out) > (last.at, last.opts_out) {
                *last = wish;
            }
        }
        latest.into_values().collect()
    }
}

impl Deeds {
    /// Who opted out by blocking was not active by that. An id that no audience could hold is nobody's.
    pub fn of(events: &[ProviderEvent]) -> Deeds {
        let mut heard: BTreeMap<&str, Timestamp> = BTreeMap::new();
        let mut wishes = Vec::new();
        let mut of_marketing: BTreeMap<&str, (Timestamp, bool)> = BTreeMap::new();
        for event in events {
            let ProviderEvent::Person { recipient, deed, at, message } = event else { continue };
            if canonical_id(recipient).ok() != Some(recipient.as_str()) {
                continue;
            }
            match deed {
                Deed::Wrote => {
                    let last = heard.entry(recipient).or_insert(*at);
                    *last = (*last).max(*at);
                }
                Deed::OptedOut | Deed::OptedIn => wishes.push(Wish {
                    recipient: recipient.clone(),
                    opts_out: *deed == Deed::OptedOut,
                    at: *at,
                    message: message.as_deref().map(|message| plain(message, MAX_PROVIDER_ID)),
                }),
                Deed::StoppedMarketing | Deed::ResumedMarketing => {
                    let told = (*at, *deed == Deed::StoppedMarketing);
                    let last = of_marketing.entry(recipient).or_insert(told);
                    *last = (*last).max(told);
                }
            }
        }
        let wish = |(recipient, (at, opts_out)): (&str, _)| Wish {
            recipient: recipient.to_owned(),
            opts_out,
            at,
            message: None,
        };
        Deeds {
            heard: heard.into_iter().map(|(recipient, at)| (recipient.to_owned(), at)).collect(),
            wishes,
            of_marketing: of_marketing.into_iter().map(wish).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(recipient: &str, deed: Deed, at: i64) -> ProviderEvent {
        ProviderEvent::person(recipient, deed, Timestamp::from_secs(at))
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
            message: None,
        });
        assert_eq!(Wish::latest(&deeds.wishes), wishes.iter().collect::<Vec<_>>());
        let of_marketing = deeds.of_marketing.iter().map(|wish| (wish.recipient.as_str(), wish.opts_out));
        assert_eq!(of_marketing.collect::<Vec<_>>(), [("ann", false), ("dan", true)]);
        assert_eq!(deeds.heard, [("ann".to_owned(), Timestamp::from_secs(4))]);
    }
}
