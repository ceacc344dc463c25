//! Pure: attachments that Messenger fetches once and keeps, named by the instant of their upload.

use serde_json::json;

use super::played::graph;
use super::request::{Call, Posted, is_link};
use super::response::Response;
use super::settings::Settings;

/// What a message names a kept attachment by, in the record: before the link that it was uploaded from.
pub const ATTACHMENT_ID: &str = "attachment_id:";

/// The error for a link that cannot be fetched, and the one for an id that stands for nothing.
const NOT_FETCHED: (i64, i64) = (100, 2_018_008);
const NOT_FOUND: (i64, i64) = (100, 2_018_074);
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What becomes of an upload.
#[derive(Debug, PartialEq)]
pub struct Upload {
    pub response: Response,
    /// The link that is kept, if it is.
    pub kept: Option<String>,
}

/// Answers an upload that comes at this instant; `None` for any other request.
pub fn answer(settings: &Settings, request: &Posted<'_>, time_ns: u64) -> Option<Upload> {
    match request.segments()[..] {
        [version, page, "message_attachments"] if version.starts_with('v') && !page.is_empty() => {}
        _ => return None,
    }
    let body = request.json();
    let link = body.text("/message/attachment/payload/url").filter(|link| is_link(link));
    let is_reusable = body.at("/message/attachment/payload/is_reusable").and_then(serde_json::Value::as_bool);
    let refused = |response| Upload { response, kept: None };
    Some(match link.filter(|_| is_reusable == Some(true)) {
        _ if !request.has_bearer_token() => refused(graph::error(400, 190, None, "Invalid OAuth access token.")),
        None => refused(graph::error(400, 100, None, "(#100) param message[attachment] is invalid")),
        Some(link) if is_refused(settings, &link) => refused(refusal(NOT_FETCHED)),
        Some(link) => {
            let response = Response::json(200, &json!({"attachment_id": time_ns.to_string()}));
            Upload { response, kept: Some(link) }
        }
    })
}

/// A call that names attachments by ids, with the links that they were uploaded from.
pub fn resolved<'a>(mut call: Call, link: impl Fn(u64) -> Option<&'a str>) -> Call {
    for attachment in &mut call.attachments {
        let Some((_, named)) = attachment.split_once(' ') else { continue };
        let id = named.strip_prefix(ATTACHMENT_ID).and_then(|id| id.parse().ok());
        if let Some(link) = id.and_then(&link) {
            attachment.push(' ');
            attachment.push_str(link);
        }
    }
    call
}

/// Why a message with attachments is refused, and the code for the record.
pub fn refuse(settings: &Settings, call: &Call, now: jiff::Timestamp) -> Option<(String, Response)> {
    let error = call.attachments.iter().find_map(|attachment| {
        let (_, named) = attachment.split_once(' ')?;
        match named.strip_prefix(ATTACHMENT_ID) {
            Some(kept) => is_gone(settings, kept, now).then_some(NOT_FOUND),
            None => is_refused(settings, named).then_some(NOT_FETCHED),
        }
    })?;
    Some((format!("{}/{}", error.0, error.1), refusal(error)))
}

/// One without a link was never uploaded.
fn is_gone(settings: &Settings, kept: &str, now: jiff::Timestamp) -> bool {
    let Some((id, _)) = kept.split_once(' ') else { return true };
    let Ok(uploaded_ns) = id.parse::<u64>() else { return true };
    let lives_ns = u64::from(settings.attachment_seconds) * NANOS_PER_SECOND;
    lives_ns > 0 && i128::from(uploaded_ns) + i128::from(lives_ns) <= now.as_nanosecond()
}

fn is_refused(settings: &Settings, link: &str) -> bool {
    settings.refuse_link.as_ref().is_some_and(|refused| link.contains(refused))
}

fn refusal((code, subcode): (i64, i64)) -> Response {
    graph::error(400, code, Some(subcode), "(#100) The attachment cannot be used (simulated)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::played::Played;

    fn upload(settings: &Settings, path: &str, url: &str) -> Option<Upload> {
        let body = json!({"message": {"attachment": {"type": "video", "payload": {"url": url, "is_reusable": true}}}});
        let body = body.to_string();
        let request =
            Posted { path, query: "", authorization: Some("Bearer t"), correlation: None, body: body.as_bytes() };
        answer(settings, &request, 5 * NANOS_PER_SECOND)
    }

    fn message(attachment: &str) -> Call {
        let call = Call {
            played: Played::Messenger,
            account: "1".into(),
            recipient: "2".into(),
            correlation: None,
            text: String::new(),
            attachments: vec![attachment.to_owned()],
            callback: None,
            refusal: None,
        };
        resolved(call, |id| (id == 5 * NANOS_PER_SECOND).then_some("https://a.example/1.mp4"))
    }

    #[test]
    fn an_upload_is_answered_with_an_id_that_lasts_for_its_time() {
        let settings = Settings { attachment_seconds: 10, ..Settings::default() };
        let kept = upload(&settings, "/v25.0/1/message_attachments", "https://a.example/1.mp4").unwrap();
        assert_eq!(kept.response.body, r#"{"attachment_id":"5000000000"}"#);
        assert_eq!(kept.kept.as_deref(), Some("https://a.example/1.mp4"));
        assert_eq!(upload(&settings, "/v25.0/1/messages", "https://a.example/1.mp4"), None);
        let call = message("video attachment_id:5000000000");
        assert_eq!(call.attachments, ["video attachment_id:5000000000 https://a.example/1.mp4"]);
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        assert_eq!(refuse(&settings, &call, at(14)), None);
        assert_eq!(refuse(&settings, &call, at(15)).unwrap().0, "100/2018074");
        assert_eq!(refuse(&Settings::default(), &call, at(1_000)), None);
        assert_eq!(refuse(&settings, &message("video attachment_id:6"), at(1)).unwrap().0, "100/2018074");
    }

    #[test]
    fn a_link_that_cannot_be_fetched_is_refused_for_uploads_and_messages() {
        let settings = Settings { refuse_link: Some("gone".into()), ..Settings::default() };
        let refused = upload(&settings, "/v25.0/1/message_attachments", "https://a.example/gone.mp4").unwrap();
        assert_eq!((refused.response.status, refused.kept), (400, None));
        let at = jiff::Timestamp::UNIX_EPOCH;
        assert_eq!(refuse(&settings, &message("video https://a.example/gone.mp4"), at).unwrap().0, "100/2018008");
        assert_eq!(refuse(&settings, &message("video https://a.example/1.mp4"), at), None);
    }
}
