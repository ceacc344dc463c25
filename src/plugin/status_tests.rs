//! What is seen of a broadcast while it is watched.
#![cfg(test)]

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::controller::fake_cluster::FakeCluster;

const PLACE: &str = "/apis/herald.dev/v1alpha1/namespaces/marketing/";

fn put(fake: &FakeCluster, sent: i64, finished: &str) {
    let object = json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
        "metadata": {"name": "spring", "namespace": "marketing", "generation": 1},
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
        "status": {
            "observedGeneration": 1, "state": if finished == "True" { "Complete" } else { "Sending" },
            "recipients": {"planned": 10, "pending": 10 - sent, "sent": sent, "failed": 0, "skipped": 0, "unknown": 0},
            "conditions": [condition("Finished", finished, if finished == "True" { "Delivered" } else { "Sending" })],
        },
    });
    fake.put(&format!("{PLACE}broadcastmessages/spring"), object);
    for index in 0..2 {
        let batch = json!({
            "apiVersion": "herald.dev/v1alpha1", "kind": "MessageBatch",
            "metadata": {"name": format!("spring-{index}"), "labels": {"herald.dev/broadcast": "spring"}},
            "spec": {"broadcastRef": {"name": "spring"}, "index": index, "firstRecipient": 0, "recipientCount": 5},
            "status": {"state": "Pending"},
        });
        fake.put(&format!("{PLACE}messagebatches/spring-{index}"), batch);
    }
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "words",
        "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

/// Watches it; `meanwhile` says what becomes of the cluster at each look from the second one on. Time passes by itself.
async fn watched(
    fake: &FakeCluster,
    screen: (bool, bool),
    meanwhile: &[&dyn Fn(&FakeCluster)],
) -> (Result<(), PluginError>, String) {
    let cluster = Cluster { client: fake.client(), namespace: "marketing".to_owned() };
    let options = StatusOptions { name: "spring".to_owned(), watch: true, batches: screen.1 };
    let mut screen = Screen::new(Vec::new(), screen.0, screen.1);
    let ended = {
        let change = async {
            for change in meanwhile {
                // In the middle between two looks.
                tokio::time::sleep(INTERVAL / 2).await;
                change(fake);
                tokio::time::sleep(INTERVAL / 2).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = watch(&cluster, &options, &mut screen) => ended,
            () = change => unreachable!(),
        }
    };
    (ended, String::from_utf8(screen.out).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_terminal_is_drawn_anew_at_each_look_until_the_broadcast_has_ended() {
    let fake = FakeCluster::default();
    put(&fake, 4, "False");
    let meanwhile: [&dyn Fn(&FakeCluster); 3] = [&|fake| put(fake, 7, "False"), &|_| {}, &|fake| put(fake, 10, "True")];
    let (ended, shown) = watched(&fake, (true, true), &meanwhile).await;
    ended.unwrap();
    let frames: Vec<&str> = shown.split(HOME).collect();
    assert_eq!((frames.len(), frames[0]), (5, ""), "each begins by emptying the screen:\n{shown}");
    for (frame, sent) in frames[1..].iter().zip(["4", "7", "7", "10"]) {
        let sums = frame.lines().skip_while(|line| !line.contains("PLANNED")).nth(1).unwrap();
        assert_eq!(sums.split_whitespace().nth(1), Some(sent), "{frame}");
        assert!(frame.starts_with("marketing/spring through page\n"), "{frame}");
        assert!(frame.contains("Batches: 2 (2 pending)\n  BATCH"), "all batches, where asked for: {frame}");
    }
    assert!(frames[3].contains("State: Sending") && frames[4].contains("State: Complete (Delivered)"), "{shown}");
    assert!(!watched(&fake, (true, false), &[]).await.1.contains("  BATCH"), "and not where nobody has");
}

#[tokio::test(start_paused = true)]
async fn a_log_has_a_line_for_each_change_and_moves_no_cursor() {
    let fake = FakeCluster::default();
    put(&fake, 4, "False");
    let meanwhile: [&dyn Fn(&FakeCluster); 3] = [&|_| {}, &|fake| put(fake, 7, "False"), &|fake| put(fake, 10, "True")];
    let (ended, shown) = watched(&fake, (false, false), &meanwhile).await;
    ended.unwrap();
    let expected = "\
Sending; 4 sent, 6 pending of 10 planned
Sending; 7 sent, 3 pending of 10 planned
Complete (Delivered); 10 sent of 10 planned
";
    assert_eq!(shown, expected);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_a_while_ends_no_watch_and_one_that_stays_away_does() {
    let fake = FakeCluster::default();
    put(&fake, 4, "False");
    let away = |fake: &FakeCluster| fake.refuse(Method::GET, "broadcastmessages", 503, "ServiceUnavailable", "away");
    let back = |fake: &FakeCluster| {
        fake.mend();
        put(fake, 10, "True");
    };
    let nothing = |_: &FakeCluster| {};
    let mut meanwhile: Vec<&dyn Fn(&FakeCluster)> = vec![&nothing; MAX_FAILURES as usize - 1];
    meanwhile[0] = &away;
    meanwhile.push(&back);
    let (ended, shown) = watched(&fake, (false, false), &meanwhile).await;
    ended.unwrap();
    assert_eq!(shown.lines().count(), 2, "{shown}");

    put(&fake, 4, "False");
    let asked = fake.count(&Method::GET, "broadcastmessages/spring");
    let (ended, _) = watched(&fake, (false, false), &[&away]).await;
    assert!(ended.unwrap_err().to_string().contains("away"));
    assert_eq!(fake.count(&Method::GET, "broadcastmessages/spring") - asked, 1 + MAX_FAILURES as usize);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_deleted_ends_the_watch_with_a_word() {
    let fake = FakeCluster::default();
    put(&fake, 4, "False");
    let gone = |fake: &FakeCluster| fake.remove(&format!("{PLACE}broadcastmessages/spring"));
    let (ended, shown) = watched(&fake, (false, false), &[&gone]).await;
    assert!(ended.unwrap_err().to_string().contains("no BroadcastMessage spring"));
    assert_eq!(shown.lines().count(), 1, "{shown}");
}
