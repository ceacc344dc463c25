//! Against a simulated page.
#![cfg(test)]

use clap::Parser;
use secrecy::SecretString;

use super::*;
use crate::delivery::outcome::{PermanentScope, ThrottleScope};
use crate::delivery::write_back::LABEL_WINDOW;
use crate::provider::messenger::{Messenger, MessengerAccount};
use crate::simulator::{Simulator, SimulatorOptions};

fn of(outcome: Outcome) -> (bool, String, Option<u64>) {
    match failed(outcome) {
        Failed::One(fault) => (false, fault.reason, None),
        Failed::All(PutOff { fault, retry_after_ms }) => (true, fault.reason, retry_after_ms),
        Failed::Over => unreachable!("an answer was given in time"),
    }
}

#[tokio::test(start_paused = true)]
async fn calls_take_turns_at_the_accounts_pace_none_is_made_up_for_and_none_comes_after_the_end() {
    let begun = Instant::now();
    let turns = Turns::until(begun + Duration::from_millis(1_000));
    let interval = LABEL_INTERVAL.to_duration();
    // Four at once want theirs, as calls do that are on the way together.
    let mut taken = Vec::new();
    let turn = async || turns.next().await.then(|| begun.elapsed());
    taken.extend(futures::future::join_all((0..4).map(|_| turn())).await);
    tokio::time::sleep(Duration::from_millis(450)).await;
    taken.extend(futures::future::join_all((0..4).map(|_| turn())).await);
    let taken: Vec<Duration> = taken.into_iter().flatten().collect();
    assert!(taken.windows(2).all(|pair| pair[1] - pair[0] >= interval), "{taken:?}");
    assert_eq!(taken.len(), 7, "{taken:?}: the eighth would come when the time is over");
    assert!(!turns.next().await);
}

#[test]
fn a_long_list_is_gone_on_with_and_has_an_end() {
    let listed = |name: &str, after: Option<&str>| ListedLabels {
        labels: vec![(format!("id of {name}"), name.to_owned())],
        after: after.map(str::to_owned),
    };
    let mut known = KnownLabels::default();
    known.add(listed("vip", Some("A")));
    assert_eq!((known.after.as_deref(), known.is_whole), (Some("A"), false));
    known.add(listed("sale", None));
    assert!(known.is_whole && known.ids.len() == 2);
    known.begin_anew();
    (0..MOST_LISTS).for_each(|_| known.add(listed("vip", Some("B"))));
    assert!(known.is_whole, "a list that does not end is left");
}

#[test]
fn what_one_call_meets_holds_up_others_only_where_they_would_meet_it_too() {
    let fault = |reason: &str| Fault::new(reason, None, "words");
    let one = |reason: &str| (false, reason.to_owned(), None);
    let all = |reason: &str, wish| (true, reason.to_owned(), wish);
    let permanent = |scope| Outcome::Permanent { scope, fault: fault("WrongPage") };
    assert_eq!(of(permanent(PermanentScope::Recipient)), one("WrongPage"));
    assert_eq!(of(permanent(PermanentScope::Message)), one("WrongPage"));
    assert_eq!(of(Outcome::Transient { cap: None, fault: fault("Temporary") }), one("Temporary"));
    assert_eq!(of(Outcome::Unknown { fault: fault("UnreadableAnswer") }), one("UnreadableAnswer"));
    assert_eq!(of(Outcome::Unknown { fault: fault("NoAnswer") }), all("WriteBackUnreachable", None));
    assert_eq!(of(Outcome::NotSent { fault: fault("NotSent") }), all("WriteBackUnreachable", None));
    assert_eq!(of(Outcome::Auth { fault: fault("TokenInvalid") }), all("TokenInvalid", None));
    assert_eq!(of(Outcome::Blocked { fault: fault("TemporarilyBlocked") }), all("TemporarilyBlocked", None));
    let throttled =
        Outcome::Throttled { scope: ThrottleScope::Account, retry_after_ms: Some(9), fault: fault("PageRateLimit") };
    assert_eq!(of(throttled), all("PageRateLimit", Some(9)));
}

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    options: SimulatorOptions,
}

/// A simulated page; ends with the test.
async fn page() -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = ["simulator", "--listen", "127.0.0.1:0"];
    let simulator = Simulator::bind(CommandLine::try_parse_from(arguments).unwrap().options).await.unwrap();
    let url = format!("http://{}", simulator.address());
    tokio::spawn(simulator.run(std::future::pending::<()>()));
    url
}

/// The page's account for so long.
fn account(url: &str, for_so_long: Duration) -> Account {
    let provider = Messenger::new(MessengerAccount {
        page_id: "1029".into(),
        api_version: "v25.0".into(),
        base_url: url.into(),
        access_token: SecretString::from("EAAB"),
        app_secret: None,
    });
    let provider: Arc<dyn Provider> = Arc::new(provider.unwrap());
    let transport = Transport::new(provider.endpoint()).unwrap();
    Account { provider, transport, turns: Turns::until(Instant::now() + for_so_long) }
}

async fn labels_of(url: &str) -> usize {
    let asked = Request::get(format!("{url}/_simulator/labels")).body(Bytes::new()).unwrap();
    let told = account(url, Duration::from_secs(60)).transport.ask(asked, CALL_TIMEOUT).await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(told.answer().body).unwrap();
    told["labels"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_label_that_another_broadcast_makes_between_two_turns_is_not_made_again() {
    let url = page().await;
    let names = ["vip".to_owned()];
    let (mut one, mut other) = (KnownLabels::default(), KnownLabels::default());
    let (long, short) = (Duration::from_secs(60), CREATE_WITHIN - Duration::from_millis(1));
    let ids = async |known: &mut KnownLabels, for_so_long| {
        let account = account(&url, for_so_long);
        known.ids(&account, account.provider.labels().unwrap(), &names).await.ok()
    };
    // A machine that stands still may have no time for the list either.
    while !one.is_whole {
        assert_eq!(ids(&mut one, short).await, None, "there is no time to make it");
    }
    assert_eq!(labels_of(&url).await, 0);
    let made = ids(&mut other, long).await;
    assert_eq!(ids(&mut one, long).await, made);
    assert_eq!((made.map(|ids| ids.len()), labels_of(&url).await), (Some(1), 1));
}

#[test]
fn a_list_that_leaves_no_time_to_make_a_label_is_begun_anew_once_and_then_gone_by() {
    let mut known = KnownLabels::default();
    known.go_on();
    known.add(ListedLabels::default());
    assert!(!known.begin_anew_if_stale(), "it was read in this very turn");
    known.go_on();
    assert!(known.begin_anew_if_stale() && !known.is_whole);
    known.add(ListedLabels::default());
    known.go_on();
    assert!(!known.begin_anew_if_stale(), "else the label would never be made");
    assert!(CREATE_WITHIN < LABEL_WINDOW.to_duration(), "there is time to make one at all");
}
