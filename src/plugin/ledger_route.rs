//! The way to an operator's ledger API: a port-forward to one of its pods, by the person's own rights.

use std::future::Future;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Portforwarder};
use kube::{Api, Client};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use super::cluster::call;
use super::failure::PluginError;
use crate::api::ledger_access::{LEDGER_PORT, OPERATOR_PODS};

/// More operators than anybody runs.
const MAX_PODS: u32 = 50;

/// Opens connections to the ledger API.
pub trait Route {
    /// A connection, and what has to live as long as it does.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    type Keeper: Send + 'static;

    fn open(&self) -> impl Future<Output = Result<(Self::Stream, Self::Keeper), PluginError>> + Send;
}

/// To any operator's pod: all of them serve the ledger.
pub struct PodRoute {
    pub client: Client,
    /// The operator's.
    pub namespace: String,
}

impl Route for PodRoute {
    type Stream = DuplexStream;
    type Keeper = Portforwarder;

    async fn open(&self) -> Result<(DuplexStream, Portforwarder), PluginError> {
        self.forward().await.map_err(|error| error.on_the_way(&self.namespace))
    }
}

impl PodRoute {
    async fn forward(&self) -> Result<(DuplexStream, Portforwarder), PluginError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let selected = ListParams::default().labels(OPERATOR_PODS).limit(MAX_PODS);
        let what = format!("list the operator's pods in the namespace {}", self.namespace);
        let pods = call(what, api.list(&selected)).await?.items;
        let Some((name, port)) = choose(&pods) else {
            return Err(PluginError::Refused(format!(
                "no operator runs in the namespace {}; name its namespace with --operator-namespace",
                self.namespace
            )));
        };
        let ports = [port];
        let forwarding = api.portforward(&name, &ports);
        let mut forwarder = call(format!("forward a port of the pod {name}"), forwarding).await?;
        let stream = forwarder.take_stream(port);
        let stream = stream.ok_or_else(|| PluginError::Refused(format!("the pod {name} forwards no port {port}")))?;
        Ok((stream, forwarder))
    }
}

/// A pod that runs, and its ledger's port; rather one that is ready.
fn choose(pods: &[Pod]) -> Option<(String, u16)> {
    let runs = |pod: &&Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
    };
    let is_ready = |pod: &&Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let running: Vec<&Pod> = pods.iter().filter(runs).collect();
    let pod = running.iter().copied().find(|pod| is_ready(pod)).or_else(|| running.first().copied())?;
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let mut ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some(LEDGER_PORT))?.container_port;
    Some((pod.metadata.name.clone()?, u16::try_from(port).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, phase: &str, ready: &str, more: Value) -> Pod {
        let mut pod = json!({
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "operator", "ports": [
                {"name": "metrics", "containerPort": 8080}, {"name": "ledger", "containerPort": 9443}]}]},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            pod["metadata"][key] = value.clone();
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_pod_that_is_ready_is_chosen_before_one_that_only_runs() {
        let starting = pod("starting", "Pending", "False", json!({}));
        let running = pod("running", "Running", "False", json!({}));
        let ready = pod("ready", "Running", "True", json!({}));
        let leaving = pod("leaving", "Running", "True", json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
        let chosen = |pods: &[&Pod]| choose(&pods.iter().copied().cloned().collect::<Vec<_>>());
        assert_eq!(chosen(&[&starting, &leaving, &running, &ready]), Some(("ready".to_owned(), 9_443)));
        assert_eq!(chosen(&[&starting, &leaving, &running]), Some(("running".to_owned(), 9_443)));
        assert_eq!(chosen(&[&starting, &leaving]), None);
    }
}
