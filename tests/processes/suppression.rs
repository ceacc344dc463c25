//! Lists of people who get nothing, as a pod has them mounted: for a plan, and again for a sender that goes on with one.

use herald::api::SuppressionSource;
use herald::delivery::gate::Closed;
use herald::ledger::{Declaration, Ledger, SuppressionList};
use herald::sender::Left;
use serde_json::{Value, json};

use super::sender_pod::stage::Stage;

const RATE: u32 = 200;

/// A broadcast to so many people, of whose account these are the lists.
fn wish(stage: &Stage, people: usize, lists: &[Value]) -> Declaration {
    let mut declaration = stage.declaration(1, RATE, Stage::to_people(people));
    let list = |(index, source): (usize, &Value)| SuppressionList {
        channel: "page".to_owned(),
        index,
        source: serde_json::from_value::<SuppressionSource>(source.clone()).unwrap(),
    };
    declaration.orders.as_mut().unwrap().suppression = lists.iter().enumerate().map(list).collect();
    declaration
}

fn gone() -> Value {
    json!({"name": "gone", "configMapKeyRef": {"name": "gone", "key": "ids.csv"}})
}

const MOUNTED: &str = "audience/configmap/gone/ids.csv";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_the_mounted_lists_name_is_skipped_without_a_call() {
    let stage = Stage::open(&[]).await;
    let staff = json!({"name": "staff", "secretKeyRef": {"name": "staff", "key": "ids.ndjson"}});
    let broadcast = stage.ledger.declare(&wish(&stage, 6, &[gone(), staff])).await.unwrap().id;
    let pod = stage.pod("one");
    pod.write(MOUNTED, "id\nperson-1\nperson-9\n");
    pod.write("audience/secret/staff/ids.ndjson", "{\"id\": \"person-4\"}\n");
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    let mut reached: Vec<String> = stage.requests().iter().map(|line| line.recipient.to_string()).collect();
    reached.sort();
    assert_eq!(reached, ["person-0", "person-2", "person-3", "person-5"]);
    let snapshot = stage.snapshot(broadcast).await;
    assert_eq!((snapshot.counts.sent, snapshot.opted_out(), snapshot.counts.total()), (4, 2, 6));
    stage.judge(broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_missing_or_cannot_be_read_is_told_with_its_place_and_mends_itself() {
    let stage = Stage::open(&[]).await;
    let broadcast = stage.ledger.declare(&wish(&stage, 3, &[gone()])).await.unwrap().id;
    let pod = stage.pod("one");
    let place = "`spec.suppression.sources[0]` of the MessageChannel `page`: ";
    for (list, reason, words) in [
        (None, "SuppressionUnreadable", "there is no ConfigMap \"gone\" with a key \"ids.csv\"; see which keys it has"),
        (Some("id\nperson-1\n \n"), "SuppressionInvalid", "gone/ids.csv line 3, column 1 (id): the id is empty"),
    ] {
        if let Some(list) = list {
            pod.write(MOUNTED, list);
        }
        let Left::Trouble(trouble) = pod.run(&stage.ledger, broadcast).await.unwrap() else { panic!("it went on") };
        assert_eq!(trouble.reason, reason);
        assert!(trouble.message.starts_with(&format!("{place}{words}")), "{}", trouble.message);
        assert_eq!(stage.snapshot(broadcast).await.trouble.unwrap().trouble, trouble);
    }
    assert_eq!(stage.requests().len(), 0);
    pod.write(MOUNTED, "id\nperson-1\n");
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    let snapshot = stage.snapshot(broadcast).await;
    assert_eq!((snapshot.counts.sent, snapshot.opted_out(), snapshot.trouble), (2, 1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_goes_on_with_a_plan_reads_the_lists_of_now_before_it_sends() {
    let stage = Stage::open(&[]).await;
    let suspended = Declaration { suspended: true, ..wish(&stage, 4, &[gone()]) };
    let broadcast = stage.ledger.declare(&suspended).await.unwrap().id;
    let pod = stage.pod("one");
    pod.write(MOUNTED, "id\nperson-0\n");
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Suspended));
    let planned = stage.snapshot(broadcast).await;
    assert_eq!((planned.counts.pending, planned.opted_out()), (3, 1));

    stage.ledger.declare(&Declaration { generation: 2, suspended: false, ..suspended }).await.unwrap();
    pod.write(MOUNTED, "no header\n");
    let Left::Trouble(trouble) = pod.run(&stage.ledger, broadcast).await.unwrap() else { panic!("it went on") };
    assert_eq!((trouble.reason.as_str(), stage.requests().len()), ("SuppressionInvalid", 0));
    // Who was skipped when the plan was made stays so; who was added since is skipped now.
    pod.write(MOUNTED, "id\nperson-2\n");
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    let mut reached: Vec<String> = stage.requests().iter().map(|line| line.recipient.to_string()).collect();
    reached.sort();
    assert_eq!(reached, ["person-1", "person-3"]);
    let snapshot = stage.snapshot(broadcast).await;
    assert_eq!((snapshot.counts.sent, snapshot.opted_out(), snapshot.plan), (2, 2, planned.plan));
    stage.judge(broadcast).await;
}
