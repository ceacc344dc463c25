//! What each member of a channel's union tells of its account, without credentials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HttpChannel, MessengerChannel, TelegramChannel};
use crate::api::rate::Rate;

/// An account at a provider.
pub trait ChannelAccount {
    fn provider(&self) -> ChannelProvider;

    /// The account's name at the provider, e.g. the page id: broadcasts of one account are paced together. Immutable.
    fn account(&self) -> String;

    /// Where the provider is: its host is part of the account's identity, so that a simulator is another account.
    fn url(&self) -> &str;

    /// The ceiling of a channel that names none; `None` where the provider documents no figure.
    fn default_rate(&self) -> Option<Rate>;

    /// The keys that the channel's Secret must hold in any case.
    fn required_secret_keys(&self) -> Vec<String>;
}

/// Which provider a channel leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelMember<'a> {
    Messenger(&'a MessengerChannel),
    Telegram(&'a TelegramChannel),
    Http(&'a HttpChannel),
}

impl<'a> ChannelMember<'a> {
    pub fn account(self) -> &'a dyn ChannelAccount {
        match self {
            ChannelMember::Messenger(page) => page,
            ChannelMember::Telegram(bot) => bot,
            ChannelMember::Http(endpoint) => endpoint,
        }
    }
}

/// The name of a channel's member, for status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChannelProvider {
    Messenger,
    Telegram,
    Http,
}

impl ChannelProvider {
    /// The member of the union, as it is written in a document.
    pub fn member(self) -> &'static str {
        match self {
            ChannelProvider::Messenger => "messenger",
            ChannelProvider::Telegram => "telegram",
            ChannelProvider::Http => "http",
        }
    }
}
