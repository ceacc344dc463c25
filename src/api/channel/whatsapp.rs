//! The member `whatsapp`: a business phone number at the WhatsApp Cloud API.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::graph::{GRAPH_VERSION, graph_base_url, graph_version};
use super::{BASE_URL, ChannelAccount, ChannelProvider, MAX_URL};
use crate::api::rate::Rate;

/// The rate of a channel that names none: the throughput of a number before it is upgraded (WhatsApp throughput page, 21
/// May 2026). One that is shared with the Business app has 20 a second.
pub const WHATSAPP_RATE: Rate = Rate { messages: 80, period_seconds: 1 };
/// The key of the channel's Secret that is needed.
pub const WHATSAPP_ACCESS_TOKEN: &str = "accessToken";
/// The key of the channel's Secret that is used when it is there.
pub const WHATSAPP_APP_SECRET: &str = "appSecret";

/// A business phone number that sends through the WhatsApp Cloud API. Recipients are phone numbers with `+` and country
/// code: without it WhatsApp would put the business's own country in front, and reach somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppChannel {
    /// The id of the phone number that sends, as the WhatsApp Manager shows it (not the number itself): 1 to 32 digits, in
    /// quotes. Immutable. Required.
    #[serde(rename = "phoneNumberID")]
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[0-9]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("immutable; for another phone number make another MessageChannel").reason(Reason::FieldValueForbidden))]
    pub phone_number_id: String,
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

impl ChannelAccount for WhatsAppChannel {
    fn provider(&self) -> ChannelProvider {
        ChannelProvider::WhatsApp
    }

    fn account(&self) -> String {
        self.phone_number_id.clone()
    }

    fn url(&self) -> &str {
        &self.base_url
    }

    fn default_rate(&self) -> Option<Rate> {
        Some(WHATSAPP_RATE)
    }

    fn required_secret_keys(&self) -> Vec<String> {
        vec![WHATSAPP_ACCESS_TOKEN.to_owned()]
    }
}
