//! Pure: attachments that providers keep, because they were asked to or by themselves.

use super::played::{Lack, Played};
use super::request::{Call, Posted, is_link};
use super::response::Response;
use super::settings::Settings;

/// What a message names a kept attachment by, in the record: before what is kept.
pub const KEPT: &str = "kept:";
/// The same of one that is forgotten: before what was kept.
const GONE: &str = "gone:";

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What becomes of an upload.
#[derive(Debug, PartialEq)]
pub struct Upload {
    pub response: Response,
    /// What is kept, if it is: the link, or the file's type, size and name where the provider was given the bytes.
    pub kept: Option<String>,
}

/// An attachment that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile {
    pub what: String,
    pub since_ns: u64,
}

/// Answers who wants an attachment kept under this id; `None` for any other request.
pub fn answer(settings: &Settings, request: &Posted<'_>, id: &str) -> Option<Upload> {
    Played::ALL.into_iter().find_map(|played| played.play().keep(settings, request, id))
}

/// What the provider keeps by itself of a message that it has taken.
pub fn kept_by_itself(call: &Call) -> Option<&str> {
    let (_, link) = call.attachments.first()?.split_once(' ')?;
    Some(link).filter(|link| call.played == Played::Telegram && is_link(link))
}

/// By what Telegram knows a file that came with the message of this number.
pub fn file_id(number: u64) -> String {
    format!("AgACAgIAAxkDAAI{number:08}")
}

/// A call that names attachments by ids, with what is kept under them, or was until its time was over.
pub fn resolved<'a>(
    mut call: Call,
    settings: &Settings,
    now_ns: u64,
    kept: impl Fn(&str) -> Option<&'a KeptFile>,
) -> Call {
    let lives_ns = u64::from(settings.attachment_seconds) * NANOS_PER_SECOND;
    let is_there = |file: &KeptFile| lives_ns == 0 || file.since_ns + lives_ns > now_ns;
    for attachment in &mut call.attachments {
        let Some((kind, id)) = attachment.split_once(&format!(" {KEPT}")) else { continue };
        if let Some(file) = kept(id) {
            let named = if is_there(file) { KEPT } else { GONE };
            *attachment = format!("{kind} {named}{id} {}", file.what);
        }
    }
    call
}

/// Why a message with attachments is refused, and the code for the record.
pub fn refuse(settings: &Settings, call: &Call) -> Option<(String, Response)> {
    let provider = call.played.play();
    call.attachments.iter().find_map(|attachment| {
        let (kind, named) = attachment.split_once(' ')?;
        let lack = match named.strip_prefix(KEPT) {
            Some(kept) => match kept.split_once(' ') {
                Some((_, what)) => (!provider.fits(kind, what)).then_some(Lack::OtherKind),
                None => Some(Lack::NotKept),
            },
            None if named.starts_with(GONE) => Some(Lack::NotKept),
            None => settings.cannot_fetch(named).then_some(Lack::NotFetched),
        };
        provider.refuse_attachment(lack?, kind)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulator::request::nobody;

    fn upload(settings: &Settings, path: &str, url: &str) -> Option<Upload> {
        let body = json!({"message": {"attachment": {"type": "video", "payload": {"url": url, "is_reusable": true}}}});
        let body = body.to_string();
        answer(settings, &Posted { path, authorization: Some("Bearer t"), body: body.as_bytes(), ..Posted::EMPTY }, "5")
    }

    fn message(played: Played, attachment: &str, now_ns: u64) -> Call {
        let settings = Settings { attachment_seconds: 10, ..Settings::default() };
        let file = KeptFile { what: "https://a.example/1.mp4".into(), since_ns: 5 * NANOS_PER_SECOND };
        let call = Call { attachments: vec![attachment.to_owned()], ..nobody(played) };
        resolved(call, &settings, now_ns, |id| (id == "5").then_some(&file))
    }

    fn code(settings: &Settings, call: &Call) -> Option<String> {
        refuse(settings, call).map(|(code, _)| code)
    }

    #[test]
    fn an_upload_is_answered_with_an_id_that_lasts_for_its_time() {
        let kept = upload(&Settings::default(), "/v25.0/1/message_attachments", "https://a.example/1.mp4").unwrap();
        assert_eq!(kept.response.body, r#"{"attachment_id":"5"}"#);
        assert_eq!(kept.kept.as_deref(), Some("https://a.example/1.mp4"));
        assert_eq!(upload(&Settings::default(), "/v25.0/1/messages", "https://a.example/1.mp4"), None);
        let at = |second: u64| message(Played::Messenger, "video kept:5", second * NANOS_PER_SECOND);
        assert_eq!(at(14).attachments, ["video kept:5 https://a.example/1.mp4"]);
        assert_eq!(code(&Settings::default(), &at(14)), None);
        assert_eq!(at(15).attachments, ["video gone:5 https://a.example/1.mp4"], "what it was is known");
        assert_eq!(code(&Settings::default(), &at(15)).as_deref(), Some("100/2018074"));
        let unknown = message(Played::Messenger, "video kept:6", 0);
        assert_eq!(code(&Settings::default(), &unknown).as_deref(), Some("100/2018074"));
    }

    #[test]
    fn each_provider_refuses_an_id_that_stands_for_nothing_in_its_own_words() {
        let refused = |played| refuse(&Settings::default(), &message(played, "image kept:6", 0)).unwrap();
        let (code, response) = refused(Played::WhatsApp);
        assert_eq!((code.as_str(), response.status), ("100", 400));
        assert!(
            response.body.contains("Param image['id'] is not a valid whatsapp business account media attachment ID")
        );
        let (code, response) = refused(Played::Telegram);
        assert_eq!((code.as_str(), response.status), ("400/wrong file identifier", 400));
        assert!(response.body.contains("wrong file identifier/HTTP URL specified"));
    }

    #[test]
    fn whatsapp_takes_a_file_for_what_it_is_and_for_nothing_else() {
        let of = |attachment: &str| {
            let call = Call { attachments: vec![attachment.to_owned()], ..nobody(Played::WhatsApp) };
            code(&Settings::default(), &call)
        };
        assert_eq!(of("document kept:5 application/pdf,9,menu.pdf"), None);
        assert_eq!(of("image kept:5 image/png,9,menu.png"), None);
        for other in [
            "image kept:5 application/pdf,9,menu.pdf",
            "image kept:5 image/webp,9,a.webp",
            "video kept:5 audio/mp4,9,a.m4a",
        ] {
            assert_eq!(of(other).as_deref(), Some("131053"), "{other}");
        }
    }

    #[test]
    fn a_link_that_cannot_be_fetched_is_refused_for_uploads_and_messages() {
        let settings = Settings { refuse_link: Some("gone".into()), ..Settings::default() };
        let refused = upload(&settings, "/v25.0/1/message_attachments", "https://a.example/gone.mp4").unwrap();
        assert_eq!((refused.response.status, refused.kept), (400, None));
        let by_link = |link: &str| message(Played::Messenger, link, 0);
        assert_eq!(code(&settings, &by_link("video https://a.example/gone.mp4")).as_deref(), Some("100/2018008"));
        assert_eq!(code(&settings, &by_link("video https://a.example/1.mp4")), None);
    }

    #[test]
    fn only_telegram_keeps_what_comes_by_link() {
        let call = |played, attachment: &str| Call { attachments: vec![attachment.into()], ..nobody(played) };
        let by_link = call(Played::Telegram, "photo https://a.example/1.png");
        assert_eq!(kept_by_itself(&by_link), Some("https://a.example/1.png"));
        assert_eq!(kept_by_itself(&call(Played::Telegram, "photo kept:7 https://a.example/1.png")), None);
        assert_eq!(kept_by_itself(&call(Played::WhatsApp, "image https://a.example/1.png")), None);
    }
}
