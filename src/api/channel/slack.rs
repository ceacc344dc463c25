//! The member `slack`: an app in a workspace.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{BASE_URL, ChannelAccount, ChannelProvider, MAX_URL};
use crate::api::rate::Rate;

/// The key of the channel's Secret that is needed.
pub const SLACK_BOT_TOKEN: &str = "botToken";

/// A Slack app that posts into one workspace. Recipients are ids of channels (`C…`), of direct messages (`D…`) or of people
/// (`U…`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlackChannel {
    /// The id of the workspace, e.g. `T0123ABCD`: 2 to 32 capital letters and digits. Channels of the same workspace share
    /// its rate. Immutable. Required.
    #[serde(rename = "teamID")]
    #[schemars(length(min = 2, max = 32), regex(pattern = "^[TE][A-Z0-9]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("immutable; for another workspace make another MessageChannel").reason(Reason::FieldValueForbidden))]
    pub team_id: String,
    /// Where the Web API is: an http(s) URL without query, at most 2048 characters, default `https://slack.com`. For a
    /// proxy or the simulator. Mutable;
    /// but an account is one at its host: with another host a new account begins, which has none of the contacts, tags and
    /// opt-outs of the one before.
    #[serde(rename = "baseURL", default = "base_url")]
    #[schemars(length(max = MAX_URL), regex(pattern = BASE_URL))]
    pub base_url: String,
}

fn base_url() -> String {
    "https://slack.com".to_owned()
}

impl ChannelAccount for SlackChannel {
    fn provider(&self) -> ChannelProvider {
        ChannelProvider::Slack
    }

    fn account(&self) -> String {
        self.team_id.clone()
    }

    fn url(&self) -> &str {
        &self.base_url
    }

    /// Slack says "several hundred messages per minute" and no figure.
    fn default_rate(&self) -> Option<Rate> {
        None
    }

    fn required_secret_keys(&self) -> Vec<String> {
        vec![SLACK_BOT_TOKEN.to_owned()]
    }
}
