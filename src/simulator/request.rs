//! Pure: what a request asks for, and whether the provider would take it at all.

use serde_json::Value;

/// The provider a request is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Played {
    /// `POST /v*/{page}/messages`.
    Messenger,
    /// `POST` to any other path.
    Http,
}

impl Played {
    /// The name of the channel's member.
    pub fn name(self) -> &'static str {
        match self {
            Played::Messenger => "messenger",
            Played::Http => "http",
        }
    }
}

/// What is asked for; members are empty where the request lacks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub played: Played,
    /// The page, or the path.
    pub account: String,
    pub recipient: String,
    /// `metadata`, or the header `x-herald-correlation`.
    pub correlation: Option<String>,
    pub text: String,
    /// Why the provider would refuse it, whoever the recipient is.
    pub refusal: Option<Refusal>,
}

/// A request that no provider would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No Bearer token.
    NoToken,
    /// A parameter is missing or wrong; says which.
    BadParameter(String),
}

/// Graph's own words: "must be less than or equal to 2000".
const MAX_MESSENGER_TEXT: usize = 2_000;

/// Which provider, and which account of it, a path speaks of.
pub fn route(path: &str) -> (Played, String) {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match segments[..] {
        [version, page, "messages"] if version.starts_with('v') && !page.is_empty() => {
            (Played::Messenger, page.to_owned())
        }
        _ => (Played::Http, path.to_owned()),
    }
}

/// Reads a request. `authorization` and `correlation` are its headers.
pub fn read(path: &str, authorization: Option<&str>, correlation: Option<&str>, body: &[u8]) -> Call {
    let (played, account) = route(path);
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let text_at = |pointer: &str| {
        let value = parsed.as_ref().and_then(|body| body.pointer(pointer)).and_then(Value::as_str);
        value.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let (recipient, text, correlation) = match played {
        Played::Messenger => (text_at("/recipient/id"), text_at("/message/text"), text_at("/message/metadata")),
        Played::Http => (text_at("/id"), text_at("/text"), correlation.map(str::to_owned)),
    };
    let bad = |what: &str| Some(Refusal::BadParameter(what.to_owned()));
    let refusal = match played {
        _ if parsed.is_none() => bad("the body is no JSON"),
        _ if recipient.is_none() => bad("param recipient must be non-empty"),
        Played::Http => None,
        Played::Messenger if !has_bearer_token(authorization) => Some(Refusal::NoToken),
        Played::Messenger if text_at("/messaging_type").is_none() => bad("param messaging_type is required"),
        Played::Messenger => match &text {
            None => bad("param message[text] must be non-empty"),
            Some(text) if text.chars().count() > MAX_MESSENGER_TEXT => {
                bad("Length of param message[text] must be less than or equal to 2000")
            }
            Some(_) => None,
        },
    };
    Call {
        played,
        account,
        recipient: recipient.unwrap_or_default(),
        correlation,
        text: text.unwrap_or_default(),
        refusal,
    }
}

fn has_bearer_token(authorization: Option<&str>) -> bool {
    authorization.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|token| !token.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] =
        br#"{"recipient":{"id":"24"},"messaging_type":"UPDATE","message":{"text":"hi","metadata":"b:1:1:0"}}"#;

    #[test]
    fn paths_tell_the_provider() {
        assert_eq!(route("/v25.0/1029/messages"), (Played::Messenger, "1029".into()));
        for path in ["/", "/send", "/v25.0/1029", "/v25.0/1029/messages/x", "/v25.0//messages", "/a/1/messages"] {
            assert_eq!(route(path), (Played::Http, path.into()), "{path}");
        }
    }

    #[test]
    fn messenger_requests_are_read_and_need_a_token() {
        let call = read("/v25.0/1029/messages", Some("Bearer t"), None, BODY);
        assert_eq!((call.recipient.as_str(), call.text.as_str()), ("24", "hi"));
        assert_eq!((call.correlation.as_deref(), call.refusal), (Some("b:1:1:0"), None));
        for authorization in [None, Some(""), Some("Bearer "), Some("Basic t")] {
            let call = read("/v25.0/1029/messages", authorization, None, BODY);
            assert_eq!(call.refusal, Some(Refusal::NoToken));
        }
    }

    #[test]
    fn http_requests_are_read_without_a_token() {
        let call = read("/send", None, Some("b:1:1:0"), br#"{"id":"24","text":"hi","vars":{}}"#);
        assert_eq!((call.recipient.as_str(), call.text.as_str()), ("24", "hi"));
        assert_eq!((call.correlation.as_deref(), call.refusal), (Some("b:1:1:0"), None));
    }

    #[test]
    fn requests_without_a_recipient_or_text_are_refused() {
        let refused = |path: &str, body: &str| {
            let call = read(path, Some("Bearer t"), None, body.as_bytes());
            matches!(call.refusal, Some(Refusal::BadParameter(_)))
        };
        assert!(refused("/send", "{"));
        assert!(refused("/send", r#"{"text":"hi"}"#));
        assert!(!refused("/send", r#"{"id":"24"}"#));
        let messenger = "/v25.0/1029/messages";
        assert!(refused(messenger, r#"{"messaging_type":"UPDATE","message":{"text":"hi"}}"#));
        assert!(refused(messenger, r#"{"recipient":{"id":"24"},"messaging_type":"UPDATE","message":{}}"#));
        assert!(refused(messenger, r#"{"recipient":{"id":"24"},"message":{"text":"hi"}}"#));
        let text = |length: usize| {
            let text = "ü".repeat(length);
            format!(r#"{{"recipient":{{"id":"24"}},"messaging_type":"UPDATE","message":{{"text":"{text}"}}}}"#)
        };
        assert!(!refused(messenger, &text(MAX_MESSENGER_TEXT)));
        assert!(refused(messenger, &text(MAX_MESSENGER_TEXT + 1)));
    }
}
