//! What only one provider knows of a message: its block of the content, with templates or rendered.

use super::markup::Markup;
use super::message::ContentError;
use crate::api::Content;
use crate::api::channel::ChannelProvider;
use crate::api::content::{TelegramContent, TelegramParseMode};

/// The block of the channel's provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Extras {
    #[default]
    None,
    Telegram(TelegramContent),
}

impl Extras {
    /// The block for this provider.
    ///
    /// # Errors
    /// [`ContentError`] for a block that another provider knows: it would not be sent.
    pub(super) fn of(content: &Content, provider: ChannelProvider) -> Result<Extras, ContentError> {
        let mut extras = Extras::None;
        for (of, block) in blocks(content) {
            let Some(block) = block else { continue };
            if of != provider {
                let problem = format!(
                    "the channel is one of {}, which does not know this; leave it out, or send through another channel",
                    provider.member()
                );
                return Err(ContentError { field: format!("spec.content.{}", of.member()), problem });
            }
            extras = block;
        }
        Ok(extras)
    }

    /// How the text beside the block is marked up.
    pub(super) fn markup(&self) -> Markup {
        match self {
            Extras::Telegram(TelegramContent { parse_mode: Some(TelegramParseMode::Html), .. }) => Markup::Html,
            Extras::Telegram(TelegramContent { parse_mode: Some(TelegramParseMode::MarkdownV2), .. }) => {
                Markup::MarkdownV2
            }
            _ => Markup::Plain,
        }
    }

    /// Every text in the block with its place in the content, in a fixed order.
    pub(super) fn texts_mut(&mut self) -> Vec<(String, &mut String)> {
        match self {
            Extras::None => Vec::new(),
            Extras::Telegram(block) => within(ChannelProvider::Telegram, block.texts_mut()),
        }
    }
}

fn blocks(content: &Content) -> [(ChannelProvider, Option<Extras>); 1] {
    [(ChannelProvider::Telegram, content.telegram.clone().map(Extras::Telegram))]
}

fn within(provider: ChannelProvider, texts: Vec<(String, &mut String)>) -> Vec<(String, &mut String)> {
    texts.into_iter().map(|(place, text)| (format!("{}.{place}", provider.member()), text)).collect()
}
