//! What people want, as call-backs tell it: late, in any order, and more than once.

use herald::delivery::provider_event::{Deed, MAX_EVENTS, ProviderEvent};
use herald::delivery::time::Span;
use herald::ledger::ContactsFilter;
use herald::ledger::people::{MAX_WISHES, WISHES_KEPT_FOR};

use super::receipts::receive;
use super::world::*;

/// Whether the first person is known to have opted out.
async fn is_out<L: Backend>(world: &World<L>) -> bool {
    let filter = ContactsFilter { opted_out: true, ..ContactsFilter::default() };
    let page = world.ledger.contacts_page(&declaration("one").account, None, &filter).await.unwrap();
    page.contacts.iter().any(|contact| contact.recipient == person(0).recipient && contact.opted_out.is_some())
}

pub async fn an_older_wish_undoes_no_newer_one_however_often_it_is_told<L: Backend>(world: &World<L>) {
    world.planned(&declaration("one"), 1).await;
    let begin = world.now();
    let deed = |deed, at| ProviderEvent::person(person(0).recipient, deed, begin + Span::from_secs(at));
    let account = declaration("one").account;
    world.pass(Span::from_secs(100));
    for (told, out) in [
        // Of somebody who is not known yet, in the wrong order.
        (deed(Deed::OptedIn, 5), false),
        (deed(Deed::OptedOut, 4), false),
        (deed(Deed::OptedOut, 6), true),
        (deed(Deed::OptedIn, 5), true),
        // Again and later, so what came between is past.
        (deed(Deed::OptedOut, 8), true),
        (deed(Deed::OptedIn, 7), true),
        (deed(Deed::OptedIn, 9), false),
        (deed(Deed::OptedOut, 8), false),
        // Of two at one time the one for no messages.
        (deed(Deed::OptedOut, 9), true),
        (deed(Deed::OptedIn, 9), true),
    ] {
        receive(world, std::slice::from_ref(&told)).await;
        assert_eq!(is_out(world).await, out, "{told:?}");
    }
    // What is done by hand is of now.
    world.ledger.opt_in(&account, &[person(0).recipient]).await.unwrap();
    receive(world, &[deed(Deed::OptedOut, 99)]).await;
    assert!(!is_out(world).await);
    receive(world, &[deed(Deed::OptedOut, 500)]).await;
    assert!(is_out(world).await, "a clock that is ahead tells of now");
    world.pass(Span::from_secs(1));
    world.ledger.opt_out(&account, &[person(0).recipient], "OptedOut").await.unwrap();
    receive(world, &[deed(Deed::OptedIn, 100)]).await;
    assert!(is_out(world).await, "asked for by hand after that, though they were out before");
    receive(world, &[deed(Deed::OptedIn, 500)]).await;
    assert!(is_out(world).await);
    world.pass(Span::from_secs(1));
    receive(world, &[deed(Deed::OptedIn, 500)]).await;
    assert!(!is_out(world).await);
}

pub async fn a_wish_that_is_told_without_a_time_counts_once_by_its_message<L: Backend>(world: &World<L>) {
    world.planned(&declaration("one"), 1).await;
    let say = async |deed, message: &str| {
        world.pass(Span::from_secs(1));
        let (recipient, message) = (person(0).recipient, Some(message.to_owned()));
        receive(world, &[ProviderEvent::Person { recipient, deed, at: world.now(), message }]).await;
        is_out(world).await
    };
    let (stop, start) = (Deed::OptedOut, Deed::OptedIn);
    assert!(!say(start, "SM1").await && say(stop, "SM2").await);
    // Whoever kept the call tells it anew, with a signature that is as good as ever.
    for _ in 0..3 {
        assert!(say(start, "SM1").await, "an old opt-in undoes no newer opt-out");
    }
    assert!(!say(start, "SM3").await);
    assert!(!say(stop, "SM2").await, "nor an old opt-out a newer opt-in");
    // In one call they are told apart as well.
    let both = [(stop, "SM4"), (start, "SM1")].map(|(deed, message)| ProviderEvent::Person {
        recipient: person(0).recipient,
        deed,
        at: world.now(),
        message: Some(message.to_owned()),
    });
    world.pass(Span::from_secs(1));
    receive(world, &both).await;
    assert!(is_out(world).await);

    // More than anybody has: who wants nothing is believed.
    for number in 5..=MAX_WISHES {
        say(start, &format!("SM{number}")).await;
    }
    assert!(say(stop, "SM-stop").await);
    assert!(say(start, "SM-start").await);
    world.pass(WISHES_KEPT_FOR);
    world.maintain_all().await;
    assert!(!say(start, "SM-late").await, "after years there is room for more");
}

/// Of one call: more than are looked up or written by one statement, among them some twice.
pub async fn many_wishes_of_one_call_count_once_each_by_their_messages<L: Backend>(world: &World<L>) {
    let wish = |number: usize, deed, message: String| ProviderEvent::Person {
        recipient: person(number).recipient,
        deed,
        at: world.now(),
        message: Some(message),
    };
    let opt_outs = || (0..600).map(|number| wish(number % 400, Deed::OptedOut, format!("SM{}", number % 400)));
    let opt_ins = || (0..300).map(|number| wish(number, Deed::OptedIn, format!("IN{number}")));
    let gone = async || {
        let filter = ContactsFilter { opted_out: true, ..ContactsFilter::default() };
        let page = world.ledger.contacts_page(&declaration("one").account, None, &filter).await.unwrap();
        page.contacts.iter().filter(|contact| contact.opted_out.is_some()).count()
    };
    receive(world, &Vec::from_iter(opt_outs())).await;
    assert_eq!(gone().await, 400);
    world.pass(Span::from_secs(1));
    receive(world, &Vec::from_iter(opt_ins())).await;
    assert_eq!(gone().await, 100);
    world.pass(Span::from_secs(1));
    receive(world, &Vec::from_iter(opt_outs().chain(opt_ins()))).await;
    assert_eq!(gone().await, 100, "what was told before is no news");
}

pub async fn wishes_are_forgotten_by_upkeep_in_slices_once_they_are_kept_no_longer<L: Backend>(world: &World<L>) {
    let wish = |number: usize| ProviderEvent::Person {
        recipient: format!("person-{}", number / 100),
        deed: Deed::OptedIn,
        at: world.now(),
        message: Some(format!("SM{number}")),
    };
    let told: Vec<ProviderEvent> = (0..6_000).map(wish).collect();
    for call in told.chunks(MAX_EVENTS) {
        receive(world, call).await;
    }
    world.pass(WISHES_KEPT_FOR);
    assert!(!world.maintain().await, "all of them are kept");
    let stop = [ProviderEvent::person(person(0).recipient, Deed::OptedOut, world.now())];
    receive(world, &stop).await;
    world.pass(Span::from_secs(1));
    let tell_anew = async || {
        let anew = ProviderEvent::Person {
            recipient: person(0).recipient,
            deed: Deed::OptedIn,
            at: world.now(),
            message: Some("SM0".to_owned()),
        };
        receive(world, &[anew]).await;
        is_out(world).await
    };
    assert!(tell_anew().await, "it is known until then");
    let mut slices = 0;
    while world.maintain().await {
        slices += 1;
    }
    assert_eq!(slices, 2, "five thousand and the rest");
    assert!(!tell_anew().await, "it is news again");
}
