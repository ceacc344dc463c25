use secrecy::SecretString;

use super::*;
use crate::api::content::AttachmentType;
use crate::provider::telegram::{Telegram, TelegramAccount};
use crate::provider::whatsapp::{WhatsApp, WhatsAppAccount};

const LIVES: Span = Span::from_secs(60);

fn telegram() -> Telegram {
    Telegram::new(TelegramAccount {
        bot_id: "123".into(),
        base_url: "https://api.telegram.org".into(),
        bot_token: SecretString::from("123:ABC"),
        allow_paid_broadcast: false,
    })
    .unwrap()
}

fn whatsapp() -> WhatsApp {
    WhatsApp::new(WhatsAppAccount {
        phone_number_id: "106540352242922".into(),
        api_version: "v25.0".into(),
        base_url: "https://graph.facebook.com".into(),
        access_token: SecretString::from("EAAB"),
        app_secret: None,
    })
    .unwrap()
}

fn picture(url: &str) -> Attachment {
    Attachment { kind: AttachmentType::Image, url: url.into() }
}

const ONE: &str = "https://a.example/1.png";
const TWO: &str = "https://a.example/2.png";

/// With the ledger asked, which knew of nothing.
fn uploads(provider: &dyn Provider) -> Uploads {
    let content = Content { attachments: vec![picture(ONE), picture(TWO)], ..Content::default() };
    let mut uploads = Uploads::of(BroadcastId(7), "one", &content, provider);
    assert!(!uploads.are_ready(), "what other senders have told comes first");
    uploads.is_ready = true;
    uploads
}

fn handle(name: &str) -> Handle {
    Handle { name: name.into(), lives: LIVES }
}

fn named(uploads: &Uploads, url: &str) -> Named {
    uploads.name(&picture(url))
}

#[test]
fn the_first_answer_tells_the_handle_and_the_ledger_is_told_once() {
    let mut uploads = uploads(&telegram());
    assert_eq!(named(&uploads, ONE), Named::Asking(picture(ONE)));
    uploads.learn(&picture(ONE), handle("a"));
    uploads.learn(&picture(ONE), handle("b"));
    uploads.learn(&picture("https://a.example/unknown.png"), handle("c"));
    assert_eq!(named(&uploads, ONE), Named::Handle("a".into()));
    assert_eq!(named(&uploads, TWO), Named::Asking(picture(TWO)));
    assert_eq!(named(&uploads, "https://a.example/unknown.png"), Named::Link);
    let learned: Vec<&str> = uploads.learned.iter().map(|learned| learned.handle.as_str()).collect();
    assert_eq!(learned, ["a"]);
    uploads.learn(&picture(TWO), handle(&"x".repeat(MAX_HANDLE + 1)));
    assert_eq!(named(&uploads, TWO), Named::Asking(picture(TWO)), "more than the ledger keeps");
}

#[test]
fn what_is_kept_by_itself_and_gone_goes_by_its_link_and_is_learned_anew() {
    let mut uploads = uploads(&telegram());
    uploads.learn(&picture(ONE), handle("a"));
    uploads.learn(&picture(TWO), handle("b"));
    uploads.renew("a");
    uploads.renew("a");
    assert_eq!((uploads.renewals, &uploads.gone[..]), (1, &["a".to_owned()][..]), "the second was on its way");
    assert!(uploads.are_ready(), "nobody waits");
    assert_eq!((named(&uploads, ONE), named(&uploads, TWO)), (Named::Asking(picture(ONE)), Named::Handle("b".into())));
    let learned: Vec<&str> = uploads.learned.iter().map(|learned| learned.handle.as_str()).collect();
    assert_eq!(learned, ["b"], "what is gone is not told");
    uploads.learn(&picture(ONE), handle("c"));
    assert_eq!(named(&uploads, ONE), Named::Handle("c".into()));
}

#[test]
fn a_provider_that_forgets_at_once_is_given_links() {
    let mut uploads = uploads(&telegram());
    for number in 0..=MAX_RENEWALS {
        let name = format!("f{number}");
        uploads.learn(&picture(ONE), handle(&name));
        uploads.renew(&name);
    }
    assert_eq!(named(&uploads, ONE), Named::Link);
    uploads.learn(&picture(ONE), handle("late"));
    assert_eq!((named(&uploads, ONE), uploads.are_ready()), (Named::Link, true));
}

#[test]
fn messages_wait_for_what_must_be_uploaded_anew_and_for_nothing_else() {
    let mut uploads = uploads(&whatsapp());
    assert_eq!(named(&uploads, ONE), Named::Link, "it could not be uploaded");
    let (one, two) = (uploads.wanted[0].key.clone(), uploads.wanted[1].key.clone());
    uploads.handles = Handles::from([(one, "a".to_owned()), (two, "b".to_owned())]);
    uploads.renew("a");
    assert!(!uploads.are_ready());
    assert_eq!(named(&uploads, TWO), Named::Handle("b".into()));
}

#[tokio::test]
async fn what_was_found_gone_while_the_ledger_was_asked_is_not_known_again_by_its_answer() {
    for (provider, is_ready) in [(&telegram() as &dyn Provider, true), (&whatsapp(), false)] {
        let mut uploads = uploads(provider);
        let key = uploads.wanted[0].key.clone();
        uploads.handles.insert(key.clone(), "a".to_owned());
        uploads.task = Some(tokio::spawn(async move { Ok(Handles::from([(key, "a".to_owned())])) }));
        uploads.renew("a");
        uploads.done().await.unwrap();
        assert_ne!(named(&uploads, ONE), Named::Handle("a".into()));
        assert_eq!(uploads.are_ready(), is_ready, "{}", provider.name());
    }
}
