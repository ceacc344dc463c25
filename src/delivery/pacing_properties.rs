//! What holds of slots in whatever order senders ask for them.

use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_secs(1_000);

/// From a message every 6 s to 1,000 a second.
fn interval() -> impl Strategy<Value = Span> {
    (1_000_000_i64..=6_000_000_000).prop_map(Span)
}

/// One exchange: how long after the one before, how many are wanted, and which part of the offer is found.
fn exchanges() -> impl Strategy<Value = Vec<(i64, u32, u32)>> {
    prop::collection::vec((0_i64..2_000, 1_u32..400, 1_u32..=100), 1..80)
}

fn fresh() -> (Pace, Flow) {
    let pace = Pace { next_slot: Timestamp::EPOCH, virtual_time: 0.0 };
    let flow = Flow {
        weight: NORMAL_WEIGHT,
        virtual_time: 0.0,
        hungry_until: Timestamp::EPOCH,
        own_next_slot: Timestamp::EPOCH,
    };
    (pace, flow)
}

/// The slots that a lone broadcast gets in these exchanges, in the order in which they were given.
fn slots_of(
    exchanges: &[(i64, u32, u32)],
    asking: impl Fn(Timestamp, u32) -> Ask,
    mut given: impl FnMut(&Ask, &Slots),
) -> Vec<Timestamp> {
    let (mut pace, mut flow) = fresh();
    let mut now = START;
    let mut slots = Vec::new();
    for (after, want, found) in exchanges {
        now = now + Span::from_millis(*after);
        let ask = asking(now, *want);
        match offer(&pace, &flow, &[], &ask) {
            Offer::Slots(offered) => {
                given(&ask, &offered);
                let taken = (offered.count * found / 100).max(1);
                take(&mut pace, &mut flow, &[], &ask, &offered, taken, taken < *want);
                slots.extend((0..taken).map(|index| offered.at(index)));
            }
            Offer::Wait { until, hungry } => leave(&mut pace, &mut flow, &[], &ask, until, hungry),
        }
    }
    slots
}

/// The most slots in any window of this width.
fn most_within(slots: &[Timestamp], width: Span) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (index, slot) in slots.iter().enumerate() {
        while *slot - slots[first] >= width {
            first += 1;
        }
        most = most.max(index + 1 - first);
    }
    most
}

proptest! {
    #[test]
    fn no_two_slots_are_nearer_than_the_interval_and_no_window_holds_more_than_the_rate(
        interval in interval(),
        exchanges in exchanges(),
    ) {
        let ask = |now, want| Ask { now, want, interval, own_interval: None, hold_until: Timestamp::EPOCH, rejoins: false, };
        let slots = slots_of(&exchanges, ask, |_, _| {});
        for pair in slots.windows(2) {
            prop_assert!(pair[1] - pair[0] >= interval, "{:?} after {:?}", pair[1], pair[0]);
        }
        for seconds in [1, 10] {
            let width = Span::from_secs(seconds);
            prop_assert!(most_within(&slots, width) as i64 <= (width.0 + interval.0 - 1) / interval.0);
        }
    }

    #[test]
    fn slots_lie_between_the_guard_and_the_horizon_and_are_no_more_than_asked_for(
        interval in interval(),
        exchanges in exchanges(),
        held in 0_i64..3_000,
    ) {
        let hold_until = START + Span::from_millis(held);
        let ask = |now, want| Ask { now, want, interval, own_interval: None, hold_until, rejoins: false };
        let mut offers = Vec::new();
        slots_of(&exchanges, ask, |ask, offered| offers.push((*ask, *offered)));
        for (ask, offered) in offers {
            prop_assert!(offered.first >= ask.now + GUARD, "the reply must arrive before");
            prop_assert!(offered.first >= hold_until, "the brake holds");
            prop_assert!(offered.at(offered.count - 1) <= ask.now + HORIZON, "pause and rate bite within the horizon");
            prop_assert!(offered.count >= 1 && offered.count <= ask.want.min(group_size(interval)));
        }
    }

    #[test]
    fn a_lone_broadcast_keeps_its_own_lower_rate_exactly(
        interval in interval(),
        times in 1_i64..20,
        exchanges in exchanges(),
    ) {
        let own = interval * times;
        let ask = |now, want| Ask { now, want, interval, own_interval: Some(own), hold_until: Timestamp::EPOCH, rejoins: false, };
        for pair in slots_of(&exchanges, ask, |_, _| {}).windows(2) {
            prop_assert!(pair[1] - pair[0] >= own);
        }
    }

    #[test]
    fn a_wait_ends_and_is_never_longer_than_is_told(interval in interval(), exchanges in exchanges()) {
        let (mut pace, mut flow) = fresh();
        let mut now = START;
        for (after, want, _) in exchanges {
            let ask = Ask { now, want, interval, own_interval: None, hold_until: Timestamp::EPOCH, rejoins: false, };
            match offer(&pace, &flow, &[], &ask) {
                Offer::Slots(offered) => {
                    take(&mut pace, &mut flow, &[], &ask, &offered, offered.count, true);
                    now = now + Span::from_millis(after);
                }
                Offer::Wait { until, hungry } => {
                    prop_assert!(until >= now + MIN_WAIT && until <= now + longest_wait(interval));
                    leave(&mut pace, &mut flow, &[], &ask, until, hungry);
                    now = until;
                }
            }
        }
        // Who has waited as told gets a slot after at most so many waits.
        let served = (0..10).any(|_| {
            let ask = Ask { now, want: 1, interval, own_interval: None, hold_until: Timestamp::EPOCH, rejoins: false, };
            match offer(&pace, &flow, &[], &ask) {
                Offer::Slots(_) => true,
                Offer::Wait { until, .. } => {
                    now = until;
                    false
                }
            }
        });
        prop_assert!(served);
    }
}
