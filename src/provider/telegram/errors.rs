//! What each error of the Bot API means for a broadcast, as data. Telegram has no codes of its own beside the HTTP status:
//! only its words tell errors apart, so rows hold some of them. They are the server's own, which is open source, and rarely
//! change; what no words fit falls back to the row of its status.

use crate::provider::error_table::ErrorClass::{
    self, Auth, OptedOut, PermanentMessage, PermanentRecipient, Throttled, Unknown,
};
use crate::provider::error_table::{ErrorRow, row};

/// How Telegram names an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelegramError {
    /// `error_code`, which is the HTTP status as well.
    pub code: u16,
    /// Words that `description` holds, in small letters; empty for every other error of this code.
    pub words: &'static str,
}

const SERVER: &str = "tdlib/telegram-bot-api telegram-bot-api/Client.cpp";
const HTTP_SERVER: &str = "tdlib/telegram-bot-api telegram-bot-api/HttpConnection.cpp";
const RECALLED: &str = "recalled: words of Telegram's servers that the Bot API passes on";

const fn words(
    code: u16,
    words: &'static str,
    class: ErrorClass,
    reason: &'static str,
    source: &'static str,
) -> ErrorRow<TelegramError> {
    row(TelegramError { code, words }, class, reason, source)
}

/// A limit whose answer names the wait.
const LIMITED: ErrorClass = Throttled { wait_ms: None };

/// The table. Its order has no meaning.
pub const TELEGRAM_ERRORS: &[ErrorRow<TelegramError>] = &[
    // The person or chat.
    words(400, "chat not found", PermanentRecipient, "ChatNotFound", SERVER),
    words(400, "peer_id_invalid", PermanentRecipient, "ChatNotFound", SERVER),
    words(400, "chat_id is empty", PermanentRecipient, "ChatNotFound", SERVER),
    words(400, "upgraded to a supergroup", PermanentRecipient, "ChatMigrated", SERVER),
    words(400, "not enough rights", PermanentRecipient, "ChatNotWritable", RECALLED),
    words(400, "have no rights to send", PermanentRecipient, "ChatNotWritable", RECALLED),
    words(400, "chat_write_forbidden", PermanentRecipient, "ChatNotWritable", RECALLED),
    words(400, "need administrator rights", PermanentRecipient, "ChatNotWritable", RECALLED),
    words(403, "", PermanentRecipient, "ChatForbidden", SERVER),
    words(403, "blocked by the user", OptedOut, "BotBlocked", SERVER),
    words(403, "user is deactivated", PermanentRecipient, "UserDeactivated", SERVER),
    words(403, "kicked from", PermanentRecipient, "BotKicked", SERVER),
    words(403, "not a member of", PermanentRecipient, "BotNotMember", SERVER),
    words(403, "group chat was deleted", PermanentRecipient, "ChatDeleted", SERVER),
    words(403, "can't initiate conversation", PermanentRecipient, "ConversationNotStarted", RECALLED),
    // The message.
    words(400, "", PermanentMessage, "BadRequest", SERVER),
    words(400, "message text is empty", PermanentMessage, "EmptyMessage", SERVER),
    words(400, "message is too long", PermanentMessage, "MessageTooLong", RECALLED),
    words(400, "text is too long", PermanentMessage, "MessageTooLong", SERVER),
    words(400, "can't parse entities", PermanentMessage, "MarkupInvalid", RECALLED),
    words(400, "button", PermanentMessage, "ButtonInvalid", SERVER),
    words(400, "reply markup is too long", PermanentMessage, "ButtonInvalid", SERVER),
    words(400, "wrong http url", PermanentMessage, "LinkInvalid", SERVER),
    // Of a link and of a file_id alike.
    words(400, "wrong file identifier", PermanentMessage, "LinkInvalid", "rubenlagus/TelegramBots#217"),
    words(400, "wrong remote file id", PermanentMessage, "AttachmentNotFound", "yagop/node-telegram-bot-api#946"),
    // The account.
    words(401, "", Auth, "TokenInvalid", SERVER),
    words(400, "logged out", Auth, "TokenInvalid", SERVER),
    words(404, "", Auth, "TokenInvalid", "blt950/vPilot-Pushover#29 (a malformed token)"),
    words(421, "", Auth, "TokenServedElsewhere", "tdlib/telegram-bot-api telegram-bot-api/ClientManager.cpp"),
    // Limits: of the bot or of the chat, which the answer does not tell; a broadcast sends one message to a chat.
    words(429, "", LIMITED, "TooManyRequests", HTTP_SERVER),
    // The server's own trouble: what was handed on before may have been sent.
    words(500, "", Unknown, "ServerError", SERVER),
];

/// The row of an error: of several whose words are in the description the one with the most.
pub fn find(code: u16, description: &str) -> Option<&'static ErrorRow<TelegramError>> {
    let description = description.to_ascii_lowercase();
    TELEGRAM_ERRORS
        .iter()
        .filter(|row| row.error.code == code && description.contains(row.error.words))
        .max_by_key(|row| row.error.words.len())
}
