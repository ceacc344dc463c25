//! What each error of `chat.postMessage` means for a broadcast, as data. Slack answers errors with HTTP 200 and a word.

use crate::provider::error_table::ErrorClass::{
    self, Auth, PermanentMessage, PermanentRecipient, Throttled, Transient, Unknown,
};
use crate::provider::error_table::{ErrorRow, row};
use crate::provider::retry_after::MAX_RETRY_AFTER_MS;

const METHOD_PAGE: &str = "docs.slack.dev/reference/methods/chat.postMessage; slack-ruby/slack-api-ref";
const OPEN_PAGE: &str = "slack-ruby/slack-api-ref methods/conversations.open";
const RATE_PAGE: &str = "docs.slack.dev/apis/web-api/rate-limits; beginner-corp/slack#105";
const OLDER: &str = "older texts of the chat.postMessage page";

/// A limit whose answer names the wait.
const LIMITED: ErrorClass = Throttled { wait_ms: None };

/// The quota of the workspace is not back in seconds: look again as seldom as an account is held.
const QUOTA: ErrorClass = Throttled { wait_ms: Some(MAX_RETRY_AFTER_MS) };

/// The table. Its order has no meaning. Of `slack_connect_*_blocked` the members are recalled.
pub const SLACK_ERRORS: &[ErrorRow<&str>] = &[
    // The channel or person.
    row("channel_not_found", PermanentRecipient, "ChannelNotReachable", METHOD_PAGE),
    row("is_archived", PermanentRecipient, "ChannelArchived", METHOD_PAGE),
    row("not_in_channel", PermanentRecipient, "NotInChannel", METHOD_PAGE),
    row("is_bot", PermanentRecipient, "RecipientIsBot", METHOD_PAGE),
    row("messages_tab_disabled", PermanentRecipient, "MessagesTabDisabled", METHOD_PAGE),
    row("restricted_action", PermanentRecipient, "PostingRestricted", METHOD_PAGE),
    row("restricted_action_read_only_channel", PermanentRecipient, "PostingRestricted", METHOD_PAGE),
    row("restricted_action_thread_only_channel", PermanentRecipient, "PostingRestricted", METHOD_PAGE),
    row("restricted_action_non_threadable_channel", PermanentRecipient, "PostingRestricted", METHOD_PAGE),
    row("restricted_action_thread_locked", PermanentRecipient, "PostingRestricted", METHOD_PAGE),
    row("cannot_reply_to_message", PermanentRecipient, "PostingRestricted", METHOD_PAGE),
    row("slack_connect_canvas_sharing_blocked", PermanentRecipient, "SlackConnectBlocked", METHOD_PAGE),
    row("slack_connect_file_link_sharing_blocked", PermanentRecipient, "SlackConnectBlocked", METHOD_PAGE),
    row("slack_connect_lists_sharing_blocked", PermanentRecipient, "SlackConnectBlocked", METHOD_PAGE),
    row("user_not_found", PermanentRecipient, "UserGone", OPEN_PAGE),
    row("user_disabled", PermanentRecipient, "UserGone", OPEN_PAGE),
    row("user_not_visible", PermanentRecipient, "UserGone", OPEN_PAGE),
    // The message.
    row("no_text", PermanentMessage, "EmptyMessage", METHOD_PAGE),
    row("msg_too_long", PermanentMessage, "MessageTooLong", OLDER),
    row("msg_blocks_too_long", PermanentMessage, "MessageTooLong", METHOD_PAGE),
    row("attachment_payload_limit_exceeded", PermanentMessage, "MessageTooLong", METHOD_PAGE),
    row("invalid_blocks", PermanentMessage, "BlocksInvalid", METHOD_PAGE),
    row("invalid_blocks_format", PermanentMessage, "BlocksInvalid", METHOD_PAGE),
    row("markdown_text_conflict", PermanentMessage, "BlocksInvalid", METHOD_PAGE),
    row("too_many_attachments", PermanentMessage, "BlocksInvalid", METHOD_PAGE),
    row("metadata_too_large", PermanentMessage, "InvalidRequest", METHOD_PAGE),
    row("invalid_metadata_format", PermanentMessage, "InvalidRequest", METHOD_PAGE),
    row("invalid_metadata_schema", PermanentMessage, "InvalidRequest", METHOD_PAGE),
    row("invalid_arguments", PermanentMessage, "InvalidRequest", METHOD_PAGE),
    row("invalid_arg_name", PermanentMessage, "InvalidRequest", METHOD_PAGE),
    row("invalid_array_arg", PermanentMessage, "InvalidRequest", METHOD_PAGE),
    row("invalid_charset", PermanentMessage, "InvalidRequest", METHOD_PAGE),
    row("invalid_form_data", PermanentMessage, "InvalidRequest", METHOD_PAGE),
    row("invalid_post_type", PermanentMessage, "InvalidRequest", METHOD_PAGE),
    row("missing_post_type", PermanentMessage, "InvalidRequest", METHOD_PAGE),
    // The account.
    row("invalid_auth", Auth, "TokenInvalid", METHOD_PAGE),
    row("not_authed", Auth, "TokenInvalid", METHOD_PAGE),
    row("token_expired", Auth, "TokenExpired", METHOD_PAGE),
    row("token_revoked", Auth, "TokenInvalid", METHOD_PAGE),
    row("not_allowed_token_type", Auth, "TokenInvalid", METHOD_PAGE),
    row("metadata_must_be_sent_from_app", Auth, "TokenInvalid", METHOD_PAGE),
    row("account_inactive", Auth, "AccountInactive", METHOD_PAGE),
    row("access_denied", Auth, "PermissionDenied", METHOD_PAGE),
    row("no_permission", Auth, "PermissionDenied", METHOD_PAGE),
    row("missing_scope", Auth, "ScopeMissing", METHOD_PAGE),
    row("org_login_required", Auth, "WorkspaceRestricted", METHOD_PAGE),
    row("ekm_access_denied", Auth, "WorkspaceRestricted", METHOD_PAGE),
    row("enterprise_is_restricted", Auth, "WorkspaceRestricted", METHOD_PAGE),
    row("team_access_not_granted", Auth, "WorkspaceRestricted", METHOD_PAGE),
    row("team_not_found", Auth, "WorkspaceRestricted", METHOD_PAGE),
    row("two_factor_setup_required", Auth, "WorkspaceRestricted", METHOD_PAGE),
    row("accesslimited", Auth, "WorkspaceRestricted", METHOD_PAGE),
    // Limits.
    row("ratelimited", LIMITED, "TooManyRequests", RATE_PAGE),
    row("rate_limited", LIMITED, "TooManyRequests", RATE_PAGE),
    row("message_limit_exceeded", QUOTA, "WorkspaceQuota", "slackapi/slack-github-action#292"),
    // Temporary.
    row("service_unavailable", Transient { cap: None }, "Temporary", METHOD_PAGE),
    row("team_added_to_org", Transient { cap: None }, "Temporary", METHOD_PAGE),
    // The page's own words: some aspect of the operation may have succeeded.
    row("fatal_error", Unknown, "ServerError", METHOD_PAGE),
    row("internal_error", Unknown, "ServerError", METHOD_PAGE),
    row("request_timeout", Unknown, "RequestCutShort", METHOD_PAGE),
];

/// The row of a word.
pub fn find(word: &str) -> Option<&'static ErrorRow<&'static str>> {
    SLACK_ERRORS.iter().find(|row| row.error == word)
}
