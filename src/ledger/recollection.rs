//! What is known of a broadcast outside its ledger. A ledger that holds less than that has lost commits.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::api::BroadcastMessage;
use crate::delivery::time::Timestamp;

/// The annotation by which a person lets a broadcast go on whose ledger has lost its memory. One that was there when the
/// loss was found says nothing about it: what counts is another value than then.
pub const APPROVED: &str = "herald.dev/approved";

/// Attempts and revisions go on this far above what is known once a loss is approved: more than can have been lost. So no
/// attempt of the lost time has the number of a later one, and nobody who knows a little more closes the gate again.
pub const LEAP: i64 = 1_000_000;

/// No ledger gets as far as this: a higher revision is somebody's invention, and counts as this one.
pub const HIGHEST: i64 = i64::MAX / 2;

/// What an owner brings along when it declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recollection {
    /// The highest revision of the broadcast that anybody has told of; 0 where nobody has.
    pub revision: i64,
    /// When the owner was made; `None` where nobody knows.
    pub owner_created_at: Option<Timestamp>,
    /// The value of the annotation [`APPROVED`], empty where there is none; `None` where nobody has looked at the object
    /// itself: what a cache says may be long over.
    pub approval: Option<String>,
}

impl Recollection {
    /// What an object says of itself. Its status counts only where it speaks of the key that the object has now. One that
    /// tells of a first attempt has been in a ledger, whatever the revision.
    pub fn of(broadcast: &BroadcastMessage) -> Recollection {
        let metadata = &broadcast.metadata;
        let of_this_key = |key: Option<&str>| key == Some(broadcast.idempotency_key());
        let status = broadcast.status.as_ref().filter(|status| of_this_key(status.idempotency_key.as_deref()));
        let revision = status.and_then(|status| status.ledger_revision.or(status.first_attempt_time.map(|_| 1)));
        let created = metadata.creation_timestamp.as_ref();
        Recollection {
            revision: revision.unwrap_or_default(),
            owner_created_at: created.and_then(|at| i64::try_from(at.0.as_nanosecond()).ok()).map(Timestamp),
            approval: Some(approval(metadata)),
        }
    }
}

/// The value of the annotation [`APPROVED`], empty where there is none.
pub fn approval(metadata: &ObjectMeta) -> String {
    metadata.annotations.as_ref().and_then(|all| all.get(APPROVED)).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(status: serde_json::Value) -> BroadcastMessage {
        serde_json::from_value(json!({
            "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
            "metadata": {
                "name": "sale", "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"herald.dev/approved": "yes"},
            },
            "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": []}, "content": {"text": "Hi"}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_status_speaks_of_the_key_it_was_written_for_and_of_no_other() {
        let revision = |status| Recollection::of(&object(status)).revision;
        assert_eq!(revision(json!({"idempotencyKey": "sale", "ledgerRevision": 7})), 7);
        assert_eq!(revision(json!({"idempotencyKey": "before-the-edit", "ledgerRevision": 7})), 0);
        assert_eq!(revision(json!({})), 0);
        let attempted = json!({"idempotencyKey": "sale", "firstAttemptTime": "2026-01-01T00:00:00Z"});
        assert_eq!(revision(attempted), 1, "somebody was attempted, so a ledger knew it");
    }

    #[test]
    fn an_object_brings_its_age_and_its_annotation_along() {
        let recollection = Recollection::of(&object(json!({})));
        assert_eq!(recollection.owner_created_at, Some(Timestamp::from_secs(1_767_225_600)));
        assert_eq!(recollection.approval.as_deref(), Some("yes"));
    }
}
