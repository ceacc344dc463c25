//! What Twilio tells by call-backs: the status of each message, at the URL that the message was sent with, and what people
//! write.
//!
//! Facts are from Twilio's pages on the status callback and on webhook security, twilio/twilio-python
//! twilio/request_validator.py, and recorded call-backs in department-of-veterans-affairs/notification-api.

use http::HeaderMap;
use ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
use secrecy::SecretString;

use super::errors;
use crate::delivery::provider_event::{Deed, News, ProviderEvent, Which};
use crate::provider::callback::{
    Call, Callbacks, Heard, Refused, UNDELIVERED, Unreadable, field, form_fields, from_base64, header, is_signed,
    secret,
};
use crate::provider::{AccountError, absolute_url};

/// The field of the query that brings our correlation back.
pub const CORRELATION_FIELD: &str = "herald";

/// Twilio refuses numbers that have opted out (twilio.com/docs/api/errors/21610).
const OPTED_OUT: i64 = 21_610;

/// What failures mean that are told only later, with the source of each.
pub const TWILIO_LATE_FAILURES: &[(i64, &str, &str)] = &[
    (30_001, "QueueOverflow", "twilio.com/docs/api/errors/30001"),
    (30_002, "AccountInactive", "twilio.com/docs/api/errors/30002"),
    (30_003, "HandsetUnreachable", "twilio.com/docs/api/errors/30003"),
    (30_004, "PersonBlocked", "twilio.com/docs/api/errors/30004"),
    (30_005, "NumberInvalid", "twilio.com/docs/api/errors/30005"),
    (30_006, "NotMobile", "twilio.com/docs/api/errors/30006"),
    (30_007, "MessageFiltered", "twilio.com/docs/api/errors/30007"),
    (30_008, UNDELIVERED, "twilio.com/docs/api/errors/30008"),
    (30_022, "CarrierLimit", "nyaruka/courier handlers/twiml/errors.json"),
    (30_023, "CarrierLimit", "nyaruka/courier handlers/twiml/errors.json"),
    (30_027, "CarrierLimit", "nyaruka/courier handlers/twiml/errors.json"),
    (30_034, "NumberNotRegistered", "nyaruka/courier handlers/twiml/errors.json"),
    (30_036, "ValidityPassed", "nyaruka/courier handlers/twiml/errors.json"),
    (30_410, "CarrierTimeout", "nyaruka/courier handlers/twiml/errors.json"),
];

/// The calls of one account.
pub struct TwilioCallbacks {
    account_sid: String,
    url: String,
    auth_token: SecretString,
}

impl TwilioCallbacks {
    /// The URL is the one that Twilio calls, without query: it is part of what is signed. The token is the account's own, also
    /// where messages are sent with an API key.
    ///
    /// # Errors
    /// An empty token, or a URL that is none.
    pub fn new(account_sid: String, url: String, auth_token: SecretString) -> Result<TwilioCallbacks, AccountError> {
        absolute_url("receiver.url", &url)?;
        Ok(TwilioCallbacks { account_sid, url, auth_token: secret("authToken", auth_token)? })
    }

    fn is_signed(&self, url: &str, query: Option<&str>, fields: &[(String, String)], tag: &[u8]) -> bool {
        let mut said = url.to_owned();
        if let Some(query) = query {
            said.push('?');
            said.push_str(query);
        }
        for (name, value) in fields {
            said.push_str(name);
            said.push_str(value);
        }
        is_signed(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.auth_token, said.as_bytes(), tag)
    }
}

impl Callbacks for TwilioCallbacks {
    fn may_be_theirs(&self, headers: &HeaderMap) -> Result<(), Refused> {
        tag(headers).map(|_| ())
    }

    /// `X-Twilio-Signature`: base64 of the HMAC-SHA1 of the URL and every field, sorted by name. With and without the port
    /// of the scheme, as Twilio's own libraries look at it.
    fn verify(&self, call: &Call<'_>) -> Result<(), Refused> {
        let tag = tag(call.headers)?;
        let mut fields = form(call.body);
        fields.sort();
        fields.dedup();
        let urls = [self.url.clone(), with_port(&self.url)];
        match urls.iter().any(|url| self.is_signed(url, call.query, &fields, &tag)) {
            true => Ok(()),
            false => Err(Refused::Forged),
        }
    }

    fn read(&self, call: &Call<'_>) -> Result<Heard, Unreadable> {
        let fields = form(call.body);
        let account = field(&fields, "AccountSid").ok_or(Unreadable)?;
        if account != self.account_sid {
            return Ok(Heard::default());
        }
        let events = match field(&fields, "MessageStatus").or_else(|| field(&fields, "SmsStatus")) {
            Some("received" | "receiving") | None => inbound(&fields, call),
            Some(status) => outbound(status, &fields, call),
        };
        Ok(Heard { events, reply: None })
    }
}

fn tag(headers: &HeaderMap) -> Result<Vec<u8>, Refused> {
    let given = header(headers, "x-twilio-signature").ok_or(Refused::Unsigned)?;
    from_base64(given).ok_or(Refused::Forged)
}

fn form(body: &[u8]) -> Vec<(String, String)> {
    form_fields(&String::from_utf8_lossy(body))
}

/// The URL with the port of its scheme, or as it is where it names one.
fn with_port(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    if host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) {
        return url.to_owned();
    }
    let port = if scheme == "https" { 443 } else { 80 };
    format!("{scheme}://{host}:{port}{path}")
}

fn message_sid(fields: &[(String, String)]) -> Option<String> {
    field(fields, "MessageSid").or_else(|| field(fields, "SmsSid")).filter(|sid| !sid.is_empty()).map(str::to_owned)
}

/// Twilio names no time, and signs none: what it tells happens as it tells it, once for each message.
fn outbound(status: &str, fields: &[(String, String)], call: &Call<'_>) -> Vec<ProviderEvent> {
    let code = field(fields, "ErrorCode").and_then(|code| code.parse::<i64>().ok());
    let news = match status {
        "queued" | "accepted" | "scheduled" | "sending" | "sent" | "partially_delivered" => News::Accepted,
        "delivered" => News::Delivered,
        "read" => News::Read,
        "undelivered" | "failed" | "canceled" => News::Undelivered {
            reason: reason(code).to_owned(),
            code: code.map(|code| code.to_string()),
            marketing_stopped: false,
        },
        _ => return Vec::new(),
    };
    let query = form_fields(call.query.unwrap_or_default());
    let correlation = field(&query, CORRELATION_FIELD).and_then(|value| value.parse().ok());
    let message = message_sid(fields);
    let provider_id = message.clone();
    let recipient = field(fields, "To").filter(|to| !to.is_empty()).map(str::to_owned);
    let at = call.now;
    let opted_out = recipient.clone().filter(|_| code == Some(OPTED_OUT));
    let opted_out = opted_out.map(|recipient| ProviderEvent::Person {
        recipient,
        deed: Deed::OptedOut,
        at,
        message: message.clone(),
    });
    let which = Which::One { correlation, provider_id };
    std::iter::once(ProviderEvent::Message { which, recipient, news, at }).chain(opted_out).collect()
}

fn reason(code: Option<i64>) -> &'static str {
    let Some(code) = code else { return UNDELIVERED };
    let late = TWILIO_LATE_FAILURES.iter().find(|(late, ..)| *late == code).map(|(_, reason, _)| *reason);
    late.or_else(|| errors::find(code).map(|row| row.reason)).unwrap_or(UNDELIVERED)
}

/// `OptOutType` is there where a Messaging Service has Advanced Opt-Out (Twilio's article on tracking it).
fn inbound(fields: &[(String, String)], call: &Call<'_>) -> Vec<ProviderEvent> {
    let Some(from) = field(fields, "From").filter(|from| !from.is_empty()) else { return Vec::new() };
    let message = message_sid(fields);
    let told =
        |deed| ProviderEvent::Person { recipient: from.to_owned(), deed, at: call.now, message: message.clone() };
    let wish = match field(fields, "OptOutType") {
        Some("STOP") => Some(Deed::OptedOut),
        Some("START") => Some(Deed::OptedIn),
        _ => None,
    };
    std::iter::once(Deed::Wrote).chain(wish).map(told).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::delivery::correlation::Correlation;
    use crate::delivery::time::Timestamp;

    const ACCOUNT: &str = "AC00000000000000000000000000000001";
    const NOW: Timestamp = Timestamp::from_secs(9);

    fn callbacks(url: &str) -> TwilioCallbacks {
        TwilioCallbacks::new(ACCOUNT.into(), url.into(), SecretString::from("12345")).unwrap()
    }

    fn verify(url: &str, query: Option<&str>, tag: Option<&str>, body: &str) -> Result<(), Refused> {
        let mut headers = HeaderMap::new();
        if let Some(tag) = tag {
            headers.insert("x-twilio-signature", HeaderValue::from_str(tag).unwrap());
        }
        callbacks(url).verify(&Call { headers: &headers, query, body: body.as_bytes(), now: NOW })
    }

    fn read(query: Option<&str>, body: &str) -> Vec<ProviderEvent> {
        let call = Call { headers: &HeaderMap::new(), query, body: body.as_bytes(), now: NOW };
        callbacks("https://cb.example.test/twilio").read(&call).unwrap().events
    }

    #[test]
    fn the_published_vector_is_believed_and_no_other() {
        let (url, query) = ("https://mycompany.com/myapp.php", Some("foo=1&bar=2"));
        let tag = Some("RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        let body = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
        assert_eq!(verify(url, query, tag, body), Ok(()));
        assert_eq!(verify(url, Some("foo=1&bar=3"), tag, body), Err(Refused::Forged));
        assert_eq!(verify("https://other.com/myapp.php", query, tag, body), Err(Refused::Forged));
        assert_eq!(verify(url, query, tag, &body.replace("1234&", "1235&")), Err(Refused::Forged));
        assert_eq!(verify(url, query, Some("not base64!"), body), Err(Refused::Forged));
        assert_eq!(verify(url, query, None, body), Err(Refused::Unsigned));
    }

    const STATUS: &str = "ErrorCode=30003&SmsSid=SM00000000000000000000000000000001&SmsStatus=undelivered\
         &MessageStatus=undelivered&To=%2B14255550100&MessageSid=SM00000000000000000000000000000001\
         &AccountSid=AC00000000000000000000000000000001&From=%2B15005550006&ApiVersion=2010-04-01";

    #[test]
    fn the_recorded_call_is_believed_and_read() {
        let tag = Some("d3yQb7/dxoHQ/iduHZ1dB594hwo=");
        assert_eq!(verify("https://cb.example.test/twilio/status", Some("t=7"), tag, STATUS), Ok(()));
        let news = News::Undelivered {
            reason: "HandsetUnreachable".into(),
            code: Some("30003".into()),
            marketing_stopped: false,
        };
        let which =
            |correlation| Which::One { correlation, provider_id: Some("SM00000000000000000000000000000001".into()) };
        let told = |which| ProviderEvent::Message {
            which,
            recipient: Some("+14255550100".into()),
            news: news.clone(),
            at: NOW,
        };
        assert_eq!(read(Some("t=7"), STATUS), [told(which(None))]);
        let correlation = Some(Correlation { broadcast: 7, seq: 42, attempt: 3, part: 0 });
        assert_eq!(read(Some("herald=7%3A42%3A3%3A0"), STATUS), [told(which(correlation))]);
    }

    #[test]
    fn a_port_that_the_scheme_implies_makes_no_difference() {
        assert_eq!(with_port("https://a.example/x?y"), "https://a.example:443/x?y");
        assert_eq!(with_port("http://a.example"), "http://a.example:80");
        assert_eq!(with_port("https://a.example:8443/x"), "https://a.example:8443/x");
    }

    #[test]
    fn each_status_has_its_meaning() {
        for (status, news) in [
            ("queued", Some(News::Accepted)),
            ("sent", Some(News::Accepted)),
            ("delivered", Some(News::Delivered)),
            ("read", Some(News::Read)),
            ("canceled", Some(News::Undelivered { reason: UNDELIVERED.into(), code: None, marketing_stopped: false })),
            ("somehow", None),
        ] {
            let events = read(None, &format!("MessageStatus={status}&To=%2B1&MessageSid=SM1&AccountSid={ACCOUNT}"));
            let found = events.into_iter().find_map(|event| match event {
                ProviderEvent::Message { news, .. } => Some(news),
                ProviderEvent::Person { .. } => None,
            });
            assert_eq!(found, news, "{status}");
        }
    }

    #[test]
    fn people_write_and_opt_out() {
        let deeds = |body: &str| -> Vec<Deed> {
            let deed = |event| match event {
                ProviderEvent::Person { recipient, deed, .. } => (recipient == "+14255550100").then_some(deed),
                ProviderEvent::Message { .. } => None,
            };
            read(None, &format!("{body}&AccountSid={ACCOUNT}")).into_iter().filter_map(deed).collect()
        };
        assert_eq!(deeds("SmsStatus=received&From=%2B14255550100&Body=hi"), [Deed::Wrote]);
        assert_eq!(deeds("From=%2B14255550100&Body=STOP&OptOutType=STOP"), [Deed::Wrote, Deed::OptedOut]);
        assert_eq!(deeds("From=%2B14255550100&Body=START&OptOutType=START"), [Deed::Wrote, Deed::OptedIn]);
        assert_eq!(deeds("MessageStatus=failed&To=%2B14255550100&ErrorCode=21610"), [Deed::OptedOut]);
        assert_eq!(read(None, "From=%2B1&Body=hi&AccountSid=AC2"), []);
        let told = read(None, &format!("From=%2B1&Body=START&OptOutType=START&MessageSid=SM7&AccountSid={ACCOUNT}"));
        let by = |event| matches!(event, &ProviderEvent::Person { message: Some(ref by), .. } if by == "SM7");
        assert!(told.len() == 2 && told.iter().all(by), "{told:?}");
    }
}
