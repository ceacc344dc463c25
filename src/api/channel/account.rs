//! What each member of a channel's union tells of its account, without credentials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    HttpChannel, MESSENGER_APP_SECRET, META_VERIFY_TOKEN, MessengerChannel, SLACK_SIGNING_SECRET, SlackChannel,
    TELEGRAM_WEBHOOK_SECRET, TWILIO_AUTH_TOKEN, TelegramChannel, TwilioChannel, WHATSAPP_APP_SECRET, WhatsAppChannel,
};
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
    WhatsApp(&'a WhatsAppChannel),
    Telegram(&'a TelegramChannel),
    Slack(&'a SlackChannel),
    Twilio(&'a TwilioChannel),
    Http(&'a HttpChannel),
}

impl<'a> ChannelMember<'a> {
    pub fn account(self) -> &'a dyn ChannelAccount {
        match self {
            ChannelMember::Messenger(page) => page,
            ChannelMember::WhatsApp(number) => number,
            ChannelMember::Telegram(bot) => bot,
            ChannelMember::Slack(workspace) => workspace,
            ChannelMember::Twilio(sender) => sender,
            ChannelMember::Http(endpoint) => endpoint,
        }
    }

    /// The keys of the channel's Secret that its call-backs are verified by, with those that may be missing: all that a
    /// receiver sees of it.
    pub fn callback_keys(self) -> &'static [&'static str] {
        match self {
            ChannelMember::Messenger(_) => &[MESSENGER_APP_SECRET, META_VERIFY_TOKEN],
            ChannelMember::WhatsApp(_) => &[WHATSAPP_APP_SECRET, META_VERIFY_TOKEN],
            ChannelMember::Telegram(_) => &[TELEGRAM_WEBHOOK_SECRET],
            ChannelMember::Slack(_) => &[SLACK_SIGNING_SECRET],
            ChannelMember::Twilio(_) => &[TWILIO_AUTH_TOKEN],
            ChannelMember::Http(_) => &[],
        }
    }
}

/// The name of a channel's member, for status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChannelProvider {
    Messenger,
    WhatsApp,
    Telegram,
    Slack,
    Twilio,
    Http,
}

impl ChannelProvider {
    pub const ALL: [ChannelProvider; 6] = [
        ChannelProvider::Messenger,
        ChannelProvider::WhatsApp,
        ChannelProvider::Telegram,
        ChannelProvider::Slack,
        ChannelProvider::Twilio,
        ChannelProvider::Http,
    ];

    /// The one of this member; `None` for a word that is no member.
    pub fn from_member(member: &str) -> Option<ChannelProvider> {
        ChannelProvider::ALL.into_iter().find(|provider| provider.member() == member)
    }

    /// The member of the union, as it is written in a document.
    pub fn member(self) -> &'static str {
        match self {
            ChannelProvider::Messenger => "messenger",
            ChannelProvider::WhatsApp => "whatsapp",
            ChannelProvider::Telegram => "telegram",
            ChannelProvider::Slack => "slack",
            ChannelProvider::Twilio => "twilio",
            ChannelProvider::Http => "http",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::api::MessageChannelSpec;

    fn spec(member: &str, fields: Value) -> MessageChannelSpec {
        serde_json::from_value(json!({member: fields})).unwrap()
    }

    #[test]
    fn every_member_names_its_account_and_where_it_is() {
        let cases = [
            ("messenger", json!({"pageID": "1029"}), "1029", "https://graph.facebook.com"),
            ("whatsapp", json!({"phoneNumberID": "1065"}), "1065", "https://graph.facebook.com"),
            ("telegram", json!({"botID": "123"}), "123", "https://api.telegram.org"),
            ("slack", json!({"teamID": "T0123"}), "T0123", "https://slack.com"),
            ("twilio", json!({"accountSID": "AC01", "from": "+1500"}), "AC01/+1500", "https://api.twilio.com"),
            (
                "twilio",
                json!({"accountSID": "AC01", "messagingServiceSID": "MG01"}),
                "AC01/MG01",
                "https://api.twilio.com",
            ),
            ("http", json!({"url": "https://a.example/send?key=x"}), "a.example/send", "https://a.example/send?key=x"),
        ];
        for (member, fields, account, url) in cases {
            let spec = spec(member, fields);
            let told = spec.account().unwrap();
            assert_eq!((told.provider().member(), told.account().as_str(), told.url()), (member, account, url));
        }
    }

    #[test]
    fn two_members_are_none() {
        let both = json!({"slack": {"teamID": "T0123"}, "telegram": {"botID": "123"}});
        assert!(serde_json::from_value::<MessageChannelSpec>(both).unwrap().member().is_none());
    }
}
