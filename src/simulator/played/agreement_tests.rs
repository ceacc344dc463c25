//! Simulator and provider mean the same: every row of a table can be asked for, and is read back as that row.

use ::http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::SecretString;

use super::*;
use crate::delivery::outcome::Outcome;
use crate::delivery::time::Timestamp;
use crate::provider::telegram::errors::{TELEGRAM_ERRORS, TelegramError};
use crate::provider::telegram::{Telegram, TelegramAccount};
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
