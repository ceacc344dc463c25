//! Telegram's answers: the texts are those of the Bot API server's source, ids are invented.

use herald::delivery::outcome::Outcome;
use herald::provider::telegram::errors::{TELEGRAM_ERRORS, find};
use herald::provider::telegram::{Telegram, TelegramAccount};
use http::HeaderMap;
use secrecy::SecretString;

use super::{Sample, classify, every_row_has_its_sample, summary};

fn telegram() -> Telegram {
    Telegram::new(TelegramAccount {
        bot_id: "123456789".into(),
        base_url: "https://api.telegram.org".into(),
        bot_token: SecretString::from("123456789:AA-test-token"),
        allow_paid_broadcast: false,
    })
    .unwrap()
}

const SAMPLES: &[Sample] = &[
    (
        429,
        r##"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}"##,
        "Throttled",
        "TooManyRequests",
        "429",
    ),
    (
        403,
        r##"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"##,
        "OptedOut",
        "BotBlocked",
        "403/blocked by the user",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"##,
        "Recipient",
        "ChatNotFound",
        "400/chat not found",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: private chat not found"}"##,
        "Recipient",
        "ChatNotFound",
        "400/chat not found",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: PEER_ID_INVALID"}"##,
        "Recipient",
        "ChatNotFound",
        "400/peer_id_invalid",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: chat_id is empty"}"##,
        "Recipient",
        "ChatNotFound",
        "400/chat_id is empty",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1001234567890}}"##,
        "Recipient",
        "ChatMigrated",
        "400/upgraded to a supergroup",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: not enough rights to send text messages to the chat"}"##,
        "Recipient",
        "ChatNotWritable",
        "400/not enough rights",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: have no rights to send a message"}"##,
        "Recipient",
        "ChatNotWritable",
        "400/have no rights to send",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: CHAT_WRITE_FORBIDDEN"}"##,
        "Recipient",
        "ChatNotWritable",
        "400/chat_write_forbidden",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: need administrator rights in the channel chat"}"##,
        "Recipient",
        "ChatNotWritable",
        "400/need administrator rights",
    ),
    (
        403,
        r##"{"ok":false,"error_code":403,"description":"Forbidden: user is deactivated"}"##,
        "Recipient",
        "UserDeactivated",
        "403/user is deactivated",
    ),
    (
        403,
        r##"{"ok":false,"error_code":403,"description":"Forbidden: bot was kicked from the supergroup chat"}"##,
        "Recipient",
        "BotKicked",
        "403/kicked from",
    ),
    (
        403,
        r##"{"ok":false,"error_code":403,"description":"Forbidden: bot is not a member of the channel chat"}"##,
        "Recipient",
        "BotNotMember",
        "403/not a member of",
    ),
    (
        403,
        r##"{"ok":false,"error_code":403,"description":"Forbidden: the group chat was deleted"}"##,
        "Recipient",
        "ChatDeleted",
        "403/group chat was deleted",
    ),
    (
        403,
        r##"{"ok":false,"error_code":403,"description":"Forbidden: bot can't initiate conversation with a user"}"##,
        "Recipient",
        "ConversationNotStarted",
        "403/can't initiate conversation",
    ),
    (
        403,
        r##"{"ok":false,"error_code":403,"description":"Forbidden: something new"}"##,
        "Recipient",
        "ChatForbidden",
        "403",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: something new"}"##,
        "Message",
        "BadRequest",
        "400",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: message text is empty"}"##,
        "Message",
        "EmptyMessage",
        "400/message text is empty",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: message is too long"}"##,
        "Message",
        "MessageTooLong",
        "400/message is too long",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: text is too long"}"##,
        "Message",
        "MessageTooLong",
        "400/text is too long",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: Can't find end of the entity starting at byte offset 3"}"##,
        "Message",
        "MarkupInvalid",
        "400/can't parse entities",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: BUTTON_URL_INVALID"}"##,
        "Message",
        "ButtonInvalid",
        "400/button",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: reply markup is too long"}"##,
        "Message",
        "ButtonInvalid",
        "400/reply markup is too long",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: wrong HTTP URL specified"}"##,
        "Message",
        "LinkInvalid",
        "400/wrong http url",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: wrong file identifier/HTTP URL specified"}"##,
        "Message",
        "LinkInvalid",
        "400/wrong file identifier",
    ),
    (
        400,
        r##"{"ok":false,"error_code":400,"description":"Bad Request: wrong remote file identifier specified: Wrong string length"}"##,
        "Message",
        "AttachmentNotFound",
        "400/wrong remote file id",
    ),
    (400, r##"{"ok":false,"error_code":400,"description":"Logged out"}"##, "Auth", "TokenInvalid", "400/logged out"),
    (401, r##"{"ok":false,"error_code":401,"description":"Unauthorized"}"##, "Auth", "TokenInvalid", "401"),
    (404, r##"{"ok":false,"error_code":404,"description":"Not Found"}"##, "Auth", "TokenInvalid", "404"),
    (
        421,
        r##"{"ok":false,"error_code":421,"description":"Misdirected Request: unallowed token specified"}"##,
        "Auth",
        "TokenServedElsewhere",
        "421",
    ),
    (
        500,
        r##"{"ok":false,"error_code":500,"description":"Internal Server Error: restart"}"##,
        "Unknown",
        "ServerError",
        "500",
    ),
];

#[test]
fn every_row_of_the_telegram_table_classifies_its_sample() {
    every_row_has_its_sample(&telegram(), TELEGRAM_ERRORS, SAMPLES, |body| {
        find(body["error_code"].as_u64()? as u16, body["description"].as_str()?)
    });
}

#[test]
fn a_success_of_telegram_is_accepted_with_chat_and_message_id() {
    let body = r#"{"ok":true,"result":{"message_id":4711,"from":{"id":123456789,"is_bot":true,"first_name":"Mailer","username":"mailer_bot"},"chat":{"id":987654321,"first_name":"Ann","type":"private"},"date":1780000000,"text":"hi"}}"#;
    let outcome = classify(&telegram(), 200, &HeaderMap::new(), body);
    assert_eq!(outcome, Outcome::Accepted { provider_id: Some("987654321:4711".into()) });
    assert_eq!(summary(&classify(&telegram(), 200, &HeaderMap::new(), "{}")).0, "Unknown");
}
