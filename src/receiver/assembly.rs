//! From a channel and its Secret to how its provider calls back.

use std::sync::Arc;

use crate::api::MessageChannelSpec;
use crate::api::channel::{
    ChannelMember, MESSENGER_APP_SECRET, META_VERIFY_TOKEN, SLACK_SIGNING_SECRET, TELEGRAM_WEBHOOK_SECRET,
    TWILIO_AUTH_TOKEN, WHATSAPP_APP_SECRET,
};
use crate::provider::AccountError;
use crate::provider::callback::Callbacks;
use crate::provider::messenger::callback::MessengerCallbacks;
use crate::provider::slack::callback::SlackCallbacks;
use crate::provider::telegram::callback::TelegramCallbacks;
use crate::provider::twilio::callback::TwilioCallbacks;
use crate::provider::whatsapp::callback::WhatsAppCallbacks;
use crate::sender::assembly::{ChannelError, Credentials, optional, required};

/// Why no calls are taken for a channel.
#[derive(Debug, thiserror::Error)]
pub enum NoCallbacks {
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("a channel of `http` has no call-backs")]
    NoneThere,
    #[error("receiver.url is not set: Twilio signs the URL that it calls, so it must be known")]
    NoUrl,
}

impl From<AccountError> for NoCallbacks {
    fn from(error: AccountError) -> NoCallbacks {
        NoCallbacks::Channel(error.into())
    }
}

/// How the provider of a channel calls back.
///
/// # Errors
/// The Secret lacks what calls are verified by, or the provider has none.
pub fn callbacks(
    channel: &MessageChannelSpec,
    credentials: &dyn Credentials,
) -> Result<Arc<dyn Callbacks>, NoCallbacks> {
    let secret = |key| required(credentials, key);
    let verify_token = || optional(credentials, META_VERIFY_TOKEN);
    Ok(match channel.member().ok_or(ChannelError::NoProvider)? {
        ChannelMember::Messenger(page) => {
            let app_secret = secret(MESSENGER_APP_SECRET)?;
            Arc::new(MessengerCallbacks::new(page.page_id.clone(), app_secret, verify_token()?)?)
        }
        ChannelMember::WhatsApp(number) => {
            let app_secret = secret(WHATSAPP_APP_SECRET)?;
            Arc::new(WhatsAppCallbacks::new(number.phone_number_id.clone(), app_secret, verify_token()?)?)
        }
        ChannelMember::Telegram(_) => Arc::new(TelegramCallbacks::new(secret(TELEGRAM_WEBHOOK_SECRET)?)?),
        ChannelMember::Slack(workspace) => {
            Arc::new(SlackCallbacks::new(workspace.team_id.clone(), secret(SLACK_SIGNING_SECRET)?)?)
        }
        ChannelMember::Twilio(sender) => {
            let url = channel.callback_url().ok_or(NoCallbacks::NoUrl)?.to_owned();
            Arc::new(TwilioCallbacks::new(sender.account_sid.clone(), url, secret(TWILIO_AUTH_TOKEN)?)?)
        }
        ChannelMember::Http(_) => return Err(NoCallbacks::NoneThere),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::*;

    /// A Secret with every key, which remembers those that were asked for.
    #[derive(Default)]
    struct Asked(RefCell<Vec<String>>);

    impl Credentials for Asked {
        fn get(&self, key: &str) -> Result<Option<SecretString>, String> {
            self.0.borrow_mut().push(key.to_owned());
            Ok(Some(SecretString::from("value")))
        }
    }

    #[test]
    fn calls_are_verified_by_the_keys_that_a_pod_mounts_and_no_others() {
        let members = [
            ("messenger", json!({"pageID": "1029"})),
            ("whatsapp", json!({"phoneNumberID": "1065"})),
            ("telegram", json!({"botID": "123"})),
            ("slack", json!({"teamID": "T0123"})),
            ("twilio", json!({"accountSID": "AC01", "from": "+1500"})),
        ];
        for (member, fields) in members {
            let spec: Value = json!({member: fields, "receiver": {"enabled": true, "url": "https://cb.example/x"}});
            let channel: MessageChannelSpec = serde_json::from_value(spec).unwrap();
            let asked = Asked::default();
            callbacks(&channel, &asked).unwrap_or_else(|error| panic!("{member}: {error}"));
            assert_eq!(asked.0.into_inner(), channel.member().unwrap().callback_keys(), "{member}");
        }
    }
}
