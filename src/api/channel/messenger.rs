//! The member `messenger`: a Facebook page.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::graph::{GRAPH_VERSION, graph_base_url, graph_version};
use super::{BASE_URL, ChannelAccount, ChannelProvider, MAX_URL};
use crate::api::rate::Rate;

/// The rate of a channel that names none: far below the page's own limit of 300 text messages a second.
pub const MESSENGER_RATE: Rate = Rate { messages: 40, period_seconds: 1 };
/// The key of the channel's Secret that is needed.
pub const MESSENGER_ACCESS_TOKEN: &str = "accessToken";
/// The key of the channel's Secret that is used when it is there.
pub const MESSENGER_APP_SECRET: &str = "appSecret";

/// A Facebook page that sends through the Messenger Platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessengerChannel {
    /// The id of the page that sends: 1 to 32 digits, in quotes. Immutable. Required.
    #[serde(rename = "pageID")]
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[0-9]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("immutable; for another page make another MessageChannel").reason(Reason::FieldValueForbidden))]
    pub page_id: String,
    /// The version of the Graph API, e.g. `v25.0`, which is the default. Mutable.
    #[serde(default = "graph_version")]
    #[schemars(length(max = 7), regex(pattern = GRAPH_VERSION))]
    pub api_version: String,
    /// Where the Graph API is: an http(s) URL without query, at most 2048 characters, default
    /// `https://graph.facebook.com`. For a proxy or the simulator. Mutable;
    /// but an account is one at its host: with another host a new account begins, which has none of the contacts, tags and
    /// opt-outs of the one before.
    #[serde(rename = "baseURL", default = "graph_base_url")]
    #[schemars(length(max = MAX_URL), regex(pattern = BASE_URL))]
    pub base_url: String,
}

impl ChannelAccount for MessengerChannel {
    fn provider(&self) -> ChannelProvider {
        ChannelProvider::Messenger
    }

    fn account(&self) -> String {
        self.page_id.clone()
    }

    fn url(&self) -> &str {
        &self.base_url
    }

    fn default_rate(&self) -> Option<Rate> {
        Some(MESSENGER_RATE)
    }

    fn required_secret_keys(&self) -> Vec<String> {
        vec![MESSENGER_ACCESS_TOKEN.to_owned()]
    }
}
