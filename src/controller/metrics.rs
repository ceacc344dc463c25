//! What is counted, under `/metrics`. Labels come from fixed sets: no name of an object is one.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::transition::EVENTS;
use crate::delivery::recipient::RecipientState;
use crate::delivery::time::Timestamp;
use crate::ledger::{NotificationTotals, Outcomes, WriteBackTotals};

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    controller: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    kind: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    path: String,
    result: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PathLabels {
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SettledLabels {
    outcome: &'static str,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// All figures of the operator.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ResultLabels, Counter>,
    reconcile_errors: Family<ErrorLabels, Counter>,
    reconcile_duration: Histograms<ControllerLabels>,
    status_writes: Family<KindLabels, Counter>,
    events: Family<EventLabels, Counter>,
    ledger_requests: Family<RequestLabels, Counter>,
    ledger_request_duration: Histograms<PathLabels>,
    last_events: Family<KindLabels, Gauge>,
    settled: Family<SettledLabels, Counter>,
    open: Family<StateLabels, Gauge>,
    notifications: Family<OutcomeLabels, Counter>,
    notifications_pending: Gauge,
    write_backs: Family<OutcomeLabels, Counter>,
    write_backs_pending: Gauge,
}

/// From 1 ms to some 16 s.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 8))
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("herald");
        let reconciles = Family::default();
        let reconcile_errors = Family::default();
        let reconcile_duration = Histograms::new_with_constructor(durations as fn() -> Histogram);
        let status_writes = Family::default();
        let ledger_requests = Family::default();
        let ledger_request_duration = Histograms::new_with_constructor(durations as fn() -> Histogram);
        let last_events = Family::default();
        registry.register("reconcile", "Reconciliations", reconciles.clone());
        registry.register("reconcile_errors", "Reconciliations that failed, by reason", reconcile_errors.clone());
        let unit = || Unit::Seconds;
        registry.register_with_unit(
            "reconcile_duration",
            "How long a reconciliation took",
            unit(),
            reconcile_duration.clone(),
        );
        registry.register("status_writes", "Statuses written to the Kubernetes API", status_writes.clone());
        let events: Family<EventLabels, Counter> = Family::default();
        // From 0 on: what begins with its first event shows no increase by it.
        for (kind, reasons) in EVENTS {
            for &reason in reasons {
                let _ = events.get_or_create(&EventLabels { kind, reason });
            }
        }
        registry.register("events", "Changes of objects told as events, by reason", events.clone());
        registry.register("ledger_requests", "Requests of senders, by HTTP status", ledger_requests.clone());
        registry.register_with_unit(
            "ledger_request_duration",
            "How long a request of a sender took",
            unit(),
            ledger_request_duration.clone(),
        );
        registry.register_with_unit(
            "watch_last_event_timestamp",
            "When a watch last said something; an old one of a busy kind is a stuck watch",
            unit(),
            last_events.clone(),
        );
        let settled = Family::default();
        registry.register(
            "recipients_settled",
            "Recipients sent, failed or skipped, over all broadcasts of the ledger",
            settled.clone(),
        );
        let open = Family::default();
        registry.register("recipients", "Recipients that are not settled, or of whom nobody knows", open.clone());
        let notifications = Family::default();
        registry.register(
            "notifications",
            "Events for endpoints, delivered or given up, over all broadcasts of the ledger",
            notifications.clone(),
        );
        let notifications_pending = Gauge::default();
        registry.register(
            "notifications_pending",
            "Events that no endpoint has taken yet",
            notifications_pending.clone(),
        );
        let write_backs = Family::default();
        registry.register(
            "write_backs",
            "Recipients written to another system, or given up there, over all broadcasts of the ledger",
            write_backs.clone(),
        );
        let write_backs_pending = Gauge::default();
        registry.register(
            "write_backs_pending",
            "Recipients that were sent to and are not written to another system yet",
            write_backs_pending.clone(),
        );
        Metrics {
            registry,
            reconciles,
            reconcile_errors,
            reconcile_duration,
            status_writes,
            events,
            ledger_requests,
            ledger_request_duration,
            last_events,
            settled,
            open,
            notifications,
            notifications_pending,
            write_backs,
            write_backs_pending,
        }
    }
}

impl Metrics {
    pub fn reconciled(&self, controller: &'static str, took: Duration, failed: Option<&'static str>) {
        let result = if failed.is_some() { "error" } else { "success" };
        self.reconciles.get_or_create(&ResultLabels { controller, result }).inc();
        self.reconcile_duration.get_or_create(&ControllerLabels { controller }).observe(took.as_secs_f64());
        if let Some(reason) = failed {
            self.reconcile_errors.get_or_create(&ErrorLabels { controller, reason }).inc();
        }
    }

    pub fn status_written(&self, kind: &'static str) {
        self.status_writes.get_or_create(&KindLabels { kind }).inc();
    }

    /// `reason` is that of the event, one of those in [`EVENTS`].
    pub fn changed(&self, kind: &'static str, reason: &'static str) {
        self.events.get_or_create(&EventLabels { kind, reason }).inc();
    }

    /// `path` is the route's pattern, of which there are few.
    pub fn ledger_answered(&self, path: &str, status: u16, took: Duration) {
        let path = path.to_owned();
        self.ledger_requests.get_or_create(&RequestLabels { path: path.clone(), result: status }).inc();
        self.ledger_request_duration.get_or_create(&PathLabels { path }).observe(took.as_secs_f64());
    }

    pub fn watch_spoke(&self, kind: &'static str, now: Timestamp) {
        self.last_events.get_or_create(&KindLabels { kind }).set(now.0.div_euclid(1_000_000_000));
    }

    /// What the ledger counts, over all its broadcasts. It keeps its counts over restarts, so these begin where they were.
    pub fn counted(&self, totals: &[Outcomes]) {
        let mut unknown = 0;
        for total in totals {
            let state = match total.state {
                RecipientState::Unknown => {
                    unknown += total.count;
                    continue;
                }
                RecipientState::Pending | RecipientState::Inflight => {
                    let state = total.state.as_str();
                    self.open.get_or_create(&StateLabels { state }).set(total.count);
                    continue;
                }
                RecipientState::Sent | RecipientState::Failed | RecipientState::Skipped => total.state.as_str(),
            };
            let labels = SettledLabels { outcome: state, reason: total.reason.clone() };
            let counter = self.settled.get_or_create(&labels);
            let count = u64::try_from(total.count).unwrap_or_default();
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        self.open.get_or_create(&StateLabels { state: RecipientState::Unknown.as_str() }).set(unknown);
    }

    /// What the ledger counts of events for endpoints.
    pub fn told(&self, totals: &NotificationTotals) {
        follow(&self.notifications, [("Delivered", totals.delivered), ("Failed", totals.failed)]);
        self.notifications_pending.set(totals.pending);
    }

    /// What the ledger counts of what is written elsewhere.
    pub fn written_back(&self, totals: &WriteBackTotals) {
        follow(&self.write_backs, [("Done", totals.done), ("Failed", totals.failed)]);
        self.write_backs_pending.set(totals.pending);
    }

    /// The OpenMetrics text.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Counters that grow to what the ledger says.
fn follow(counters: &Family<OutcomeLabels, Counter>, totals: [(&'static str, i64); 2]) {
    for (outcome, total) in totals {
        let counter = counters.get_or_create(&OutcomeLabels { outcome });
        counter.inc_by(u64::try_from(total).unwrap_or_default().saturating_sub(counter.get()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_a_figure_before_it_is_told() {
        let text = Metrics::default().encode().unwrap();
        for (kind, reasons) in EVENTS {
            for reason in reasons {
                let line = format!("herald_events_total{{kind=\"{kind}\",reason=\"{reason}\"}} 0\n");
                assert!(text.contains(&line), "{line} is not in\n{text}");
            }
        }
    }

    #[test]
    fn every_figure_has_its_documented_name() {
        let metrics = Metrics::default();
        metrics.reconciled("broadcast", Duration::from_millis(3), Some("ApiUnavailable"));
        metrics.status_written("BroadcastMessage");
        metrics.changed("BroadcastMessage", "WriteBackFailing");
        metrics.ledger_answered("/v1/exchange", 200, Duration::from_millis(3));
        metrics.watch_spoke("Job", Timestamp(5_000_000_000));
        let total = |state, reason: &str, count| Outcomes { state, reason: reason.to_owned(), code: None, count };
        metrics.counted(&[
            total(RecipientState::Pending, "", 5),
            total(RecipientState::Sent, "", 3),
            total(RecipientState::Failed, "WindowClosed", 2),
            total(RecipientState::Unknown, "NoAnswer", 1),
            total(RecipientState::Unknown, "SenderLost", 1),
        ]);
        metrics.counted(&[total(RecipientState::Sent, "", 4), total(RecipientState::Unknown, "NoAnswer", 2)]);
        metrics.told(&NotificationTotals { pending: 3, delivered: 4, failed: 1 });
        metrics.told(&NotificationTotals { pending: 2, delivered: 5, failed: 1 });
        metrics.written_back(&WriteBackTotals { pending: 9, done: 2, failed: 1 });
        let text = metrics.encode().unwrap();
        for line in [
            r#"herald_write_backs_total{outcome="Done"} 2"#,
            r#"herald_write_backs_total{outcome="Failed"} 1"#,
            "herald_write_backs_pending 9",
            r#"herald_notifications_total{outcome="Delivered"} 5"#,
            r#"herald_notifications_total{outcome="Failed"} 1"#,
            "herald_notifications_pending 2",
            r#"herald_reconcile_total{controller="broadcast",result="error"} 1"#,
            r#"herald_reconcile_errors_total{controller="broadcast",reason="ApiUnavailable"} 1"#,
            r#"herald_reconcile_duration_seconds_count{controller="broadcast"} 1"#,
            r#"herald_status_writes_total{kind="BroadcastMessage"} 1"#,
            r#"herald_events_total{kind="BroadcastMessage",reason="WriteBackFailing"} 1"#,
            r#"herald_ledger_requests_total{path="/v1/exchange",result="200"} 1"#,
            r#"herald_ledger_request_duration_seconds_count{path="/v1/exchange"} 1"#,
            r#"herald_watch_last_event_timestamp_seconds{kind="Job"} 5"#,
            r#"herald_recipients_settled_total{outcome="Sent",reason=""} 4"#,
            r#"herald_recipients_settled_total{outcome="Failed",reason="WindowClosed"} 2"#,
            r#"herald_recipients{state="Pending"} 5"#,
            r#"herald_recipients{state="Unknown"} 2"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
