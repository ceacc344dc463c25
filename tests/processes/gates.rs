//! A run at 300 a second whose gate closes half way: who is asked for afterwards, and what goes on when it opens.

use std::collections::BTreeSet;

use herald::delivery::gate::Closed;
use herald::delivery::recipient::RecipientState;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::{Clock, SystemClock};
use herald::ledger::{BroadcastId, Declaration, Inspect, Ledger};
use herald::sender::Left;
use herald::simulator::record::OwnedLine;

use super::sender_pod::stage::{Pod, Stage};

const RATE: u32 = 300;
const PEOPLE: usize = 900;
/// After the gate has closed nothing reaches the provider later than this.
const CLOSED_WITHIN: Span = Span::from_secs(2);

struct Run {
    stage: Stage,
    broadcast: BroadcastId,
    pods: [Pod; 2],
}

impl Run {
    async fn open() -> Run {
        let stage = Stage::open(&["--latency", "100"]).await;
        let broadcast = stage.ledger.declare(&wish(&stage, 1)).await.unwrap().id;
        let pods = [stage.pod("one"), stage.pod("two")];
        Run { stage, broadcast, pods }
    }

    /// Sends with two pods and closes the gate half way. Whoever is asked for afterwards was in a sender's hands then; in the
    /// end nobody is. The provider takes so long to answer that no answer is recorded between the closing and the look.
    async fn until_closed(&self, close: impl AsyncFnOnce(), reason: Closed) {
        let Run { stage, broadcast, pods } = self;
        let processes = pods.each_ref().map(|pod| pod.start(&stage.ledger, *broadcast));
        stage.await_requests(PEOPLE / 3).await;
        close().await;
        let closed_at = SystemClock.now();
        let rows = stage.ledger.deliveries(*broadcast, 0, u32::MAX).await.unwrap();
        let in_hands: BTreeSet<String> = rows
            .into_iter()
            .filter(|row| row.state == RecipientState::Inflight)
            .map(|row| format!("{}:{}:{}:0", broadcast.0, row.seq, row.attempt))
            .collect();
        for process in processes {
            assert_eq!(process.await.unwrap().unwrap(), Left::Closed(reason));
        }
        let after: Vec<OwnedLine> = stage.requests().into_iter().filter(|line| came_at(line) > closed_at).collect();
        let taken_later = |line: &&OwnedLine| !in_hands.contains(&**line.correlation.as_ref().unwrap());
        assert_eq!(after.iter().filter(taken_later).count(), 0, "somebody was taken after the gate had closed");
        let late = after.iter().filter(|line| came_at(line) > closed_at + CLOSED_WITHIN).count();
        assert_eq!(late, 0, "later than two seconds");
        let counts = stage.snapshot(*broadcast).await.counts;
        assert_eq!((counts.inflight, counts.unknown), (0, 0));
        assert_eq!(counts.sent as usize, stage.requests().len());
        assert!(stage.requests().len() < PEOPLE, "it was not half way");
    }

    /// Exactly the rest is sent, each of them once.
    async fn goes_on_to_the_end(&self) {
        let Run { stage, broadcast, pods } = self;
        let [one, other] = pods.each_ref().map(|pod| pod.run(&stage.ledger, *broadcast));
        let (one, other) = tokio::join!(one, other);
        for left in [one, other] {
            assert_eq!(left.unwrap(), Left::Closed(Closed::Complete));
        }
        assert_eq!(stage.snapshot(*broadcast).await.counts.sent as usize, PEOPLE);
        assert_eq!(stage.requests().len(), PEOPLE);
        stage.judge(*broadcast).await;
    }
}

fn wish(stage: &Stage, generation: i64) -> Declaration {
    stage.declaration(generation, RATE, Stage::to_people(PEOPLE))
}

fn came_at(line: &OwnedLine) -> Timestamp {
    Timestamp(line.time_ns as i64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_leaves_only_who_was_in_a_senders_hands_and_a_resume_sends_exactly_the_rest() {
    let run = Run::open().await;
    let (ledger, stage) = (&run.stage.ledger, &run.stage);
    let pause = async || drop(ledger.declare(&Declaration { suspended: true, ..wish(stage, 2) }).await.unwrap());
    run.until_closed(pause, Closed::Suspended).await;
    ledger.declare(&wish(stage, 3)).await.unwrap();
    run.goes_on_to_the_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_leaves_only_who_was_in_a_senders_hands_and_skips_the_rest_for_good() {
    let run = Run::open().await;
    let (ledger, stage) = (&run.stage.ledger, &run.stage);
    let cancel = async || drop(ledger.declare(&Declaration { cancelled: true, ..wish(stage, 2) }).await.unwrap());
    run.until_closed(cancel, Closed::Cancelled).await;
    while ledger.maintain().await.unwrap() {}
    let sent = stage.requests().len();
    ledger.declare(&wish(stage, 3)).await.unwrap();
    assert_eq!(run.pods[0].run(ledger, run.broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    let counts = stage.snapshot(run.broadcast).await.counts;
    assert_eq!((counts.sent as usize, counts.skipped as usize), (sent, PEOPLE - sent));
    assert_eq!(stage.requests().len(), sent);
    stage.judge(run.broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_it_stops_and_applied_again_it_sends_exactly_the_rest() {
    let run = Run::open().await;
    let (ledger, stage) = (&run.stage.ledger, &run.stage);
    run.until_closed(async || ledger.depart("uid-1").await.unwrap(), Closed::Released).await;
    let again = Declaration { owner_uid: "uid-2".to_owned(), ..wish(stage, 1) };
    assert_eq!(ledger.declare(&again).await.unwrap().id, run.broadcast);
    run.goes_on_to_the_end().await;
}
