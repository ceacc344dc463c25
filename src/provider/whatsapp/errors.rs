//! What each error of the WhatsApp Cloud API means for a broadcast, as data. Throttles come with HTTP 400, not 429.

use crate::provider::error_table::ErrorClass::{
    Auth, Blocked, MarketingStopped, PermanentMessage, PermanentRecipient, ThrottledRecipient, Transient,
};
use crate::provider::graph::errors::{
    Codes, GraphError, GraphErrorRow, METHOD_EXCEPTION, THROTTLED, code, row, subcode,
};

const ERROR_PAGE: &str = "WhatsApp error-codes page (copy of 14 Nov 2025, updated 15 May 2026)";
const PYWA: &str = "david-lev/pywa errors.py";

/// The wait after too many messages to one person. Secondary sources speak of one message in 6 seconds with bursts, and of
/// 4^n seconds after the n-th refusal; the provider names no figure in its answer.
const PAIR_WAIT_MS: u64 = 6_000;

/// The table. Its order has no meaning.
pub const WHATSAPP_ERRORS: &[GraphErrorRow] = &[
    // Temporary.
    code(1, Transient { cap: None }, "Temporary", ERROR_PAGE),
    code(2, Transient { cap: None }, "Temporary", ERROR_PAGE),
    code(131_000, Transient { cap: None }, "Temporary", ERROR_PAGE),
    code(131_016, Transient { cap: None }, "Temporary", ERROR_PAGE),
    code(131_057, Transient { cap: None }, "NumberInMaintenance", ERROR_PAGE),
    code(133_004, Transient { cap: None }, "Temporary", ERROR_PAGE),
    // Limits.
    code(4, THROTTLED, "AppRateLimit", ERROR_PAGE),
    code(80_007, THROTTLED, "AccountRateLimit", ERROR_PAGE),
    code(130_429, THROTTLED, "ThroughputReached", ERROR_PAGE),
    code(131_064, THROTTLED, "TemplateCategoryLimit", PYWA),
    code(133_016, THROTTLED, "RegistrationLimit", ERROR_PAGE),
    code(131_056, ThrottledRecipient { wait_ms: Some(PAIR_WAIT_MS) }, "PairRateLimit", ERROR_PAGE),
    // The person. The limit of marketing messages to one person needs a day: nothing to wait for within a broadcast.
    code(131_026, PermanentRecipient, "Undeliverable", ERROR_PAGE),
    code(131_047, PermanentRecipient, "WindowClosed", ERROR_PAGE),
    code(131_049, PermanentRecipient, "FrequencyCapped", ERROR_PAGE),
    // Ends this message, and keeps others of marketing from them: no opt-out of all, see there.
    code(131_050, MarketingStopped, "MarketingStopped", ERROR_PAGE),
    code(130_472, PermanentRecipient, "InExperiment", ERROR_PAGE),
    code(131_030, PermanentRecipient, "NotInAllowedList", ERROR_PAGE),
    code(131_021, PermanentRecipient, "SenderIsRecipient", ERROR_PAGE),
    code(131_062, PermanentRecipient, "UserIDNotSupported", PYWA),
    code(137_000, PermanentRecipient, "IdentityChanged", PYWA),
    // The message.
    code(100, PermanentMessage, "InvalidParameter", ERROR_PAGE),
    code(131_008, PermanentMessage, "ParameterMissing", ERROR_PAGE),
    code(131_009, PermanentMessage, "InvalidParameter", ERROR_PAGE),
    code(131_051, PermanentMessage, "TypeNotSupported", ERROR_PAGE),
    // "Media upload error": of a file that was uploaded or fetched from a link, at once or in a call-back.
    code(131_053, PermanentMessage, "AttachmentFailed", ERROR_PAGE),
    code(135_000, PermanentMessage, "GenericUserError", ERROR_PAGE),
    code(132_000, PermanentMessage, "TemplateParametersMismatch", ERROR_PAGE),
    code(132_001, PermanentMessage, "TemplateNotFound", ERROR_PAGE),
    code(132_005, PermanentMessage, "TemplateTextTooLong", ERROR_PAGE),
    code(132_007, PermanentMessage, "TemplatePolicyViolated", ERROR_PAGE),
    code(132_012, PermanentMessage, "TemplateParametersMismatch", ERROR_PAGE),
    code(132_015, PermanentMessage, "TemplatePaused", ERROR_PAGE),
    code(132_016, PermanentMessage, "TemplateDisabled", ERROR_PAGE),
    code(132_018, PermanentMessage, "TemplateParametersMismatch", PYWA),
    code(132_068, PermanentMessage, "FlowBlocked", ERROR_PAGE),
    code(132_069, PermanentMessage, "FlowThrottled", ERROR_PAGE),
    code(131_063, PermanentMessage, "MarketingTemplatesOff", PYWA),
    // The account: token, permission, the number's own state.
    code(0, Auth, "TokenInvalid", ERROR_PAGE),
    code(190, Auth, "TokenInvalid", ERROR_PAGE),
    subcode(190, 463, Auth, "TokenExpired", ERROR_PAGE),
    code(3, Auth, "PermissionDenied", ERROR_PAGE),
    code(10, Auth, "PermissionDenied", ERROR_PAGE),
    code(131_005, Auth, "PermissionDenied", ERROR_PAGE),
    row(
        GraphError { codes: Codes::Range(200, 299), subcode: None, error_type: None },
        Auth,
        "PermissionDenied",
        ERROR_PAGE,
    ),
    code(33, Auth, "NumberNotFound", ERROR_PAGE),
    subcode(100, 33, Auth, "NumberNotFound", "recorded answers of Graph to calls on an object that does not exist"),
    row(
        GraphError { codes: Codes::One(100), subcode: None, error_type: METHOD_EXCEPTION },
        Auth,
        "AppSecretProofRefused",
        "recorded answers of Graph to calls without and with a wrong appsecret_proof",
    ),
    code(131_037, Auth, "DisplayNameNotApproved", ERROR_PAGE),
    code(131_042, Auth, "PaymentProblem", ERROR_PAGE),
    code(131_045, Auth, "NumberNotRegistered", ERROR_PAGE),
    code(133_010, Auth, "NumberNotRegistered", ERROR_PAGE),
    // Measures against abuse. That of the number's quality takes a long pause and a person.
    code(368, Blocked, "TemporarilyBlocked", ERROR_PAGE),
    code(131_031, Blocked, "AccountLocked", ERROR_PAGE),
    code(130_497, Blocked, "CountryRestricted", ERROR_PAGE),
    code(131_048, Blocked, "SpamRateLimit", ERROR_PAGE),
];
