//! Lists of people who get nothing from a channel's account.

use serde_json::json;

use super::kubectl::await_that;
use super::stage::Stage;

fn list(ids: &[&str]) -> String {
    let csv = ids.join("\\n");
    format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: gone}}, data: {{gone.csv: \"id\\n{csv}\\n\"}}}}")
}

fn asked(stage: &Stage, person: &str) -> usize {
    stage.record().iter().filter(|line| line.recipient == person).count()
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn whoever_a_list_names_is_skipped_without_a_call_and_nobody_is_sent_to_while_it_cannot_be_read() {
    let stage = Stage::open("gone", &[]);
    let lists = ", suppression: {sources: [{name: gone, configMapKeyRef: {name: gone, key: gone.csv}}]}";
    stage.apply(&stage.secret());
    stage.apply(&stage.channel("page", 50, lists));
    stage.apply(&stage.broadcast("sale", 20, ""));
    let message = stage.await_condition("sale", "Stalled", "SuppressionUnreadable");
    assert!(message.contains("spec.suppression.sources[0]") && message.contains("gone"), "{message}");
    assert_eq!(stage.record().len(), 0);
    stage.apply(&list(&["sale-3", "sale-7", "stranger"]));
    stage.await_end("sale", "Delivered");
    let status = stage.judge("sale", 20);
    assert_eq!((&status["recipients"]["sent"], &status["recipients"]["skipped"]), (&18.into(), &2.into()), "{status}");
    assert_eq!(status["reasons"], json!([{"outcome": "Skipped", "reason": "OptedOut", "count": 2}]));
    assert_eq!((asked(&stage, "sale-3"), asked(&stage, "sale-7"), asked(&stage, "sale-4")), (0, 0, 1));

    // Of a plan that is made already those are skipped whom the list names by then.
    stage.apply(&stage.broadcast("next", 10, ", suspend: true"));
    await_that("the plan", || stage.count("next", "planned") == 10);
    assert_eq!(stage.count("next", "skipped"), 0);
    stage.apply(&list(&["next-5"]));
    stage.patch("broadcastmessage", "next", r#"{"suspend": null}"#);
    stage.await_end("next", "Delivered");
    let status = stage.judge("next", 10);
    assert_eq!((&status["recipients"]["sent"], &status["recipients"]["skipped"]), (&9.into(), &1.into()), "{status}");
    assert_eq!(asked(&stage, "next-5"), 0);
}
