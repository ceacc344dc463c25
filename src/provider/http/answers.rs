//! What the answers of an endpoint mean: by the code in them, by the status, by default.

use std::collections::HashMap;

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Secrets, limits};
use crate::api::channel::{HttpClass, HttpResponse};
use crate::delivery::outcome::{Fault, MAX_FAULT_CODE, Outcome};
use crate::delivery::usage::Usage;
use crate::provider::Answer;
use crate::provider::answer::accepted;
use crate::provider::error_table::ErrorClass;
use crate::provider::redact::{redact, without_addresses, without_secrets};
use crate::provider::retry_after::retry_after_ms;

/// The channel's words on answers, ready for use.
pub(super) struct Answers {
    response: HttpResponse,
    codes: HashMap<String, HttpClass>,
    /// Struck out of the endpoint's words.
    secrets: Vec<SecretString>,
}

/// What an answer says beside its status.
#[derive(Default)]
struct Said {
    message_id: Option<String>,
    code: Option<String>,
    words: Option<String>,
    /// There is a body that could not be read.
    is_unreadable: bool,
}

impl Answers {
    pub fn new(response: HttpResponse, secrets: &Secrets) -> Answers {
        let codes = response.codes.iter().map(|entry| (entry.code.clone(), entry.class)).collect();
        let secrets = secrets.values().filter(|secret| !secret.expose_secret().is_empty()).cloned().collect();
        Answers { response, codes, secrets }
    }

    /// Total: what no rule speaks for is unknown.
    pub fn classify(&self, answer: &Answer<'_>) -> Outcome {
        let status = answer.status;
        let said = self.said(answer);
        if let Some(class) = said.code.as_ref().and_then(|code| self.codes.get(code)) {
            return self.outcome(*class, Speaks::Code, answer, said);
        }
        match self.by_status(status) {
            HttpClass::Accepted if said.code.is_some() => {
                self.outcome(HttpClass::Unknown, Speaks::UnlistedCode, answer, said)
            }
            HttpClass::Accepted if said.is_unreadable => self.outcome(HttpClass::Unknown, Speaks::NoJson, answer, said),
            class => self.outcome(class, Speaks::Status, answer, said),
        }
    }

    /// What the endpoint says of the account's limit; nothing where its limits are those of a recipient, as its 429 says.
    pub fn usage(&self, answer: &Answer<'_>) -> Option<Usage> {
        let is_of_the_account = self.by_status(StatusCode::TOO_MANY_REQUESTS) == HttpClass::Throttled;
        is_of_the_account.then(|| limits::usage(answer)).flatten()
    }

    fn by_status(&self, status: StatusCode) -> HttpClass {
        let listed = self.response.statuses.iter().find(|entry| entry.names(status.as_u16()));
        match listed {
            Some(entry) => entry.class,
            None if status.is_success() => HttpClass::Accepted,
            None if status == StatusCode::TOO_MANY_REQUESTS => HttpClass::Throttled,
            None if status.is_client_error() => HttpClass::PermanentRecipient,
            None => HttpClass::Unknown,
        }
    }

    fn said(&self, answer: &Answer<'_>) -> Said {
        let HttpResponse { message_id_pointer, error_code_pointer, error_message_pointer, .. } = &self.response;
        let pointers = [message_id_pointer, error_code_pointer, error_message_pointer];
        if pointers.iter().all(|pointer| pointer.is_none()) {
            return Said::default();
        }
        let Ok(body) = serde_json::from_slice::<Value>(answer.body) else {
            // Whether it holds the code of an error cannot be told.
            let is_unreadable = error_code_pointer.is_some() && !answer.body.is_empty();
            return Said { is_unreadable, ..Said::default() };
        };
        let [message_id, code, words] = pointers.map(|pointer| pointed(&body, pointer.as_deref()?));
        Said { message_id, code, words, is_unreadable: false }
    }

    fn outcome(&self, class: HttpClass, speaks: Speaks, answer: &Answer<'_>, said: Said) -> Outcome {
        let class = match class {
            HttpClass::Accepted => {
                let id = said.message_id.map(|id| without_secrets(&id, &self.secrets));
                return id.map_or(Outcome::Accepted { provider_id: None }, |id| accepted(&id));
            }
            HttpClass::PermanentRecipient => ErrorClass::PermanentRecipient,
            HttpClass::OptedOut => ErrorClass::OptedOut,
            HttpClass::PermanentMessage => ErrorClass::PermanentMessage,
            HttpClass::Throttled => ErrorClass::Throttled { wait_ms: None },
            HttpClass::ThrottledRecipient => ErrorClass::ThrottledRecipient { wait_ms: None },
            HttpClass::Transient => ErrorClass::Transient { cap: None },
            HttpClass::Auth => ErrorClass::Auth,
            HttpClass::Blocked => ErrorClass::Blocked,
            HttpClass::Unknown => ErrorClass::Unknown,
        };
        let status = answer.status;
        let meaning = status.canonical_reason().unwrap_or("no standard meaning");
        let mut message = format!("the endpoint answered {} ({meaning})", status.as_u16());
        if let Some(words) = said.words {
            message = format!("{message}: {}", without_addresses(&redact(&words, &self.secrets)));
        }
        let code = said.code.map_or_else(|| status.as_u16().to_string(), |code| redact(&code, &self.secrets));
        class.outcome(
            retry_after_ms(answer.headers, answer.received_at).or_else(|| limits::wait_ms(answer)),
            Fault::new(speaks.reason(status), Some(code), message),
        )
    }
}

/// A text, number or `true` where a pointer leads; what says that there is nothing is nothing.
fn pointed(body: &Value, pointer: &str) -> Option<String> {
    match body.pointer(pointer)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("true".to_owned()),
        Value::Null | Value::Bool(false) => None,
        // No code and no id is a list or an object; yet where an error is looked for, there is one.
        Value::Array(list) if list.is_empty() => None,
        Value::Object(members) if members.is_empty() => None,
        other => Some(other.to_string().chars().take(MAX_FAULT_CODE).collect()),
    }
}

/// What of an answer gives it its class.
#[derive(Clone, Copy)]
enum Speaks {
    Code,
    /// One that is not listed, where the status says that all is well.
    UnlistedCode,
    /// A body that may hold a code.
    NoJson,
    Status,
}

impl Speaks {
    /// From a fixed set.
    fn reason(self, status: StatusCode) -> &'static str {
        match self {
            Speaks::Code => "ErrorCode",
            Speaks::UnlistedCode => "UnrecognisedError",
            Speaks::NoJson => "UnreadableAnswer",
            Speaks::Status => match status {
                StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => "BadRequest",
                StatusCode::UNAUTHORIZED => "Unauthorized",
                StatusCode::FORBIDDEN => "Forbidden",
                StatusCode::NOT_FOUND => "NotFound",
                StatusCode::GONE => "Gone",
                StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
                status if status.is_client_error() => "Rejected",
                status if status.is_redirection() => "Redirected",
                status if status.is_server_error() => "ServerError",
                _ => "UnexpectedStatus",
            },
        }
    }
}
