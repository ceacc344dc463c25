//! The way to the Kubernetes API: one client, bounded in rate, and a bounded time for every call.

use std::time::Duration;

use kube::api::{DeleteParams, Preconditions};
use kube::client::ClientBuilder;
use kube::core::Status;
use kube::{Api, Client, Config};
use serde::de::DeserializeOwned;
use tower::limit::RateLimitLayer;

/// Calls a second at most, watches included: as other controllers of Kubernetes do, well below what an API server
/// takes. Enough to make the 500 batches of the largest broadcast in 10 s.
const MAX_CALLS_PER_SECOND: u64 = 50;
/// How long the API server may take to be connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one call may take, the wait for its turn included.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a call to the Kubernetes API came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("failed to {what}: {}", words(.source))]
    Failed { what: &'static str, source: Box<kube::Error> },
    #[error("failed to {what}: the Kubernetes API did not answer within {} s", CALL_TIMEOUT.as_secs())]
    TimedOut { what: &'static str },
}

impl CallError {
    /// CamelCase, from a fixed set.
    pub fn reason(&self) -> &'static str {
        match (self, self.code()) {
            (CallError::TimedOut { .. }, _) => "ApiTimeout",
            (_, Some(403)) if self.is_of_an_ending_namespace() => "NamespaceTerminating",
            (_, Some(403)) => "ApiForbidden",
            (_, Some(404)) => "ApiNotFound",
            (_, Some(409)) => "ApiConflict",
            (_, Some(422 | 400)) => "ApiInvalid",
            (_, Some(429)) => "ApiThrottled",
            _ => "ApiUnavailable",
        }
    }

    /// The API server's own code, where it answered.
    pub fn code(&self) -> Option<u16> {
        self.answer().map(|status| status.code)
    }

    fn answer(&self) -> Option<&Status> {
        match self {
            CallError::Failed { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            CallError::TimedOut { .. } => None,
        }
    }

    /// Nothing can be made in a namespace that is being deleted, and nothing needs to be.
    pub fn is_of_an_ending_namespace(&self) -> bool {
        let causes = self.answer().and_then(|status| status.details.as_ref()).map(|details| details.causes.as_slice());
        causes.unwrap_or_default().iter().any(|cause| cause.reason == "NamespaceTerminating")
    }

    /// Whether the API server has understood what was wanted and does not take it: an invalid field, a missing right, a
    /// quota, a policy. The same call may succeed once somebody has acted.
    pub fn is_refusal(&self) -> bool {
        matches!(self.code(), Some(400 | 403 | 413 | 422)) && !self.is_of_an_ending_namespace()
    }

    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }
}

/// What a person needs of an error: the API server's sentence without the structure around it.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

/// A client for the cluster this process runs in, or the one of its kubeconfig.
///
/// # Errors
/// The text says what is wrong with the configuration.
pub async fn connect() -> Result<Client, String> {
    let mut config = Config::infer().await.map_err(|error| {
        format!("no Kubernetes cluster is configured: {error}; run in a pod with a service account, or set KUBECONFIG")
    })?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // The reconcilers have their own backoff; retries below it would hold a call for minutes.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config).map_err(|error| format!("the Kubernetes client: {error}"))?;
    let rate = RateLimitLayer::new(MAX_CALLS_PER_SECOND, Duration::from_secs(1));
    Ok(builder.with_layer(&rate).build())
}

/// One call in bounded time. `what` completes "failed to …".
pub async fn call<T>(what: &'static str, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(CallError::Failed { what, source: Box::new(source) }),
        Err(_) => Err(CallError::TimedOut { what }),
    }
}

/// Deletes the one object that was observed: one that is gone, or another by now, is left as it is.
pub async fn delete_only<K>(what: &'static str, api: &Api<K>, name: &str, uid: &str) -> Result<(), CallError>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let only_this = Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() };
    let params = DeleteParams::background().preconditions(only_this);
    tolerate_gone(call(what, api.delete(name, &params)).await.map(drop))
}

/// That an object is gone, or another by now, is no failure of a call that would have changed it.
pub fn tolerate_gone(done: Result<(), CallError>) -> Result<(), CallError> {
    match done {
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(answer: serde_json::Value) -> CallError {
        let status: Status = serde_json::from_value(answer).unwrap();
        CallError::Failed { what: "create a Job", source: Box::new(kube::Error::Api(Box::new(status))) }
    }

    #[test]
    fn an_error_is_told_in_the_words_of_the_api_server_alone() {
        let error = refused(serde_json::json!({
            "status": "Failure", "code": 403, "reason": "Forbidden", "message": "jobs.batch is forbidden: no such right",
        }));
        assert_eq!(error.to_string(), "failed to create a Job: jobs.batch is forbidden: no such right");
        assert_eq!(error.reason(), "ApiForbidden");
    }

    #[test]
    fn a_namespace_that_is_being_deleted_is_told_from_a_missing_right() {
        let error = refused(serde_json::json!({
            "status": "Failure", "code": 403, "reason": "Forbidden", "message": "it is being terminated",
            "details": {"causes": [{"reason": "NamespaceTerminating", "message": "", "field": "metadata.namespace"}]},
        }));
        assert_eq!(error.reason(), "NamespaceTerminating");
    }
}
