//! Writes statuses, and tells people of changes. Nobody else writes either.

use std::sync::Arc;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, ObjectMeta};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::cluster::{CallError, call};
use super::metrics::Metrics;
use super::transition::Transition;
use super::watch::kind_of;
use crate::api::{BroadcastMessage, Condition, ConditionStatus};

/// Who owns the fields of a status.
const FIELD_MANAGER: &str = "herald";
/// The longest action of an event, in bytes: what Kubernetes takes.
const MAX_ACTION: usize = 128;
/// The longest note of an event, in bytes: the API server's bound.
const MAX_NOTE: usize = 1_024;

/// Where reports go.
#[derive(Clone)]
pub struct StatusWriter {
    client: Client,
    recorder: Recorder,
    metrics: Arc<Metrics>,
}

impl StatusWriter {
    pub fn new(client: Client, metrics: Arc<Metrics>) -> StatusWriter {
        let recorder = Recorder::new(client.clone(), Reporter { controller: "herald".to_owned(), instance: None });
        StatusWriter { client, recorder, metrics }
    }

    /// Makes this the whole status of the object with that uid. One that is gone, or replaced by another of its name, needs
    /// none.
    pub async fn write<K, S>(&self, namespace: &str, name: &str, uid: Option<&str>, status: &S) -> Result<(), CallError>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
        S: Serialize,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let mut metadata = json!({"name": name});
        if let Some(uid) = uid {
            metadata["uid"] = json!(uid);
        }
        let whole = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": metadata,
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match call("write a status", api.patch_status(name, &params, &Patch::Apply(&whole))).await {
            Ok(_) => {
                self.metrics.status_written(kind_of::<K>());
                Ok(())
            }
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells that an object cannot be read, and leaves the rest of its status as it is.
    pub async fn write_unreadable(&self, metadata: &ObjectMeta, condition: Condition) -> Result<(), CallError> {
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let name = metadata.name.clone().unwrap_or_default();
        let resource = ApiResource::erase::<BroadcastMessage>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &resource);
        let Some(object) = call("read an object", api.get_opt(&name)).await? else { return Ok(()) };
        let mut status = object.data.get("status").cloned().unwrap_or_else(|| json!({}));
        let ready = Condition { type_: "Ready".to_owned(), status: ConditionStatus::False, ..condition.clone() };
        let mut conditions: Vec<Value> = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions.retain(|known| !matches!(known["type"].as_str(), Some("Ready" | "Stalled" | "Reconciling")));
        conditions.push(json!(ready));
        conditions.push(json!(condition));
        status["conditions"] = Value::Array(conditions);
        if let Some(generation) = metadata.generation {
            status["observedGeneration"] = json!(generation);
        }
        let uid = metadata.uid.as_deref();
        let whole = json!({
            "apiVersion": BroadcastMessage::api_version(&()),
            "kind": BroadcastMessage::kind(&()),
            "metadata": {"name": name, "uid": uid},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match call("write a status", api.patch_status(&name, &params, &Patch::Apply(&whole))).await {
            Ok(_) => {
                self.metrics.status_written(kind_of::<BroadcastMessage>());
                Ok(())
            }
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One event for each change. An event that is lost is only logged: it is never the only record.
    pub async fn tell<K>(&self, object: &K, transitions: &[Transition])
    where
        K: Resource<DynamicType = ()>,
    {
        let about = object.object_ref(&());
        for transition in transitions {
            let event = Event {
                type_: if transition.warning { EventType::Warning } else { EventType::Normal },
                reason: transition.reason.to_owned(),
                note: Some(cut(&transition.note, MAX_NOTE).to_owned()),
                action: cut(&transition.cause, MAX_ACTION).to_owned(),
                secondary: None,
            };
            let name = object.name_any();
            self.metrics.changed(kind_of::<K>(), transition.reason);
            tracing::info!(kind = %K::kind(&()), name, reason = transition.reason, note = transition.note, "changed");
            if let Err(error) = call("publish an event", self.recorder.publish(&event, &about)).await {
                if error.is_of_an_ending_namespace() {
                    return;
                }
                tracing::warn!(reason = error.reason(), %error, "an event was lost");
            }
        }
    }
}

/// At most so many bytes, whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fake_cluster::FakeCluster;

    const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/a/events";

    /// Notes, and how often each was counted, of what is told in this order.
    async fn told(transitions: &[Transition]) -> Vec<(String, u64)> {
        let cluster = FakeCluster::default();
        let writer = StatusWriter::new(cluster.client(), Arc::default());
        let object: BroadcastMessage = serde_json::from_value(crate::controller::stage::broadcast()).unwrap();
        writer.tell(&object, transitions).await;
        let events = cluster.list(EVENTS);
        for event in &events {
            let action = event["action"].as_str().unwrap();
            assert!(!action.is_empty() && action.len() <= MAX_ACTION, "{action}");
        }
        let count = |event: &Value| event["series"]["count"].as_u64().unwrap_or(1);
        events.iter().map(|event| (event["note"].as_str().unwrap().to_owned(), count(event))).collect()
    }

    #[tokio::test]
    async fn each_cause_is_an_event_of_its_own_and_what_comes_again_for_the_same_is_counted() {
        let of = |cause: &str, note: &str| Transition::new(true, "WriteBackFailing", note.to_owned()).because(cause);
        let long = "ü".repeat(MAX_ACTION);
        let transitions = [of("Sql A", "one"), of("Messenger A", "two"), of("Sql A", "three"), of(&long, "four")];
        let expected = [("one", 2), ("two", 1), ("four", 1)].map(|(note, count)| (note.to_owned(), count));
        assert_eq!(told(&transitions).await, expected);
    }

    #[tokio::test]
    async fn turns_without_a_cause_are_counted_together_and_apart_from_others_of_another_reason() {
        let of = |reason, note: &str| Transition::new(false, reason, note.to_owned());
        let expected = [("off", 2), ("on", 1)].map(|(note, count)| (note.to_owned(), count));
        assert_eq!(told(&[of("Suspended", "off"), of("Resumed", "on"), of("Suspended", "off")]).await, expected);
    }

    #[test]
    fn a_note_is_cut_between_characters() {
        assert_eq!(cut("short", MAX_NOTE), "short");
        let long = "ü".repeat(MAX_NOTE);
        assert_eq!(cut(&long, MAX_NOTE - 1).len(), MAX_NOTE - 2);
    }
}
