//! What keeps a command from doing what it was told, for people.

use std::time::Duration;

/// Why a command did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("no cluster can be reached: {0}; check --kubeconfig and --context, or the variable KUBECONFIG")]
    Configuration(String),
    #[error("failed to {what}: {words}")]
    Call { what: String, words: String, code: Option<u16> },
    #[error("failed to {what}: the Kubernetes API did not answer within {} s", .limit.as_secs())]
    TimedOut { what: String, limit: Duration },
    #[error(
        "there is no BroadcastMessage {name} in the namespace {namespace}; kubectl get broadcastmessages -A lists all"
    )]
    NotFound { namespace: String, name: String },
    #[error("not confirmed; nothing was changed")]
    NotConfirmed,
    #[error("failed to ask for a confirmation: {0}; give --yes to be asked nothing")]
    Asking(std::io::Error),
    #[error("failed to write: {0}")]
    Writing(std::io::Error),
    #[error("{0}")]
    Refused(String),
}

impl PluginError {
    pub fn is_not_found(&self) -> bool {
        matches!(self, PluginError::NotFound { .. } | PluginError::Call { code: Some(404), .. })
    }

    /// A missing right to the way to the ledger, told with who gives it.
    pub fn on_the_way(self, operator_namespace: &str) -> PluginError {
        match self {
            PluginError::Call { what, words, code: Some(403) } => PluginError::Refused(format!(
                "failed to {what}: {words}; the role herald-results of the namespace {operator_namespace} gives that right"
            )),
            other => other,
        }
    }

    pub fn is_conflict(&self) -> bool {
        matches!(self, PluginError::Call { code: Some(409), .. })
    }
}
