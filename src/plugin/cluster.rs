//! The person's own way to the Kubernetes API: their kubeconfig and nothing else.

use std::time::Duration;

use kube::api::ListParams;
use kube::client::UpgradeConnectionError;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::{Api, Client, Config};

use super::failure::PluginError;
use super::options::Target;
use crate::api::batch::MAX_BATCHES;
use crate::api::{BroadcastMessage, MessageBatch, MessageChannel};

/// How long one call may take: longer than an API server under load.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the API server may take to be connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

fn unusable(error: impl std::fmt::Display) -> PluginError {
    PluginError::Configuration(error.to_string())
}

async fn config(target: &Target) -> Result<Config, PluginError> {
    let options = KubeConfigOptions { context: target.context.clone(), ..KubeConfigOptions::default() };
    match (&target.kubeconfig, &target.context) {
        (Some(path), _) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unusable)
        }
        (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(unusable),
        // In a pod there may be no kubeconfig.
        (None, None) => Config::infer().await.map_err(unusable),
    }
}

/// The namespace of what names none, as the kubeconfig has it: `None` where nobody asks for a kubeconfig and there is none, since
/// a look at documents needs no cluster.
///
/// # Errors
/// The kubeconfig or context that is asked for cannot be used.
pub async fn usual_namespace(target: &Target) -> Result<Option<String>, PluginError> {
    let is_asked_for = target.kubeconfig.is_some() || target.context.is_some();
    match config(target).await {
        Ok(config) => Ok(Some(config.default_namespace)),
        Err(error) if is_asked_for => Err(error),
        Err(_) => Ok(None),
    }
}

/// A cluster, and the namespace in it that is meant.
pub struct Cluster {
    pub client: Client,
    pub namespace: String,
}

impl Cluster {
    pub async fn connect(target: &Target) -> Result<Cluster, PluginError> {
        let mut config = config(target).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // A repeated request to create would be told that its own object is in the way.
        config.default_retry = false;
        let namespace = target.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(unusable)?;
        Ok(Cluster { client, namespace })
    }

    pub fn broadcasts(&self) -> Api<BroadcastMessage> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The same without their types: a stop does not fail for a field that this version does not know.
    pub fn untyped_broadcasts(&self) -> Api<DynamicObject> {
        let kind = kube::api::ApiResource::erase::<BroadcastMessage>(&());
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind)
    }

    pub async fn broadcast(&self, name: &str) -> Result<BroadcastMessage, PluginError> {
        let found = call(format!("get the BroadcastMessage {name}"), self.broadcasts().get_opt(name)).await?;
        found.ok_or_else(|| self.no_such(name))
    }

    /// `None` where it is not there.
    pub async fn channel(&self, name: &str) -> Result<Option<MessageChannel>, PluginError> {
        let api: Api<MessageChannel> = Api::namespaced(self.client.clone(), &self.namespace);
        call(format!("get the MessageChannel {name}"), api.get_opt(name)).await
    }

    /// Its batches, in order.
    pub async fn batches(&self, broadcast: &str) -> Result<Vec<MessageBatch>, PluginError> {
        let api: Api<MessageBatch> = Api::namespaced(self.client.clone(), &self.namespace);
        let selected = ListParams::default().labels(&format!("herald.dev/broadcast={broadcast}")).limit(MAX_BATCHES);
        let mut batches = call("list the MessageBatches".to_owned(), api.list(&selected)).await?.items;
        batches.retain(|batch| batch.spec.broadcast_ref.name == broadcast);
        batches.sort_by_key(|batch| batch.spec.index);
        Ok(batches)
    }

    pub fn no_such(&self, name: &str) -> PluginError {
        PluginError::NotFound { namespace: self.namespace.clone(), name: name.to_owned() }
    }
}

/// One call in bounded time. `what` completes "failed to …".
pub async fn call<T>(what: String, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, PluginError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => {
            Err(PluginError::Call { what, words: status.message.clone(), code: Some(status.code) })
        }
        Ok(Err(kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)))) => {
            let words = format!("the Kubernetes API answered {status}");
            Err(PluginError::Call { what, words, code: Some(status.as_u16()) })
        }
        Ok(Err(error)) => Err(PluginError::Call { what, words: chain(&error), code: None }),
        Err(_) => Err(PluginError::TimedOut { what, limit: CALL_TIMEOUT }),
    }
}

/// An error with its causes: the last one is mostly what a person needs.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let words = source.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = source.source();
    }
    text
}
