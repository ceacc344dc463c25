//! How long after a person was last active a provider takes a message.

use crate::api::Content;
use crate::api::channel::ChannelProvider;
use crate::delivery::time::Span;

/// Of Messenger and WhatsApp alike: the standard messaging window of the Messenger Platform, and the customer service
/// window of the WhatsApp Business Platform. Twilio passes both on (63016, twilio.com/docs/api/errors/63016).
const DAY: Span = Span::from_secs(24 * 60 * 60);

/// Twilio's channels that have a window, as their addresses begin: of recipients and of senders.
const TWILIO_CHANNELS: [&str; 2] = ["whatsapp:", "messenger:"];
/// How the SID of a Messaging Service begins, which may send through any channel.
const MESSAGING_SERVICE: &str = "MG";

/// The window of a message; `None` where the provider takes it at any time. Utility templates of Messenger and templates of
/// WhatsApp are what may be sent outside of it. `account` is the account's name at the provider. What is sent through Twilio
/// is a text and its attachments, never a template of the channel (`ContentSid`), so the window holds for all of it; but for
/// [some recipients](has_window) alone.
pub fn reply_window(provider: ChannelProvider, account: &str, content: &Content) -> Option<Span> {
    let takes_always = match provider {
        ChannelProvider::Messenger => content.messenger.as_ref().is_some_and(|own| own.template.is_some()),
        ChannelProvider::WhatsApp => content.whatsapp.as_ref().is_some_and(|own| own.template.is_some()),
        ChannelProvider::Twilio => {
            let (_, sender) = account.split_once('/').unwrap_or_default();
            !sender.starts_with(MESSAGING_SERVICE) && !is_of_a_twilio_channel(sender)
        }
        ChannelProvider::Telegram | ChannelProvider::Slack | ChannelProvider::Http => true,
    };
    (!takes_always).then_some(DAY)
}

/// Whether the window of a message holds for this recipient too: an SMS of a Messaging Service is taken at any time, whatever
/// goes out to others through its other channels. `provider` is the member of the channel.
pub fn has_window(provider: &str, recipient: &str) -> bool {
    provider != ChannelProvider::Twilio.member() || is_of_a_twilio_channel(recipient)
}

fn is_of_a_twilio_channel(address: &str) -> bool {
    TWILIO_CHANNELS.iter().any(|channel| address.starts_with(channel))
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
        let window = |provider, content| reply_window(provider, "7", content);
        assert_eq!(window(ChannelProvider::Messenger, &text), Some(DAY));
        assert_eq!(window(ChannelProvider::Messenger, &utility), None);
        assert_eq!(window(ChannelProvider::WhatsApp, &text), Some(DAY));
        assert_eq!(window(ChannelProvider::WhatsApp, &template), None);
    }

    #[test]
    fn twilio_has_the_window_of_the_channel_that_it_sends_through() {
        let text = content(r#"{"text": "hello"}"#);
        for (sender, expected) in [
            ("whatsapp:+14155550199", Some(DAY)),
            ("messenger:1029384756", Some(DAY)),
            ("MG0123456789abcdef0123456789abcdef", Some(DAY)),
            ("+14155550199", None),
            ("ACME", None),
        ] {
            let account = format!("AC00000000000000000000000000000001/{sender}");
            assert_eq!(reply_window(ChannelProvider::Twilio, &account, &text), expected, "{sender}");
        }
        for (recipient, expected) in
            [("whatsapp:+14155550100", true), ("messenger:24005550001", true), ("+14155550100", false)]
        {
            assert_eq!(has_window("twilio", recipient), expected, "{recipient}");
        }
        assert!(has_window("whatsapp", "+14155550100") && has_window("messenger", "24005550001"));
    }

    #[test]
    fn other_providers_have_no_window() {
        let text = content(r#"{"text": "hello"}"#);
        for provider in [ChannelProvider::Telegram, ChannelProvider::Slack, ChannelProvider::Http] {
            assert_eq!(reply_window(provider, "7", &text), None, "{provider:?}");
        }
    }
}
