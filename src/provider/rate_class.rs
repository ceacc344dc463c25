//! Which parts of a message a provider takes at a rate of their own.

use crate::api::Content;
use crate::api::channel::ChannelProvider;
use crate::api::content::AttachmentType;
use crate::content;
use crate::delivery::rate::Rate;
use crate::delivery::rate_class::RateClass;

/// Of Messenger: 10 requests a second with audio or video for a page, beside 300 with anything else (rate-limits page of the
/// Messenger Platform, 23 Mar 2026).
const MESSENGER_AUDIO_AND_VIDEO: Rate = Rate { messages: 10, period_seconds: 1 };

/// The ceiling of a provider for its one class of such parts.
pub fn class_rate(provider: ChannelProvider) -> Option<Rate> {
    match provider {
        ChannelProvider::Messenger => Some(MESSENGER_AUDIO_AND_VIDEO),
        ChannelProvider::WhatsApp
        | ChannelProvider::Telegram
        | ChannelProvider::Slack
        | ChannelProvider::Twilio
        | ChannelProvider::Http => None,
    }
}

/// The parts of this content that are of the class; `None` where there are none.
pub fn rate_class(provider: ChannelProvider, content: &Content) -> Option<RateClass> {
    let rate = class_rate(provider)?;
    // Each attachment is a part of its own, at the end.
    let before = content::parts(content, provider).checked_sub(content.attachments.len() as u32)?;
    let is_slow = |kind| matches!(kind, AttachmentType::Audio | AttachmentType::Video);
    let attachments = (before..).zip(&content.attachments);
    let parts: Vec<u32> =
        attachments.filter(|(_, attachment)| is_slow(attachment.kind)).map(|(part, _)| part).collect();
    (!parts.is_empty()).then_some(RateClass { rate, parts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::content::Attachment;

    fn content(text: &str, kinds: &[AttachmentType]) -> Content {
        let attachment = |kind: &AttachmentType| Attachment { kind: *kind, url: "https://a.example/1".into() };
        Content { text: text.into(), attachments: kinds.iter().map(attachment).collect(), ..Content::default() }
    }

    fn parts(provider: ChannelProvider, content: &Content) -> Vec<u32> {
        rate_class(provider, content).map_or_else(Vec::new, |class| class.parts)
    }

    #[test]
    fn audio_and_video_of_messenger_have_a_rate_of_their_own() {
        use AttachmentType::{Audio, File, Image, Video};
        let messenger = ChannelProvider::Messenger;
        let mixed = content("Hi", &[Image, Video, File, Audio]);
        assert_eq!(rate_class(messenger, &mixed), Some(RateClass { rate: Rate::new(10, 1), parts: vec![2, 4] }));
        assert_eq!(parts(messenger, &content("", &[Video])), [0]);
        assert_eq!(parts(messenger, &content("", &[Video, Image, Audio])), [0, 2]);
        for plain in [content("Hi", &[]), content("Hi", &[Image, File]), content("", &[])] {
            assert_eq!(rate_class(messenger, &plain), None);
        }
    }

    #[test]
    fn other_providers_have_none() {
        let film = content("Hi", &[AttachmentType::Video]);
        for provider in ChannelProvider::ALL.into_iter().filter(|provider| *provider != ChannelProvider::Messenger) {
            assert_eq!(rate_class(provider, &film), None, "{provider:?}");
        }
    }
}
