//! Slack, `chat.postMessage`: texts, pictures and blocks of an app to channels and people.
//!
//! Facts are from the pages of the method and of the Web API's rate limits; the meaning of each error is in [`errors`] with
//! its own source.

pub mod callback;
pub mod errors;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode, Uri};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{accepted, json_object, text, unknown};
use super::error_table::ErrorClass;
use super::redact::redact;
use super::retry_after::retry_after_ms;
use super::{
    AccountError, Answer, EncodeError, Message, Provider, absolute_url, base_url, bearer, check_link, check_text,
    last_piece, post,
};
use crate::api::channel::ChannelProvider;
use crate::api::content::{Attachment, MAX_BLOCKS};
use crate::content::{Extras, SlackExtras};
use crate::delivery::outcome::{Fault, Outcome, ThrottleScope};

/// The longest text in characters: Slack cuts off what is longer and says nothing. It advises 4,000.
pub const MAX_TEXT: usize = 40_000;

/// The longest text of a block of its own, in characters (Block Kit reference, section; recalled). Beside pictures the text is
/// one, since Slack shows either blocks or the text.
pub const MAX_SECTION: usize = 3_000;

/// Under which name the correlation is kept with the message.
const METADATA_TYPE: &str = "herald_message";

/// The longest word of an error that is kept; real ones have up to 40 letters.
const MAX_WORD: usize = 60;

/// An app in a workspace and how to reach it.
pub struct SlackAccount {
    /// `https://slack.com`, or a proxy or the simulator; may hold a path, no query.
    pub base_url: String,
    /// The id of the workspace, `T…`: nobody is messaged by a token of another one.
    pub team_id: String,
    /// The app's bot token with the scope `chat:write`; sent as a Bearer token.
    pub bot_token: SecretString,
}

/// The Web API for one app in a workspace.
pub struct Slack {
    uri: Uri,
    /// Of `auth.test`.
    identity_uri: Uri,
    team_id: String,
    authorization: HeaderValue,
    /// Kept to strike it out of error texts.
    secrets: [SecretString; 1],
}

impl Slack {
    /// Checks the account and prepares what all its requests share.
    ///
    /// # Errors
    /// [`AccountError`] naming the field: a base URL that is no URL, an empty or unsendable token.
    pub fn new(account: SlackAccount) -> Result<Slack, AccountError> {
        let SlackAccount { base_url, team_id, bot_token } = account;
        let base_url = self::base_url("slack.baseURL", &base_url)?;
        let authorization = bearer("botToken", "an app's bot token, e.g. xoxb-…", &bot_token)?;
        let uri = absolute_url("slack.baseURL", &format!("{base_url}/api/chat.postMessage"))?;
        let identity_uri = absolute_url("slack.baseURL", &format!("{base_url}/api/auth.test"))?;
        Ok(Slack { uri, identity_uri, team_id, authorization, secrets: [bot_token] })
    }
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slack").field("uri", &self.uri).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct PostMessage<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    blocks: &'a [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    unfurl_links: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfurl_media: Option<bool>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    event_type: &'static str,
    event_payload: Payload<'a>,
}

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
}

/// The blocks as they are written, or the text as one, and below them the pictures.
fn blocks<'a>(message: &Message<'_>, block: &'a SlackExtras) -> Result<Cow<'a, [Value]>, EncodeError> {
    if message.attachments.is_empty() {
        return Ok(Cow::Borrowed(&block.blocks));
    }
    let mut blocks = block.blocks.clone();
    if blocks.is_empty() && !message.text.is_empty() {
        check_text(message.text, "slack beside pictures", MAX_SECTION)?;
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": message.text}}));
    }
    for attachment in message.attachments {
        let Attachment { url, .. } = check_link(attachment)?;
        blocks.push(json!({"type": "image", "image_url": url, "alt_text": last_piece(url).unwrap_or("image")}));
    }
    if blocks.len() > MAX_BLOCKS {
        let problem = format!("blocks and pictures are more than the {MAX_BLOCKS} blocks that Slack takes");
        return Err(EncodeError::Request(problem));
    }
    Ok(Cow::Owned(blocks))
}

/// Slack also takes names, with and without `#`. A channel has one id: by a name beside it people would be messaged twice.
fn is_id(recipient: &str) -> bool {
    !recipient.is_empty() && recipient.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

impl Provider for Slack {
    fn channel(&self) -> ChannelProvider {
        ChannelProvider::Slack
    }

    fn endpoint(&self) -> &Uri {
        &self.uri
    }

    fn encode(&self, message: &Message<'_>) -> Result<Request<Bytes>, EncodeError> {
        if message.attachments.is_empty() || !message.text.is_empty() {
            check_text(message.text, self.name(), MAX_TEXT)?;
        }
        if !is_id(message.recipient) {
            return Err(EncodeError::Recipient {
                provider: self.name(),
                problem: "is no id of a channel (C…), a direct message (D…) or a person (U…): capital letters and digits",
            });
        }
        let none = SlackExtras::default();
        let block = match message.extras {
            Extras::Slack(block) => block,
            _ => &none,
        };
        let blocks = blocks(message, block)?;
        let body = PostMessage {
            channel: message.recipient,
            text: message.text,
            blocks: &blocks,
            unfurl_links: block.unfurl_links,
            unfurl_media: block.unfurl_media,
            metadata: Metadata { event_type: METADATA_TYPE, event_payload: Payload { reference: message.correlation } },
        };
        let body = serde_json::to_vec(&body).map_err(|error| EncodeError::Request(error.to_string()))?;
        let mut request = post(self.uri.clone(), "application/json; charset=utf-8", body);
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        Ok(request)
    }

    /// `auth.test` (docs.slack.dev/reference/methods/auth.test): needs no scope, and allows hundreds of requests per minute.
    fn identity_request(&self) -> Option<Request<Bytes>> {
        let mut request = post(self.identity_uri.clone(), "application/json; charset=utf-8", Vec::new());
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        Some(request)
    }

    /// Channels and people have their ids in one workspace: in another one everybody would fail, or be somebody else's. An app
    /// that was installed for a whole organisation has a token of no workspace. What is no answer of Slack's says nothing.
    fn refuse_identity(&self, answer: &Answer<'_>) -> Option<Outcome> {
        let body = json_object(answer).ok().filter(|_| answer.status.is_success())?;
        if body.get("ok").and_then(Value::as_bool) == Some(false) {
            let row = errors::find(text(body.get("error"))?).filter(|row| row.class == ErrorClass::Auth)?;
            return Some(self.classify_error(row.error, None));
        }
        let is_of_an_organisation = body.get("is_enterprise_install").and_then(Value::as_bool) == Some(true);
        let team = text(body.get("team_id")).filter(|team| *team != self.team_id && !is_of_an_organisation)?;
        let team: String = redact(team, &self.secrets).chars().take(MAX_WORD).collect();
        let message = format!(
            "the token under the key botToken is of the workspace {team}, and slack.teamID of the channel is {}; put a token \
             of that workspace into the Secret, or make a MessageChannel for {team}",
            self.team_id
        );
        Some(Outcome::Auth { fault: Fault::new("WrongWorkspace", None, message) })
    }

    /// Only 200 and 429 carry meaning, as Slack's own clients say: 429 is a throttle whatever its body.
    fn classify(&self, answer: &Answer<'_>) -> Outcome {
        let status = answer.status;
        let wish = retry_after_ms(answer.headers, answer.received_at);
        if status == StatusCode::TOO_MANY_REQUESTS {
            let fault = Fault::new("TooManyRequests", Some("ratelimited".to_owned()), "Slack answered 429");
            return Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms: wish, fault };
        }
        let body = match json_object(answer) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        if status.is_server_error() {
            return unknown("ServerError", status, "Slack answered an error of its own");
        }
        let ids = text(body.get("channel")).zip(text(body.get("ts")));
        match (body.get("ok").and_then(Value::as_bool), text(body.get("error")), ids) {
            (Some(true), None, Some((channel, ts))) if status.is_success() => accepted(&format!("{channel}:{ts}")),
            (Some(false), Some(word), None) => self.classify_error(word, wish),
            (Some(false), _, Some(_)) | (Some(true), Some(_), _) => {
                unknown("ContradictoryAnswer", status, "the answer holds a message and an error")
            }
            _ => unknown("IncompleteAnswer", status, "the answer holds neither an error nor a message's place"),
        }
    }
}

impl Slack {
    fn classify_error(&self, word: &str, wish: Option<u64>) -> Outcome {
        let shown: String = redact(word, &self.secrets).chars().take(MAX_WORD).collect();
        match errors::find(word) {
            Some(row) => {
                row.class.outcome(wish, Fault::new(row.reason, Some(word.to_owned()), format!("Slack answered {word}")))
            }
            None => {
                let message = format!("Slack answered {shown}");
                Outcome::Unknown { fault: Fault::new("UnrecognisedError", Some(shown), message) }
            }
        }
    }
}

#[cfg(test)]
mod tests {

    use http::HeaderMap;
    use http::header::{CONTENT_TYPE, RETRY_AFTER};
    use serde_json::json;

    use super::*;
    use crate::api::content::AttachmentType;
    use crate::delivery::time::Timestamp;

    fn slack(base_url: &str, token: &str) -> Result<Slack, AccountError> {
        let (base_url, team_id) = (base_url.into(), "T0123".into());
        Slack::new(SlackAccount { base_url, team_id, bot_token: SecretString::from(token) })
    }

    fn encode(recipient: &str, text: &str, extras: &Extras) -> Result<Request<Bytes>, EncodeError> {
        let message = Message::sample(recipient, text, extras);
        slack("https://slack.com", "xoxb-canary").unwrap().encode(&message)
    }

    fn classify(status: u16, headers: &HeaderMap, body: &str) -> Outcome {
        let (status, body) = (StatusCode::from_u16(status).unwrap(), body.as_bytes());
        let answer = Answer { status, headers, body, body_truncated: false, received_at: Timestamp::EPOCH };
        slack("https://slack.com", "xoxb-canary").unwrap().classify(&answer)
    }

    #[test]
    fn nobody_is_messaged_by_a_token_of_another_workspace() {
        let slack = slack("https://slack.com", "xoxb-canary").unwrap();
        let request = slack.identity_request().unwrap();
        assert_eq!(request.uri(), "https://slack.com/api/auth.test");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer xoxb-canary");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
        let refused = |status: u16, body: Value| {
            let (headers, body) = (HeaderMap::new(), body.to_string());
            let (status, body) = (StatusCode::from_u16(status).unwrap(), body.as_bytes());
            let answer =
                Answer { status, headers: &headers, body, body_truncated: false, received_at: Timestamp::EPOCH };
            slack.refuse_identity(&answer).map(|outcome| match outcome {
                Outcome::Auth { fault } => (fault.reason, fault.message),
                other => panic!("another class: {other:?}"),
            })
        };
        assert_eq!(refused(200, json!({"ok": true, "team_id": "T0123", "user_id": "U1"})), None);
        let (reason, message) = refused(200, json!({"ok": true, "team_id": "T9999"})).unwrap();
        assert_eq!(reason, "WrongWorkspace");
        for word in ["botToken", "T9999", "slack.teamID", "T0123", "MessageChannel for T9999"] {
            assert!(message.contains(word), "{message}");
        }
        let (reason, _) = refused(200, json!({"ok": false, "error": "invalid_auth"})).unwrap();
        assert_eq!(reason, "TokenInvalid");
        // An organisation's token, a busy Slack, and what is not Slack say nothing against it.
        assert_eq!(refused(200, json!({"ok": true, "team_id": "E1", "is_enterprise_install": true})), None);
        assert_eq!(refused(200, json!({"ok": false, "error": "internal_error"})), None);
        assert_eq!(refused(429, json!({"ok": false, "error": "ratelimited"})), None);
        assert_eq!(refused(200, json!({"ok": true})), None);
        assert_eq!(refused(404, json!("no such page")), None);
    }

    #[test]
    fn a_text_with_blocks_becomes_the_documented_request() {
        let blocks = vec![json!({"type": "divider"})];
        let extras = Extras::Slack(SlackExtras { blocks, unfurl_links: Some(false), unfurl_media: None });
        let request = encode("C123ABC456", "hi", &extras).unwrap();
        assert_eq!(request.uri(), "https://slack.com/api/chat.postMessage");
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer xoxb-canary");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let expected = json!({
            "channel": "C123ABC456",
            "text": "hi",
            "blocks": [{"type": "divider"}],
            "unfurl_links": false,
            "metadata": {"event_type": "herald_message", "event_payload": {"ref": "7f3a:42:1:0"}},
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_text_that_would_be_cut_off_is_refused() {
        let longest = "ü".repeat(MAX_TEXT);
        assert!(encode("C1", &longest, &Extras::None).is_ok());
        let error = encode("C1", &format!("{longest}ü"), &Extras::None).unwrap_err();
        assert_eq!(error, EncodeError::TextTooLong { provider: "slack", limit: 40_000, actual: 40_001 });
    }

    #[test]
    fn pictures_are_blocks_below_the_text_or_below_the_blocks_there_are() {
        let pictures = |text: &str, count: usize, extras: &Extras| {
            let picture =
                |number| Attachment { kind: AttachmentType::Image, url: format!("https://a.example/{number}.png") };
            let attachments: Vec<_> = (0..count).map(picture).collect();
            let message = Message { attachments: &attachments, ..Message::sample("C1", text, extras) };
            let request = slack("https://slack.com", "xoxb-canary").unwrap().encode(&message);
            request.map(|request| serde_json::from_slice::<Value>(request.body()).unwrap())
        };
        let section = json!({"type": "section", "text": {"type": "mrkdwn", "text": "*hi*"}});
        let image = json!({"type": "image", "image_url": "https://a.example/0.png", "alt_text": "0.png"});
        let body = pictures("*hi*", 1, &Extras::None).unwrap();
        assert_eq!((&body["text"], &body["blocks"]), (&json!("*hi*"), &json!([section, image])));
        let body = pictures("", 1, &Extras::None).unwrap();
        assert_eq!((body.get("text"), &body["blocks"]), (None, &json!([image])));
        let with = |count| {
            Extras::Slack(SlackExtras { blocks: vec![json!({"type": "divider"}); count], ..SlackExtras::default() })
        };
        assert_eq!(pictures("hi", 1, &with(1)).unwrap()["blocks"], json!([{"type": "divider"}, image]));
        assert!(pictures("hi", 10, &with(40)).is_ok());
        assert!(matches!(pictures("hi", 10, &with(41)), Err(EncodeError::Request(_))));
        let long = "x".repeat(MAX_SECTION + 1);
        assert!(matches!(pictures(&long, 1, &Extras::None), Err(EncodeError::TextTooLong { limit: MAX_SECTION, .. })));
        assert!(pictures(&long, 1, &with(1)).is_ok(), "blocks are shown instead");
    }

    #[test]
    fn a_channel_is_named_by_its_id_alone() {
        for odd in ["Ana B", "#news", "news", "@ana", "c123abc456", "C1 ", ""] {
            assert!(matches!(encode(odd, "hi", &Extras::None), Err(EncodeError::Recipient { .. })), "{odd}");
        }
        for id in ["C123ABC456", "G1", "W2CERLKJA"] {
            assert!(encode(id, "hi", &Extras::None).is_ok(), "{id}");
        }
    }

    #[test]
    fn a_bad_account_is_refused_by_field_and_shows_no_secret() {
        assert_eq!(slack("slack.com", "xoxb-canary").unwrap_err().field, "slack.baseURL");
        let error = slack("https://slack.com", "canary\n").unwrap_err();
        assert_eq!(error.field, "Secret key botToken");
        assert!(!error.to_string().contains("canary"));
        assert!(!format!("{:?}", slack("https://slack.com", "xoxb-canary").unwrap()).contains("canary"));
        let told = classify(200, &HeaderMap::new(), r#"{"ok":false,"error":"xoxb-canary"}"#);
        assert!(!format!("{told:?}").contains("canary"), "{told:?}");
    }

    #[test]
    fn a_429_is_a_throttle_whatever_its_body_and_its_wait_is_honoured() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("30"))]);
        for body in [r#"{"ok":false,"error":"ratelimited"}"#, "slow down"] {
            let Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms, .. } =
                classify(429, &headers, body)
            else {
                panic!("expected Throttled for {body}");
            };
            assert_eq!(retry_after_ms, Some(30_000));
        }
    }

    #[test]
    fn answers_that_do_not_say_what_became_of_the_message_are_unknown() {
        let reason = |status: u16, body: &str| match classify(status, &HeaderMap::new(), body) {
            Outcome::Unknown { fault } => fault.reason,
            other => panic!("expected Unknown, got {other:?}"),
        };
        assert_eq!(reason(200, "ok"), "UnreadableAnswer");
        assert_eq!(reason(500, r#"{"ok":false,"error":"channel_not_found"}"#), "ServerError");
        assert_eq!(reason(200, r#"{"ok":true,"channel":"C1"}"#), "IncompleteAnswer");
        assert_eq!(reason(302, r#"{"ok":true,"channel":"C1","ts":"1.0"}"#), "IncompleteAnswer");
        assert_eq!(reason(200, r#"{"ok":false,"channel":"C1","ts":"1.0"}"#), "ContradictoryAnswer");
        assert_eq!(reason(200, r#"{"ok":false,"error":"something_new"}"#), "UnrecognisedError");
    }

    #[test]
    fn no_two_rows_of_the_table_speak_for_the_same_error() {
        let rows = errors::SLACK_ERRORS;
        for (index, row) in rows.iter().enumerate() {
            assert!(rows[index + 1..].iter().all(|other| other.error != row.error), "{row:?}");
        }
    }
}
