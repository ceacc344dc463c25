//! Attachments that a provider keeps for an account.

use herald::api::content::MAX_ATTACHMENTS;
use herald::delivery::time::Span;
use herald::ledger::attachments::{GIVEN_UP_FOR, HANDLE_MARGIN, UPLOAD_LEASE};
use herald::ledger::exchange::BroadcastId;
use herald::ledger::{
    AskedAttachment, AttachmentPlace, AttachmentsRequest, Declaration, LedgerError, UploadedAttachment,
};

use super::world::*;

const LIVES: Span = Span::from_secs(90 * 24 * 60 * 60);

fn request(broadcast: BroadcastId, asked: &[&str]) -> AttachmentsRequest {
    let asked = asked.iter().map(|attachment| asked_for(attachment, false)).collect();
    let (uploaded, gone, given_up) = (Vec::new(), Vec::new(), Vec::new());
    AttachmentsRequest { broadcast, holder: "one".into(), uploaded, gone, given_up, asked }
}

fn asked_for(attachment: &str, uploads: bool) -> AskedAttachment {
    AskedAttachment { attachment: attachment.to_owned(), uploads }
}

fn uploaded(broadcast: BroadcastId, attachment: &str, handle: &str) -> AttachmentsRequest {
    let uploaded = vec![UploadedAttachment { attachment: attachment.into(), handle: handle.into(), lives: LIVES }];
    AttachmentsRequest { uploaded, ..request(broadcast, &[attachment]) }
}

async fn handles<L: Backend>(world: &World<L>, request: &AttachmentsRequest) -> Vec<String> {
    let kept = |place| match place {
        AttachmentPlace::Kept { handle } => handle,
        other => panic!("{other:?}"),
    };
    world.ledger.attachments(request).await.unwrap().into_iter().map(|told| kept(told.place)).collect()
}

/// What a sender is told that would upload the film.
async fn uploading<L: Backend>(world: &World<L>, broadcast: BroadcastId, holder: &str) -> AttachmentPlace {
    let asked = vec![asked_for("film", true)];
    let request = AttachmentsRequest { holder: holder.into(), asked, ..request(broadcast, &[]) };
    let told = world.ledger.attachments(&request).await.unwrap();
    assert_eq!((told.len(), told[0].attachment.as_str()), (1, "film"));
    told.into_iter().next().unwrap().place
}

fn kept(handle: &str) -> AttachmentPlace {
    AttachmentPlace::Kept { handle: handle.into() }
}

/// By another sender, for so many seconds yet.
fn elsewhere(seconds: i64) -> AttachmentPlace {
    AttachmentPlace::Uploading { lease_left: Span::from_secs(seconds) }
}

pub async fn what_was_uploaded_is_known_to_every_broadcast_of_the_account_and_to_no_other<L: Backend>(
    world: &World<L>,
) {
    let one = world.declare(&declaration("one")).await.id;
    let two = world.declare(&declaration("two")).await.id;
    let mut other = declaration("other");
    other.account.account = "another page".into();
    let other = world.declare(&Declaration { ..other }).await.id;
    assert_eq!(handles(world, &request(one, &["film"])).await, Vec::<String>::new());
    assert_eq!(handles(world, &uploaded(one, "film", "1")).await, ["1"]);
    assert_eq!(handles(world, &request(two, &["picture", "film"])).await, ["1"]);
    assert_eq!(handles(world, &request(other, &["film"])).await, Vec::<String>::new());
    assert_eq!(handles(world, &uploaded(two, "film", "2")).await, ["2"], "a second upload takes its place");
}

pub async fn what_is_gone_or_about_to_end_is_uploaded_anew<L: Backend>(world: &World<L>) {
    let one = world.declare(&declaration("one")).await.id;
    handles(world, &uploaded(one, "film", "1")).await;
    handles(world, &uploaded(one, "picture", "2")).await;
    let gone = AttachmentsRequest { gone: vec!["1".into()], ..request(one, &["film", "picture"]) };
    assert_eq!(handles(world, &gone).await, ["2"]);
    world.pass(LIVES - HANDLE_MARGIN - Span::from_secs(1));
    assert_eq!(handles(world, &request(one, &["picture"])).await, ["2"]);
    world.pass(Span::from_secs(1));
    assert_eq!(handles(world, &request(one, &["picture"])).await, Vec::<String>::new());
}

pub async fn no_more_attachments_are_told_than_a_message_has<L: Backend>(world: &World<L>) {
    let one = world.declare(&declaration("one")).await.id;
    let many = (0..=MAX_ATTACHMENTS).map(|number| asked_for(&number.to_string(), false)).collect();
    let asked = AttachmentsRequest { asked: many, ..request(one, &[]) };
    assert!(matches!(world.ledger.attachments(&asked).await, Err(LedgerError::RequestTooLarge { .. })));
}

pub async fn an_upload_is_one_senders_while_that_one_says_so_and_then_the_next_ones<L: Backend>(world: &World<L>) {
    let id = world.declare(&declaration("one")).await.id;
    let second = Span::from_secs(1);
    assert_eq!(uploading(world, id, "one").await, AttachmentPlace::Granted);
    world.pass(UPLOAD_LEASE - second);
    assert_eq!(uploading(world, id, "two").await, elsewhere(1));
    assert_eq!(uploading(world, id, "one").await, AttachmentPlace::Granted, "it is renewed");
    world.pass(second);
    assert_eq!(uploading(world, id, "two").await, elsewhere(14));
    world.pass(UPLOAD_LEASE - second);
    assert_eq!(uploading(world, id, "two").await, AttachmentPlace::Granted, "the first was lost");
    // Late, and as good as any.
    handles(world, &uploaded(id, "film", "1")).await;
    assert_eq!(uploading(world, id, "two").await, kept("1"));
    let gone = AttachmentsRequest { gone: vec!["1".into()], ..request(id, &[]) };
    handles(world, &gone).await;
    assert_eq!(uploading(world, id, "one").await, AttachmentPlace::Granted, "nobody is at it who was told of a handle");
}

pub async fn an_upload_that_is_given_up_is_so_for_all_who_ask_within_a_while<L: Backend>(world: &World<L>) {
    let id = world.declare(&declaration("one")).await.id;
    assert_eq!(uploading(world, id, "one").await, AttachmentPlace::Granted);
    let given_up = |holder: &str| AttachmentsRequest {
        holder: holder.into(),
        given_up: vec!["film".into()],
        ..request(id, &["film"])
    };
    handles(world, &given_up("two")).await;
    assert_eq!(uploading(world, id, "two").await, elsewhere(15), "it is not another's to give up");
    handles(world, &given_up("one")).await;
    assert_eq!(
        uploading(world, id, "one").await,
        AttachmentPlace::GivenUp,
        "a late word that it goes on changes nothing"
    );
    world.pass(GIVEN_UP_FOR - Span::from_secs(1));
    assert_eq!(uploading(world, id, "two").await, AttachmentPlace::GivenUp);
    world.pass(Span::from_secs(1));
    assert_eq!(uploading(world, id, "two").await, AttachmentPlace::Granted);
    handles(world, &uploaded(id, "film", "1")).await;
    assert_eq!(uploading(world, id, "one").await, kept("1"));
}

pub async fn a_clock_set_back_keeps_nobody_from_an_upload<L: Backend>(world: &World<L>) {
    let id = world.declare(&declaration("one")).await.id;
    world.pass(Span::from_secs(60 * 60));
    assert_eq!(uploading(world, id, "one").await, AttachmentPlace::Granted);
    world.pass(Span::from_secs(-1));
    assert_eq!(
        uploading(world, id, "two").await,
        elsewhere(15),
        "whoever reads the clock a little earlier takes nothing"
    );
    world.pass(Span::from_secs(-60 * 60));
    assert_eq!(uploading(world, id, "two").await, AttachmentPlace::Granted);
}

pub async fn an_upload_of_two_who_ask_at_once_is_one_senders<L: Backend>(world: &World<L>) {
    let id = world.declare(&declaration("one")).await.id;
    let names: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    let told = futures::future::join_all(names.iter().map(|name| uploading(world, id, name))).await;
    let granted = told.iter().filter(|place| **place == AttachmentPlace::Granted).count();
    assert_eq!(granted, 1, "{told:?}");
}
