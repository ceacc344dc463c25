//! What Messenger tells by its webhook: echoes of our own messages, which bring our correlation back, deliveries, reads, and
//! what people write.
//!
//! Facts are from the pages on the webhook events `messages`, `message_echoes`, `message_deliveries`, `message_reads` and
//! `messaging_postbacks` (18 Mar 2026).

use http::HeaderMap;
use secrecy::SecretString;
use serde_json::Value;

use crate::delivery::provider_event::{Deed, News, ProviderEvent, Which};
use crate::delivery::time::Timestamp;
use crate::provider::answer::text;
use crate::provider::callback::{Call, Callbacks, Heard, Refused, Unreadable, id, list, millis, object};
use crate::provider::graph::callback::GraphSignature;
use crate::provider::{AccountError, graph};

/// The calls of one page's app.
pub struct MessengerCallbacks {
    page_id: String,
    signature: GraphSignature,
}

impl MessengerCallbacks {
    /// # Errors
    /// An empty secret.
    pub fn new(
        page_id: String,
        app_secret: SecretString,
        verify_token: Option<SecretString>,
    ) -> Result<MessengerCallbacks, AccountError> {
        Ok(MessengerCallbacks { page_id, signature: GraphSignature::new(app_secret, verify_token)? })
    }
}

impl Callbacks for MessengerCallbacks {
    fn may_be_theirs(&self, headers: &HeaderMap) -> Result<(), Refused> {
        graph::callback::tag(headers).map(|_| ())
    }

    fn verify(&self, call: &Call<'_>) -> Result<(), Refused> {
        self.signature.verify(call)
    }

    /// An app may serve many pages with one URL: those of others are left out.
    fn read(&self, call: &Call<'_>) -> Result<Heard, Unreadable> {
        let body = object(call.body)?;
        let ours = list(body.get("entry")).iter().filter(|entry| id(entry.get("id")).as_ref() == Some(&self.page_id));
        let told = ours.flat_map(|entry| list(entry.get("messaging")).iter().chain(list(entry.get("standby"))));
        Ok(Heard { events: told.flat_map(|told| self.events(told, call.now)).collect(), reply: None })
    }

    fn greet(&self, query: &str) -> Option<String> {
        self.signature.greet(query)
    }
}

impl MessengerCallbacks {
    fn events(&self, told: &Value, now: Timestamp) -> Vec<ProviderEvent> {
        let at = millis(told.get("timestamp")).unwrap_or(now);
        let sender = || id(told.get("sender").and_then(|sender| sender.get("id")));
        if let Some(message) = told.get("message") {
            return match message.get("is_echo").and_then(Value::as_bool) {
                Some(true) => echo(told, message, at).into_iter().collect(),
                _ => self.wrote(sender(), at),
            };
        }
        if told.get("postback").is_some() {
            return self.wrote(sender(), at);
        }
        let Some(recipient) = sender() else { return Vec::new() };
        if let Some(delivery) = told.get("delivery") {
            return delivered(delivery, &recipient, now);
        }
        match told.get("read").and_then(|read| millis(read.get("watermark"))) {
            // A read names no message: everything until then was seen.
            Some(until) => vec![message(Which::UpTo(until), recipient, News::Read, at)],
            None => Vec::new(),
        }
    }

    fn wrote(&self, sender: Option<String>, at: Timestamp) -> Vec<ProviderEvent> {
        let person = sender.filter(|sender| *sender != self.page_id);
        person.map(|recipient| ProviderEvent::person(recipient, Deed::Wrote, at)).into_iter().collect()
    }
}

/// An echo of what another app or a person at the page wrote holds no metadata of ours.
fn echo(told: &Value, echoed: &Value, at: Timestamp) -> Option<ProviderEvent> {
    let correlation = text(echoed.get("metadata"))?.parse().ok()?;
    let recipient = id(told.get("recipient")?.get("id"))?;
    let which = Which::One { correlation: Some(correlation), provider_id: id(echoed.get("mid")) };
    Some(message(which, recipient, News::Accepted, at))
}

/// By the ids where they are there; else everything until the watermark was delivered.
fn delivered(delivery: &Value, recipient: &str, now: Timestamp) -> Vec<ProviderEvent> {
    let until = millis(delivery.get("watermark"));
    let ids: Vec<String> = list(delivery.get("mids")).iter().filter_map(|mid| id(Some(mid))).collect();
    let at = until.unwrap_or(now);
    let told = |which| message(which, recipient.to_owned(), News::Delivered, at);
    match until {
        Some(until) if ids.is_empty() => vec![told(Which::UpTo(until))],
        _ => ids.into_iter().map(|mid| told(Which::One { correlation: None, provider_id: Some(mid) })).collect(),
    }
}

fn message(which: Which, recipient: String, news: News, at: Timestamp) -> ProviderEvent {
    ProviderEvent::Message { which, recipient: Some(recipient), news, at }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::correlation::Correlation;
    use crate::provider::graph::callback::calls;

    const PAGE: &str = "1906385232743451";
    const PERSON: &str = "5489932777711223";

    fn callbacks() -> MessengerCallbacks {
        MessengerCallbacks::new(PAGE.into(), SecretString::from("0123456789abcdef0123456789abcdef"), None).unwrap()
    }

    fn heard(tag: &str, body: &str) -> Vec<ProviderEvent> {
        calls::heard(&callbacks(), tag, body)
    }

    fn read(messaging: Value) -> Vec<ProviderEvent> {
        let body = json!({"object": "page", "entry": [{"id": PAGE, "time": 1, "messaging": [messaging]}]});
        calls::read(&callbacks(), &body).unwrap().events
    }

    #[test]
    fn the_signed_samples_are_read() {
        let delivery = heard(
            "1df254c0545a4376d3a3bff4976a5ffb1986697a56fd60d99e8b1112806f5bc8",
            r#"{"object":"page","entry":[{"id":"1906385232743451","time":1780000000123,"messaging":[{"sender":{"id":"5489932777711223"},"recipient":{"id":"1906385232743451"},"timestamp":1780000000100,"delivery":{"mids":["m_AAA111"],"watermark":1780000000050}}]}]}"#,
        );
        let at = Timestamp(1_780_000_000_050_000_000);
        let which = Which::One { correlation: None, provider_id: Some("m_AAA111".into()) };
        assert_eq!(delivery, [message(which, PERSON.into(), News::Delivered, at)]);

        let seen = heard(
            "51a39c3a4d32a17cef0c73157a1bdf789a5019c8679ec3b07235cde04a856e63",
            r#"{"object":"page","entry":[{"id":"1906385232743451","time":1780000000223,"messaging":[{"sender":{"id":"5489932777711223"},"recipient":{"id":"1906385232743451"},"timestamp":1780000000200,"read":{"watermark":1780000000050}}]}]}"#,
        );
        let read_at = Timestamp(1_780_000_000_200_000_000);
        assert_eq!(seen, [message(Which::UpTo(at), PERSON.into(), News::Read, read_at)]);

        // Metadata of another program: none of our messages.
        let other = heard(
            "675cc90d4a4e8b791a927d9386112d0b9634c45e5de4aff8ad1a7d971ac880f0",
            r#"{"object":"page","entry":[{"id":"1906385232743451","time":1780000000323,"messaging":[{"sender":{"id":"1906385232743451"},"recipient":{"id":"5489932777711223"},"timestamp":1780000000050,"message":{"is_echo":true,"app_id":1517776481860111,"metadata":"bm:7f3a:42:1","mid":"m_AAA111","text":"hi"}}]}]}"#,
        );
        assert_eq!(other, []);
    }

    #[test]
    fn an_echo_brings_our_correlation_back() {
        let message_of_ours =
            json!({"is_echo": true, "app_id": "15", "metadata": "7:42:3:0", "mid": "m_1", "text": "hi"});
        let told =
            json!({"sender": {"id": PAGE}, "recipient": {"id": PERSON}, "timestamp": 5, "message": message_of_ours});
        let correlation = Some(Correlation { broadcast: 7, seq: 42, attempt: 3, part: 0 });
        let which = Which::One { correlation, provider_id: Some("m_1".into()) };
        assert_eq!(read(told), [message(which, PERSON.into(), News::Accepted, Timestamp(5_000_000))]);
    }

    #[test]
    fn what_people_write_shows_that_they_are_there() {
        let wrote = |told: Value| {
            assert!(
                matches!(&read(told)[..], [ProviderEvent::Person { recipient, deed: Deed::Wrote, .. }] if recipient == PERSON)
            )
        };
        wrote(
            json!({"sender": {"id": PERSON}, "recipient": {"id": PAGE}, "timestamp": 5, "message": {"mid": "m", "text": "hi"}}),
        );
        wrote(
            json!({"sender": {"id": PERSON}, "recipient": {"id": PAGE}, "timestamp": 5, "postback": {"payload": "x"}}),
        );
    }

    #[test]
    fn without_ids_everything_until_the_watermark_was_delivered() {
        let told =
            json!({"sender": {"id": PERSON}, "recipient": {"id": PAGE}, "timestamp": 9, "delivery": {"watermark": 8}});
        let until = Timestamp(8_000_000);
        assert_eq!(read(told), [message(Which::UpTo(until), PERSON.into(), News::Delivered, until)]);
    }

    #[test]
    fn what_is_told_of_other_pages_and_what_is_not_known_is_left_out() {
        let body =
            json!({"object": "page", "entry": [{"id": "999", "messaging": [{"sender": {"id": "1"}, "message": {}}]}]});
        assert_eq!(calls::read(&callbacks(), &body), Ok(Heard::default()));
        assert_eq!(read(json!({"sender": {"id": PERSON}, "reaction": {"emoji": "x"}})), []);
        assert_eq!(calls::read(&callbacks(), &json!([])), Err(Unreadable));
    }
}
