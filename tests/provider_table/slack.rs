//! Slack's answers: words of the error list of `chat.postMessage`, in its error's form.

use herald::delivery::outcome::Outcome;
use herald::provider::slack::errors::{SLACK_ERRORS, find};
use herald::provider::slack::{Slack, SlackAccount};
use http::HeaderMap;
use secrecy::SecretString;

use super::{Sample, classify, every_row_has_its_sample, summary};

fn slack() -> Slack {
    let (base_url, team_id) = ("https://slack.com".into(), "T0123".into());
    Slack::new(SlackAccount { base_url, team_id, bot_token: SecretString::from("xoxb-t") }).unwrap()
}

const SAMPLES: &[Sample] = &[
    (200, r##"{"ok":false,"error":"channel_not_found"}"##, "Recipient", "ChannelNotReachable", "channel_not_found"),
    (200, r##"{"ok":false,"error":"is_archived"}"##, "Recipient", "ChannelArchived", "is_archived"),
    (200, r##"{"ok":false,"error":"not_in_channel"}"##, "Recipient", "NotInChannel", "not_in_channel"),
    (200, r##"{"ok":false,"error":"is_bot"}"##, "Recipient", "RecipientIsBot", "is_bot"),
    (
        200,
        r##"{"ok":false,"error":"messages_tab_disabled"}"##,
        "Recipient",
        "MessagesTabDisabled",
        "messages_tab_disabled",
    ),
    (200, r##"{"ok":false,"error":"restricted_action"}"##, "Recipient", "PostingRestricted", "restricted_action"),
    (
        200,
        r##"{"ok":false,"error":"restricted_action_read_only_channel"}"##,
        "Recipient",
        "PostingRestricted",
        "restricted_action_read_only_channel",
    ),
    (
        200,
        r##"{"ok":false,"error":"restricted_action_thread_only_channel"}"##,
        "Recipient",
        "PostingRestricted",
        "restricted_action_thread_only_channel",
    ),
    (
        200,
        r##"{"ok":false,"error":"restricted_action_non_threadable_channel"}"##,
        "Recipient",
        "PostingRestricted",
        "restricted_action_non_threadable_channel",
    ),
    (
        200,
        r##"{"ok":false,"error":"restricted_action_thread_locked"}"##,
        "Recipient",
        "PostingRestricted",
        "restricted_action_thread_locked",
    ),
    (
        200,
        r##"{"ok":false,"error":"cannot_reply_to_message"}"##,
        "Recipient",
        "PostingRestricted",
        "cannot_reply_to_message",
    ),
    (
        200,
        r##"{"ok":false,"error":"slack_connect_canvas_sharing_blocked"}"##,
        "Recipient",
        "SlackConnectBlocked",
        "slack_connect_canvas_sharing_blocked",
    ),
    (
        200,
        r##"{"ok":false,"error":"slack_connect_file_link_sharing_blocked"}"##,
        "Recipient",
        "SlackConnectBlocked",
        "slack_connect_file_link_sharing_blocked",
    ),
    (
        200,
        r##"{"ok":false,"error":"slack_connect_lists_sharing_blocked"}"##,
        "Recipient",
        "SlackConnectBlocked",
        "slack_connect_lists_sharing_blocked",
    ),
    (200, r##"{"ok":false,"error":"user_not_found"}"##, "Recipient", "UserGone", "user_not_found"),
    (200, r##"{"ok":false,"error":"user_disabled"}"##, "Recipient", "UserGone", "user_disabled"),
    (200, r##"{"ok":false,"error":"user_not_visible"}"##, "Recipient", "UserGone", "user_not_visible"),
    (200, r##"{"ok":false,"error":"no_text"}"##, "Message", "EmptyMessage", "no_text"),
    (200, r##"{"ok":false,"error":"msg_too_long"}"##, "Message", "MessageTooLong", "msg_too_long"),
    (200, r##"{"ok":false,"error":"msg_blocks_too_long"}"##, "Message", "MessageTooLong", "msg_blocks_too_long"),
    (
        200,
        r##"{"ok":false,"error":"attachment_payload_limit_exceeded"}"##,
        "Message",
        "MessageTooLong",
        "attachment_payload_limit_exceeded",
    ),
    (200, r##"{"ok":false,"error":"invalid_blocks"}"##, "Message", "BlocksInvalid", "invalid_blocks"),
    (200, r##"{"ok":false,"error":"invalid_blocks_format"}"##, "Message", "BlocksInvalid", "invalid_blocks_format"),
    (200, r##"{"ok":false,"error":"markdown_text_conflict"}"##, "Message", "BlocksInvalid", "markdown_text_conflict"),
    (200, r##"{"ok":false,"error":"too_many_attachments"}"##, "Message", "BlocksInvalid", "too_many_attachments"),
    (200, r##"{"ok":false,"error":"metadata_too_large"}"##, "Message", "InvalidRequest", "metadata_too_large"),
    (
        200,
        r##"{"ok":false,"error":"invalid_metadata_format"}"##,
        "Message",
        "InvalidRequest",
        "invalid_metadata_format",
    ),
    (
        200,
        r##"{"ok":false,"error":"invalid_metadata_schema"}"##,
        "Message",
        "InvalidRequest",
        "invalid_metadata_schema",
    ),
    (200, r##"{"ok":false,"error":"invalid_arguments"}"##, "Message", "InvalidRequest", "invalid_arguments"),
    (200, r##"{"ok":false,"error":"invalid_arg_name"}"##, "Message", "InvalidRequest", "invalid_arg_name"),
    (200, r##"{"ok":false,"error":"invalid_array_arg"}"##, "Message", "InvalidRequest", "invalid_array_arg"),
    (200, r##"{"ok":false,"error":"invalid_charset"}"##, "Message", "InvalidRequest", "invalid_charset"),
    (200, r##"{"ok":false,"error":"invalid_form_data"}"##, "Message", "InvalidRequest", "invalid_form_data"),
    (200, r##"{"ok":false,"error":"invalid_post_type"}"##, "Message", "InvalidRequest", "invalid_post_type"),
    (200, r##"{"ok":false,"error":"missing_post_type"}"##, "Message", "InvalidRequest", "missing_post_type"),
    (200, r##"{"ok":false,"error":"invalid_auth"}"##, "Auth", "TokenInvalid", "invalid_auth"),
    (200, r##"{"ok":false,"error":"not_authed"}"##, "Auth", "TokenInvalid", "not_authed"),
    (200, r##"{"ok":false,"error":"token_expired"}"##, "Auth", "TokenExpired", "token_expired"),
    (200, r##"{"ok":false,"error":"token_revoked"}"##, "Auth", "TokenInvalid", "token_revoked"),
    (200, r##"{"ok":false,"error":"not_allowed_token_type"}"##, "Auth", "TokenInvalid", "not_allowed_token_type"),
    (
        200,
        r##"{"ok":false,"error":"metadata_must_be_sent_from_app"}"##,
        "Auth",
        "TokenInvalid",
        "metadata_must_be_sent_from_app",
    ),
    (200, r##"{"ok":false,"error":"account_inactive"}"##, "Auth", "AccountInactive", "account_inactive"),
    (200, r##"{"ok":false,"error":"access_denied"}"##, "Auth", "PermissionDenied", "access_denied"),
    (200, r##"{"ok":false,"error":"no_permission"}"##, "Auth", "PermissionDenied", "no_permission"),
    (200, r##"{"ok":false,"error":"missing_scope"}"##, "Auth", "ScopeMissing", "missing_scope"),
    (200, r##"{"ok":false,"error":"org_login_required"}"##, "Auth", "WorkspaceRestricted", "org_login_required"),
    (200, r##"{"ok":false,"error":"ekm_access_denied"}"##, "Auth", "WorkspaceRestricted", "ekm_access_denied"),
    (
        200,
        r##"{"ok":false,"error":"enterprise_is_restricted"}"##,
        "Auth",
        "WorkspaceRestricted",
        "enterprise_is_restricted",
    ),
    (
        200,
        r##"{"ok":false,"error":"team_access_not_granted"}"##,
        "Auth",
        "WorkspaceRestricted",
        "team_access_not_granted",
    ),
    (200, r##"{"ok":false,"error":"team_not_found"}"##, "Auth", "WorkspaceRestricted", "team_not_found"),
    (
        200,
        r##"{"ok":false,"error":"two_factor_setup_required"}"##,
        "Auth",
        "WorkspaceRestricted",
        "two_factor_setup_required",
    ),
    (200, r##"{"ok":false,"error":"accesslimited"}"##, "Auth", "WorkspaceRestricted", "accesslimited"),
    (200, r##"{"ok":false,"error":"ratelimited"}"##, "Throttled", "TooManyRequests", "ratelimited"),
    (200, r##"{"ok":false,"error":"rate_limited"}"##, "Throttled", "TooManyRequests", "rate_limited"),
    (
        200,
        r##"{"ok":false,"error":"message_limit_exceeded"}"##,
        "Throttled",
        "WorkspaceQuota",
        "message_limit_exceeded",
    ),
    (200, r##"{"ok":false,"error":"service_unavailable"}"##, "Transient", "Temporary", "service_unavailable"),
    (200, r##"{"ok":false,"error":"team_added_to_org"}"##, "Transient", "Temporary", "team_added_to_org"),
    (200, r##"{"ok":false,"error":"fatal_error"}"##, "Unknown", "ServerError", "fatal_error"),
    (200, r##"{"ok":false,"error":"internal_error"}"##, "Unknown", "ServerError", "internal_error"),
    (200, r##"{"ok":false,"error":"request_timeout"}"##, "Unknown", "RequestCutShort", "request_timeout"),
];

#[test]
fn every_row_of_the_slack_table_classifies_its_sample() {
    every_row_has_its_sample(&slack(), SLACK_ERRORS, SAMPLES, |body| find(body["error"].as_str()?));
}

#[test]
fn a_recorded_throttle_of_slack_comes_with_429() {
    let outcome = classify(&slack(), 429, &HeaderMap::new(), r#"{"ok":false,"error":"ratelimited"}"#);
    assert_eq!(summary(&outcome), ("Throttled".into(), "TooManyRequests".into(), "ratelimited".into()));
}

#[test]
fn a_success_of_slack_is_accepted_with_channel_and_time_stamp() {
    let body = r#"{"ok":true,"channel":"C123ABC456","ts":"1503435956.000247","message":{"text":"hi","type":"message","subtype":"bot_message","ts":"1503435956.000247"}}"#;
    let outcome = classify(&slack(), 200, &HeaderMap::new(), body);
    assert_eq!(outcome, Outcome::Accepted { provider_id: Some("C123ABC456:1503435956.000247".into()) });
}
