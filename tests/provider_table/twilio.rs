//! Twilio's answers: 20003, 20404, 20429, 21610, 21611 and 63038 are recorded, the others are composed in their form.

use herald::delivery::outcome::Outcome;
use herald::provider::twilio::errors::{TWILIO_ERRORS, find};
use herald::provider::twilio::{Twilio, TwilioAccount, TwilioCredentials, TwilioSender};
use http::HeaderMap;
use secrecy::SecretString;

use super::{Sample, classify, every_row_has_its_sample};

fn twilio() -> Twilio {
    Twilio::new(TwilioAccount {
        account_sid: "AC00000000000000000000000000000001".into(),
        sender: TwilioSender::From("+15005550006".into()),
        base_url: "https://api.twilio.com".into(),
        credentials: TwilioCredentials::AuthToken(SecretString::from("t")),
        status_callback: None,
    })
    .unwrap()
}

const SAMPLES: &[Sample] = &[
    (
        429,
        r##"{"code":20429,"message":"Too many requests","more_info":"https://www.twilio.com/docs/errors/20429","status":429}"##,
        "Throttled",
        "TooManyRequests",
        "20429",
    ),
    (
        429,
        r##"{"code":21611,"message":"SMS queue is full.","more_info":"https://www.twilio.com/docs/errors/21611","status":429}"##,
        "Throttled",
        "SenderQueueFull",
        "21611",
    ),
    (
        400,
        r##"{"code":63017,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/63017","status":400}"##,
        "Throttled",
        "ChannelRateLimit",
        "63017",
    ),
    (
        400,
        r##"{"code":63018,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/63018","status":400}"##,
        "Throttled",
        "ChannelRateLimit",
        "63018",
    ),
    (
        429,
        r##"{"code":63038,"message":"Account AC00000000000000000000000000000001 exceeded the 500 daily messages limit","more_info":"https://www.twilio.com/docs/errors/63038","status":429}"##,
        "Throttled",
        "DailyLimit",
        "63038",
    ),
    (
        400,
        r##"{"code":21211,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21211","status":400}"##,
        "Recipient",
        "NumberInvalid",
        "21211",
    ),
    (
        400,
        r##"{"code":21408,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21408","status":400}"##,
        "Recipient",
        "RegionNotAllowed",
        "21408",
    ),
    (
        400,
        r##"{"code":21608,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21608","status":400}"##,
        "Recipient",
        "TrialUnverified",
        "21608",
    ),
    (
        400,
        r##"{"code":21610,"message":"Attempt to send to unsubscribed recipient","more_info":"https://www.twilio.com/docs/errors/21610","status":400}"##,
        "OptedOut",
        "OptedOut",
        "21610",
    ),
    (
        400,
        r##"{"code":21612,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21612","status":400}"##,
        "Recipient",
        "NoRoute",
        "21612",
    ),
    (
        400,
        r##"{"code":21614,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21614","status":400}"##,
        "Recipient",
        "NotMobile",
        "21614",
    ),
    (
        400,
        r##"{"code":21635,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21635","status":400}"##,
        "Recipient",
        "NotMobile",
        "21635",
    ),
    (
        400,
        r##"{"code":63003,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/63003","status":400}"##,
        "Recipient",
        "NumberInvalid",
        "63003",
    ),
    (
        400,
        r##"{"code":63014,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/63014","status":400}"##,
        "OptedOut",
        "PersonBlocked",
        "63014",
    ),
    (
        400,
        r##"{"code":63016,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/63016","status":400}"##,
        "Recipient",
        "WindowClosed",
        "63016",
    ),
    (
        400,
        r##"{"code":63024,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/63024","status":400}"##,
        "Recipient",
        "NumberInvalid",
        "63024",
    ),
    (
        400,
        r##"{"code":63032,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/63032","status":400}"##,
        "Recipient",
        "PersonLimited",
        "63032",
    ),
    (
        400,
        r##"{"code":63033,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/63033","status":400}"##,
        "Recipient",
        "PersonBlocked",
        "63033",
    ),
    (
        400,
        r##"{"code":20001,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/20001","status":400}"##,
        "Message",
        "InvalidParameter",
        "20001",
    ),
    (
        400,
        r##"{"code":21602,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21602","status":400}"##,
        "Message",
        "EmptyMessage",
        "21602",
    ),
    (
        400,
        r##"{"code":21617,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21617","status":400}"##,
        "Message",
        "MessageTooLong",
        "21617",
    ),
    (
        400,
        r##"{"code":21658,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21658","status":400}"##,
        "Message",
        "MessageTooLong",
        "21658",
    ),
    (
        401,
        r##"{"code":20003,"message":"Authenticate","more_info":"https://www.twilio.com/docs/errors/20003","status":401}"##,
        "Auth",
        "CredentialsRefused",
        "20003",
    ),
    (
        400,
        r##"{"code":20005,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/20005","status":400}"##,
        "Auth",
        "AccountInactive",
        "20005",
    ),
    (
        404,
        r##"{"code":20404,"message":"The requested resource was not found","more_info":"https://www.twilio.com/docs/errors/20404","status":404}"##,
        "Auth",
        "AccountNotFound",
        "20404",
    ),
    (
        400,
        r##"{"code":21603,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21603","status":400}"##,
        "Auth",
        "SenderInvalid",
        "21603",
    ),
    (
        400,
        r##"{"code":21606,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21606","status":400}"##,
        "Auth",
        "SenderInvalid",
        "21606",
    ),
    (
        400,
        r##"{"code":21703,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21703","status":400}"##,
        "Auth",
        "MessagingServiceInvalid",
        "21703",
    ),
    (
        400,
        r##"{"code":21705,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21705","status":400}"##,
        "Auth",
        "MessagingServiceInvalid",
        "21705",
    ),
    (
        400,
        r##"{"code":21910,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/21910","status":400}"##,
        "Auth",
        "ChannelMismatch",
        "21910",
    ),
    (
        400,
        r##"{"code":63039,"message":"Refused","more_info":"https://www.twilio.com/docs/errors/63039","status":400}"##,
        "Blocked",
        "FacebookWarning",
        "63039",
    ),
];

#[test]
fn every_row_of_the_twilio_table_classifies_its_sample() {
    every_row_has_its_sample(&twilio(), TWILIO_ERRORS, SAMPLES, |body| find(body["code"].as_i64()?));
}

#[test]
fn a_success_of_twilio_is_accepted_with_its_sid() {
    let body = r#"{"account_sid":"AC00000000000000000000000000000001","api_version":"2010-04-01","body":"hi","date_sent":null,"direction":"outbound-api","error_code":null,"error_message":null,"from":"+15005550006","messaging_service_sid":null,"num_media":"0","num_segments":"1","price":null,"sid":"SM00000000000000000000000000000001","status":"queued","to":"+14255550100"}"#;
    let outcome = classify(&twilio(), 201, &HeaderMap::new(), body);
    assert_eq!(outcome, Outcome::Accepted { provider_id: Some("SM00000000000000000000000000000001".into()) });
}
