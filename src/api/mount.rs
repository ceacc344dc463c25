//! What a sender pod finds where: the contract between who makes the pod and who runs in it.

use serde::{Deserialize, Serialize};

use super::channel::MessageChannelSpec;

/// The audience of the token that proves which broadcast a sender belongs to.
pub const TOKEN_AUDIENCE: &str = "herald";
/// The folder of the projected service-account token, and its file.
pub const TOKEN_FOLDER: &str = "/var/run/herald/ledger";
pub const TOKEN_FILE: &str = "/var/run/herald/ledger/token";
/// One file per key of the channel's Secret.
pub const CREDENTIALS_FOLDER: &str = "/var/run/herald/credentials";
/// The folder of the flight journal: outlives a crash of the container.
pub const JOURNAL_FOLDER: &str = "/var/lib/herald";

/// Environment: the base URL of the ledger API.
pub const LEDGER_URL_VARIABLE: &str = "HERALD_LEDGER_URL";
/// Environment: the certificate authority of the ledger API, as PEM. Not secret.
pub const LEDGER_CA_VARIABLE: &str = "HERALD_LEDGER_CA";
/// Environment: the pod's name, for people.
pub const POD_NAME_VARIABLE: &str = "HERALD_POD_NAME";

/// Environment: the channel whose call-backs a receiver takes, as JSON. Not secret.
pub const CHANNEL_VARIABLE: &str = "HERALD_CHANNEL";

/// A channel as its receiver is told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedChannel {
    pub namespace: String,
    pub name: String,
    pub spec: MessageChannelSpec,
}

/// One file per key of a ConfigMap that a source names.
pub fn config_map_folder(name: &str) -> String {
    format!("/var/run/herald/audience/configmap/{name}")
}

/// One file per key of a Secret that a source names, the endpoint of a notification, or `onSent`.
pub fn secret_folder(name: &str) -> String {
    format!("/var/run/herald/audience/secret/{name}")
}
