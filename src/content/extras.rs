//! What only one provider knows of a message: its block of the content, with templates or rendered.

use serde_json::Value;

use super::markup::Markup;
use super::message::ContentError;
use crate::api::Content;
use crate::api::channel::ChannelProvider;
use crate::api::content::{BlockText, MessengerContent, TelegramContent, TelegramParseMode, TextRole, WhatsAppContent};

/// The block of the channel's provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Extras {
    #[default]
    None,
    Messenger(MessengerContent),
    WhatsApp(WhatsAppContent),
    Telegram(TelegramContent),
    Slack(SlackExtras),
}

/// Slack's block with its blocks as data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlackExtras {
    pub blocks: Vec<Value>,
    pub unfurl_links: Option<bool>,
    pub unfurl_media: Option<bool>,
}

/// One text of a block.
pub(super) struct Text<'a> {
    /// Where it stands in `spec.content`.
    pub place: String,
    pub markup: Markup,
    pub role: TextRole,
    pub text: &'a mut String,
}

impl Extras {
    /// The block for this provider.
    ///
    /// # Errors
    /// [`ContentError`] for a block that another provider knows, since it would not be sent, and for one that cannot be
    /// read.
    pub(super) fn of(content: &Content, provider: ChannelProvider) -> Result<Extras, ContentError> {
        let given = [
            (ChannelProvider::Messenger, content.messenger.is_some()),
            (ChannelProvider::WhatsApp, content.whatsapp.is_some()),
            (ChannelProvider::Telegram, content.telegram.is_some()),
            (ChannelProvider::Slack, content.slack.is_some()),
        ];
        if let Some((other, _)) = given.into_iter().find(|(of, given)| *given && *of != provider) {
            let problem = format!(
                "the channel is one of {}, which does not know this; leave it out, or send through another channel",
                provider.member()
            );
            return Err(ContentError { field: format!("spec.content.{}", other.member()), problem });
        }
        let block = match provider {
            ChannelProvider::Messenger => content.messenger.clone().map(Extras::Messenger),
            ChannelProvider::WhatsApp => content.whatsapp.clone().map(Extras::WhatsApp),
            ChannelProvider::Telegram => content.telegram.clone().map(Extras::Telegram),
            ChannelProvider::Slack => slack(content)?,
            ChannelProvider::Twilio | ChannelProvider::Http => None,
        };
        // Slack takes every text for markup, with a block or without.
        let empty =
            || if provider == ChannelProvider::Slack { Extras::Slack(SlackExtras::default()) } else { Extras::None };
        Ok(block.unwrap_or_else(empty))
    }

    /// How the text beside the block is marked up.
    pub(super) fn markup(&self) -> Markup {
        match self {
            Extras::Slack(_) => Markup::Slack,
            Extras::Telegram(TelegramContent { parse_mode: Some(TelegramParseMode::Html), .. }) => Markup::Html,
            Extras::Telegram(TelegramContent { parse_mode: Some(TelegramParseMode::MarkdownV2), .. }) => {
                Markup::MarkdownV2
            }
            _ => Markup::Plain,
        }
    }

    /// Every text in the block, in a fixed order.
    pub(super) fn texts_mut(&mut self) -> Vec<Text<'_>> {
        match self {
            Extras::None => Vec::new(),
            Extras::Messenger(block) => plain("messenger", block.texts_mut()),
            Extras::WhatsApp(block) => plain("whatsapp", block.texts_mut()),
            Extras::Telegram(block) => plain("telegram", block.texts_mut()),
            Extras::Slack(block) => {
                let mut texts = Vec::new();
                for (index, value) in block.blocks.iter_mut().enumerate() {
                    leaves(value, format!("slack.blocks[{index}]"), "", &mut texts);
                }
                texts
            }
        }
    }
}

fn plain<'a>(member: &str, texts: Vec<BlockText<'a>>) -> Vec<Text<'a>> {
    let text = |BlockText { place, role, text }| Text {
        place: format!("{member}.{place}"),
        markup: Markup::Plain,
        role,
        text,
    };
    texts.into_iter().map(text).collect()
}

fn slack(content: &Content) -> Result<Option<Extras>, ContentError> {
    let Some(block) = &content.slack else { return Ok(None) };
    let blocks = block
        .parse_blocks()
        .map_err(|problem| ContentError { field: "spec.content.slack.blocks".to_owned(), problem })?;
    let extras = SlackExtras { blocks, unfurl_links: block.unfurl_links, unfurl_media: block.unfurl_media };
    Ok(Some(Extras::Slack(extras)))
}

/// Every text in a value that is the member `name` of a block, or an item of it. Members called `text` are marked up, others are
/// plain words, links, and names.
fn leaves<'a>(value: &'a mut Value, place: String, name: &str, texts: &mut Vec<Text<'a>>) {
    match value {
        Value::String(text) => {
            let markup = if name == "text" { Markup::Slack } else { Markup::Plain };
            texts.push(Text { place, markup, role: slack_role(name), text });
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                leaves(item, format!("{place}[{index}]"), name, texts);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                leaves(member, format!("{place}.{name}"), name, texts);
            }
        }
        _ => {}
    }
}

/// Blocks are open data, so that a text is what Block Kit calls the member: words of it are shown, members that end in `url` are
/// links, and whatever else there is or may come, `type`, `value`, `block_id`, is for Slack and the app.
fn slack_role(name: &str) -> TextRole {
    match name {
        "text" | "alt_text" | "title" | "description" | "author_name" | "provider_name" | "fallback" => TextRole::Words,
        _ if name == "url" || name.ends_with("_url") => TextRole::Link,
        _ => TextRole::Unseen,
    }
}
