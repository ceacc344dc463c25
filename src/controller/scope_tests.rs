use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use http::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use super::*;
use crate::controller::stage::{BATCH, BATCHES, BROADCAST, JOBS, NOW, Stage, UID, broadcast, still};
use crate::delivery::time::Timestamp;
use crate::ledger::clock::ManualClock;
use crate::ledger::recollection::APPROVED;
use crate::ledger::sqlite::SqliteLedger;

/// The operator of one namespace at work.
struct Running {
    stage: Stage,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), Ended>>,
}

impl Running {
    /// Tells it to stop; returns how many seconds that took.
    async fn end(self) -> u64 {
        self.stop.send_replace(true);
        let mut seconds = 0;
        while !self.task.is_finished() {
            self.stage.pass(1).await;
            seconds += 1;
        }
        self.task.await.unwrap().unwrap();
        seconds
    }
}

fn begin(stage: Stage) -> Running {
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(run(stage.shared.clone(), Some("a".to_owned()), stopped, || {}));
    Running { stage, stop, task }
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_looked_at_and_what_comes_later_too() {
    let running = begin(Stage::with_the_time_of_the_test().await);
    running.stage.pass(5).await;
    assert_eq!(running.stage.cluster.list(JOBS).len(), 1);
    let mut other = broadcast();
    other["metadata"]["name"] = json!("later");
    other["metadata"]["uid"] = json!("later-uid");
    running.stage.cluster.put("/apis/herald.dev/v1alpha1/namespaces/a/broadcastmessages/later", other);
    running.stage.pass(5).await;
    assert_eq!(running.stage.cluster.list(JOBS).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_is_tried_with_growing_waits_although_statuses_come_back() {
    let running = begin(Stage::with_the_time_of_the_test().await);
    let stage = &running.stage;
    stage.pass(5).await;
    stage.cluster.refuse(Method::POST, "/messagebatches", 500, "InternalError", "etcd is slow");
    still(stage.plan(700)).await;
    for second in 0..600 {
        // Each message changes what the status says.
        still(stage.deliver(&second.to_string())).await;
        stage.pass(1).await;
    }
    let tried = stage.cluster.count(&Method::POST, "/messagebatches");
    assert!((5..=12).contains(&tried), "tried {tried} times in 10 min");
    stage.cluster.mend();
    stage.pass(300).await;
    assert_eq!(stage.cluster.list(BATCHES).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_wiped_comes_back_at_once() {
    let running = begin(Stage::with_the_time_of_the_test().await);
    running.stage.pass(60).await;
    let mut object = running.stage.cluster.get(BROADCAST).unwrap();
    let before = object.as_object_mut().unwrap().remove("status").unwrap();
    running.stage.cluster.put(BROADCAST, object);
    running.stage.pass(1).await;
    assert_eq!(running.stage.cluster.get(BROADCAST).unwrap()["status"]["state"], before["state"]);
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_it_lets_a_look_that_has_begun_end_and_breaks_off_one_that_does_not() {
    let running = begin(Stage::with_the_time_of_the_test().await);
    running.stage.pass(5).await;
    assert!(running.end().await <= 1);

    let stage = Stage::with_the_time_of_the_test().await;
    stage.cluster.leave_unanswered(Method::POST, "/jobs");
    let running = begin(stage);
    running.stage.pass(5).await;
    assert_eq!(running.stage.cluster.count(&Method::POST, "/jobs"), 1, "it has begun");
    let took = running.end().await;
    assert!((END_PATIENCE.as_secs()..=END_PATIENCE.as_secs() + 2).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_before_its_caches_are_full_it_stops() {
    let stage = Stage::with_the_time_of_the_test().await;
    stage.cluster.set_down(true);
    let running = begin(stage);
    running.stage.pass(5).await;
    assert!(running.end().await <= 1);
}

/// A clock that breaks when it is told to.
#[derive(Default)]
struct Fragile(AtomicBool);

impl Clock for Fragile {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "the clock is broken");
        NOW
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_reconciler_ends_its_scope() {
    let clock = Arc::new(Fragile::default());
    let stage = Stage::with_clock(clock.clone(), Arc::new(ManualClock::new(NOW))).await;
    clock.0.store(true, Ordering::SeqCst);
    let running = begin(stage);
    assert!(running.task.await.unwrap_err().is_panic());
}

/// Whether a change of the object leads to a look at the broadcast. `bend` is what is changed.
async fn is_news<K: Watched>(
    stage: &Stage,
    path: &str,
    noticed: &Noticed,
    notice: &mut impl FnMut(Change<'_, K>),
    bend: impl FnOnce(&mut serde_json::Value),
) -> bool {
    let mut value = stage.cluster.get(path).unwrap();
    let before: Guarded<K> = serde_json::from_value(value.clone()).unwrap();
    bend(&mut value);
    let object: Guarded<K> = serde_json::from_value(value).unwrap();
    notice(Change::Applied { object: &object, before: Some(Arc::new(before)) });
    let mut noticed = std::pin::pin!(noticed.broadcasts.clone().stream());
    noticed.next().now_or_never().is_some()
}

#[tokio::test]
async fn a_status_of_its_own_is_no_reason_to_look_again_and_any_other_change_is() {
    let stage = Stage::new().await;
    stage.look().await.unwrap();
    stage.plan(1).await;
    stage.look().await.unwrap();
    stage.wait(5);
    stage.look().await.unwrap();
    let (noticed, stores) = (Noticed::default(), stage.stores());

    let mut notice = on_broadcast(&stage.shared, &stores, &noticed, departures::deletions().0);
    assert!(!is_news(&stage, BROADCAST, &noticed, &mut notice, |_| ()).await);
    assert!(
        is_news(&stage, BROADCAST, &noticed, &mut notice, |object| object["status"]["state"] = json!("Pending")).await
    );
    assert!(
        is_news(&stage, BROADCAST, &noticed, &mut notice, |object| object["metadata"]["generation"] = json!(2)).await
    );
    assert!(is_news(&stage, BROADCAST, &noticed, &mut notice, |object| object["spec"]["channelRef"] = json!(7)).await);

    let approved = |object: &mut serde_json::Value| object["metadata"]["annotations"] = json!({APPROVED: "yes"});
    assert!(is_news(&stage, BROADCAST, &noticed, &mut notice, approved).await, "a person waits for what it opens");
    let labelled = |object: &mut serde_json::Value| object["metadata"]["annotations"] = json!({"team": "a"});
    assert!(!is_news(&stage, BROADCAST, &noticed, &mut notice, labelled).await);

    let mut notice = on_batch(&stage.shared, &stores, &noticed);
    assert!(!is_news(&stage, BATCH, &noticed, &mut notice, |_| ()).await);
    assert!(is_news(&stage, BATCH, &noticed, &mut notice, |object| object["status"]["retries"] = json!(7)).await);
    let gone = json!("2027-01-15T08:00:00Z");
    assert!(
        is_news(&stage, BATCH, &noticed, &mut notice, |object| object["metadata"]["deletionTimestamp"] = gone).await
    );
}

#[tokio::test]
async fn a_watch_that_ends_or_panics_ends_what_runs_beside_it() {
    let mut watches = Watches::new();
    watches.spawn(named("the watch of Jobs", async {}));
    let ended = unless_one_ends(&mut watches, std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(ended.to_string(), "the watch of Jobs ended: no reason given");

    let mut watches = Watches::new();
    watches.spawn(named("the watch of Jobs", async { panic!("a fault") }));
    let ended = unless_one_ends(&mut watches, std::future::pending::<()>()).await.unwrap_err();
    assert!(ended.to_string().contains("panicked"), "{ended}");

    let mut watches = Watches::new();
    watches.spawn(named("the watch of Jobs", std::future::pending()));
    assert_eq!(unless_one_ends(&mut watches, async { 7 }).await.unwrap(), 7);
}

#[tokio::test]
async fn a_broadcast_that_its_own_watch_sees_go_is_released() {
    let stage = Stage::new().await;
    stage.look().await.unwrap();
    let (deleted, deletions) = departures::deletions();
    let noticed = Noticed::default();
    let stores = stage.stores();
    let object: Guarded<BroadcastMessage> = serde_json::from_value(broadcast()).unwrap();
    on_broadcast(&stage.shared, &stores, &noticed, deleted)(Change::Deleted(&object));
    let departed = stage.shared.departed.clone();
    // A look that has begun before takes its declaration back.
    assert!(departed.contains(UID));
    departures::release(deletions, stage.ledger.clone(), departed).await;
    assert_eq!(owners(&stage.ledger).await, 0);
    stage.look().await.unwrap();
    assert_eq!(owners(&stage.ledger).await, 0, "a cache that lags behind declares nothing");
}

#[tokio::test]
async fn an_object_without_a_uid_that_goes_takes_nobody_with_it() {
    let stage = Stage::new().await;
    let (deleted, deletions) = departures::deletions();
    let (noticed, stores) = (Noticed::default(), stage.stores());
    let mut nameless = broadcast();
    nameless["metadata"].as_object_mut().unwrap().remove("uid");
    let object: Guarded<BroadcastMessage> = serde_json::from_value(nameless).unwrap();
    on_broadcast(&stage.shared, &stores, &noticed, deleted)(Change::Deleted(&object));
    let departed = stage.shared.departed.clone();
    assert!(!departed.contains(""));
    departures::release(deletions, stage.ledger.clone(), departed.clone()).await;
    assert!(!departed.contains(""), "nothing was told");
}

async fn owners(ledger: &SqliteLedger) -> usize {
    ledger.owners().await.unwrap().len()
}
