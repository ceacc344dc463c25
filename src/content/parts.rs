//! How a message is cut into parts: a part is what one request carries, with attempts of its own.

use super::extras::Extras;
use super::message::{ContentError, Rendered};
use crate::api::Content;
use crate::api::channel::ChannelProvider;
use crate::api::content::{Attachment, AttachmentType};

/// In how many requests a provider takes a message; at least 1. The same for every recipient.
///
/// Messenger, WhatsApp and Telegram take one attachment a message, and none with a text: the text goes first. Slack shows
/// pictures as blocks below the text, Twilio takes links beside it (twilio/twilio-oai), and a plain endpoint gets everything
/// at once.
pub fn parts(content: &Content, provider: ChannelProvider) -> u32 {
    match provider {
        ChannelProvider::Messenger | ChannelProvider::WhatsApp | ChannelProvider::Telegram => {
            let alone = content.text.is_empty() && !content.attachments.is_empty();
            content.attachments.len() as u32 + u32::from(!alone)
        }
        ChannelProvider::Slack | ChannelProvider::Twilio | ChannelProvider::Http => 1,
    }
}

/// What one request carries.
#[derive(Clone, Copy, Debug)]
pub struct MessagePart<'a> {
    /// Empty for one that is attachments alone.
    pub text: &'a str,
    pub extras: &'a Extras,
    pub attachments: &'a [Attachment],
    /// Nothing follows it: what people are to press stands below this one.
    pub is_last: bool,
}

impl Rendered {
    /// The part of this number, from 0 on; `None` where the message has no such part.
    pub fn part(&self, number: u32) -> Option<MessagePart<'_>> {
        let whole =
            MessagePart { text: &self.text, extras: &self.extras, attachments: &self.attachments, is_last: true };
        if number >= self.parts {
            return None;
        }
        if self.parts == 1 {
            return Some(whole);
        }
        let is_last = number + 1 == self.parts;
        let before = self.parts as usize - self.attachments.len();
        Some(match (number as usize).checked_sub(before) {
            None => MessagePart { attachments: &[], is_last, ..whole },
            Some(index) => MessagePart { text: "", attachments: &self.attachments[index..=index], is_last, ..whole },
        })
    }
}

/// Refuses attachments that the provider does not take.
pub(super) fn check(content: &Content, provider: ChannelProvider) -> Result<(), ContentError> {
    if provider != ChannelProvider::Slack {
        return Ok(());
    }
    match content.attachments.iter().position(|attachment| attachment.kind != AttachmentType::Image) {
        None => Ok(()),
        Some(index) => Err(ContentError {
            field: format!("spec.content.attachments[{index}].type"),
            problem: "Slack shows pictures by their links (`Image`) and nothing else; put other links into the text"
                .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::MessageTemplate;

    fn attachment(kind: AttachmentType, url: &str) -> Attachment {
        Attachment { kind, url: url.into() }
    }

    fn content(text: &str, links: &[&str]) -> Content {
        let attachments = links.iter().map(|url| attachment(AttachmentType::Image, url)).collect();
        Content { text: text.into(), attachments, ..Content::default() }
    }

    /// Text and links of each part.
    fn cut(content: &Content, provider: ChannelProvider) -> Vec<(String, Vec<String>, bool)> {
        let template = MessageTemplate::compile(content, provider).unwrap();
        let vars = [("name", "Ana")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let rendered = template.render(&vars).unwrap();
        let part = |number| {
            let part = rendered.part(number)?;
            let links = part.attachments.iter().map(|attachment| attachment.url.clone()).collect();
            Some((part.text.to_owned(), links, part.is_last))
        };
        let parts: Vec<_> = (0..).map_while(part).collect();
        assert_eq!(parts.len() as u32, parts_of(content, provider));
        parts
    }

    fn parts_of(content: &Content, provider: ChannelProvider) -> u32 {
        super::parts(content, provider)
    }

    const APART: [ChannelProvider; 3] =
        [ChannelProvider::Messenger, ChannelProvider::WhatsApp, ChannelProvider::Telegram];
    const TOGETHER: [ChannelProvider; 3] = [ChannelProvider::Slack, ChannelProvider::Twilio, ChannelProvider::Http];

    fn one(text: &str, links: &[&str], is_last: bool) -> (String, Vec<String>, bool) {
        (text.to_owned(), links.iter().map(|link| (*link).to_owned()).collect(), is_last)
    }

    #[test]
    fn the_text_goes_first_and_each_attachment_by_itself_where_the_provider_takes_one_a_message() {
        let both = content("Hi {{ name }}", &["https://a.example/{{ name }}.png", "https://a.example/2.png"]);
        let expected = [
            one("Hi Ana", &[], false),
            one("", &["https://a.example/Ana.png"], false),
            one("", &["https://a.example/2.png"], true),
        ];
        for provider in APART {
            assert_eq!(cut(&both, provider), expected);
            assert_eq!(cut(&content("Hi", &[]), provider), [one("Hi", &[], true)]);
            assert_eq!(cut(&content("", &["https://a.example"]), provider), [one("", &["https://a.example"], true)]);
        }
    }

    #[test]
    fn everything_goes_at_once_where_the_provider_takes_it_so() {
        let links = ["https://a.example/1.png", "https://a.example/2.png"];
        for provider in TOGETHER {
            assert_eq!(cut(&content("Hi", &links), provider), [one("Hi", &links, true)]);
            assert_eq!(cut(&content("", &links), provider), [one("", &links, true)]);
        }
    }

    #[test]
    fn a_text_that_is_empty_for_some_does_not_shift_the_parts_of_the_others() {
        let sometimes = content("{{ greeting | default('') }}", &["https://a.example"]);
        assert_eq!(cut(&sometimes, ChannelProvider::Messenger)[0], one("", &[], false));
    }

    #[test]
    fn what_slack_cannot_show_is_refused_by_its_place() {
        let video = attachment(AttachmentType::Video, "https://a.example/2.mp4");
        let mut content = content("Hi", &["https://a.example/1.png"]);
        content.attachments.push(video);
        for provider in ChannelProvider::ALL {
            let compiled = MessageTemplate::compile(&content, provider);
            match provider {
                ChannelProvider::Slack => {
                    assert_eq!(compiled.unwrap_err().field, "spec.content.attachments[1].type");
                }
                _ => assert!(compiled.is_ok(), "{provider:?}"),
            }
        }
    }
}
