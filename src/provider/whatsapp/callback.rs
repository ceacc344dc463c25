//! What WhatsApp tells by its webhook: the status of each message with our correlation, and what people write.
//!
//! Facts are from the reference of the status webhook (developers.facebook.com/documentation/business-messaging/whatsapp/
//! webhooks/reference/messages/status). The opaque data may be missing from a status, so the message's id is told as well.

use http::HeaderMap;
use secrecy::SecretString;
use serde_json::Value;

use super::errors::WHATSAPP_ERRORS;
use crate::delivery::provider_event::{Deed, News, ProviderEvent, Which};
use crate::delivery::time::Timestamp;
use crate::provider::answer::{integer, text};
use crate::provider::callback::{Call, Callbacks, Heard, Refused, UNDELIVERED, Unreadable, id, list, object, seconds};
use crate::provider::error_table::ErrorClass;
use crate::provider::graph::callback::GraphSignature;
use crate::provider::graph::errors;
use crate::provider::{AccountError, graph};

/// The calls of one number's app.
pub struct WhatsAppCallbacks {
    phone_number_id: String,
    signature: GraphSignature,
}

impl WhatsAppCallbacks {
    /// # Errors
    /// An empty secret.
    pub fn new(
        phone_number_id: String,
        app_secret: SecretString,
        verify_token: Option<SecretString>,
    ) -> Result<WhatsAppCallbacks, AccountError> {
        Ok(WhatsAppCallbacks { phone_number_id, signature: GraphSignature::new(app_secret, verify_token)? })
    }

    fn is_ours(&self, value: &Value) -> bool {
        let number = value.get("metadata").and_then(|metadata| id(metadata.get("phone_number_id")));
        number.as_ref() == Some(&self.phone_number_id)
    }
}

impl Callbacks for WhatsAppCallbacks {
    fn may_be_theirs(&self, headers: &HeaderMap) -> Result<(), Refused> {
        graph::callback::tag(headers).map(|_| ())
    }

    fn verify(&self, call: &Call<'_>) -> Result<(), Refused> {
        self.signature.verify(call)
    }

    /// A business account has many numbers with one URL: those of others are left out.
    fn read(&self, call: &Call<'_>) -> Result<Heard, Unreadable> {
        let body = object(call.body)?;
        let entries = list(body.get("entry")).iter();
        let changes = entries.flat_map(|entry| list(entry.get("changes"))).filter_map(|change| change.get("value"));
        let mut events = Vec::new();
        for value in changes.filter(|value| self.is_ours(value)) {
            events.extend(list(value.get("statuses")).iter().flat_map(|told| status(told, call.now)));
            events.extend(list(value.get("messages")).iter().filter_map(|told| wrote(told, call.now)));
            events.extend(list(value.get("user_preferences")).iter().filter_map(|told| prefers(told, call.now)));
        }
        Ok(Heard { events, reply: None })
    }

    fn greet(&self, query: &str) -> Option<String> {
        self.signature.greet(query)
    }
}

/// A person as an audience writes them: WhatsApp leaves the `+` of a number out.
fn person(value: Option<&Value>) -> Option<String> {
    let told = id(value)?;
    Some(if told.bytes().all(|byte| byte.is_ascii_digit()) { format!("+{told}") } else { told })
}

fn wrote(told: &Value, now: Timestamp) -> Option<ProviderEvent> {
    let at = seconds(told.get("timestamp")).unwrap_or(now);
    Some(ProviderEvent::person(person(told.get("from"))?, Deed::Wrote, at))
}

/// A preference that is not known is left out.
fn prefers(told: &Value, now: Timestamp) -> Option<ProviderEvent> {
    let deed = match (text(told.get("category"))?, text(told.get("value"))?) {
        ("marketing_messages", "stop") => Deed::StoppedMarketing,
        ("marketing_messages", "resume") => Deed::ResumedMarketing,
        _ => return None,
    };
    let at = seconds(told.get("timestamp")).unwrap_or(now);
    Some(ProviderEvent::Person { recipient: person(told.get("wa_id"))?, deed, at, message: None })
}

/// A status that is not known is left out, as the reference asks.
fn status(told: &Value, now: Timestamp) -> Vec<ProviderEvent> {
    let error = list(told.get("errors")).first().and_then(|error| integer(error.get("code")));
    let news = match text(told.get("status")) {
        Some("sent") => News::Accepted,
        Some("delivered") => News::Delivered,
        Some("read") => News::Read,
        Some("failed") => undelivered(error),
        _ => return Vec::new(),
    };
    let at = seconds(told.get("timestamp")).unwrap_or(now);
    let recipient = person(told.get("recipient_id"));
    let correlation = text(told.get("biz_opaque_callback_data")).and_then(|data| data.parse().ok());
    let which = Which::One { correlation, provider_id: id(told.get("id")) };
    vec![ProviderEvent::Message { which, recipient, news, at }]
}

/// In the words of the table of answers: a failure is the same whether it is told at once or later.
fn undelivered(code: Option<i64>) -> News {
    let row = code.and_then(|code| errors::find(WHATSAPP_ERRORS, code, None, None));
    let reason = row.map_or(UNDELIVERED, |row| row.reason).to_owned();
    let marketing_stopped = row.is_some_and(|row| row.class == ErrorClass::MarketingStopped);
    News::Undelivered { reason, code: code.map(|code| code.to_string()), marketing_stopped }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::correlation::Correlation;
    use crate::provider::graph::callback::calls;

    const NUMBER: &str = "106540352242922";

    fn callbacks() -> WhatsAppCallbacks {
        WhatsAppCallbacks::new(NUMBER.into(), SecretString::from("0123456789abcdef0123456789abcdef"), None).unwrap()
    }

    fn heard(tag: &str, body: &str) -> Vec<ProviderEvent> {
        calls::heard(&callbacks(), tag, body)
    }

    fn read(value: Value) -> Vec<ProviderEvent> {
        let body = json!({"entry": [{"changes": [{"field": "messages", "value": value}]}]});
        calls::read(&callbacks(), &body).unwrap().events
    }

    fn told(which: Which, news: News, at: i64) -> ProviderEvent {
        let recipient = Some("+16505551234".to_owned());
        ProviderEvent::Message { which, recipient, news, at: Timestamp::from_secs(at) }
    }

    fn by_id(id: &str) -> Which {
        Which::One { correlation: None, provider_id: Some(id.into()) }
    }

    #[test]
    fn the_signed_samples_are_read() {
        let delivered = heard(
            "85f800fc7d8245af56bf64114bfc65fb94e0cc070b3d83e8dfd1971616223a40",
            r#"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"statuses":[{"id":"wamid.TEST0001","status":"delivered","timestamp":"1780000000","recipient_id":"16505551234","biz_opaque_callback_data":"bm:7f3a:42:1","pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"marketing"}}]},"field":"messages"}]}]}"#,
        );
        assert_eq!(delivered, [told(by_id("wamid.TEST0001"), News::Delivered, 1_780_000_000)]);

        let failed = heard(
            "15e4b8c9966b519555950aa902b0829b4925e6bbfeb3b193bd8293dc12fcea63",
            r#"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"statuses":[{"id":"wamid.TEST0002","status":"failed","timestamp":"1780000001","recipient_id":"16505551234","errors":[{"code":131050,"title":"User has stopped marketing messages","message":"User has stopped marketing messages","error_data":{"details":"Unable to deliver the message. This recipient has chosen to stop receiving marketing messages on WhatsApp from your business."}}]}]},"field":"messages"}]}]}"#,
        );
        let news = News::Undelivered {
            reason: "MarketingStopped".into(),
            code: Some("131050".into()),
            marketing_stopped: true,
        };
        // They still take templates of utility and authentication.
        assert_eq!(failed, [told(by_id("wamid.TEST0002"), news, 1_780_000_001)]);
    }

    #[test]
    fn every_status_that_is_known_is_told_with_our_correlation() {
        let metadata = json!({"phone_number_id": NUMBER});
        let correlation = Some(Correlation { broadcast: 7, seq: 42, attempt: 3, part: 0 });
        for (status, news) in [("sent", News::Accepted), ("delivered", News::Delivered), ("read", News::Read)] {
            let status = json!({"id": "w", "status": status, "timestamp": "5", "recipient_id": "16505551234",
                                "biz_opaque_callback_data": "7:42:3:0"});
            let which = Which::One { correlation, provider_id: Some("w".into()) };
            assert_eq!(read(json!({"metadata": metadata, "statuses": [status]})), [told(which, news, 5)]);
        }
        let other = json!({"id": "w", "status": "played", "timestamp": "5", "recipient_id": "16505551234"});
        assert_eq!(read(json!({"metadata": metadata, "statuses": [other]})), []);
    }

    #[test]
    fn a_failure_that_no_table_knows_is_undelivered_all_the_same() {
        let status = json!({"id": "w", "status": "failed", "timestamp": "5", "recipient_id": "16505551234",
                            "errors": [{"code": 999_999}]});
        let news =
            News::Undelivered { reason: UNDELIVERED.into(), code: Some("999999".into()), marketing_stopped: false };
        let value = json!({"metadata": {"phone_number_id": NUMBER}, "statuses": [status]});
        assert_eq!(read(value), [told(by_id("w"), news, 5)]);
    }

    #[test]
    fn who_stops_or_resumes_marketing_messages_is_told() {
        let told = |value: &str, category: &str| {
            let preference = json!({"wa_id": "16505551234", "detail": "User requested to stop marketing messages",
                                    "category": category, "value": value, "timestamp": 5});
            read(json!({"metadata": {"phone_number_id": NUMBER}, "user_preferences": [preference]}))
        };
        let person = |deed| {
            [ProviderEvent::Person {
                recipient: "+16505551234".into(),
                deed,
                at: Timestamp::from_secs(5),
                message: None,
            }]
        };
        assert_eq!(told("stop", "marketing_messages"), person(Deed::StoppedMarketing));
        assert_eq!(told("resume", "marketing_messages"), person(Deed::ResumedMarketing));
        assert_eq!(told("stop", "else"), []);
        assert_eq!(told("later", "marketing_messages"), []);
    }

    #[test]
    fn what_people_write_is_told_and_what_is_told_of_other_numbers_is_not() {
        let messages = json!([{"from": "16505551234", "id": "wamid.x", "timestamp": "5", "type": "text"}]);
        let at = Timestamp::from_secs(5);
        let wrote = ProviderEvent::person("+16505551234", Deed::Wrote, at);
        assert_eq!(read(json!({"metadata": {"phone_number_id": NUMBER}, "messages": messages})), [wrote]);
        assert_eq!(read(json!({"metadata": {"phone_number_id": "1"}, "messages": messages})), []);
    }
}
