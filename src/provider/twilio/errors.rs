//! What each error of Twilio's Messages resource means for a broadcast, as data. Codes that only come later, by call-back
//! (30001 to 30410), have no row: no send is ever answered with them.

use crate::provider::error_table::ErrorClass::{
    self, Auth, Blocked, OptedOut, PermanentMessage, PermanentRecipient, Throttled,
};
use crate::provider::error_table::{ErrorRow, row};
use crate::provider::retry_after::MAX_RETRY_AFTER_MS;

const COURIER: &str = "nyaruka/courier handlers/twiml/errors.json; twilio.com/docs/api/errors";
/// Not certain that they come with the answer and not only later.
const CHANNEL_PAGES: &str = "twilio.com/docs/api/errors; nyaruka/courier handlers/twiml/errors.json (may come late)";

/// The limit of concurrent requests: Twilio names no wait.
const CONCURRENCY: ErrorClass = Throttled { wait_ms: None };

/// The queue of a sender holds up to ten hours of messages, so it is not empty in seconds (twilio.com/docs/errors/21611).
const QUEUE: ErrorClass = Throttled { wait_ms: Some(2 * 60 * 1000) };

/// A limit of messages in a rolling day: look again as seldom as an account is held.
const QUOTA: ErrorClass = Throttled { wait_ms: Some(MAX_RETRY_AFTER_MS) };

/// The table. Its order has no meaning.
pub const TWILIO_ERRORS: &[ErrorRow<i64>] = &[
    // Limits.
    row(20_429, CONCURRENCY, "TooManyRequests", "twilio.com/docs/api/errors/20429: never processed, safe to retry"),
    row(21_611, QUEUE, "SenderQueueFull", "twilio.com/docs/errors/21611"),
    row(63_017, CONCURRENCY, "ChannelRateLimit", CHANNEL_PAGES),
    row(63_018, CONCURRENCY, "ChannelRateLimit", CHANNEL_PAGES),
    row(63_038, QUOTA, "DailyLimit", "twilio/twilio-php#661"),
    // The person.
    row(21_211, PermanentRecipient, "NumberInvalid", COURIER),
    row(21_408, PermanentRecipient, "RegionNotAllowed", COURIER),
    row(21_608, PermanentRecipient, "TrialUnverified", COURIER),
    row(21_610, OptedOut, "OptedOut", COURIER),
    row(21_612, PermanentRecipient, "NoRoute", COURIER),
    row(21_614, PermanentRecipient, "NotMobile", COURIER),
    row(21_635, PermanentRecipient, "NotMobile", COURIER),
    row(63_003, PermanentRecipient, "NumberInvalid", CHANNEL_PAGES),
    row(63_014, OptedOut, "PersonBlocked", CHANNEL_PAGES),
    row(63_016, PermanentRecipient, "WindowClosed", CHANNEL_PAGES),
    row(63_024, PermanentRecipient, "NumberInvalid", CHANNEL_PAGES),
    row(63_032, PermanentRecipient, "PersonLimited", CHANNEL_PAGES),
    row(63_033, PermanentRecipient, "PersonBlocked", CHANNEL_PAGES),
    // The message.
    row(20_001, PermanentMessage, "InvalidParameter", COURIER),
    row(21_602, PermanentMessage, "EmptyMessage", COURIER),
    row(21_617, PermanentMessage, "MessageTooLong", COURIER),
    row(21_658, PermanentMessage, "MessageTooLong", COURIER),
    // The account: credentials, and who sends.
    row(20_003, Auth, "CredentialsRefused", "twilio.com/docs/api/errors/20003"),
    row(20_005, Auth, "AccountInactive", COURIER),
    row(20_404, Auth, "AccountNotFound", "twilio.com/docs/api/errors/20404"),
    row(21_603, Auth, "SenderInvalid", COURIER),
    row(21_606, Auth, "SenderInvalid", COURIER),
    row(21_703, Auth, "MessagingServiceInvalid", COURIER),
    row(21_705, Auth, "MessagingServiceInvalid", COURIER),
    row(21_910, Auth, "ChannelMismatch", COURIER),
    // Facebook's warning about messages outside of its window.
    row(63_039, Blocked, "FacebookWarning", "twilio.com/docs/api/errors/63039"),
];

/// The row of a code.
pub fn find(code: i64) -> Option<&'static ErrorRow<i64>> {
    TWILIO_ERRORS.iter().find(|row| row.error == code)
}
