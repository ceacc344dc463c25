//! What only one provider knows of a message: its block of the content, with templates or rendered.

use serde_json::Value;

use super::markup::Markup;
use super::message::ContentError;
use crate::api::Content;
use crate::api::channel::ChannelProvider;
use crate::api::content::{MessengerContent, TelegramContent, TelegramParseMode, WhatsAppContent};

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
    pub text: &'a mut String,
}

impl Text<'_> {
    /// Whether it is where something is fetched from or leads to: members called so are, of every provider.
    pub fn is_link(&self) -> bool {
        self.place.ends_with("url")
    }
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
                    leaves(value, format!("slack.blocks[{index}]"), Markup::Plain, &mut texts);
                }
                texts
            }
        }
    }
}

fn plain<'a>(member: &str, texts: Vec<(String, &'a mut String)>) -> Vec<Text<'a>> {
    let text = |(place, text)| Text { place: format!("{member}.{place}"), markup: Markup::Plain, text };
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

/// Every text in a value. Members called `text` are marked up, others are links and names.
fn leaves<'a>(value: &'a mut Value, place: String, markup: Markup, texts: &mut Vec<Text<'a>>) {
    match value {
        Value::String(text) => texts.push(Text { place, markup, text }),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                leaves(item, format!("{place}[{index}]"), markup, texts);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let markup = if name == "text" { Markup::Slack } else { Markup::Plain };
                leaves(member, format!("{place}.{name}"), markup, texts);
            }
        }
        _ => {}
    }
}
