//! Pure: what a request asks for, and whether the provider would take it at all.

use serde_json::Value;

use super::played::Played;

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Posted<'a> {
    pub path: &'a str,
    /// What follows the question mark; empty without one.
    pub query: &'a str,
    /// The header `content-type`.
    pub content_type: Option<&'a str>,
    /// The header `authorization`.
    pub authorization: Option<&'a str>,
    /// The header `x-herald-correlation`.
    pub correlation: Option<&'a str>,
    pub body: &'a [u8],
}

/// What is asked for; members are empty where the request lacks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub played: Played,
    /// The page, bot or path.
    pub account: String,
    pub recipient: String,
    /// As far as the provider takes one.
    pub correlation: Option<String>,
    pub text: String,
    /// Each as `kind link`, in the provider's word for it.
    pub attachments: Vec<String>,
    /// Where the sender wants to be told what becomes of it, where it says so with the message.
    pub callback: Option<String>,
    /// Why the provider would refuse it, whoever the recipient is.
    pub refusal: Option<Refusal>,
}

impl Call {
    /// Whether the provider takes messages by this method. A plain endpoint takes one by GET where it says whom it is for:
    /// others look whether anything is there.
    pub fn is_sent_by(&self, method: &http::Method) -> bool {
        use http::Method;
        match *method {
            Method::POST => true,
            Method::PUT | Method::PATCH => self.played == Played::Http,
            Method::GET => self.played == Played::Http && self.refusal.is_none(),
            _ => false,
        }
    }
}

/// A request that no provider would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No credentials.
    NoToken,
    /// A parameter is missing or wrong; says which.
    BadParameter(String),
}

/// Reads a request for whichever provider its path speaks of.
pub fn read(request: &Posted<'_>) -> Call {
    let call = Played::ALL.into_iter().find_map(|played| played.play().read(request));
    call.unwrap_or_else(|| Call {
        account: request.path.to_owned(),
        refusal: Some(Refusal::BadParameter("nobody takes this".to_owned())),
        ..nobody(Played::Http)
    })
}

/// A call without anything in it.
pub(super) fn nobody(played: Played) -> Call {
    Call {
        played,
        account: String::new(),
        recipient: String::new(),
        correlation: None,
        text: String::new(),
        attachments: Vec::new(),
        callback: None,
        refusal: None,
    }
}

impl Posted<'_> {
    /// Without anything in it.
    #[cfg(test)]
    pub(super) const EMPTY: Posted<'static> =
        Posted { path: "", query: "", content_type: None, authorization: None, correlation: None, body: b"" };

    /// The path, cut at its slashes.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.trim_start_matches('/').split('/').collect()
    }

    pub(super) fn has_bearer_token(&self) -> bool {
        let token = self.authorization.and_then(|value| value.strip_prefix("Bearer "));
        token.is_some_and(|token| !token.trim().is_empty())
    }

    pub(super) fn json(&self) -> Body {
        Body(serde_json::from_slice(self.body).ok())
    }
}

/// Whether a provider could fetch something there.
pub(super) fn is_link(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// The first field of this name of a form or query that is not empty.
pub(super) fn field(form: &str, name: &str) -> Option<String> {
    fields(form, name).next()
}

/// The fields of this name that are not empty.
pub(super) fn fields<'a>(form: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let values = pairs.filter(move |(given, _)| *given == name).map(|(_, value)| unescaped(&value.replace('+', " ")));
    values.filter(|text| !text.is_empty())
}

/// The text that is percent-encoded.
pub(super) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A body that should be JSON.
pub(super) struct Body(Option<Value>);

impl Body {
    pub(super) fn is_json(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.as_ref()?.pointer(pointer)
    }

    /// A text that is not empty.
    pub(super) fn text(&self, pointer: &str) -> Option<String> {
        self.at(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The same, or a whole number as text.
    pub(super) fn text_or_number(&self, pointer: &str) -> Option<String> {
        self.text(pointer).or_else(|| self.at(pointer)?.as_i64().map(|number| number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] =
        br#"{"recipient":{"id":"24"},"messaging_type":"UPDATE","message":{"text":"hi","metadata":"b:1:1:0"}}"#;

    fn read(path: &str, authorization: Option<&str>, correlation: Option<&str>, body: &[u8]) -> Call {
        super::read(&Posted { path, authorization, correlation, body, ..Posted::EMPTY })
    }

    #[test]
    fn paths_tell_the_provider() {
        let route = |path: &str| {
            let call = read(path, None, None, b"{}");
            (call.played, call.account)
        };
        assert_eq!(route("/v25.0/1029/messages"), (Played::Messenger, "1029".into()));
        assert_eq!(route("/bot12:ABC/sendMessage"), (Played::Telegram, "12".into()));
        assert_eq!(route("/botABC/sendMessage"), (Played::Telegram, "".into()), "what may be a secret is not kept");
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
    fn fields_are_unescaped() {
        let form = "To=%2B1425&Body=a+b%20%C3%BC%26c&From=&Odd=%2&Toll=1";
        assert_eq!(field(form, "To").as_deref(), Some("+1425"));
        assert_eq!(field(form, "Body").as_deref(), Some("a b ü&c"));
        assert_eq!(field(form, "Odd").as_deref(), Some("%2"));
        assert_eq!((field(form, "From"), field(form, "Nobody")), (None, None));
    }

    #[test]
    fn http_requests_are_read_without_a_token() {
        let call = read("/send", None, Some("b:1:1:0"), br#"{"id":"24","text":"hi","vars":{}}"#);
        assert_eq!((call.recipient.as_str(), call.text.as_str()), ("24", "hi"));
        assert_eq!((call.correlation.as_deref(), call.refusal), (Some("b:1:1:0"), None));
    }

    #[test]
    fn http_requests_say_in_many_ways_whom_they_are_for() {
        let asked = |path, query, body: &str| {
            let call = super::read(&Posted { path, query, body: body.as_bytes(), ..Posted::EMPTY });
            (call.account, call.recipient, call.text, call.refusal.is_some())
        };
        let known = |account: &str| (account.to_owned(), "+1 4".to_owned(), "hi & bye".to_owned(), false);
        assert_eq!(asked("/send", "", r#"{"to":"+1 4","message":"hi & bye"}"#), known("/send"));
        assert_eq!(asked("/send", "", "to=%2B1%204&text=hi+%26+bye"), known("/send"));
        assert_eq!(asked("/send", "key=1&to=%2B1%204&text=hi%20%26%20bye", ""), known("/send"));
        assert_eq!(asked("/v1/to/%2B1%204/send", "", r#"{"text":"hi & bye"}"#), known("/v1/to"));
        assert!(asked("/send", "", "to=").3);
        assert!(asked("/send/to", "", "{}").3);
    }

    #[test]
    fn telegram_requests_are_read_and_need_a_whole_token() {
        let body = br#"{"chat_id":24,"text":"hi"}"#;
        let call = read("/bot12:ABC/sendMessage", None, None, body);
        assert_eq!((call.recipient.as_str(), call.text.as_str(), call.refusal), ("24", "hi", None));
        for path in ["/bot12/sendMessage", "/bot12:/sendMessage", "/botx:ABC/sendMessage", "/bot12:ABC/sendmail"] {
            assert_eq!(read(path, None, None, body).refusal, Some(Refusal::NoToken), "{path}");
        }
    }

    #[test]
    fn attachments_are_read_as_each_provider_takes_them() {
        let link = "https://a.example/1";
        let cases = [
            (
                "/v25.0/1029/messages",
                r#"{"recipient":{"id":"24"},"messaging_type":"UPDATE","message":{"attachment":{"type":"image","payload":{"url":"LINK"}}}}"#,
                "image",
            ),
            (
                "/v25.0/1029/messages",
                r#"{"messaging_product":"whatsapp","to":"+24","type":"document","document":{"link":"LINK"}}"#,
                "document",
            ),
            ("/bot12:ABC/sendVideo", r#"{"chat_id":24,"video":"LINK"}"#, "video"),
            (
                "/api/chat.postMessage",
                r#"{"channel":"C1","blocks":[{"type":"image","image_url":"LINK","alt_text":"1"}]}"#,
                "image",
            ),
            ("/2010-04-01/Accounts/AC1/Messages.json", "To=%2B24&From=%2B1&MediaUrl=LINK", "media"),
            ("/send", r#"{"id":"24","text":"","attachments":[{"type":"File","url":"LINK"}]}"#, "File"),
        ];
        for (path, body, kind) in cases {
            let authorization = if path.starts_with("/2010") { "Basic t" } else { "Bearer t" };
            let read = |link: &str| {
                super::super::request::read(&Posted {
                    path,
                    authorization: Some(authorization),
                    body: body.replace("LINK", link).as_bytes(),
                    ..Posted::EMPTY
                })
            };
            let call = read(link);
            assert_eq!((call.attachments, call.refusal), (vec![format!("{kind} {link}")], None), "{path}");
            assert!(matches!(read("a.example").refusal, Some(Refusal::BadParameter(_))), "{path}");
        }
        let both = br#"{"recipient":{"id":"24"},"messaging_type":"UPDATE","message":{"text":"hi","attachment":{"type":"image","payload":{"url":"https://a.example"}}}}"#;
        let call = read("/v25.0/1029/messages", Some("Bearer t"), None, both);
        assert!(matches!(call.refusal, Some(Refusal::BadParameter(_))), "one or the other");
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
        assert!(!refused(messenger, &text(2_000)));
        assert!(refused(messenger, &text(2_001)));
    }
}
