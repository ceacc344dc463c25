//! What people see while a run goes on: bars on a terminal, plain lines otherwise. All of it on standard error.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::delivery::gate::Closed;
use crate::delivery::time::Timestamp;
use crate::ledger::Ledger;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::snapshot::BroadcastSnapshot;

/// How often a bar is drawn.
const BAR_INTERVAL: Duration = Duration::from_millis(250);
/// How often a plain line is printed.
const LINE_INTERVAL: Duration = Duration::from_secs(2);
/// An effective rate below this part of the configured one is worth a word: the brake has lowered it, and raises it again.
const SLOWED: f64 = 0.99;
/// The rate shown is that of this many looks back.
const RATE_WINDOW: usize = 20;

/// Shows the progress of broadcasts until `done` is true, and then how they stand at the end.
pub async fn show<L: Ledger>(ledger: Arc<L>, broadcasts: Vec<(BroadcastId, String)>, mut done: watch::Receiver<bool>) {
    let on_terminal = std::io::stderr().is_terminal();
    let bars = MultiProgress::new();
    let mut rows: Vec<Row> =
        broadcasts.into_iter().map(|(id, name)| Row::new(id, name, on_terminal.then(|| bars.clone()))).collect();
    let mut ticks = tokio::time::interval(if on_terminal { BAR_INTERVAL } else { LINE_INTERVAL });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = false;
    while !last {
        last = tokio::select! {
            _ = ticks.tick() => false,
            // A sender that is gone is an end as well.
            _ = done.wait_for(|done| *done) => true,
        };
        for row in &mut rows {
            // The senders report what is wrong with a ledger; a progress line is not worth a second message.
            if let Ok(snapshot) = ledger.snapshot(row.id).await {
                row.draw(&snapshot);
            }
        }
    }
}

struct Row {
    id: BroadcastId,
    name: String,
    bar: Option<ProgressBar>,
    seen: VecDeque<(Instant, i64)>,
    last_line: String,
}

impl Row {
    fn new(id: BroadcastId, name: String, bars: Option<MultiProgress>) -> Row {
        let bar = bars.map(|bars| {
            let bar = bars.add(ProgressBar::new(0));
            let template = "{prefix} {wide_bar} {pos}/{len} {msg}";
            // The template is a constant; if it were wrong the default style is used.
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(name.clone());
            bar
        });
        Row { id, name, bar, seen: VecDeque::new(), last_line: String::new() }
    }

    fn draw(&mut self, snapshot: &BroadcastSnapshot) {
        let counts = &snapshot.counts;
        let settled = counts.total() - counts.open();
        let rate = self.rate(settled);
        let message = describe(snapshot, rate);
        match &self.bar {
            Some(bar) => {
                bar.set_length(counts.total() as u64);
                bar.set_position(settled as u64);
                bar.set_message(message);
            }
            None => {
                let line = format!("{}: {settled}/{} {message}", self.name, counts.total());
                if line != self.last_line {
                    eprintln!("{line}");
                    self.last_line = line;
                }
            }
        }
    }

    fn rate(&mut self, settled: i64) -> f64 {
        let now = Instant::now();
        self.seen.push_back((now, settled));
        if self.seen.len() > RATE_WINDOW {
            self.seen.pop_front();
        }
        match self.seen.front() {
            Some((then, before)) if now > *then => (settled - before) as f64 / (now - *then).as_secs_f64(),
            _ => 0.0,
        }
    }
}

fn describe(snapshot: &BroadcastSnapshot, rate: f64) -> String {
    if let (Some(Closed::Scheduled), Some(start)) = (snapshot.closed, snapshot.gate.start_at) {
        return format!("starts in {}", clock((start - snapshot.now).as_secs_f64()));
    }
    if let (None, Some(until)) = (snapshot.closed, snapshot.quiet_until) {
        return format!("quiet hours, goes on in {}", clock((until - snapshot.now).as_secs_f64()));
    }
    let counts = &snapshot.counts;
    let mut text = format!("{rate:.1}/s");
    let waits = snapshot.due_at.filter(|due| *due > snapshot.now && counts.pending > 0);
    if let Some(due) = waits {
        // For another try, or for the morning of a time zone: who of them waits for what is not counted.
        text.push_str(&format!(" nobody is due, the next one in {}", clock((due - snapshot.now).as_secs_f64())));
    } else if counts.pending > 0 && snapshot.effective_per_second > 0.0 {
        text.push_str(&format!(" ETA {}", clock(snapshot.seconds_left(snapshot.effective_per_second))));
    }
    for (count, word) in [(counts.failed, "failed"), (counts.unknown, "unknown"), (counts.skipped, "skipped")] {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    if snapshot.throttled_until.is_some_and(|until: Timestamp| until > snapshot.now) {
        text.push_str(", throttled by the provider");
    }
    let (effective, full) = (snapshot.effective_per_second, snapshot.rate.per_second());
    if effective < full * SLOWED {
        let why = match snapshot.usage_percent {
            Some(percent) => format!("as {percent} % of the provider's own limit is used"),
            None => "after throttling or failures".to_owned(),
        };
        text.push_str(&format!(", slowed to {} of {}/s {why}", figure(effective), figure(full)));
    }
    if let Some(failing) = &snapshot.failing {
        text.push_str(&format!("; {failing}"));
    }
    text
}

/// A rate for people: whole from 10 a second on, else with two digits.
fn figure(per_second: f64) -> String {
    if per_second >= 10.0 { format!("{per_second:.0}") } else { format!("{per_second:.2}") }
}

fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match (whole / 3_600, whole / 60 % 60, whole % 60) {
        (48.., ..) => format!("{} days", whole / 86_400),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{BroadcastMessage, MessageChannelSpec};
    use crate::delivery::outcome::{Fault, Outcome};
    use crate::delivery::time::Span;
    use crate::ledger::clock::ManualClock;
    use crate::ledger::exchange::{LEASE, Report};
    use crate::ledger::sqlite::SqliteLedger;
    use crate::ledger::{AccountKey, Declaration, ExchangeRequest, PlanRow, SenderLedger};

    fn declaration() -> Declaration {
        let message: BroadcastMessage = serde_json::from_value(serde_json::json!({
            "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage", "metadata": {"name": "sale"},
            "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
        }))
        .unwrap();
        let channel: MessageChannelSpec = serde_json::from_value(serde_json::json!({
            "http": {"url": "http://127.0.0.1/"}, "rate": {"messages": 10, "periodSeconds": 1},
        }))
        .unwrap();
        Declaration::of(&message, &channel, AccountKey::of("default", &channel).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn while_nobody_is_due_it_is_said_when_the_next_one_is_and_not_for_what_how_many_wait() {
        let clock = std::sync::Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let ledger = SqliteLedger::in_memory(clock.clone()).await.unwrap();
        let id = ledger.declare(&declaration()).await.unwrap().id;
        let ticket = ledger.begin_plan(id).await.unwrap();
        ledger.append_plan(ticket, 1, &[PlanRow { recipient: "1".into(), vars: Default::default() }]).await.unwrap();
        ledger.seal_plan(ticket, &Default::default()).await.unwrap();
        assert!(describe(&ledger.snapshot(id).await.unwrap(), 0.0).starts_with("0.0/s ETA "));
        let request = ExchangeRequest {
            broadcast: id,
            holder: "one".into(),
            display: "one".into(),
            number: 1,
            outcomes: Vec::new(),
            wants: 1,
            content_of: None,
            held_up: false,
            usage: None,
            retry_credentials: false,
            known_revision: 0,
            leaving: false,
        };
        let row = ledger.exchange(&request).await.unwrap().rows.remove(0);
        clock.advance(Span::from_secs(1));
        let outcome = Outcome::Transient { cap: None, fault: Fault::new("Busy", None, "later") };
        let outcomes = vec![Report::new(row.seq, row.attempt, outcome)];
        ledger.exchange(&ExchangeRequest { number: 2, outcomes, wants: 0, leaving: true, ..request }).await.unwrap();
        let told = describe(&ledger.snapshot(id).await.unwrap(), 0.0);
        assert!(told.starts_with("0.0/s nobody is due, the next one in ") && !told.contains("retr"), "{told}");
        clock.advance(LEASE * 20);
        assert!(describe(&ledger.snapshot(id).await.unwrap(), 0.0).starts_with("0.0/s ETA "), "it is due by now");
    }
}
