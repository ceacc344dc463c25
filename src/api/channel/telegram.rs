//! The member `telegram`: a bot.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{BASE_URL, ChannelAccount, ChannelProvider, MAX_URL};
use crate::api::rate::Rate;

/// The rate of a channel that names none: below the about 30 messages a second that the Bots FAQ names for bulk sending
/// (recalled by way of grammy's documentation, which quotes it).
pub const TELEGRAM_RATE: Rate = Rate { messages: 25, period_seconds: 1 };
/// The key of the channel's Secret that is needed.
pub const TELEGRAM_BOT_TOKEN: &str = "botToken";

/// A bot that sends through the Telegram Bot API. Recipients are chat ids (a number, negative for groups) or `@name` of a
/// public channel or group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TelegramChannel {
    /// The id of the bot: 1 to 20 digits, in quotes. It is the part of the bot's token before the colon, and a token of
    /// another bot is refused. Immutable. Required.
    #[serde(rename = "botID")]
    #[schemars(length(min = 1, max = 20), regex(pattern = "^[0-9]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("immutable; for another bot make another MessageChannel").reason(Reason::FieldValueForbidden))]
    pub bot_id: String,
    /// `true`: messages above the free limit are paid for in Telegram Stars, up to 1000 a second, as far as Telegram lets
    /// the bot. Default `false`. Raise `rate` with it. Mutable.
    #[serde(default)]
    pub allow_paid_broadcast: bool,
    /// Where the Bot API is: an http(s) URL without query, at most 2048 characters, default `https://api.telegram.org`.
    /// For a Bot API server of your own or the simulator. Mutable;
    /// but an account is one at its host: with another host a new account begins, which has none of the contacts, tags and
    /// opt-outs of the one before.
    #[serde(rename = "baseURL", default = "base_url")]
    #[schemars(length(max = MAX_URL), regex(pattern = BASE_URL))]
    pub base_url: String,
}

fn base_url() -> String {
    "https://api.telegram.org".to_owned()
}

impl ChannelAccount for TelegramChannel {
    fn provider(&self) -> ChannelProvider {
        ChannelProvider::Telegram
    }

    fn account(&self) -> String {
        self.bot_id.clone()
    }

    fn url(&self) -> &str {
        &self.base_url
    }

    fn default_rate(&self) -> Option<Rate> {
        Some(TELEGRAM_RATE)
    }

    fn required_secret_keys(&self) -> Vec<String> {
        vec![TELEGRAM_BOT_TOKEN.to_owned()]
    }
}
