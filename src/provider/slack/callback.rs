//! What Slack tells by its Events API: that a message with our metadata was posted, and what people write. It gives no
//! receipts.
//!
//! Facts are from docs.slack.dev: reference/events/message_metadata_posted, reference/events/message and
//! authentication/verifying-requests-from-slack; slackapi/python-slack-sdk slack_sdk/signature.

use http::HeaderMap;
use ring::hmac::HMAC_SHA256;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::METADATA_TYPE;
use crate::delivery::provider_event::{Deed, News, ProviderEvent, Which};
use crate::delivery::time::{Span, Timestamp};
use crate::provider::AccountError;
use crate::provider::answer::text;
use crate::provider::callback::{
    Call, Callbacks, Heard, Refused, SHA256_BYTES, Unreadable, from_hex, header, is_signed, object, seconds, secret,
};

/// How far the time of a signature may be from ours, by Slack's own page and libraries.
const MAX_SKEW: Span = Span::from_secs(5 * 60);

/// The longest challenge that is given back; real ones have 52 characters.
const MAX_CHALLENGE: usize = 256;

/// The calls of one app for one workspace.
pub struct SlackCallbacks {
    team_id: String,
    signing_secret: SecretString,
}

impl SlackCallbacks {
    /// # Errors
    /// An empty secret.
    pub fn new(team_id: String, signing_secret: SecretString) -> Result<SlackCallbacks, AccountError> {
        Ok(SlackCallbacks { team_id, signing_secret: secret("signingSecret", signing_secret)? })
    }
}

impl Callbacks for SlackCallbacks {
    fn may_be_theirs(&self, headers: &HeaderMap) -> Result<(), Refused> {
        tag(headers).map(|_| ())
    }

    /// `X-Slack-Signature`: `v0=` and the HMAC-SHA256 of `v0:<timestamp>:<body>`.
    fn verify(&self, call: &Call<'_>) -> Result<(), Refused> {
        let (tag, stamp) = tag(call.headers)?;
        let said = [b"v0:", stamp.as_bytes(), b":", call.body].concat();
        if !is_signed(HMAC_SHA256, &self.signing_secret, &said, &tag) {
            return Err(Refused::Forged);
        }
        let signed_at = seconds(Some(&Value::from(stamp))).ok_or(Refused::Forged)?;
        let is_near = signed_at >= call.now - MAX_SKEW && signed_at <= call.now + MAX_SKEW;
        if is_near { Ok(()) } else { Err(Refused::Replayed) }
    }

    fn read(&self, call: &Call<'_>) -> Result<Heard, Unreadable> {
        let body = object(call.body)?;
        match text(body.get("type")) {
            Some("url_verification") => {
                let challenge = text(body.get("challenge")).filter(|challenge| challenge.len() <= MAX_CHALLENGE);
                Ok(Heard { events: Vec::new(), reply: Some(challenge.ok_or(Unreadable)?.to_owned()) })
            }
            Some("event_callback") if text(body.get("team_id")) == Some(&self.team_id) => {
                Ok(Heard { events: event(&body, call.now).into_iter().collect(), reply: None })
            }
            _ => Ok(Heard::default()),
        }
    }
}

/// The tag that a call brings, and the time that was signed with it.
fn tag(headers: &HeaderMap) -> Result<(Vec<u8>, &str), Refused> {
    let given = header(headers, "x-slack-signature").ok_or(Refused::Unsigned)?;
    let stamp = header(headers, "x-slack-request-timestamp").ok_or(Refused::Unsigned)?;
    let tag = given.strip_prefix("v0=").and_then(from_hex).filter(|tag| tag.len() == SHA256_BYTES);
    Ok((tag.ok_or(Refused::Forged)?, stamp))
}

fn event(body: &Map<String, Value>, now: Timestamp) -> Option<ProviderEvent> {
    let at = seconds(body.get("event_time")).unwrap_or(now);
    let event = body.get("event")?;
    match text(event.get("type"))? {
        "message_metadata_posted" => posted(body, event, at),
        // What apps write, changes and joins have a `subtype` or a `bot_id`.
        "message" if event.get("subtype").is_none() && event.get("bot_id").is_none() => {
            Some(ProviderEvent::person(text(event.get("user"))?, Deed::Wrote, at))
        }
        _ => None,
    }
}

/// A message to a person is posted to the channel that they have with the app, so the recipient is not told. Every app of the
/// workspace may post metadata under any name: what another one than the app that is called has posted is none of ours.
fn posted(body: &Map<String, Value>, event: &Value, at: Timestamp) -> Option<ProviderEvent> {
    if text(body.get("api_app_id"))? != text(event.get("app_id"))? {
        return None;
    }
    let metadata = event.get("metadata").filter(|metadata| text(metadata.get("event_type")) == Some(METADATA_TYPE))?;
    let correlation = text(metadata.get("event_payload")?.get("ref"))?.parse().ok()?;
    let place = text(event.get("channel_id")).zip(text(event.get("message_ts")));
    let provider_id = place.map(|(channel, stamp)| format!("{channel}:{stamp}"));
    let which = Which::One { correlation: Some(correlation), provider_id };
    Some(ProviderEvent::Message { which, recipient: None, news: News::Accepted, at })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::delivery::correlation::Correlation;

    const SAMPLE: &str = r#"{"token":"legacy","team_id":"T0123","api_app_id":"A0123","event":{"type":"tokens_revoked","tokens":{"oauth":[],"bot":["U0BOT"]}},"type":"event_callback","event_id":"Ev0001","event_time":1780000000}"#;
    const TAG: &str = "v0=089c5b549b38bc824eb945d0071112d3e3a18788c42c0ba40c714bc1efe47757";

    fn callbacks() -> SlackCallbacks {
        SlackCallbacks::new("T0123".into(), SecretString::from("8f742231b10e8888abcd99yyyzzz85a5")).unwrap()
    }

    fn verify(tag: Option<&'static str>, stamp: &'static str, now: i64, body: &str) -> Result<(), Refused> {
        let mut headers = HeaderMap::new();
        headers.insert("x-slack-request-timestamp", HeaderValue::from_static(stamp));
        if let Some(tag) = tag {
            headers.insert("x-slack-signature", HeaderValue::from_static(tag));
        }
        let now = Timestamp::from_secs(now);
        callbacks().verify(&Call { headers: &headers, query: None, body: body.as_bytes(), now })
    }

    fn read(body: Value) -> Heard {
        let (headers, body) = (HeaderMap::new(), body.to_string());
        let call = Call { headers: &headers, query: None, body: body.as_bytes(), now: Timestamp::EPOCH };
        callbacks().read(&call).unwrap()
    }

    #[test]
    fn a_signed_call_is_believed_for_five_minutes() {
        let stamp = "1780000000";
        assert_eq!(verify(Some(TAG), stamp, 1_780_000_000, SAMPLE), Ok(()));
        assert_eq!(verify(Some(TAG), stamp, 1_780_000_300, SAMPLE), Ok(()));
        assert_eq!(verify(Some(TAG), stamp, 1_780_000_301, SAMPLE), Err(Refused::Replayed));
        assert_eq!(verify(Some(TAG), stamp, 1_779_999_699, SAMPLE), Err(Refused::Replayed));
        assert_eq!(verify(Some(TAG), "1780000001", 1_780_000_000, SAMPLE), Err(Refused::Forged));
        assert_eq!(verify(Some(TAG), stamp, 1_780_000_000, &SAMPLE.replace("U0BOT", "U1BOT")), Err(Refused::Forged));
        assert_eq!(verify(None, stamp, 1_780_000_000, SAMPLE), Err(Refused::Unsigned));
        assert_eq!(
            callbacks().read(&Call {
                headers: &HeaderMap::new(),
                query: None,
                body: SAMPLE.as_bytes(),
                now: Timestamp::EPOCH
            }),
            Ok(Heard::default())
        );
    }

    #[test]
    fn the_handshake_is_answered_with_its_challenge() {
        let heard = read(json!({"token": "legacy", "challenge": "3eZbrw1aBm2r", "type": "url_verification"}));
        assert_eq!(heard, Heard { events: Vec::new(), reply: Some("3eZbrw1aBm2r".into()) });
    }

    #[test]
    fn a_message_with_our_metadata_brings_the_correlation_back() {
        let posted = |kind: &str, reference: &str, team: &str, app: &str| {
            json!({"team_id": team, "api_app_id": "A1", "type": "event_callback", "event_time": 5, "event": {
                "type": "message_metadata_posted", "app_id": app, "channel_id": "C1", "message_ts": "1658903885.673769",
                "metadata": {"event_type": kind, "event_payload": {"ref": reference}}}})
        };
        let correlation = Some(Correlation { broadcast: 7, seq: 42, attempt: 3, part: 0 });
        let which = Which::One { correlation, provider_id: Some("C1:1658903885.673769".into()) };
        let at = Timestamp::from_secs(5);
        let told = ProviderEvent::Message { which, recipient: None, news: News::Accepted, at };
        assert_eq!(read(posted("herald_message", "7:42:3:0", "T0123", "A1")).events, [told]);
        assert_eq!(read(posted("task_created", "7:42:3:0", "T0123", "A1")).events, []);
        assert_eq!(read(posted("herald_message", "TK-2132", "T0123", "A1")).events, []);
        assert_eq!(read(posted("herald_message", "7:42:3:0", "T9999", "A1")).events, []);
        assert_eq!(read(posted("herald_message", "7:42:3:0", "T0123", "A2")).events, [], "of another app");
    }

    #[test]
    fn people_write_and_apps_do_not() {
        let message =
            |event: Value| read(json!({"team_id": "T0123", "type": "event_callback", "event_time": 5, "event": event}));
        let at = Timestamp::from_secs(5);
        let wrote = ProviderEvent::person("U1", Deed::Wrote, at);
        assert_eq!(message(json!({"type": "message", "user": "U1", "text": "hi"})).events, [wrote]);
        assert_eq!(message(json!({"type": "message", "user": "U1", "bot_id": "B1"})).events, []);
        assert_eq!(message(json!({"type": "message", "subtype": "channel_join", "user": "U1"})).events, []);
    }
}
