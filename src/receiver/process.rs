//! `herald receiver`: one channel's call-backs, in a pod that the operator made.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::assembly::{NoCallbacks, callbacks};
use super::endpoint::{Endpoint, Endpoints};
use super::router::router;
use super::server::serve;
use crate::api::mount::{self, ReceivedChannel};
use crate::ledger::AccountKey;
use crate::ledger::clock::SystemClock;
use crate::ledger::wire::client::RemoteLedgerError;
use crate::ledger::wire::{RemoteLedger, RemoteLedgerOptions};
use crate::sender::mounts::{Fingerprint, Folders, MountedCredentials};

/// How often the mounted Secret is looked at: the kubelet itself brings changes within a minute or two.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Takes the call-backs of one channel in a pod that the operator made, and tells the ledger. Everything it needs is in its
/// pod.
#[derive(Debug, clap::Args)]
pub struct ReceiverOptions {
    /// Where the operator serves the ledger.
    #[arg(long, value_name = "URL", env = mount::LEDGER_URL_VARIABLE)]
    pub ledger_url: String,

    /// The certificate authority of the ledger, as PEM.
    #[arg(long, value_name = "PEM", env = mount::LEDGER_CA_VARIABLE)]
    pub ledger_ca: Option<String>,

    /// The MessageChannel: a JSON object with its namespace, name and spec.
    #[arg(long, value_name = "JSON", env = mount::CHANNEL_VARIABLE, value_parser = channel)]
    pub channel: ReceivedChannel,

    /// Where calls are taken, over HTTP: a proxy with TLS stands before it. /livez and /readyz are served here as well.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Where the folders of a pod are, for trials outside of one.
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub root: PathBuf,
}

fn channel(text: &str) -> Result<ReceivedChannel, String> {
    serde_json::from_str(text).map_err(|error| format!("not the JSON of a channel: {error}"))
}

/// Why a receiver cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    #[error(transparent)]
    Ledger(#[from] RemoteLedgerError),
    #[error("the channel names no provider")]
    NoProvider,
    #[error("failed to listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// Serves until `stop` becomes true. A Secret that is missing, or mended later, is looked for all the time.
///
/// # Errors
/// See [`ReceiverError`].
pub async fn run(options: ReceiverOptions, stop: watch::Receiver<bool>) -> Result<(), ReceiverError> {
    let folders = Folders::of_pod(&options.root);
    let ledger = RemoteLedger::new(RemoteLedgerOptions {
        url: options.ledger_url,
        certificate_authority: options.ledger_ca,
        token_file: folders.token_file.clone(),
    })?;
    let channel = options.channel;
    let account = AccountKey::of(&channel.namespace, &channel.spec).ok_or(ReceiverError::NoProvider)?;
    let failed = |source| ReceiverError::Listen { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
    let (endpoints, known) = watch::channel(Arc::default());
    let looking = tokio::spawn(look(channel, account, folders.credentials, endpoints));
    tracing::info!(address = %options.listen, "call-backs are taken");
    serve(listener, router(Arc::new(ledger), Arc::new(SystemClock), known), stop).await;
    looking.abort();
    Ok(())
}

/// Keeps the endpoint in step with the mounted Secret.
async fn look(
    channel: ReceivedChannel,
    account: AccountKey,
    credentials: PathBuf,
    endpoints: watch::Sender<Arc<Endpoints>>,
) {
    let mut seen = None;
    loop {
        let fingerprint = Fingerprint::of(&credentials);
        if seen != Some(fingerprint) {
            seen = Some(fingerprint);
            endpoints.send_replace(Arc::new(mounted(&channel, &account, &credentials)));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Nobody, with a word why, where the Secret does not hold what calls are verified by.
fn mounted(channel: &ReceivedChannel, account: &AccountKey, credentials: &std::path::Path) -> Endpoints {
    let secret = channel.spec.credentials_secret_ref.as_ref().map(|secret| secret.name.as_str());
    // What calls are verified by, and nothing that could send.
    let mounted = MountedCredentials { folder: credentials, secret, is_whole: false, namespace: &channel.namespace };
    let mut endpoints = Endpoints::default();
    match callbacks(&channel.spec, &mounted) {
        Ok(callbacks) => {
            let endpoint = Endpoint { account: account.clone(), callbacks };
            endpoints.add(&channel.namespace, &channel.name, endpoint);
            tracing::info!(channel = channel.name, "call-backs can be verified");
        }
        Err(NoCallbacks::Channel(error)) => {
            tracing::warn!(channel = channel.name, error = %mounted.explain(error), "no call-back can be verified");
        }
        Err(error) => tracing::warn!(channel = channel.name, %error, "no call-back can be verified"),
    }
    endpoints
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_that_is_mended_is_used_without_a_new_pod() {
        let folder = tempfile::tempdir().unwrap();
        let channel: ReceivedChannel = serde_json::from_value(json!({
            "namespace": "marketing", "name": "acme",
            "spec": {"messenger": {"pageID": "1029"}, "credentialsSecretRef": {"name": "acme"}},
        }))
        .unwrap();
        let account = AccountKey::of(&channel.namespace, &channel.spec).unwrap();
        let before = Fingerprint::of(folder.path());
        assert!(mounted(&channel, &account, folder.path()).is_empty());
        std::fs::write(folder.path().join("appSecret"), "secret").unwrap();
        assert!(before != Fingerprint::of(folder.path()));
        let endpoints = mounted(&channel, &account, folder.path());
        assert!(endpoints.get("marketing", "acme").is_some_and(|endpoint| endpoint.account == account));
        assert_eq!(endpoints.paths().collect::<Vec<_>>(), ["/callbacks/marketing/acme"]);
    }
}
