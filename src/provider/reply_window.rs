//! How long after a person was last active a provider takes a message.

use crate::api::Content;
use crate::api::channel::ChannelProvider;
use crate::delivery::time::Span;

/// Of Messenger and WhatsApp alike: the standard messaging window of the Messenger Platform, and the customer service
/// window of the WhatsApp Business Platform.
const DAY: Span = Span::from_secs(24 * 60 * 60);

/// The window of a message; `None` where the provider takes it at any time. Utility templates of Messenger and templates of
/// WhatsApp are what may be sent outside of it.
pub fn reply_window(provider: ChannelProvider, content: &Content) -> Option<Span> {
    let is_template = match provider {
        ChannelProvider::Messenger => content.messenger.as_ref().is_some_and(|own| own.template.is_some()),
        ChannelProvider::WhatsApp => content.whatsapp.as_ref().is_some_and(|own| own.template.is_some()),
        ChannelProvider::Telegram | ChannelProvider::Slack | ChannelProvider::Twilio | ChannelProvider::Http => true,
    };
    (!is_template).then_some(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(json: &str) -> Content {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn messenger_and_whatsapp_take_a_text_for_a_day_and_a_template_at_any_time() {
        let text = content(r#"{"text": "hello", "messenger": {"messagingType": "Response"}}"#);
        let utility = content(r#"{"messenger": {"template": {"name": "order", "language": "en_US"}}}"#);
        let template = content(r#"{"whatsapp": {"template": {"name": "order", "language": "en_US"}}}"#);
        let window = |provider, content| reply_window(provider, content);
        assert_eq!(window(ChannelProvider::Messenger, &text), Some(DAY));
        assert_eq!(window(ChannelProvider::Messenger, &utility), None);
        assert_eq!(window(ChannelProvider::WhatsApp, &text), Some(DAY));
        assert_eq!(window(ChannelProvider::WhatsApp, &template), None);
    }

    #[test]
    fn other_providers_have_no_window() {
        let text = content(r#"{"text": "hello"}"#);
        for provider in
            [ChannelProvider::Telegram, ChannelProvider::Slack, ChannelProvider::Twilio, ChannelProvider::Http]
        {
            assert_eq!(reply_window(provider, &text), None, "{provider:?}");
        }
    }
}
