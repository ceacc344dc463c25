//! How recipients are cut into batches: by time, not by count.

/// A batch holds about this many seconds of sending, so that its status moves at a pace people can follow.
pub const SECONDS_PER_BATCH: u32 = 30;
/// Smaller batches would cost more in API objects than they tell.
pub const MIN_BATCH_SIZE: u32 = 100;
/// Larger batches would hide progress and make a takeover long.
pub const MAX_BATCH_SIZE: u32 = 20_000;
/// The most batches of one broadcast: what `kubectl get messagebatches` and a status budget can bear.
pub const MAX_BATCHES: u32 = 500;

/// The size of each batch (the last may be smaller) at so many messages a second, see
/// [`messages_per_second`](super::rate_class::messages_per_second). `wish` overrides the size by time, never the number of batches.
pub fn size(planned: u64, messages_per_second: f64, wish: Option<u32>) -> u32 {
    let by_time = (messages_per_second * f64::from(SECONDS_PER_BATCH)).round() as u32;
    let wanted = wish.unwrap_or(by_time.clamp(MIN_BATCH_SIZE, MAX_BATCH_SIZE)).max(1);
    let least = planned.div_ceil(u64::from(MAX_BATCHES));
    u64::from(wanted).max(least).min(u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::rate_class::messages_per_second;

    #[test]
    fn a_million_recipients_at_300_per_second_are_112_batches() {
        let size = size(1_000_000, 300.0, None);
        assert_eq!(size, 9_000);
        assert_eq!(1_000_000_u32.div_ceil(size), 112);
    }

    #[test]
    fn a_wish_is_honoured_until_there_would_be_more_than_500_batches() {
        assert_eq!(size(2_500, 20.0, Some(500)), 500);
        assert_eq!(size(1_000_000, 20.0, Some(500)), 2_000);
    }

    #[test]
    fn messages_of_several_parts_make_smaller_batches_by_time() {
        assert_eq!(size(1_000_000, messages_per_second(300.0, 3, None), None), 3_000);
        assert_eq!(size(1_000_000, messages_per_second(300.0, 3, None), Some(9_000)), 9_000);
    }

    #[test]
    fn a_slow_rate_still_makes_batches_of_100() {
        assert_eq!(size(2_500, 1.0 / 6.0, None), 100);
    }
}
