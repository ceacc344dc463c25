//! Questions to the simulator's record that need the clock: both run on this machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use herald::simulator::record::OwnedLine;

use super::stage::Stage;

/// How long after a stop, or a new beginning, requests may still come, or not yet: what is promised, on any machine.
pub const STOPS_WITHIN: Duration = Duration::from_secs(2);
pub const GOES_ON_WITHIN: Duration = Duration::from_secs(3);

/// Now, as the record counts it.
#[expect(clippy::disallowed_methods, reason = "compared with the wall-clock times of the simulator's record")]
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// A moment of the record, as documents name it.
pub fn instant(at_ns: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(at_ns)).unwrap()
}

/// How long after a moment the last request came; zero when none did.
pub fn last_request_after(moment_ns: u64, record: &[OwnedLine]) -> Duration {
    let last = record.iter().map(|line| line.time_ns).max().unwrap_or_default();
    Duration::from_nanos(last.saturating_sub(moment_ns))
}

/// How long after a moment the first request came.
pub fn first_request_after(moment_ns: u64, record: &[OwnedLine]) -> Option<Duration> {
    let after = record.iter().filter_map(|line| line.time_ns.checked_sub(moment_ns));
    after.min().map(Duration::from_nanos)
}

/// The longest time between two requests.
pub fn longest_pause(record: &[OwnedLine]) -> Duration {
    let pauses = record.windows(2).map(|pair| pair[1].time_ns.saturating_sub(pair[0].time_ns));
    Duration::from_nanos(pauses.max().unwrap_or_default())
}

impl Stage {
    /// Sending has been stopped at a moment: waits until silence is certain, and judges by the record when the last
    /// request came. Returns how many there were in all.
    #[track_caller]
    pub fn assert_stopped(&self, what: &str, stopped_ns: u64) -> usize {
        let until = STOPS_WITHIN + Duration::from_secs(3);
        std::thread::sleep(until.saturating_sub(Duration::from_nanos(now_ns().saturating_sub(stopped_ns))));
        let record = self.record();
        let last = last_request_after(stopped_ns, &record);
        println!("{what}: the last request came {last:?} later");
        assert!(last <= STOPS_WITHIN, "{what}: a request came {last:?} later");
        record.len()
    }
}
