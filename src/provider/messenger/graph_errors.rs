//! What each error of the Send API means for a broadcast, as data. Code and subcode decide; texts change and are
//! never matched on, and the HTTP status is no guide (190 was recorded with 400, 4 with 403).

use crate::delivery::outcome::{Cap, PermanentScope};
use GraphClass::{Auth, Blocked, PermanentMessage, PermanentRecipient, Throttled, Transient, Unknown};

/// Which codes a row speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// Exactly this code.
    One(i64),
    /// From the first to the last code, both included.
    Range(i64, i64),
    /// Every code: the row's subcode alone decides.
    Any,
}

/// What an error means for the recipient and the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphClass {
    /// This person cannot be reached.
    PermanentRecipient,
    /// The message itself is refused.
    PermanentMessage,
    /// Token or permission: nobody can be reached.
    Auth,
    /// A limit of the page or app.
    Throttled,
    /// Worth another try, at most so often where the row caps it.
    Transient { cap: Option<Cap> },
    /// Measures against abuse: a person must look.
    Blocked,
    /// The message may have been sent in spite of the error.
    Unknown,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphErrorRow {
    /// `error.code`.
    pub codes: Codes,
    /// `error.error_subcode`; `None` speaks for every subcode that has no row of its own.
    pub subcode: Option<i64>,
    /// `error.type`, where one code means two things; `None` speaks for every type.
    pub error_type: Option<&'static str>,
    /// The class.
    pub class: GraphClass,
    /// CamelCase; the user's condition and the metric's label.
    pub reason: &'static str,
    /// Where this meaning is written.
    pub source: &'static str,
}

/// Finds the row of an error: code with subcode first, then the subcode alone, then the code, then its range; of two
/// rows that fit alike the one that names the type.
pub fn find(code: i64, subcode: Option<i64>, error_type: Option<&str>) -> Option<&'static GraphErrorRow> {
    GRAPH_ERRORS
        .iter()
        .filter_map(|row| row.closeness(code, subcode, error_type).map(|closeness| (closeness, row)))
        .max_by_key(|(closeness, _)| *closeness)
        .map(|(_, row)| row)
}

impl GraphErrorRow {
    /// How closely the row fits, higher is closer; `None` when it does not fit.
    fn closeness(&self, code: i64, subcode: Option<i64>, error_type: Option<&str>) -> Option<(u8, u8, u8)> {
        let code_fits = match self.codes {
            Codes::One(one) if one == code => 2,
            Codes::Range(first, last) if (first..=last).contains(&code) => 1,
            Codes::Any => 0,
            _ => return None,
        };
        let subcode_fits = match self.subcode {
            Some(own) if Some(own) == subcode => 1,
            Some(_) => return None,
            None => 0,
        };
        let type_fits = match self.error_type {
            Some(own) if Some(own) == error_type => 1,
            Some(_) => return None,
            None => 0,
        };
        Some((subcode_fits, code_fits, type_fits))
    }
}

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

const fn row(code: i64, class: GraphClass, reason: &'static str, source: &'static str) -> GraphErrorRow {
    GraphErrorRow { codes: Codes::One(code), subcode: None, error_type: None, class, reason, source }
}

const fn sub(code: i64, subcode: i64, class: GraphClass, reason: &'static str, source: &'static str) -> GraphErrorRow {
    GraphErrorRow { codes: Codes::One(code), subcode: Some(subcode), error_type: None, class, reason, source }
}

/// The type of errors about the object in the path and about the call as such, not about its parameters.
const METHOD_EXCEPTION: Option<&str> = Some("GraphMethodException");

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
    row(4, Throttled, "AppRateLimit", "facebook/facebook-android-sdk#582"),
    sub(4, 2_018_022, Throttled, "TooManySends", SEND_API_ERRORS),
    row(17, Throttled, "UserRateLimit", GRAPH_PAGE),
    row(32, Throttled, "PageRateLimit", RATE_PAGE),
    row(341, Throttled, "ApplicationLimit", GRAPH_PAGE),
    row(613, Throttled, "CallRateLimit", "howdyai/botkit#865"),
    // Frequency of marketing messages to one person: nothing to wait for within a broadcast.
    sub(4, 2_018_354, PermanentRecipient, "FrequencyCapped", ERROR_PAGE),
    sub(9, 2_018_352, PermanentRecipient, "FrequencyCapped", ERROR_PAGE),
    // The person.
    sub(10, 2_018_278, PermanentRecipient, "WindowClosed", "microsoft/botframework-sdk#2050"),
    sub(10, 2_018_065, PermanentRecipient, "WindowClosed", "botpress/botpress#4890"),
    sub(10, 2_018_276, PermanentRecipient, "WindowClosed", CATALOG),
    sub(10, 2_534_022, PermanentRecipient, "WindowClosed", CHAT_ADAPTER),
    sub(10, 2_018_108, PermanentRecipient, "MessagesNotAccepted", ERROR_PARSER),
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
    GraphErrorRow {
        codes: Codes::Range(200, 299),
        subcode: None,
        error_type: None,
        class: Auth,
        reason: "PermissionDenied",
        source: GRAPH_PAGE,
    },
    row(230, Auth, "MessagingPermissionMissing", ERROR_LOOKUP),
    // Documented as a subcode in one place and without its code in another.
    row(1_689_001, Auth, "UtilityPermissionMissing", CATALOG),
    GraphErrorRow {
        codes: Codes::Any,
        subcode: Some(1_689_001),
        error_type: None,
        class: Auth,
        reason: "UtilityPermissionMissing",
        source: CATALOG,
    },
    sub(2, 2_018_344, Auth, "LabelTermsNotAccepted", ERROR_PAGE),
    // "requires an appsecret_proof argument" and "Invalid appsecret_proof": the channel's fault, although the code is
    // that of a bad parameter.
    GraphErrorRow {
        codes: Codes::One(100),
        subcode: None,
        error_type: METHOD_EXCEPTION,
        class: Auth,
        reason: "AppSecretProofRefused",
        source: "recorded answers of Graph to calls without and with a wrong appsecret_proof",
    },
    // "Unsupported post request. Object with ID … does not exist": the object of the path is the page, so a wrong
    // pageID must stop the broadcast and not fail its recipients one by one.
    GraphErrorRow {
        codes: Codes::One(100),
        subcode: Some(33),
        error_type: METHOD_EXCEPTION,
        class: Auth,
        reason: "PageNotFound",
        source: "recorded answers of Graph to calls on an object that does not exist",
    },
    // Measures against abuse.
    row(368, Blocked, "TemporarilyBlocked", GRAPH_PAGE),
    row(2022, Blocked, "FeatureDisabled", SEND_API_ERRORS),
    // Read both as a restriction after a violation and as "another app holds the thread": a person must look in either
    // case.
    sub(10, 2_018_300, Blocked, "SendingRestricted", CHAT_ADAPTER),
];
