//! How many connections to open before they are needed, without IO. `now` is a parameter.
//!
//! A connection that is opened for a message delays it by a handshake or two, and the messages that follow on connections
//! that are there already come in on top of it: at the start, and after a rest in which idle connections were closed, the
//! provider would see more than the rate. So they are opened first, and recipients are asked for then.

use super::clock::Local;
use crate::delivery::time::Span;

/// Without a message for so long, connections may be about to be closed as idle, and count as closed.
const COLD_AFTER: Span = Span::from_secs(10);
/// No more than these are opened ahead: some 0.7 s of answers at 1,000 messages a second, and few enough for the limit on
/// open files that most systems set.
const MOST_OPEN: u32 = 700;
/// What a new answer's time counts in the average.
const NEWEST_PART: i64 = 8;

/// What to do before more recipients are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// There are connections enough.
    Nothing,
    /// So many more are to be opened.
    Connections(u32),
    /// There are too few, but those that were opened last were not used: to go on opening would keep the provider busy
    /// with handshakes while there is nobody to send to. One recipient first.
    Use,
}

/// What a sender knows of its connections.
#[derive(Debug, Default)]
pub struct Warmth {
    /// When a message or an answer last went through one, or they were opened.
    used_at: Option<Local>,
    /// How long answers take.
    latency: Option<Span>,
    /// How many were opened.
    open: u32,
    /// Nothing was sent since some were opened.
    unused: bool,
}

impl Warmth {
    /// A message was handed over.
    pub fn used(&mut self, now: Local) {
        if self.is_cold(now) {
            self.open = 1;
        }
        self.unused = false;
        self.used_at = Some(now);
    }

    /// A message was answered after this time.
    pub fn answered(&mut self, took: Span, now: Local) {
        self.used_at = Some(now);
        let latency = self.latency.map_or(took, |known| known + Span((took - known).0 / NEWEST_PART));
        self.latency = Some(latency);
    }

    /// Without an answer so far one connection is enough, since the first recipient comes alone. The sender has a
    /// slot each `turn`.
    pub fn need(&self, turn: Span, now: Local) -> Need {
        let open = if self.is_cold(now) { 0 } else { self.open };
        let on_the_wire = |latency: Span| latency.0 / turn.0.max(1) + 1;
        let needed = self.latency.map_or(1, on_the_wire).clamp(1, i64::from(MOST_OPEN)) as u32;
        // Half as many again, so that answers that take a little longer do not ask for more each time.
        match needed > open {
            false => Need::Nothing,
            true if self.unused => Need::Use,
            true => Need::Connections((needed + needed / 2).min(MOST_OPEN) - open),
        }
    }

    fn is_cold(&self, now: Local) -> bool {
        self.used_at.is_none_or(|at| now - at > COLD_AFTER)
    }

    /// So many more are open now, or could not be opened: to try again would not help who has to send.
    pub fn opened(&mut self, count: u32, now: Local) {
        self.open = if self.is_cold(now) { count } else { self.open + count };
        self.used_at = Some(now);
        self.unused = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::time::Timestamp;

    fn at(millis: i64) -> Local {
        Local(Timestamp::EPOCH + Span::from_millis(millis))
    }

    fn millis(millis: i64) -> Span {
        Span::from_millis(millis)
    }

    /// One that has sent its first message, answered after so many milliseconds.
    fn answered_after(latency: i64) -> Warmth {
        let mut warmth = Warmth::default();
        warmth.opened(1, at(0));
        warmth.used(at(10));
        warmth.answered(millis(latency), at(10 + latency));
        warmth
    }

    #[test]
    fn one_connection_is_opened_for_the_first_message_and_what_its_latency_asks_for_then() {
        let mut warmth = Warmth::default();
        assert_eq!(warmth.need(millis(10), at(0)), Need::Connections(1));
        warmth.opened(1, at(5));
        assert_eq!(warmth.need(millis(10), at(6)), Need::Nothing);
        warmth.used(at(100));
        warmth.answered(millis(200), at(300));
        // 20 and one on the wire, and half as many again.
        assert_eq!(warmth.need(millis(10), at(300)), Need::Connections(30));
        warmth.opened(30, at(400));
        assert_eq!(warmth.need(millis(10), at(400)), Need::Nothing);
    }

    #[test]
    fn a_little_slower_answers_ask_for_nothing_and_much_slower_ones_for_more() {
        let mut warmth = answered_after(200);
        warmth.opened(30, at(400));
        warmth.used(at(450));
        (0..50).for_each(|n| warmth.answered(millis(280), at(500 + n)));
        assert_eq!(warmth.need(millis(10), at(600)), Need::Nothing);
        (0..50).for_each(|n| warmth.answered(millis(600), at(700 + n)));
        assert!(matches!(warmth.need(millis(10), at(800)), Need::Connections(count) if count > 50));
    }

    #[test]
    fn senders_that_share_the_rate_share_the_connections() {
        let warmth = answered_after(200);
        assert_eq!(
            warmth.need(millis(40), at(300)),
            Need::Connections(8),
            "six, and half as many again, but for the first"
        );
    }

    #[test]
    fn after_a_rest_they_are_opened_anew() {
        let mut warmth = answered_after(200);
        warmth.opened(30, at(300));
        warmth.used(at(400));
        assert_eq!(warmth.need(millis(10), at(10_400)), Need::Nothing);
        assert_eq!(warmth.need(millis(10), at(10_401)), Need::Connections(31));
        // Also where a message went out meanwhile, which opened one of its own.
        warmth.used(at(10_401));
        assert_eq!(warmth.need(millis(10), at(10_402)), Need::Connections(30));
    }

    #[test]
    fn however_slow_the_provider_no_more_than_a_bound_are_opened() {
        let warmth = answered_after(20_000);
        assert_eq!(warmth.need(millis(1), at(20_010)), Need::Connections(MOST_OPEN - 1));
    }
    #[test]
    fn who_has_nobody_to_send_to_opens_connections_once_and_begins_with_one_recipient() {
        let mut warmth = answered_after(200);
        warmth.opened(30, at(400));
        for seconds in 11..100 {
            assert_eq!(warmth.need(millis(10), at(seconds * 1_000)), Need::Use);
        }
        warmth.used(at(100_000));
        assert_eq!(warmth.need(millis(10), at(100_001)), Need::Connections(30));
    }
}
