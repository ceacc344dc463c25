//! Simulator and provider mean the same: every row of a table can be asked for, and is read back as that row.

use ::http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::SecretString;

use super::*;
use crate::delivery::outcome::Outcome;
use crate::delivery::time::Timestamp;
use crate::provider::graph::errors::{Codes, GraphErrorRow};
use crate::provider::messenger::graph_errors::GRAPH_ERRORS;
use crate::provider::messenger::{Messenger, MessengerAccount};
use crate::provider::slack::errors::SLACK_ERRORS;
use crate::provider::slack::{Slack, SlackAccount};
use crate::provider::telegram::errors::{TELEGRAM_ERRORS, TelegramError};
use crate::provider::telegram::{Telegram, TelegramAccount};
use crate::provider::twilio::errors::TWILIO_ERRORS;
use crate::provider::twilio::{Twilio, TwilioAccount, TwilioCredentials, TwilioSender};
use crate::provider::whatsapp::errors::WHATSAPP_ERRORS;
use crate::provider::whatsapp::{WhatsApp, WhatsAppAccount};
use crate::provider::{Answer, Provider};

/// What a provider makes of an answer of the simulator.
fn read_back(provider: &dyn Provider, response: &Response) -> Outcome {
    let mut headers = HeaderMap::new();
    for (name, value) in &response.headers {
        headers.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    provider.classify(&Answer {
        status: StatusCode::from_u16(response.status).unwrap(),
        headers: &headers,
        body: response.body.as_bytes(),
        body_truncated: false,
        received_at: Timestamp::EPOCH,
    })
}

fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Permanent { fault, .. }
        | Outcome::Auth { fault }
        | Outcome::Throttled { fault, .. }
        | Outcome::Transient { fault, .. }
        | Outcome::Blocked { fault }
        | Outcome::Unknown { fault } => &fault.reason,
        other => panic!("no error: {other:?}"),
    }
}

fn agree(played: Played, provider: &dyn Provider, account: &str, rows: impl Iterator<Item = (String, &'static str)>) {
    let play = played.play();
    assert_eq!(play.name(), provider.name());
    let call = Call {
        played,
        account: account.into(),
        recipient: "987654321".into(),
        correlation: None,
        text: "hi".into(),
        attachments: Vec::new(),
        callback: None,
        refusal: None,
    };
    let mut seen = 0;
    for (code, expected) in rows {
        assert!(play.knows(&code), "{code}");
        assert_eq!(reason(&read_back(provider, &play.fail(&code, &call))), expected, "{code}");
        seen += 1;
    }
    assert!(seen > 0);
    assert!(!play.knows("no code of anybody"));
    assert!(matches!(read_back(provider, &play.succeed(&call, 7, 1)), Outcome::Accepted { provider_id: Some(_) }));
    let (_, throttled) = play.throttle(&"3".parse().unwrap(), jiff::Timestamp::UNIX_EPOCH);
    assert!(matches!(read_back(provider, &throttled), Outcome::Throttled { .. }), "{throttled:?}");
    let (_, refused) = play.refuse(&Refusal::NoToken);
    assert!(matches!(read_back(provider, &refused), Outcome::Auth { .. }), "{refused:?}");
    let (_, refused) = play.refuse(&Refusal::BadParameter("text".into()));
    assert!(matches!(read_back(provider, &refused), Outcome::Permanent { .. }), "{refused:?}");
}

#[test]
fn telegram_agrees() {
    let telegram = Telegram::new(TelegramAccount {
        bot_id: "123".into(),
        base_url: "https://api.telegram.org".into(),
        bot_token: SecretString::from("123:ABC"),
        allow_paid_broadcast: false,
    });
    let code = |error: &TelegramError| match error.words {
        "" => error.code.to_string(),
        words => format!("{}/{words}", error.code),
    };
    let rows = TELEGRAM_ERRORS.iter().map(|row| (code(&row.error), row.reason));
    agree(Played::Telegram, &telegram.unwrap(), "123", rows);
}

/// Rows that speak for a type are of calls that the simulator does not take.
fn graph_rows(rows: &'static [GraphErrorRow]) -> impl Iterator<Item = (String, &'static str)> {
    rows.iter().filter(|row| row.error.error_type.is_none()).map(|row| {
        let code = match row.error.codes {
            Codes::One(code) => code,
            Codes::Range(first, _) => first + 1,
            Codes::Any => 100,
        };
        let code = row.error.subcode.map_or(code.to_string(), |subcode| format!("{code}/{subcode}"));
        (code, row.reason)
    })
}

#[test]
fn messenger_agrees() {
    let messenger = Messenger::new(MessengerAccount {
        page_id: "123".into(),
        api_version: "v25.0".into(),
        base_url: "https://graph.facebook.com".into(),
        access_token: SecretString::from("t"),
        app_secret: None,
    });
    agree(Played::Messenger, &messenger.unwrap(), "123", graph_rows(GRAPH_ERRORS));
}

#[test]
fn whatsapp_agrees() {
    let whatsapp = WhatsApp::new(WhatsAppAccount {
        phone_number_id: "123".into(),
        api_version: "v25.0".into(),
        base_url: "https://graph.facebook.com".into(),
        access_token: SecretString::from("t"),
        app_secret: None,
    });
    agree(Played::WhatsApp, &whatsapp.unwrap(), "123", graph_rows(WHATSAPP_ERRORS));
}

#[test]
fn slack_agrees() {
    let bot_token = SecretString::from("xoxb-t");
    let slack = Slack::new(SlackAccount { base_url: "https://slack.com".into(), team_id: "T0123".into(), bot_token });
    let rows = SLACK_ERRORS.iter().map(|row| (row.error.to_owned(), row.reason));
    agree(Played::Slack, &slack.unwrap(), "workspace", rows);
}

#[test]
fn twilio_agrees() {
    let twilio = Twilio::new(TwilioAccount {
        account_sid: "AC01".into(),
        sender: TwilioSender::From("+15005550006".into()),
        base_url: "https://api.twilio.com".into(),
        credentials: TwilioCredentials::AuthToken(SecretString::from("t")),
        status_callback: None,
    });
    let rows = TWILIO_ERRORS.iter().map(|row| (row.error.to_string(), row.reason));
    agree(Played::Twilio, &twilio.unwrap(), "AC01/+15005550006", rows);
}
