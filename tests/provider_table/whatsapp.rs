//! WhatsApp's answers: the first is recorded, the others are composed from the error page.

use herald::delivery::outcome::Outcome;
use herald::provider::graph::errors::find;
use herald::provider::whatsapp::errors::WHATSAPP_ERRORS;
use herald::provider::whatsapp::{WhatsApp, WhatsAppAccount};
use http::HeaderMap;
use secrecy::SecretString;

use super::{Sample, classify, every_row_has_its_sample};

fn whatsapp() -> WhatsApp {
    WhatsApp::new(WhatsAppAccount {
        phone_number_id: "106540352242922".into(),
        api_version: "v25.0".into(),
        base_url: "https://graph.facebook.com".into(),
        access_token: SecretString::from("EAAB-test-token"),
        app_secret: None,
    })
    .unwrap()
}

const SAMPLES: &[Sample] = &[
    (
        400,
        r##"{"error":{"message":"(#130429) Rate limit hit","type":"OAuthException","code":130429,"error_data":{"messaging_product":"whatsapp","details":"Cloud API message throughput has been reached."},"error_subcode":2494055,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Throttled",
        "ThroughputReached",
        "130429/2494055",
    ),
    (
        400,
        r##"{"error":{"message":"(#131047) Re-engagement message","type":"OAuthException","code":131047,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Recipient",
        "WindowClosed",
        "131047",
    ),
    (
        401,
        r##"{"error":{"message":"(#190) Error validating access token: Session has expired on Thursday.","type":"OAuthException","code":190,"error_subcode":463,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "TokenExpired",
        "190/463",
    ),
    (
        401,
        r##"{"error":{"message":"(#190) Invalid OAuth access token.","type":"OAuthException","code":190,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "TokenInvalid",
        "190",
    ),
    (
        401,
        r##"{"error":{"message":"(#0) AuthException","type":"OAuthException","code":0,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "TokenInvalid",
        "0",
    ),
    (
        400,
        r##"{"error":{"message":"(#1) API Unknown","type":"OAuthException","code":1,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Transient",
        "Temporary",
        "1",
    ),
    (
        503,
        r##"{"error":{"message":"(#2) API Service","type":"OAuthException","code":2,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Transient",
        "Temporary",
        "2",
    ),
    (
        500,
        r##"{"error":{"message":"(#131000) Something went wrong","type":"OAuthException","code":131000,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Transient",
        "Temporary",
        "131000",
    ),
    (
        500,
        r##"{"error":{"message":"(#131016) Service unavailable","type":"OAuthException","code":131016,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Transient",
        "Temporary",
        "131016",
    ),
    (
        500,
        r##"{"error":{"message":"(#131057) Account in maintenance mode","type":"OAuthException","code":131057,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Transient",
        "NumberInMaintenance",
        "131057",
    ),
    (
        503,
        r##"{"error":{"message":"(#133004) Server temporarily unavailable","type":"OAuthException","code":133004,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Transient",
        "Temporary",
        "133004",
    ),
    (
        400,
        r##"{"error":{"message":"(#4) API Too Many Calls","type":"OAuthException","code":4,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Throttled",
        "AppRateLimit",
        "4",
    ),
    (
        400,
        r##"{"error":{"message":"(#80007) Rate limit issues","type":"OAuthException","code":80007,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Throttled",
        "AccountRateLimit",
        "80007",
    ),
    (
        400,
        r##"{"error":{"message":"(#131064) Template category","type":"OAuthException","code":131064,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Throttled",
        "TemplateCategoryLimit",
        "131064",
    ),
    (
        400,
        r##"{"error":{"message":"(#133016) Account register deregister rate limit exceeded","type":"OAuthException","code":133016,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Throttled",
        "RegistrationLimit",
        "133016",
    ),
    (
        400,
        r##"{"error":{"message":"(#131056) (Business Account, Consumer Account) pair rate limit hit","type":"OAuthException","code":131056,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "ThrottledRecipient",
        "PairRateLimit",
        "131056",
    ),
    (
        400,
        r##"{"error":{"message":"(#131026) Message undeliverable","type":"OAuthException","code":131026,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Recipient",
        "Undeliverable",
        "131026",
    ),
    (
        400,
        r##"{"error":{"message":"(#131049) Meta chose not to deliver","type":"OAuthException","code":131049,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Recipient",
        "FrequencyCapped",
        "131049",
    ),
    (
        400,
        r##"{"error":{"message":"(#131050) User has stopped marketing messages","type":"OAuthException","code":131050,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "MarketingStopped",
        "MarketingStopped",
        "131050",
    ),
    (
        400,
        r##"{"error":{"message":"(#130472) User's number is part of an experiment","type":"OAuthException","code":130472,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Recipient",
        "InExperiment",
        "130472",
    ),
    (
        400,
        r##"{"error":{"message":"(#131030) Recipient phone number not in allowed list","type":"OAuthException","code":131030,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Recipient",
        "NotInAllowedList",
        "131030",
    ),
    (
        400,
        r##"{"error":{"message":"(#131021) Recipient cannot be sender","type":"OAuthException","code":131021,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Recipient",
        "SenderIsRecipient",
        "131021",
    ),
    (
        400,
        r##"{"error":{"message":"(#131062) BSUID not supported","type":"OAuthException","code":131062,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Recipient",
        "UserIDNotSupported",
        "131062",
    ),
    (
        400,
        r##"{"error":{"message":"(#137000) Identity key","type":"OAuthException","code":137000,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Recipient",
        "IdentityChanged",
        "137000",
    ),
    (
        400,
        r##"{"error":{"message":"(#100) Invalid parameter","type":"OAuthException","code":100,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "InvalidParameter",
        "100",
    ),
    (
        400,
        r##"{"error":{"message":"(#131008) Required parameter is missing","type":"OAuthException","code":131008,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "ParameterMissing",
        "131008",
    ),
    (
        400,
        r##"{"error":{"message":"(#131009) Parameter value is not valid","type":"OAuthException","code":131009,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "InvalidParameter",
        "131009",
    ),
    (
        400,
        r##"{"error":{"message":"(#131051) Unsupported message type","type":"OAuthException","code":131051,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "TypeNotSupported",
        "131051",
    ),
    (
        400,
        r##"{"error":{"message":"(#131053) Media upload error","type":"OAuthException","code":131053,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "AttachmentFailed",
        "131053",
    ),
    (
        400,
        r##"{"error":{"message":"(#135000) Generic user error","type":"OAuthException","code":135000,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "GenericUserError",
        "135000",
    ),
    (
        400,
        r##"{"error":{"message":"(#132000) Template param count mismatch","type":"OAuthException","code":132000,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "TemplateParametersMismatch",
        "132000",
    ),
    (
        404,
        r##"{"error":{"message":"(#132001) Template does not exist","type":"OAuthException","code":132001,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "TemplateNotFound",
        "132001",
    ),
    (
        400,
        r##"{"error":{"message":"(#132005) Template hydrated text too long","type":"OAuthException","code":132005,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "TemplateTextTooLong",
        "132005",
    ),
    (
        400,
        r##"{"error":{"message":"(#132007) Template format character policy violated","type":"OAuthException","code":132007,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "TemplatePolicyViolated",
        "132007",
    ),
    (
        400,
        r##"{"error":{"message":"(#132012) Template parameter format mismatch","type":"OAuthException","code":132012,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "TemplateParametersMismatch",
        "132012",
    ),
    (
        400,
        r##"{"error":{"message":"(#132015) Template is paused","type":"OAuthException","code":132015,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "TemplatePaused",
        "132015",
    ),
    (
        400,
        r##"{"error":{"message":"(#132016) Template is disabled","type":"OAuthException","code":132016,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "TemplateDisabled",
        "132016",
    ),
    (
        400,
        r##"{"error":{"message":"(#132018) Template parameters","type":"OAuthException","code":132018,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "TemplateParametersMismatch",
        "132018",
    ),
    (
        400,
        r##"{"error":{"message":"(#132068) Flow is in blocked state","type":"OAuthException","code":132068,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "FlowBlocked",
        "132068",
    ),
    (
        400,
        r##"{"error":{"message":"(#132069) Flow is in throttled state","type":"OAuthException","code":132069,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "FlowThrottled",
        "132069",
    ),
    (
        400,
        r##"{"error":{"message":"(#131063) Marketing templates off","type":"OAuthException","code":131063,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Message",
        "MarketingTemplatesOff",
        "131063",
    ),
    (
        500,
        r##"{"error":{"message":"(#3) API Method","type":"OAuthException","code":3,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "PermissionDenied",
        "3",
    ),
    (
        403,
        r##"{"error":{"message":"(#10) Permission denied","type":"OAuthException","code":10,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "PermissionDenied",
        "10",
    ),
    (
        403,
        r##"{"error":{"message":"(#200) API permission","type":"OAuthException","code":200,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "PermissionDenied",
        "200",
    ),
    (
        403,
        r##"{"error":{"message":"(#131005) Access denied","type":"OAuthException","code":131005,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "PermissionDenied",
        "131005",
    ),
    (
        400,
        r##"{"error":{"message":"(#33) Parameter value is not valid","type":"OAuthException","code":33,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "NumberNotFound",
        "33",
    ),
    (
        400,
        r##"{"error":{"message":"(#100) Object with ID does not exist","type":"GraphMethodException","code":100,"error_subcode":33,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "NumberNotFound",
        "100/33",
    ),
    (
        400,
        r##"{"error":{"message":"(#100) API calls from the server require an appsecret_proof argument","type":"GraphMethodException","code":100,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "AppSecretProofRefused",
        "100",
    ),
    (
        400,
        r##"{"error":{"message":"(#131037) Display name approval needed","type":"OAuthException","code":131037,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "DisplayNameNotApproved",
        "131037",
    ),
    (
        400,
        r##"{"error":{"message":"(#131042) Business eligibility payment issue","type":"OAuthException","code":131042,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "PaymentProblem",
        "131042",
    ),
    (
        500,
        r##"{"error":{"message":"(#131045) Incorrect certificate","type":"OAuthException","code":131045,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "NumberNotRegistered",
        "131045",
    ),
    (
        400,
        r##"{"error":{"message":"(#133010) Phone number not registered","type":"OAuthException","code":133010,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Auth",
        "NumberNotRegistered",
        "133010",
    ),
    (
        403,
        r##"{"error":{"message":"(#368) Temporarily blocked for policies violations","type":"OAuthException","code":368,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Blocked",
        "TemporarilyBlocked",
        "368",
    ),
    (
        403,
        r##"{"error":{"message":"(#131031) Account has been locked","type":"OAuthException","code":131031,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Blocked",
        "AccountLocked",
        "131031",
    ),
    (
        403,
        r##"{"error":{"message":"(#130497) Business account is restricted from messaging users in this country","type":"OAuthException","code":130497,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Blocked",
        "CountryRestricted",
        "130497",
    ),
    (
        400,
        r##"{"error":{"message":"(#131048) Spam rate limit hit","type":"OAuthException","code":131048,"fbtrace_id":"AbCdEfGhIjK"}}"##,
        "Blocked",
        "SpamRateLimit",
        "131048",
    ),
];

#[test]
fn every_row_of_the_whatsapp_table_classifies_its_sample() {
    every_row_has_its_sample(&whatsapp(), WHATSAPP_ERRORS, SAMPLES, |body| {
        let error = &body["error"];
        find(WHATSAPP_ERRORS, error["code"].as_i64()?, error["error_subcode"].as_i64(), error["type"].as_str())
    });
}

#[test]
fn a_pair_limit_waits_for_that_person_alone() {
    let body = r#"{"error":{"message":"x","code":131056}}"#;
    let Outcome::Throttled { retry_after_ms, .. } = classify(&whatsapp(), 400, &HeaderMap::new(), body) else {
        panic!("expected Throttled");
    };
    assert_eq!(retry_after_ms, Some(6_000));
}

#[test]
fn a_success_of_whatsapp_is_accepted_with_its_id_also_when_it_is_held() {
    for status in ["accepted", "held_for_quality_assessment", "paused"] {
        let body = format!(
            r#"{{"messaging_product":"whatsapp","contacts":[{{"input":"+16505551234","wa_id":"16505551234"}}],"messages":[{{"id":"wamid.HBgLMTY1MDU1NTEyMzQ=","message_status":"{status}"}}]}}"#
        );
        let outcome = classify(&whatsapp(), 200, &HeaderMap::new(), &body);
        assert_eq!(outcome, Outcome::Accepted { provider_id: Some("wamid.HBgLMTY1MDU1NTEyMzQ=".into()) });
    }
}
