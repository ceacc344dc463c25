//! Who has stopped marketing messages is left out of what may be some, however it was told.

use herald::api::Content;
use herald::delivery::correlation::Correlation;
use herald::delivery::outcome::{Fault, Outcome, PermanentScope};
use herald::delivery::provider_event::{Deed, News, ProviderEvent, Which};
use herald::delivery::recipient::RecipientState::{Failed, Pending, Sent, Skipped};
use herald::delivery::time::Timestamp;
use herald::ledger::{AccountKey, Contact, ContactsFilter, Declaration};

use super::contacts::{send, states};
use super::world::*;

const REASON: &str = "MarketingStopped";

fn of_whatsapp(key: &str, content: &str) -> Declaration {
    let content: Content = serde_json::from_str(content).unwrap();
    Declaration { account: account(), content, ..declaration(key) }
}

fn account() -> AccountKey {
    AccountKey { provider: "whatsapp".into(), ..declaration("any").account }
}

fn campaign(key: &str) -> Declaration {
    of_whatsapp(key, r#"{"whatsapp": {"template": {"name": "sale", "language": "en"}}}"#)
}

fn person_did(number: usize, deed: Deed, at: Timestamp) -> ProviderEvent {
    ProviderEvent::Person { recipient: person(number).recipient, deed, at, message: None }
}

/// The first is refused, the others are taken.
fn first_is_refused(seq: i64) -> Outcome {
    match seq {
        0 => Outcome::Permanent { scope: PermanentScope::MarketingStopped, fault: Fault::new(REASON, None, "words") },
        _ => Outcome::Accepted { provider_id: None },
    }
}

/// Whoever has the tag of those who have stopped.
async fn tagged<L: Backend>(world: &World<L>) -> Vec<String> {
    let page = world.ledger.contacts_page(&account(), None, &ContactsFilter::default()).await.unwrap();
    let stopped = |contact: &Contact| contact.tags.contains("whatsapp-marketing-stopped");
    page.contacts.into_iter().filter(stopped).map(|contact| contact.recipient).collect()
}

pub async fn who_has_stopped_marketing_is_left_out_of_all_but_what_is_declared_to_be_none<L: Backend>(
    world: &World<L>,
) {
    let first = world.planned(&campaign("first"), 4).await;
    send(world, first, first_is_refused).await;
    assert_eq!(states(world, first).await, [Failed, Sent, Sent, Sent]);
    let correlation = Some(Correlation { broadcast: first.0, seq: 1, attempt: 1, part: 0 });
    let failed = ProviderEvent::Message {
        which: Which::One { correlation, provider_id: None },
        recipient: Some(person(1).recipient),
        news: News::Undelivered { reason: REASON.into(), code: Some("131050".into()), marketing_stopped: true },
        at: world.now(),
    };
    let told = [failed, person_did(2, Deed::StoppedMarketing, world.now())];
    let received = world.ledger.receive(&account(), &told).await.unwrap();
    assert_eq!((received.news, received.people), (1, 1));
    assert_eq!(tagged(world).await, [0, 1, 2].map(|number| person(number).recipient));

    let next = world.planned(&campaign("next"), 4).await;
    assert_eq!(states(world, next).await, [Skipped, Skipped, Skipped, Pending]);
    assert_eq!(world.tally(next, Skipped, "OptedOut").await, 3);
    let text = world.planned(&of_whatsapp("text", r#"{"text": "20 % off"}"#), 4).await;
    assert_eq!(states(world, text).await, [Skipped, Skipped, Skipped, Pending]);
    let order = r#"{"whatsapp": {"template": {"name": "order", "language": "en", "category": "Utility"}}}"#;
    let order = world.planned(&of_whatsapp("order", order), 4).await;
    assert_eq!(states(world, order).await, [Pending; 4]);
}

/// Only what the provider's table means by it counts, whatever the reason is called.
pub async fn a_refusal_of_the_same_name_stops_no_marketing<L: Backend>(world: &World<L>) {
    let first = world.planned(&campaign("first"), 2).await;
    let outcome = |seq: i64| match seq {
        0 => Outcome::Permanent { scope: PermanentScope::Recipient, fault: Fault::new(REASON, None, "words") },
        _ => Outcome::Accepted { provider_id: None },
    };
    send(world, first, outcome).await;
    let correlation = Some(Correlation { broadcast: first.0, seq: 1, attempt: 1, part: 0 });
    let failed = ProviderEvent::Message {
        which: Which::One { correlation, provider_id: None },
        recipient: Some(person(1).recipient),
        news: News::Undelivered { reason: REASON.into(), code: None, marketing_stopped: false },
        at: world.now(),
    };
    assert_eq!(world.ledger.receive(&account(), &[failed]).await.unwrap().news, 1);
    assert_eq!(tagged(world).await, Vec::<String>::new());
}

pub async fn who_resumes_marketing_is_messaged_again<L: Backend>(world: &World<L>) {
    // Of people who are not known yet, too.
    let told = [0, 1].map(|number| person_did(number, Deed::StoppedMarketing, world.now()));
    world.ledger.receive(&account(), &told).await.unwrap();
    let one = world.planned(&campaign("one"), 3).await;
    assert_eq!(states(world, one).await, [Skipped, Skipped, Pending]);
    world.ledger.receive(&account(), &[person_did(0, Deed::ResumedMarketing, world.now())]).await.unwrap();
    world.ledger.untag(&account(), &[person(1).recipient], &["whatsapp-marketing-stopped".to_owned()]).await.unwrap();
    assert_eq!(tagged(world).await, Vec::<String>::new());
    let two = world.planned(&campaign("two"), 3).await;
    assert_eq!(states(world, two).await, [Pending; 3]);
}
