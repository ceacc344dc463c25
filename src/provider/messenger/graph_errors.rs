//! What each error of the Send API means for a broadcast, as data. Code and subcode decide; texts change and are
//! never matched on, and the HTTP status is no guide (190 was recorded with 400, 4 with 403).

use crate::delivery::outcome::{Cap, PermanentScope};
use crate::provider::error_table::ErrorClass::{
    Auth, Blocked, OptedOut, PermanentMessage, PermanentRecipient, Transient, Unknown,
};
use crate::provider::graph::errors::{
    Codes, GraphError, GraphErrorRow, METHOD_EXCEPTION, THROTTLED, code as row, row as graph_row, subcode as sub,
};

const ERROR_PAGE: &str =
    "developers.facebook.com/documentation/business-messaging/messenger-platform/error-codes (18 Mar 2026)";
const SEND_API_ERRORS: &str = "developers.facebook.com/docs/messenger-platform/reference/send-api/error-codes";
const GRAPH_PAGE: &str = "developers.facebook.com/docs/graph-api/guides/error-handling";
const RATE_PAGE: &str = "developers.facebook.com/docs/graph-api/overview/rate-limiting";
const CATALOG: &str = "raaabdullah1/meta-graph-errors src/MetaErrorCatalog.php";
const ERROR_PARSER: &str = "jgorset/facebook-messenger lib/facebook/messenger/bot/error_parser.rb";
const CHAT_ADAPTER: &str = "a chat adapter's Messenger error mapper, citing the Send API error codes page";
const ERROR_LOOKUP: &str = "instantreply.co/tools/whatsapp-meta-error-code-lookup";

/// Code 2 also stands for a person who blocked the page, so it is tried three times and no more.
const TEMPORARY_OR_BLOCKED: Cap = Cap { tries: 3, then: PermanentScope::Recipient };

/// Code 1/99 often hides a missing permission, so it is tried twice and no more, and holds the broadcast where it is the
/// same for all.
const UNKNOWN_ERROR: Cap = Cap { tries: 2, then: PermanentScope::Message };

/// The table. Its order has no meaning.
pub const GRAPH_ERRORS: &[GraphErrorRow] = &[
    // Temporary.
    row(1, Transient { cap: None }, "Temporary", GRAPH_PAGE),
    sub(1, 99, Transient { cap: Some(UNKNOWN_ERROR) }, "UnknownError", ERROR_PAGE),
    // The page's own words: the messages were sent, and the endpoint answered an error.
    sub(1, 1_357_046, Unknown, "SentInSpiteOfError", ERROR_PAGE),
    row(2, Transient { cap: Some(TEMPORARY_OR_BLOCKED) }, "TemporaryOrBlockedByPerson", ERROR_PAGE),
    row(1200, Transient { cap: None }, "TemporarySendFailure", SEND_API_ERRORS),
    sub(1200, 2_018_024, Transient { cap: None }, "TemporarySendFailure", "remixz/messenger-bot#61"),
    // Limits.
    row(4, THROTTLED, "AppRateLimit", "facebook/facebook-android-sdk#582"),
    sub(4, 2_018_022, THROTTLED, "TooManySends", SEND_API_ERRORS),
    row(17, THROTTLED, "UserRateLimit", GRAPH_PAGE),
    row(32, THROTTLED, "PageRateLimit", RATE_PAGE),
    row(341, THROTTLED, "ApplicationLimit", GRAPH_PAGE),
    row(613, THROTTLED, "CallRateLimit", "howdyai/botkit#865"),
    // Frequency of marketing messages to one person: nothing to wait for within a broadcast.
    sub(4, 2_018_354, PermanentRecipient, "FrequencyCapped", ERROR_PAGE),
    sub(9, 2_018_352, PermanentRecipient, "FrequencyCapped", ERROR_PAGE),
    // The person.
    sub(10, 2_018_278, PermanentRecipient, "WindowClosed", "microsoft/botframework-sdk#2050"),
    sub(10, 2_018_065, PermanentRecipient, "WindowClosed", "botpress/botpress#4890"),
    sub(10, 2_018_276, PermanentRecipient, "WindowClosed", CATALOG),
    sub(10, 2_534_022, PermanentRecipient, "WindowClosed", CHAT_ADAPTER),
    sub(10, 2_018_108, OptedOut, "MessagesNotAccepted", ERROR_PARSER),
    // Who has blocked the page, and also whose account is deactivated for now or is held as spam: the answer does not tell
    // them apart, so it ends this message and is no opt-out.
    row(551, PermanentRecipient, "PersonUnavailable", CHAT_ADAPTER),
    sub(551, 1_545_041, PermanentRecipient, "PersonUnavailable", "microsoft/botframework-sdk#4556"),
    sub(200, 1_545_041, PermanentRecipient, "PersonUnavailable", CHAT_ADAPTER),
    sub(100, 2_018_001, PermanentRecipient, "WrongPage", SEND_API_ERRORS),
    sub(100, 33, PermanentRecipient, "WrongPage", ERROR_LOOKUP),
    row(10303, PermanentRecipient, "AccountLinking", ERROR_PARSER),
    // The message.
    row(
        100,
        PermanentMessage,
        "InvalidParameter",
        "chatwoot/chatwoot#14674 (retired tags), and as the general meaning",
    ),
    sub(100, 2_018_034, PermanentMessage, "EmptyMessage", "rickydunlop/fbmessenger-node#24"),
    sub(100, 2_018_109, PermanentMessage, "AttachmentTooLarge", SEND_API_ERRORS),
    sub(100, 2_018_008, PermanentMessage, "AttachmentFailed", CHAT_ADAPTER),
    sub(100, 2_018_047, PermanentMessage, "AttachmentFailed", CHAT_ADAPTER),
    sub(100, 2_018_294, PermanentMessage, "AttachmentFailed", CHAT_ADAPTER),
    sub(100, 2_018_074, PermanentMessage, "AttachmentNotFound", CHAT_ADAPTER),
    // The account: token, permission, configuration.
    row(190, Auth, "TokenInvalid", ERROR_PAGE),
    sub(190, 458, Auth, "AppNotInstalled", GRAPH_PAGE),
    sub(190, 459, Auth, "AccountCheckpointed", GRAPH_PAGE),
    sub(190, 460, Auth, "PasswordChanged", GRAPH_PAGE),
    sub(190, 463, Auth, "TokenExpired", "snarfed/bridgy#59"),
    sub(190, 464, Auth, "AccountUnconfirmed", GRAPH_PAGE),
    sub(190, 467, Auth, "TokenInvalid", GRAPH_PAGE),
    row(102, Auth, "SessionInvalid", GRAPH_PAGE),
    row(104, Auth, "SignatureInvalid", CATALOG),
    row(3, Auth, "PermissionDenied", GRAPH_PAGE),
    row(10, Auth, "PermissionDenied", GRAPH_PAGE),
    graph_row(
        GraphError { codes: Codes::Range(200, 299), subcode: None, error_type: None },
        Auth,
        "PermissionDenied",
        GRAPH_PAGE,
    ),
    row(230, Auth, "MessagingPermissionMissing", ERROR_LOOKUP),
    // Documented as a subcode in one place and without its code in another.
    row(1_689_001, Auth, "UtilityPermissionMissing", CATALOG),
    graph_row(
        GraphError { codes: Codes::Any, subcode: Some(1_689_001), error_type: None },
        Auth,
        "UtilityPermissionMissing",
        CATALOG,
    ),
    sub(2, 2_018_344, Auth, "LabelTermsNotAccepted", ERROR_PAGE),
    // "requires an appsecret_proof argument" and "Invalid appsecret_proof": the channel's fault, although the code is
    // that of a bad parameter.
    graph_row(
        GraphError { codes: Codes::One(100), subcode: None, error_type: METHOD_EXCEPTION },
        Auth,
        "AppSecretProofRefused",
        "recorded answers of Graph to calls without and with a wrong appsecret_proof",
    ),
    // "Unsupported post request. Object with ID … does not exist": the object of the path is the page, so a wrong
    // pageID must stop the broadcast and not fail its recipients one by one.
    graph_row(
        GraphError { codes: Codes::One(100), subcode: Some(33), error_type: METHOD_EXCEPTION },
        Auth,
        "PageNotFound",
        "recorded answers of Graph to calls on an object that does not exist",
    ),
    // Measures against abuse.
    row(368, Blocked, "TemporarilyBlocked", GRAPH_PAGE),
    row(2022, Blocked, "FeatureDisabled", SEND_API_ERRORS),
    // Read both as a restriction after a violation and as "another app holds the thread": a person must look in either
    // case.
    sub(10, 2_018_300, Blocked, "SendingRestricted", CHAT_ADAPTER),
];
