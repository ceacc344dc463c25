//! Attachments that a provider keeps for an account.

use herald::api::content::MAX_ATTACHMENTS;
use herald::delivery::time::Span;
use herald::ledger::attachments::HANDLE_MARGIN;
use herald::ledger::exchange::BroadcastId;
use herald::ledger::{AttachmentsRequest, Declaration, LedgerError, UploadedAttachment};

use super::world::*;

const LIVES: Span = Span::from_secs(90 * 24 * 60 * 60);

fn request(broadcast: BroadcastId, asked: &[&str]) -> AttachmentsRequest {
    let asked = asked.iter().map(|attachment| (*attachment).to_owned()).collect();
    AttachmentsRequest { broadcast, uploaded: Vec::new(), gone: Vec::new(), asked }
}

fn uploaded(broadcast: BroadcastId, attachment: &str, handle: &str) -> AttachmentsRequest {
    let uploaded = vec![UploadedAttachment { attachment: attachment.into(), handle: handle.into(), lives: LIVES }];
    AttachmentsRequest { uploaded, ..request(broadcast, &[attachment]) }
}

async fn handles<L: Backend>(world: &World<L>, request: &AttachmentsRequest) -> Vec<String> {
    world.ledger.attachments(request).await.unwrap().into_iter().map(|kept| kept.handle).collect()
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
    let many: Vec<String> = (0..=MAX_ATTACHMENTS).map(|number| number.to_string()).collect();
    let asked = AttachmentsRequest { asked: many, ..request(one, &[]) };
    assert!(matches!(world.ledger.attachments(&asked).await, Err(LedgerError::RequestTooLarge { .. })));
}
