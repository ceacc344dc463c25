//! A file on its way from its link to a provider that is given the bytes: piece by piece, never all of it in memory.

use reqwest::Body;
use reqwest::multipart::{Form, Part};

use super::transport::{Transport, is_on_this_machine};
use crate::audience::{FaultKind, LinkedFile, Reach, SourceFault};
use crate::delivery::outcome::{Fault, Outcome, PermanentScope};
use crate::delivery::time::Span;
use crate::provider::{FileForm, FileKind, Provider, Upload};

/// How long the provider may take for the form, while the file comes from its link: as long as that may take
/// (`audience::http`), and some more.
const FORM_TIMEOUT: Span = Span::from_secs(6 * 60);

/// The reason of an attempt whose file broke off on its way. The provider has not the whole of it, and keeps nothing.
pub const BROKE_OFF: &str = "AttachmentFailed";
const TOO_LARGE: &str = "AttachmentTooLarge";

/// Fetches the file and posts it. Where its length is known beforehand the form says its own, else it goes in chunks; a
/// provider that takes none of those is sent links.
pub async fn upload(transport: &Transport, provider: &dyn Provider, file: FileForm) -> Upload {
    // Where the provider itself is on this machine, as a simulator is, so may be its files.
    let is_here = provider.endpoint().host().is_some_and(is_on_this_machine);
    let reach = if is_here { Reach::ThisMachine } else { Reach::Others };
    let linked = match LinkedFile::open(&file.link, file.max_bytes(), reach).await {
        Ok(linked) => linked,
        Err(fault) => return not_had(&fault),
    };
    let kind = match file.kind(linked.content_type()) {
        Ok(kind) => kind,
        Err(problem) => return Upload::Unusable { fault: Fault::new(BROKE_OFF, None, problem) },
    };
    if linked.length().is_some_and(|length| length > kind.max_bytes) {
        return Upload::Unusable { fault: too_large(kind) };
    }
    let length = linked.length();
    let (pieces, trace) = linked.pieces(kind.max_bytes);
    let body = Body::wrap_stream(pieces);
    let part = match length {
        Some(length) => Part::stream_with_length(body, length),
        None => Part::stream(body),
    };
    let Ok(part) = part.file_name(file.file_name(kind)).mime_str(kind.media_type) else {
        let problem = format!("{} is no media type", kind.media_type);
        return Upload::Unusable { fault: Fault::new(BROKE_OFF, None, problem) };
    };
    let fields = file.fields.iter().fold(Form::new(), |form, (name, value)| form.text(*name, *value));
    let form = fields.text(file.type_field, kind.media_type).part(file.file_field, part);
    let answered = transport.post(file.request, form, FORM_TIMEOUT).await;
    // Why the form broke off is known better than what it looked like to the provider.
    match (trace.fault(), answered) {
        (Some(fault), _) if fault.kind == FaultKind::TooLarge => Upload::Unusable { fault: too_large(kind) },
        (Some(fault), _) => not_had(&fault),
        (None, Ok(received)) => provider.classify_upload(&received.answer()),
        (None, Err(outcome)) => Upload::Failed(outcome),
    }
}

/// What it means that the file did not come: it is asked for again, or is of no use, or the provider may have it by its link where
/// Herald may not. The link may hold a secret, and so does the place of the fault: the field is named in its stead.
fn not_had(fault: &SourceFault) -> Upload {
    let told = |reason| Fault::new(reason, None, format!("{}; {}", fault.problem, fault.remedy));
    match fault.kind {
        FaultKind::TooLarge => Upload::Unusable { fault: told(TOO_LARGE) },
        FaultKind::Unreachable | FaultKind::BrokenOff | FaultKind::TooSlow => {
            Upload::Failed(Outcome::NotSent { fault: told(BROKE_OFF) })
        }
        FaultKind::NotAllowed => {
            let fault = told(fault.kind.reason());
            tracing::warn!(
                reason = fault.reason,
                why = fault.message,
                "a file is not fetched; messages carry its link"
            );
            Upload::Failed(Outcome::Permanent { scope: PermanentScope::Message, fault })
        }
        _ => Upload::Unusable { fault: told(BROKE_OFF) },
    }
}

fn too_large(kind: &FileKind) -> Fault {
    let problem = format!("it has more than the {} bytes that are taken of {}", kind.max_bytes, kind.media_type);
    Fault::new(TOO_LARGE, None, problem)
}

#[cfg(test)]
#[path = "file_upload_tests.rs"]
mod tests;
