//! What becomes of an admitted document, and how a refused one is described.

use serde_json::json;

use super::samples::{all, broadcast, create, stored, with};

#[test]
fn defaults_are_filled_in_and_nothing_else() {
    let minimal = json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "BroadcastMessage",
        "metadata": {"name": "hello"},
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
    });
    assert_eq!(
        stored(&minimal),
        with(
            minimal.clone(),
            "/spec/delivery",
            json!({"senders": 1, "priority": "Normal", "unknownPolicy": "Hold", "retry": {"maxAttempts": 5, "initialBackoffSeconds": 5, "maxBackoffSeconds": 900}})
        )
    );

    let channel = json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "page"},
        "spec": {"messenger": {"pageID": "1"}, "credentialsSecretRef": {"name": "page"}, "rate": {"messages": 3}},
    });
    assert_eq!(
        stored(&channel)["spec"],
        json!({
            "messenger": {"pageID": "1", "apiVersion": "v25.0", "baseURL": "https://graph.facebook.com"},
            "credentialsSecretRef": {"name": "page"},
            "rate": {"messages": 3, "periodSeconds": 1},
            "requestTimeoutSeconds": 20,
        })
    );
}

#[test]
fn types_and_stored_documents_are_the_same_data_and_null_is_never_written() {
    for document in all() {
        let admitted = stored(&document);
        let back = match document["kind"].as_str().unwrap() {
            "BroadcastMessage" => {
                serde_json::to_value(serde_json::from_value::<herald::api::BroadcastMessage>(admitted.clone()).unwrap())
            }
            "MessageChannel" => {
                serde_json::to_value(serde_json::from_value::<herald::api::MessageChannel>(admitted.clone()).unwrap())
            }
            _ => serde_json::to_value(serde_json::from_value::<herald::api::MessageBatch>(admitted.clone()).unwrap()),
        }
        .unwrap();
        // An instant is written in UTC, whatever the zone it was given in.
        let expected = match admitted.pointer("/spec/schedule/endTime") {
            Some(_) => with(admitted, "/spec/schedule/endTime", json!("2026-12-02T08:00:00Z")),
            None => admitted,
        };
        assert_eq!(back, expected);
    }
}

#[test]
fn the_status_of_a_new_document_is_checked_for_unknown_fields_and_then_dropped() {
    let document = with(broadcast(), "/status", json!({"state": "Complete"}));
    assert_eq!(stored(&document).get("status"), None);
    let document = with(broadcast(), "/status", json!({"state": "Done"}));
    assert_eq!(stored(&document).get("status"), None);
    let document = with(broadcast(), "/status", json!({"colour": "blue"}));
    assert!(create(&document)[0].starts_with("status.colour: Unknown field: "), "{:?}", create(&document));
}

#[test]
fn all_violations_are_reported_at_once_and_ids_of_people_are_not_shown() {
    let document = with(
        with(
            with(broadcast(), "/spec/audience/recipients/0/id", json!(" 24005550001")),
            "/spec/delivery/senders",
            json!(0),
        ),
        "/spec/content/text",
        json!(""),
    );
    let verdict = create(&document);
    assert_eq!(verdict.len(), 3, "{verdict:?}");
    assert!(verdict.iter().all(|line| !line.contains("2400555")), "{verdict:?}");
}
