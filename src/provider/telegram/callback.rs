//! What Telegram tells by its webhook: what people write, and who has blocked the bot. It gives no receipts, and nothing back
//! that was sent with a message.
//!
//! Facts are from the Bot API reference (10.1, by way of PaulSonOfLars/telegram-bot-api-spec).

use http::HeaderMap;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::delivery::provider_event::{Deed, ProviderEvent};
use crate::delivery::time::Timestamp;
use crate::provider::AccountError;
use crate::provider::answer::text;
use crate::provider::callback::{
    Call, Callbacks, Heard, Refused, Unreadable, header, id, is_same, object, seconds, secret,
};

/// The calls of one bot.
pub struct TelegramCallbacks {
    secret_token: SecretString,
}

impl TelegramCallbacks {
    /// The `secret_token` that was given to `setWebhook`.
    ///
    /// # Errors
    /// An empty token.
    pub fn new(secret_token: SecretString) -> Result<TelegramCallbacks, AccountError> {
        Ok(TelegramCallbacks { secret_token: secret("webhookSecret", secret_token)? })
    }
}

impl Callbacks for TelegramCallbacks {
    fn may_be_theirs(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let given = header(headers, "x-telegram-bot-api-secret-token").ok_or(Refused::Unsigned)?;
        if is_same(&self.secret_token, given.as_bytes()) { Ok(()) } else { Err(Refused::Forged) }
    }

    /// There is no signature: who knows the token is believed.
    fn verify(&self, call: &Call<'_>) -> Result<(), Refused> {
        self.may_be_theirs(call.headers)
    }

    fn read(&self, call: &Call<'_>) -> Result<Heard, Unreadable> {
        let update = object(call.body)?;
        Ok(Heard { events: event(&update, call.now).into_iter().collect(), reply: None })
    }

    fn resolves_unknown(&self) -> bool {
        false
    }
}

fn event(update: &Map<String, Value>, now: Timestamp) -> Option<ProviderEvent> {
    let message = update.get("message").or_else(|| update.get("edited_message"));
    let pressed = || update.get("callback_query").and_then(|query| query.get("message"));
    if let Some(message) = message {
        let at = seconds(message.get("edit_date").or(message.get("date"))).unwrap_or(now);
        return told(message.get("chat"), Deed::Wrote, at);
    }
    if let Some(message) = pressed() {
        // The date is the one of the message with the button.
        return told(message.get("chat"), Deed::Wrote, now);
    }
    let change = update.get("my_chat_member")?;
    let at = seconds(change.get("date")).unwrap_or(now);
    match text(change.get("new_chat_member")?.get("status")) {
        Some("kicked") => told(change.get("chat"), Deed::OptedOut, at),
        Some("member") => told(change.get("chat"), Deed::OptedIn, at),
        _ => None,
    }
}

/// Of a person: in groups and channels nobody speaks for all.
fn told(chat: Option<&Value>, deed: Deed, at: Timestamp) -> Option<ProviderEvent> {
    let chat = chat.filter(|chat| text(chat.get("type")) == Some("private"))?;
    Some(ProviderEvent::person(id(chat.get("id"))?, deed, at))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn callbacks() -> TelegramCallbacks {
        TelegramCallbacks::new(SecretString::from("our-secret_1")).unwrap()
    }

    fn verify(token: Option<&'static str>) -> Result<(), Refused> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            headers.insert("x-telegram-bot-api-secret-token", HeaderValue::from_static(token));
        }
        callbacks().verify(&Call { headers: &headers, query: None, body: b"{}", now: Timestamp::EPOCH })
    }

    fn read(update: Value) -> Vec<ProviderEvent> {
        let (headers, body) = (HeaderMap::new(), update.to_string());
        let call = Call { headers: &headers, query: None, body: body.as_bytes(), now: Timestamp::EPOCH };
        callbacks().read(&call).unwrap().events
    }

    #[test]
    fn only_who_knows_the_token_is_believed() {
        assert_eq!(verify(Some("our-secret_1")), Ok(()));
        assert_eq!(verify(Some("our-secret_2")), Err(Refused::Forged));
        assert_eq!(verify(Some("")), Err(Refused::Forged));
        assert_eq!(verify(None), Err(Refused::Unsigned));
    }

    #[test]
    fn who_blocks_the_bot_has_opted_out_until_they_come_back() {
        let change = |status: &str, kind: &str| {
            json!({"update_id": 55001, "my_chat_member": {
                "chat": {"id": 987_654_321, "first_name": "Ann", "type": kind}, "from": {"id": 987_654_321, "is_bot": false},
                "date": 1_780_000_100, "old_chat_member": {"status": "member"},
                "new_chat_member": {"user": {"id": 123_456_789, "is_bot": true}, "status": status, "until_date": 0}}})
        };
        let at = Timestamp::from_secs(1_780_000_100);
        let told = |deed| ProviderEvent::person("987654321", deed, at);
        assert_eq!(read(change("kicked", "private")), [told(Deed::OptedOut)]);
        assert_eq!(read(change("member", "private")), [told(Deed::OptedIn)]);
        assert_eq!(read(change("kicked", "group")), []);
        assert_eq!(read(change("administrator", "private")), []);
    }

    #[test]
    fn people_write_edit_and_press_buttons() {
        let chat = json!({"id": 987, "type": "private"});
        let told = |at| ProviderEvent::person("987", Deed::Wrote, at);
        assert_eq!(read(json!({"message": {"chat": chat, "date": 5}})), [told(Timestamp::from_secs(5))]);
        let edited = json!({"edited_message": {"chat": chat, "date": 5, "edit_date": 7}});
        assert_eq!(read(edited), [told(Timestamp::from_secs(7))]);
        let pressed = json!({"callback_query": {"id": "1", "message": {"chat": chat, "date": 5}}});
        assert_eq!(read(pressed), [told(Timestamp::EPOCH)]);
        assert_eq!(read(json!({"channel_post": {"chat": chat, "date": 5}})), []);
    }
}
