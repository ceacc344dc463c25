//! `receiver`: where the provider tells what becomes of messages.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::MAX_URL;

/// The path at which a receiver takes the calls of a channel: `/callbacks/<namespace>/<name of the channel>`.
pub const CALLBACKS: &str = "/callbacks";
/// The key of the channel's Secret with the token by which Meta is known when it asks whether it may call.
pub const META_VERIFY_TOKEN: &str = "verifyToken";
/// The key of the channel's Secret with the `secret_token` that was given to Telegram's `setWebhook`.
pub const TELEGRAM_WEBHOOK_SECRET: &str = "webhookSecret";
/// The key of the channel's Secret with the signing secret of the Slack app.
pub const SLACK_SIGNING_SECRET: &str = "signingSecret";

/// An absolute http(s) URL without credentials, query and fragment.
const RECEIVER_URL: &str = r"^https?://[^ \t\r\n?#@]+$";

/// Where a receiver is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiverStatus {
    /// The URL within the cluster, of the Service.
    #[schemars(length(max = MAX_URL))]
    pub url: String,
}

/// Call-backs of the provider: proof that a message was taken whose answer was lost, receipts, and what people do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receiver {
    /// Whether Herald runs a receiver for this channel: a Deployment and a Service in its namespace, with the keys of the
    /// channel's Secret that calls are verified by. `status.receiver.url` is where it is; you lead the provider there, with TLS. Default false. Mutable.
    /// `herald run` has the flag `--receiver` instead.
    #[serde(default)]
    pub enabled: bool,
    /// The URL that the provider calls, as it sees it: an http(s) URL without query, at most 2048 characters. `twilio` is
    /// told it with each message, and signs it; the other providers are told once, by you. Mutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_URL), regex(pattern = RECEIVER_URL))]
    pub url: Option<String>,
}
