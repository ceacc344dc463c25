//! Labels that a page gives to whoever was sent to: all their calls are of the one account.

use herald::api::{MessengerWriteBack, WriteBackTarget};
use herald::delivery::time::Span;
use herald::delivery::write_back::{LABEL_CALLS, LABEL_INTERVAL, LABEL_WINDOW};
use herald::ledger::exchange::BroadcastId;
use herald::ledger::{Declaration, TakeWriteBacks, WriteBack};

use super::world::*;
use super::write_backs::*;

pub fn labelling(key: &str) -> Declaration {
    let labels = vec!["spring-sale".to_owned(), "vip".to_owned()];
    Declaration { write_backs: vec![WriteBack::Messenger(MessengerWriteBack { labels })], ..declaration(key) }
}

pub async fn what_a_sender_asks_beside_giving_labels_is_of_the_accounts_pace_too<L: Backend>(world: &World<L>) {
    let (one, two) = (world.planned(&labelling("one"), 1).await, world.planned(&labelling("two"), 40).await);
    send_all(world, one, &accepted()).await;
    send_all(world, two, &accepted()).await;
    let page = async |broadcast: BroadcastId, holder: &str| {
        let request = TakeWriteBacks { broadcast, holder: holder.to_owned(), target: WriteBackTarget::Messenger };
        world.ledger.take_write_backs(&request).await.unwrap()
    };
    // Two calls for one person: the time is enough to list the page's labels, and to make some.
    let first = page(one, "one").await;
    assert_eq!((first.people.len(), first.calls_until), (1, Some(world.now() + LABEL_WINDOW)));
    let second = page(two, "two").await;
    assert_eq!((second.people.len(), second.next_at, second.calls_until), (0, first.calls_until, None));
    world.pass(LABEL_WINDOW);
    assert_eq!(page(two, "two").await.calls_until, Some(world.now() + LABEL_WINDOW));
}

pub async fn who_is_owed_nothing_waits_for_no_turn<L: Backend>(world: &World<L>) {
    let (one, two) = (world.planned(&labelling("one"), 1).await, world.planned(&labelling("two"), 1).await);
    send_all(world, one, &accepted()).await;
    let page = async |broadcast: BroadcastId| {
        let holder = "writer".to_owned();
        let request = TakeWriteBacks { broadcast, holder, target: WriteBackTarget::Messenger };
        world.ledger.take_write_backs(&request).await.unwrap()
    };
    assert_eq!(page(one).await.people.len(), 1);
    assert_eq!(page(two).await.next_at, None);
}

pub async fn labels_are_given_at_the_pace_of_the_account_whichever_broadcast_they_are_of<L: Backend>(world: &World<L>) {
    let (one, two) = (world.planned(&labelling("one"), 40).await, world.planned(&labelling("two"), 40).await);
    send_all(world, one, &accepted()).await;
    send_all(world, two, &accepted()).await;
    let page = async |broadcast: BroadcastId, holder: &str| {
        let request = TakeWriteBacks { broadcast, holder: holder.to_owned(), target: WriteBackTarget::Messenger };
        let page = world.ledger.take_write_backs(&request).await.unwrap();
        (page.people.len(), page.next_at)
    };
    let (calls, began) = (LABEL_CALLS as i64, world.now());
    assert_eq!(page(one, "one").await, (LABEL_CALLS / 2, None), "two calls for each of them");
    let free_at = began + Span(LABEL_INTERVAL.0 * calls);
    assert_eq!(page(two, "two").await, (0, Some(free_at)));
    assert_eq!(page(one, "one").await, (0, Some(free_at)), "nor to the one that has asked before");
    world.pass(Span(LABEL_INTERVAL.0 * calls) - Span(1));
    assert_eq!(page(two, "two").await, (0, Some(free_at)));
    world.pass(Span(1));
    assert_eq!(page(two, "two").await, (LABEL_CALLS / 2, None));
    // A database waits for no labels.
    let other = world.planned(&writing("three"), 5).await;
    send_all(world, other, &accepted()).await;
    assert_eq!(take(world, other, "writer").await.len(), 5);
}

pub async fn nobody_is_labelled_while_the_account_is_held<L: Backend>(world: &World<L>) {
    let mut both = labelling("one");
    both.write_backs.push(sql(STATEMENT));
    let broadcast = world.planned(&both, 100).await;
    let mut sender = Sender::proven(world, "sender", broadcast).await;
    let rows = sender.take(world, 5).await;
    world.pass(Span::from_millis(100));
    sender.tell(world, reports(&rows, &account_throttled(Some(Span::from_secs(2))))).await;
    let held_until = world.now() + Span::from_secs(2);
    let request = TakeWriteBacks { broadcast, holder: "one".to_owned(), target: WriteBackTarget::Messenger };
    let page = world.ledger.take_write_backs(&request).await.unwrap();
    assert_eq!((page.people, page.next_at), (vec![], Some(held_until)));
    assert_eq!(take(world, broadcast, "writer").await.len(), 1, "a database is another matter");
    world.pass(Span::from_secs(2));
    assert_eq!(world.ledger.take_write_backs(&request).await.unwrap().people.len(), 1);
}
