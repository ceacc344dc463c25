//! The outbox: what is to be told to the endpoints of a broadcast, and who is at it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::exchange::BroadcastId;
use super::status::instant;
use crate::api::broadcast_status::{NotificationError, NotificationSums};
use crate::api::{NotificationEvent, SecretKeyRef};
use crate::delivery::counts::Counts;
use crate::delivery::notification::Told;
use crate::delivery::outcome::{MAX_FAULT_CODE, is_reason, plain};
use crate::delivery::time::{Span, Timestamp};

/// The most events that a sender is given at once: few enough that all of them are tried within the lease.
pub const MAX_NOTIFICATIONS_PAGE: usize = 16;
/// So long events belong to the sender that took them: it tries a page of them, four at once, in less.
pub const NOTIFICATION_LEASE: Span = Span::from_secs(150);
/// The longest wish of an endpoint to be left alone that is followed.
pub const LONGEST_RETRY_AFTER: Span = Span::from_secs(15 * 60);
/// The reason of an event whose endpoint has said that it is gone.
pub const ENDPOINT_GONE: &str = "EndpointGone";
/// The reason of an event that nobody told anything of: no sender could start, or each ended over it.
pub const NOTIFICATION_FORGOTTEN: &str = "NotificationForgotten";

/// One event for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NotificationKey {
    pub event: NotificationEvent,
    /// Of batches their index; otherwise which time it is, from 1 on.
    pub occurrence: i64,
    /// The endpoint's name.
    pub endpoint: String,
}

/// One event that a sender is to post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub key: NotificationKey,
    /// Where to, as it is named now. May hold a token.
    pub url: String,
    pub secret: SecretKeyRef,
    pub happened_at: Timestamp,
    pub reason: Option<String>,
    pub message: Option<String>,
    /// Of the batch, or of the broadcast, when it happened.
    pub counts: Counts,
}

/// Who asks for events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeNotifications {
    pub broadcast: BroadcastId,
    /// Random, made at process start.
    pub holder: String,
}

/// Events that belong to the sender that asked, for [`NOTIFICATION_LEASE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationPage {
    /// The ledger's clock.
    pub now: Timestamp,
    /// Of the broadcast.
    pub namespace: String,
    pub name: String,
    pub idempotency_key: String,
    /// At most [`MAX_NOTIFICATIONS_PAGE`].
    pub notifications: Vec<Notification>,
    /// When the next of those that are left may be taken; `None` where none is left.
    pub next_at: Option<Timestamp>,
}

/// What became of one try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result")]
pub enum Posted {
    /// The endpoint has it.
    Taken,
    /// There is no such endpoint any more.
    Gone,
    Failed {
        /// CamelCase, from a fixed set.
        reason: String,
        /// The HTTP status, where there was an answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// The endpoint's own wish.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

impl Posted {
    /// As it may be stored, whatever a sender says.
    pub fn cut(self) -> Posted {
        let Posted::Failed { reason, code, retry_after_ms } = self else { return self };
        let reason = if is_reason(&reason) { reason } else { "SenderFault".to_owned() };
        Posted::Failed { reason, code: code.map(|code| plain(&code, MAX_FAULT_CODE)), retry_after_ms }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationReport {
    pub key: NotificationKey,
    /// Where it was posted: an edit may have named another URL meanwhile.
    pub url: String,
    pub posted: Posted,
}

/// What a sender tells of the events it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportNotifications {
    pub broadcast: BroadcastId,
    pub holder: String,
    /// At most [`MAX_NOTIFICATIONS_PAGE`].
    pub reports: Vec<NotificationReport>,
}

/// The outbox of a broadcast that has endpoints, at one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    pub told: Told,
    pub pending: i64,
    pub delivered: i64,
    pub failed: i64,
    pub last_error: Option<NotificationError>,
    /// When the first of those pending may be taken, less what is about to be given up since nobody could for
    /// [`FORGOTTEN_AFTER`](crate::delivery::notification::FORGOTTEN_AFTER).
    pub due_at: Option<Timestamp>,
}

impl Outbox {
    pub fn sums(&self) -> NotificationSums {
        NotificationSums {
            pending: self.pending,
            delivered: self.delivered,
            failed: self.failed,
            last_error: self.last_error.clone(),
        }
    }
}

/// Events of all broadcasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotificationTotals {
    pub pending: i64,
    pub delivered: i64,
    pub failed: i64,
}

impl Notification {
    /// The same for every try, and for nothing else in any ledger. Holds no dot.
    pub fn id(&self, broadcast: BroadcastId) -> String {
        let NotificationKey { event, occurrence, endpoint } = &self.key;
        format!("{}:{}:{occurrence}:{endpoint}", broadcast.0, event.as_str())
    }

    /// What is posted: the same at every try.
    pub fn body(&self, page: &NotificationPage) -> String {
        let counts = &self.counts;
        let mut data = json!({
            "namespace": page.namespace,
            "name": page.name,
            "idempotencyKey": page.idempotency_key,
            "recipients": {
                "planned": counts.total(),
                "pending": counts.open(),
                "sent": counts.sent,
                "failed": counts.failed,
                "skipped": counts.skipped,
                "unknown": counts.unknown,
            },
        });
        if self.key.event == NotificationEvent::BatchCompleted {
            data["batch"] = self.key.occurrence.into();
        }
        if let Some(reason) = &self.reason {
            data["reason"] = reason.as_str().into();
        }
        if let Some(message) = self.message.as_deref().filter(|message| !message.is_empty()) {
            data["message"] = message.into();
        }
        let timestamp = instant(self.happened_at).unwrap_or_default().to_string();
        json!({"type": self.key.event.as_str(), "timestamp": timestamp, "data": data}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(event: NotificationEvent) -> Notification {
        Notification {
            key: NotificationKey { event, occurrence: 3, endpoint: "crm".to_owned() },
            url: "https://hooks.example/token-of-crm".to_owned(),
            secret: SecretKeyRef { name: "hook".to_owned(), key: "secret".to_owned() },
            happened_at: Timestamp::from_secs(1_700_000_000),
            reason: None,
            message: None,
            counts: Counts { pending: 1, inflight: 2, sent: 3, failed: 4, skipped: 5, unknown: 6 },
        }
    }

    fn page() -> NotificationPage {
        NotificationPage {
            now: Timestamp::from_secs(1_700_000_100),
            namespace: "marketing".to_owned(),
            name: "spring-sale".to_owned(),
            idempotency_key: "spring".to_owned(),
            notifications: Vec::new(),
            next_at: None,
        }
    }

    #[test]
    fn a_body_tells_what_happened_when_and_how_many() {
        let body: serde_json::Value =
            serde_json::from_str(&notification(NotificationEvent::BatchCompleted).body(&page())).unwrap();
        let recipients = json!({"planned": 21, "pending": 3, "sent": 3, "failed": 4, "skipped": 5, "unknown": 6});
        assert_eq!(
            body,
            json!({"type": "BatchCompleted", "timestamp": "2023-11-14T22:13:20Z", "data": {
                "namespace": "marketing", "name": "spring-sale", "idempotencyKey": "spring", "batch": 3,
                "recipients": recipients,
            }})
        );
        let stalled = Notification {
            reason: Some("SecretNotFound".to_owned()),
            message: Some("there is none".to_owned()),
            ..notification(NotificationEvent::BroadcastStalled)
        };
        let body: serde_json::Value = serde_json::from_str(&stalled.body(&page())).unwrap();
        assert_eq!(
            (&body["data"]["reason"], &body["data"]["message"]),
            (&json!("SecretNotFound"), &json!("there is none"))
        );
        assert!(body["data"].get("batch").is_none() && !body.to_string().contains("token-of-crm"));
    }

    #[test]
    fn an_id_names_broadcast_event_and_endpoint_without_a_dot() {
        let id = notification(NotificationEvent::BroadcastFinished).id(BroadcastId(77));
        assert_eq!(id, "77:BroadcastFinished:3:crm");
        assert!(!id.contains('.'));
    }

    #[test]
    fn what_a_sender_of_another_version_tells_is_cut_to_what_a_status_holds() {
        let told =
            Posted::Failed { reason: "not a word".to_owned(), code: Some("9".repeat(999)), retry_after_ms: None };
        let Posted::Failed { reason, code, .. } = told.cut() else { panic!("another result") };
        assert_eq!((reason.as_str(), code.unwrap().len()), ("SenderFault", MAX_FAULT_CODE));
    }
}
