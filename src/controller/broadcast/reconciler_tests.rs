use http::Method;
use serde_json::{Value, json};

use crate::controller::stage::{BATCH, BATCHES, BROADCAST, CHANNEL, CHANNELS, JOBS, PODS, Stage, UID, channel};
use crate::delivery::gate::Closed;
use crate::ledger::Ledger;

const JOB: &str = "/apis/batch/v1/namespaces/a/jobs/spring-abcd-1";

fn reason(stage: &Stage) -> Option<String> {
    stage.stall().map(|(reason, _)| reason)
}

/// Declared and planned, with its Job; the MessageBatch is still to be made.
async fn planned(recipients: u32) -> Stage {
    let stage = Stage::new().await;
    stage.look().await.unwrap();
    stage.plan(recipients).await;
    stage
}

#[tokio::test]
async fn a_name_that_another_object_has_is_told_while_sending_goes_on() {
    let stage = planned(2).await;
    // The cache of MessageBatches selects by label, so this one is seen only when its name is wanted.
    stage.cluster.put(BATCH, json!({"metadata": {"name": "spring-00000", "namespace": "a", "uid": "other"}}));
    stage.look().await.unwrap();
    stage.wait(1);
    stage.look().await.unwrap();
    let (told, message) = stage.stall().unwrap();
    assert_eq!(told, "True NameTaken");
    assert!(message.contains("MessageBatch spring-00000") && message.contains("rename or delete"), "{message}");
    stage.deliver("one").await;
    stage.wait(30);
    stage.look().await.unwrap();
    assert_eq!(stage.cluster.get(BROADCAST).unwrap()["status"]["recipients"]["sent"], 1);

    stage.cluster.remove(BATCH);
    stage.wait(300);
    stage.look().await.unwrap();
    stage.wait(1);
    stage.look().await.unwrap();
    assert_eq!((reason(&stage), stage.cluster.list(BATCHES).len()), (None, 1));
}

#[tokio::test]
async fn the_budget_of_writes_holds_while_something_cannot_be_made() {
    let stage = planned(70).await;
    stage.cluster.refuse(Method::POST, "/messagebatches", 500, "InternalError", "etcd is slow");
    let patches = |stage: &Stage| stage.cluster.count(&Method::PATCH, "spring/status");
    let (before, mut failed) = (patches(&stage), 0);
    for second in 0..60 {
        stage.deliver(&second.to_string()).await;
        failed += usize::from(stage.look().await == Err("ApiUnavailable"));
        stage.wait(1);
    }
    assert!(failed >= 5, "{failed} looks failed");
    let written = patches(&stage) - before;
    assert!(written <= 10, "{written} statuses in a minute");
    let sent = stage.cluster.get(BROADCAST).unwrap()["status"]["recipients"]["sent"].as_i64().unwrap();
    assert!(sent >= 45, "the status goes on: {sent}");
}

#[tokio::test]
async fn a_status_that_was_not_written_is_written_and_told_with_the_next_look() {
    let stage = planned(1).await;
    stage.cluster.refuse(Method::PATCH, "spring/status", 500, "InternalError", "etcd is slow");
    assert_eq!(stage.look().await, Err("ApiUnavailable"));
    let events = |stage: &Stage| stage.cluster.count(&Method::POST, "/events");
    let told = events(&stage);
    stage.cluster.mend();
    stage.wait(1);
    stage.look().await.unwrap();
    assert!(stage.cluster.get(BROADCAST).unwrap()["status"]["plan"]["hash"].is_string());
    assert_eq!(events(&stage), told + 1, "the plan is sealed");
    stage.wait(1);
    stage.look().await.unwrap();
    assert_eq!(events(&stage), told + 1);
}

#[tokio::test]
async fn a_job_that_the_api_server_refuses_is_told_in_its_words_and_made_once_it_may_be() {
    for (code, answer) in [(403, "Forbidden"), (422, "Invalid"), (400, "BadRequest")] {
        let stage = Stage::new().await;
        let words = "must be less than or equal to memory limit of 64Mi";
        stage.cluster.refuse(Method::POST, "/jobs", code, answer, words);
        stage.look().await.unwrap();
        stage.wait(1);
        stage.look().await.unwrap();
        let (told, message) = stage.stall().unwrap();
        assert_eq!(told, "True SenderNotStarting");
        assert_eq!(message, format!("no sender of Job spring-abcd-1 starts: failed to create a Job: {words}"));
        stage.cluster.mend();
        stage.wait(10);
        stage.look().await.unwrap();
        stage.look().await.unwrap();
        assert_eq!((reason(&stage), stage.cluster.list(JOBS).len()), (None, 1), "{code}");
    }
}

#[tokio::test]
async fn what_may_pass_by_itself_is_no_refusal() {
    for (code, answer, failure) in [
        (429, "TooManyRequests", "ApiThrottled"),
        (500, "InternalError", "ApiUnavailable"),
        // Two writers met at a quota: nobody has the name.
        (409, "Conflict", "ApiConflict"),
    ] {
        let stage = Stage::new().await;
        stage.cluster.refuse(Method::POST, "/jobs", code, answer, "try again");
        assert_eq!(stage.look().await, Err(failure));
        stage.wait(1);
        assert_eq!(stage.look().await, Err(failure));
        assert_eq!(reason(&stage), None);
        stage.cluster.mend();
        stage.wait(2);
        stage.look().await.unwrap();
        assert_eq!(stage.cluster.list(JOBS).len(), 1);
    }
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_is_given_up_and_asked_for_no_more_batches() {
    let stage = planned(500).await;
    // While nothing is sent the budget holds no batch back.
    stage.edit(BROADCAST, "/spec/suspend", json!(true));
    stage.edit(BROADCAST, "/spec/delivery", json!({"batchSize": 1}));
    stage.look().await.unwrap();
    stage.plan(500).await;
    stage.cluster.leave_unanswered(Method::POST, "/messagebatches");
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(stage.look().await, Err("ApiTimeout"));
    assert!(begun.elapsed().as_secs() <= 25, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_has_ended_stays_as_it_ended_when_its_channel_goes() {
    for gone in [true, false] {
        let stage = planned(1).await;
        stage.look().await.unwrap();
        stage.deliver("one").await;
        stage.wait(1);
        stage.look().await.unwrap();
        assert_eq!(stage.condition(BROADCAST, "Finished").unwrap().0, "True Delivered");
        let (ended, events) = (stage.cluster.get(BROADCAST), stage.cluster.count(&Method::POST, "/events"));
        match gone {
            true => stage.cluster.remove(CHANNEL),
            false => stage.edit(CHANNEL, "/spec/http", json!(7)),
        }
        for _ in 0..3 {
            stage.wait(10);
            stage.look().await.unwrap();
        }
        assert_eq!(stage.cluster.get(BROADCAST), ended);
        stage.cluster.put(CHANNEL, channel());
        stage.wait(10);
        stage.look().await.unwrap();
        assert_eq!(stage.cluster.get(BROADCAST), ended);
        assert_eq!(stage.cluster.count(&Method::POST, "/events"), events);
    }
}

/// What a user may do that keeps a broadcast from being declared.
type Spoil = fn(&Stage);

const SPOILT: [(&str, Spoil); 3] = [
    ("no channel", |stage| stage.cluster.remove(CHANNEL)),
    ("a channel that cannot be read", |stage| stage.edit(CHANNEL, "/spec/http", json!(7))),
    ("no template", |stage| stage.edit(BROADCAST, "/spec/content/text", json!("Hi {{"))),
];

#[tokio::test]
async fn a_cancel_holds_whatever_else_is_wrong_with_the_broadcast() {
    for (what, spoil) in SPOILT {
        let stage = planned(2).await;
        stage.look().await.unwrap();
        stage.deliver("one").await;
        spoil(&stage);
        stage.look().await.unwrap();
        assert_eq!(stage.condition(BROADCAST, "Finished").unwrap().0.split(' ').next(), Some("False"), "{what}");
        stage.edit(BROADCAST, "/spec/cancel", json!(true));
        stage.look().await.unwrap();
        while stage.ledger.maintain().await.unwrap() {}
        stage.wait(1);
        stage.look().await.unwrap();
        assert_eq!(stage.condition(BROADCAST, "Finished").unwrap().0, "True Cancelled", "{what}");
        assert_eq!((stage.snapshot().await.counts.sent, stage.snapshot().await.counts.skipped), (1, 1), "{what}");
    }
}

#[tokio::test]
async fn a_key_that_was_cancelled_before_it_could_be_declared_stays_cancelled() {
    for (what, spoil) in SPOILT {
        let stage = Stage::new().await;
        spoil(&stage);
        stage.edit(BROADCAST, "/spec/cancel", json!(true));
        stage.look().await.unwrap();
        assert_eq!(stage.condition(BROADCAST, "Finished").unwrap().0, "True Cancelled", "{what}");
        stage.edit(BROADCAST, "/spec/cancel", Value::Null);
        stage.edit(BROADCAST, "/spec/content/text", json!("Hi"));
        stage.cluster.put(CHANNEL, channel());
        stage.look().await.unwrap();
        assert_eq!(stage.snapshot().await.closed, Some(Closed::Cancelled), "{what}");
        assert_eq!(stage.cluster.list(JOBS), [] as [Value; 0]);
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_stopped_and_told_once_with_the_rest_of_its_status() {
    let stage = planned(2).await;
    stage.look().await.unwrap();
    stage.edit(BROADCAST, "/spec/channelRef", json!(7));
    stage.look().await.unwrap();
    assert_eq!(stage.snapshot().await.closed, Some(Closed::Released));
    let (told, message) = stage.stall().unwrap();
    assert_eq!(told, "True Unreadable");
    assert!(message.contains("correct it"), "{message}");
    assert_eq!(stage.condition(BROADCAST, "Ready").unwrap().0, "False Unreadable");
    assert_eq!(stage.cluster.get(BROADCAST).unwrap()["status"]["recipients"]["planned"], 2);
    let writes = stage.writes();
    stage.look().await.unwrap();
    assert_eq!(stage.writes(), writes);

    stage.edit(BROADCAST, "/spec/channelRef", json!({"name": "page"}));
    stage.look().await.unwrap();
    assert_eq!((reason(&stage), stage.snapshot().await.closed), (None, None));
}

#[tokio::test]
async fn a_channel_that_cannot_be_read_stops_its_broadcasts_and_says_so() {
    let stage = planned(2).await;
    stage.look().await.unwrap();
    stage.edit(CHANNEL, "/spec/http", json!(7));
    stage.look().await.unwrap();
    assert_eq!(reason(&stage).as_deref(), Some("True ChannelUnreadable"));
    assert_eq!(stage.snapshot().await.closed, Some(Closed::Released));
}

#[tokio::test]
async fn another_channel_that_cannot_be_read_holds_broadcasts_because_its_suppression_lists_may_be_theirs() {
    let stage = Stage::new().await;
    let other = format!("{CHANNELS}/other");
    let list = json!({"name": "gone", "configMapKeyRef": {"name": "gone", "key": "ids.csv"}});
    let mut lists = channel();
    lists["metadata"] = json!({"name": "other", "namespace": "a", "uid": "other-uid", "generation": 1});
    lists["spec"]["suppression"] = json!({"sources": [list]});
    stage.cluster.put(&other, lists);
    stage.look().await.unwrap();
    stage.plan(2).await;
    stage.look().await.unwrap();
    assert_eq!((reason(&stage), stage.snapshot().await.closed), (None, None));

    stage.edit(&other, "/spec/suppression/sources/0/name", json!(7));
    stage.look().await.unwrap();
    let (told, message) = stage.stall().unwrap();
    assert_eq!(told, "True ChannelUnreadable");
    assert!(
        message.contains("the MessageChannel `other`") && message.contains("correct it, or delete it"),
        "{message}"
    );
    assert_eq!(stage.snapshot().await.closed, Some(Closed::Released), "nobody is given to a sender");

    stage.edit(&other, "/spec/suppression/sources/0/name", json!("gone"));
    stage.look().await.unwrap();
    assert_eq!((reason(&stage), stage.snapshot().await.closed), (None, None));
    // One of another namespace is none of this one's.
    stage.edit(&other, "/spec/suppression/sources/0/name", json!(7));
    stage.edit(&other, "/metadata/namespace", json!("b"));
    stage.look().await.unwrap();
    assert_eq!(reason(&stage), None);
}

/// Looks once a second for so long; returns how often events were asked for.
async fn asked_for_events(stage: &Stage, seconds: usize) -> usize {
    let before = stage.cluster.count(&Method::GET, "/events");
    for _ in 0..seconds {
        stage.wait(1);
        stage.look().await.unwrap();
    }
    stage.cluster.count(&Method::GET, "/events") - before
}

/// The Job began long enough ago to have a pod.
fn start(stage: &Stage) {
    let started = crate::ledger::status::instant(crate::controller::stage::NOW).unwrap().to_string();
    stage.edit(JOB, "/status", json!({"startTime": started}));
}

#[tokio::test]
async fn events_of_a_wave_that_does_not_start_are_asked_for_less_and_less_often() {
    let stage = planned(2).await;
    start(&stage);
    let event = json!({
        "metadata": {"name": "one", "namespace": "a"}, "type": "Warning", "reason": "FailedCreate",
        "message": "violates PodSecurity", "involvedObject": {"uid": stage.cluster.get(JOB).unwrap()["metadata"]["uid"]},
    });
    stage.cluster.put("/api/v1/namespaces/a/events/one", event);
    let asked = asked_for_events(&stage, 900).await;
    assert!((4..=9).contains(&asked), "asked {asked} times in 15 min");
    let words = "no sender of Job spring-abcd-1 starts: FailedCreate: violates PodSecurity";
    assert_eq!(stage.stall(), Some(("True SenderNotStarting".to_owned(), words.to_owned())));
}

#[tokio::test]
async fn a_pod_that_says_itself_why_it_does_not_run_saves_the_question() {
    let stage = planned(2).await;
    start(&stage);
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "spring-abcd-1", "uid": stage.cluster.get(JOB).unwrap()["metadata"]["uid"], "controller": true}]);
    let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "no such image"}});
    let pod = json!({
        "metadata": {"name": "p", "namespace": "a", "uid": "p", "ownerReferences": owner, "labels": {"herald.dev/broadcast": "spring"}},
        "status": {"phase": "Pending", "containerStatuses": [{"name": "sender", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": waiting}]},
    });
    stage.cluster.put(&format!("{PODS}/p"), pod);
    assert_eq!(asked_for_events(&stage, 60).await, 0);
    assert!(stage.stall().unwrap().1.ends_with("ErrImagePull: no such image"));
}

#[tokio::test]
async fn a_broadcast_that_waits_for_its_children_to_go_is_released() {
    let stage = planned(2).await;
    stage.edit(BROADCAST, "/metadata/deletionTimestamp", json!("2027-01-15T08:00:00Z"));
    stage.look().await.unwrap();
    assert_eq!(stage.ledger.owned_by(UID).await.unwrap(), []);
}

#[tokio::test]
async fn an_end_that_comes_by_the_clock_alone_is_told_once_and_a_pod_comes_to_tell_it() {
    let stage = Stage::new().await;
    let endpoint = json!([{"name": "crm", "url": "https://hooks.example/", "events": ["BroadcastFinished"],
        "signingSecretKeyRef": {"name": "hook", "key": "secret"}}]);
    stage.edit(BROADCAST, "/spec/notifications", endpoint);
    stage.edit(BROADCAST, "/spec/schedule", json!({"endTime": "2027-01-15T08:01:00Z"}));
    stage.look().await.unwrap();
    assert_eq!(stage.snapshot().await.outbox.map(|outbox| outbox.pending), Some(0));
    stage.cluster.remove(JOB);
    stage.wait(120);
    stage.look().await.unwrap();
    let outbox = stage.snapshot().await.outbox.unwrap();
    assert_eq!(outbox.pending, 1, "nobody has planned it, and its time is over");
    for _ in 0..3 {
        stage.wait(10);
        stage.look().await.unwrap();
    }
    assert_eq!(stage.snapshot().await.outbox.map(|outbox| outbox.pending), Some(1));
    let status = stage.cluster.get(BROADCAST).unwrap()["status"].clone();
    assert_eq!((&status["state"], &status["notifications"]["pending"]), (&json!("Expired"), &json!(1)));
    let job = stage.cluster.get(JOB).expect("one sender, to tell it");
    assert_eq!(job["metadata"]["annotations"]["herald.dev/told-at-start"], "0");
}
