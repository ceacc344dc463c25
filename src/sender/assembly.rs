//! From the kinds to what a sender works with: the provider of a channel, the sources of an audience.

use std::sync::Arc;

use secrecy::SecretString;

use super::suppressed::Suppressed;
use crate::api::channel::{
    ChannelAccount as _, ChannelMember, HttpChannel, MESSENGER_ACCESS_TOKEN, MESSENGER_APP_SECRET, MessengerChannel,
    SLACK_BOT_TOKEN, SlackChannel, TELEGRAM_BOT_TOKEN, TWILIO_API_KEY_SECRET, TWILIO_API_KEY_SID, TWILIO_AUTH_TOKEN,
    TelegramChannel, TwilioChannel, WHATSAPP_ACCESS_TOKEN, WHATSAPP_APP_SECRET, WhatsAppChannel,
};
use crate::api::{Audience, AudienceSource, MessageChannelSpec, SourceMember};
use crate::audience::{MaterialKind, Source};
use crate::ledger::{AudienceList, SuppressionList};
use crate::provider::http::Http;
use crate::provider::messenger::{Messenger, MessengerAccount};
use crate::provider::slack::{Slack, SlackAccount};
use crate::provider::telegram::{Telegram, TelegramAccount};
use crate::provider::twilio::{Twilio, TwilioAccount, TwilioCredentials, TwilioSender};
use crate::provider::whatsapp::{WhatsApp, WhatsAppAccount};
use crate::provider::{AccountError, Provider};

/// Where the keys of a channel's Secret come from: documents and flags, or the mounts of a pod.
pub trait Credentials {
    /// The value of a key; `None` where there is none.
    ///
    /// # Errors
    /// The key is there and cannot be used; the text says why and never holds the value.
    fn get(&self, key: &str) -> Result<Option<SecretString>, String>;
}

/// Why a channel cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("the channel names no provider; set exactly one in its spec")]
    NoProvider,
    #[error("the Secret has no key `{key}`")]
    MissingKey { key: String },
    #[error("key `{key}` of the Secret {problem}")]
    UnusableKey { key: String, problem: String },
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// The provider of a channel with its credentials.
pub fn provider(
    channel: &MessageChannelSpec,
    credentials: &dyn Credentials,
) -> Result<Arc<dyn Provider>, ChannelError> {
    Ok(match channel.member().ok_or(ChannelError::NoProvider)? {
        ChannelMember::Messenger(page) => Arc::new(messenger(page, credentials)?),
        ChannelMember::WhatsApp(number) => Arc::new(whatsapp(number, credentials)?),
        ChannelMember::Telegram(bot) => Arc::new(telegram(bot, credentials)?),
        ChannelMember::Slack(workspace) => Arc::new(slack(workspace, credentials)?),
        ChannelMember::Twilio(sender) => Arc::new(twilio(sender, channel.callback_url(), credentials)?),
        ChannelMember::Http(endpoint) => Arc::new(http(endpoint, credentials)?),
    })
}

fn messenger(channel: &MessengerChannel, credentials: &dyn Credentials) -> Result<Messenger, ChannelError> {
    Ok(Messenger::new(MessengerAccount {
        page_id: channel.page_id.clone(),
        api_version: channel.api_version.clone(),
        base_url: channel.base_url.clone(),
        access_token: required(credentials, MESSENGER_ACCESS_TOKEN)?,
        app_secret: optional(credentials, MESSENGER_APP_SECRET)?,
    })?)
}

fn whatsapp(channel: &WhatsAppChannel, credentials: &dyn Credentials) -> Result<WhatsApp, ChannelError> {
    Ok(WhatsApp::new(WhatsAppAccount {
        phone_number_id: channel.phone_number_id.clone(),
        api_version: channel.api_version.clone(),
        base_url: channel.base_url.clone(),
        access_token: required(credentials, WHATSAPP_ACCESS_TOKEN)?,
        app_secret: optional(credentials, WHATSAPP_APP_SECRET)?,
    })?)
}

fn slack(channel: &SlackChannel, credentials: &dyn Credentials) -> Result<Slack, ChannelError> {
    let bot_token = required(credentials, SLACK_BOT_TOKEN)?;
    let (base_url, team_id) = (channel.base_url.clone(), channel.team_id.clone());
    Ok(Slack::new(SlackAccount { base_url, team_id, bot_token })?)
}

/// An API key is used where one is there: it can be taken back without changing the account's own token.
fn twilio(
    channel: &TwilioChannel,
    told_at: Option<&str>,
    credentials: &dyn Credentials,
) -> Result<Twilio, ChannelError> {
    let sender = match (&channel.from, &channel.messaging_service_sid) {
        (_, Some(service)) => TwilioSender::MessagingService(service.clone()),
        (from, None) => TwilioSender::From(from.clone().unwrap_or_default()),
    };
    let credentials = match optional(credentials, TWILIO_API_KEY_SID)? {
        Some(sid) => TwilioCredentials::ApiKey { sid, secret: required(credentials, TWILIO_API_KEY_SECRET)? },
        None => TwilioCredentials::AuthToken(required(credentials, TWILIO_AUTH_TOKEN)?),
    };
    Ok(Twilio::new(TwilioAccount {
        account_sid: channel.account_sid.clone(),
        sender,
        base_url: channel.base_url.clone(),
        credentials,
        status_callback: told_at.map(str::to_owned),
    })?)
}

fn telegram(channel: &TelegramChannel, credentials: &dyn Credentials) -> Result<Telegram, ChannelError> {
    Ok(Telegram::new(TelegramAccount {
        bot_id: channel.bot_id.clone(),
        base_url: channel.base_url.clone(),
        bot_token: required(credentials, TELEGRAM_BOT_TOKEN)?,
        allow_paid_broadcast: channel.allow_paid_broadcast,
    })?)
}

fn http(channel: &HttpChannel, credentials: &dyn Credentials) -> Result<Http, ChannelError> {
    let keys = channel.required_secret_keys().into_iter();
    let secrets = keys.map(|key| Ok((key.clone(), required(credentials, &key)?)));
    Ok(Http::new(channel, secrets.collect::<Result<_, ChannelError>>()?)?)
}

/// The value of a key that need not be there.
pub fn optional(credentials: &dyn Credentials, key: &str) -> Result<Option<SecretString>, ChannelError> {
    credentials.get(key).map_err(|problem| ChannelError::UnusableKey { key: key.to_owned(), problem })
}

/// The value of a key that must be there.
pub fn required(credentials: &dyn Credentials, key: &str) -> Result<SecretString, ChannelError> {
    optional(credentials, key)?.ok_or_else(|| ChannelError::MissingKey { key: key.to_owned() })
}

/// Where a part of an audience comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The document itself, or a file.
    Read(Source),
    /// Another broadcast, or the contacts of the account: the ledger knows them.
    Known {
        list: AudienceList,
        /// The source's name in its list.
        source: String,
        /// What it is, for messages: `the recipients of NAME`.
        shown: String,
    },
}

/// Whom an audience reaches, in order.
pub fn included(audience: &Audience) -> Vec<Part> {
    let recipients = audience.recipients.iter().map(|one| (one.id.clone(), one.vars.clone())).collect();
    parts("spec.audience.recipients", recipients, &audience.sources, AudienceList::Included)
}

/// Whom an audience leaves out.
pub fn excluded(audience: &Audience) -> Vec<Part> {
    let Some(exclude) = &audience.exclude else { return Vec::new() };
    let recipients = exclude.recipients.iter().map(|one| (one.id.clone(), Default::default())).collect();
    parts("spec.audience.exclude.recipients", recipients, &exclude.sources, AudienceList::Excluded)
}

type Inline = Vec<(String, std::collections::BTreeMap<String, String>)>;

fn parts(path: &str, recipients: Inline, named: &[AudienceSource], list: AudienceList) -> Vec<Part> {
    let mut parts = Vec::new();
    if !recipients.is_empty() {
        parts.push(Part::Read(Source::Inline { path: path.to_owned(), recipients }));
    }
    parts.extend(named.iter().filter_map(|source| part(source, list)));
    parts
}

fn part(source: &AudienceSource, list: AudienceList) -> Option<Part> {
    let known = |shown: String| Part::Known { list, source: source.name.clone(), shown };
    let member = source.member()?;
    match member {
        SourceMember::Broadcast(broadcast) => Some(known(format!("the recipients of {}", broadcast.name))),
        SourceMember::Contacts(_) => Some(known(format!("the contacts of {}", source.name))),
        _ => readable(&source.name, member).map(Part::Read),
    }
}

/// What is read from a ConfigMap, a Secret, a server or a database; `None` for what the ledger knows.
fn readable(name: &str, member: SourceMember<'_>) -> Option<Source> {
    let (kind, key) = match member {
        SourceMember::ConfigMap(key) => (MaterialKind::ConfigMap, key),
        SourceMember::Secret(key) => (MaterialKind::Secret, key),
        SourceMember::Http(http) => return Some(Source::Http(Box::new(http.clone()))),
        SourceMember::Sql(sql) => return Some(Source::Sql { name: name.to_owned(), spec: Box::new(sql.clone()) }),
        SourceMember::Broadcast(_) | SourceMember::Contacts(_) => return None,
    };
    Some(Source::Material { kind, name: key.name.clone(), key: key.key.clone() })
}

/// Lists of people who get nothing, ready to be read.
pub fn suppressed(lists: &[SuppressionList]) -> Vec<Suppressed> {
    let ready = |list: &SuppressionList| {
        let source = readable(&list.source.name, list.source.member()?)?;
        Some(Suppressed { channel: list.channel.clone(), field: list.field(), source })
    };
    lists.iter().filter_map(ready).collect()
}
