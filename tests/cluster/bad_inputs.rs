//! What a person may get wrong: each is told with its place, nobody is messaged meanwhile, and the same object goes on once it
//! is mended.

use std::time::Duration;

use super::crm::Crm;
use super::kubectl::{await_that, find, stays};
use super::stage::{NODE_ADDRESS, Stage};

/// A wrong broadcast to two people, what is said of it, and what mends it.
struct BadInput {
    name: &'static str,
    wrong: String,
    reason: &'static str,
    /// Where it is, and what is wrong there.
    words: [&'static str; 2],
    mended: String,
}

const HELLO: &str = "{text: \"Hello\"}";

fn sale(name: &str, audience: &str, content: &str) -> String {
    format!(
        "{{apiVersion: herald.dev/v1alpha1, kind: BroadcastMessage, metadata: {{name: {name}}}, spec: {{\
         channelRef: {{name: page}}, audience: {audience}, content: {content}}}}}"
    )
}

/// Two people who have a variable.
fn people(name: &str, variable: &str, value: &str) -> String {
    format!("{{recipients: [{{id: {name}-0, vars: {{{variable}: \"{value}\"}}}}, {{id: {name}-1}}]}}")
}

fn of_file(name: &str) -> String {
    format!("{{sources: [{{name: people, configMapKeyRef: {{name: {name}, key: people.csv}}}}]}}")
}

fn file(name: &str, csv: &str) -> String {
    format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{people.csv: \"{csv}\"}}}}")
}

fn with_its_file(name: &str, csv: &str) -> String {
    format!("{}\n---\n{}", file(name, csv), sale(name, &of_file(name), HELLO))
}

fn of_query(name: &str, query: &str) -> String {
    let source = format!("{{name: people, sql: {{urlSecretKeyRef: {{name: crm-db, key: url}}, query: \"{query}\"}}}}");
    sale(name, &format!("{{sources: [{source}]}}"), HELLO)
}

/// The two people of the broadcast `query`.
const PEOPLE: &str = "CREATE TABLE people AS SELECT 'query-' || n AS id FROM generate_series(0, 1) AS n";
const COUNT: &str = "SELECT count(*) FROM people";

fn bad_inputs(stage: &Stage) -> Vec<BadInput> {
    let good = |name| stage.broadcast(name, 2, "");
    let node = std::env::var(NODE_ADDRESS).expect("set by dev/with-herald.sh");
    // No port of whoever listens.
    let away = format!("{{sources: [{{name: people, http: {{url: \"http://{node}:1/people.csv\", format: CSV}}}}]}}");
    let endless = "{text: \"{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}\"}";
    let long = "{text: \"Hello {% for a in range(700) %}{{ word | default('') }}{% endfor %}\"}";
    let picture = "{attachments: [{type: Image, url: \"{{ picture | default('https://cdn.example/1.png') }}\"}]}";
    let quiet = ", schedule: {quietHours: [{start: \"21:00\", end: \"21:01\", timeZone: Mars/Olympus}]}";
    let writing = "with gone as (delete from people returning id) select id from gone";
    vec![
        BadInput {
            name: "unreachable",
            wrong: sale("unreachable", &away, HELLO),
            reason: "SourceUnreachable",
            words: ["people", "no answer"],
            mended: good("unreachable"),
        },
        BadInput {
            name: "column",
            wrong: with_its_file("column", "person\\ncolumn-0\\ncolumn-1\\n"),
            reason: "AudienceInvalid",
            words: ["people.csv line 1", "the header has no column `id`"],
            mended: file("column", "id\\ncolumn-0\\ncolumn-1\\n"),
        },
        BadInput {
            name: "zone",
            wrong: with_its_file("zone", "id,time_zone\\nzone-0,\\nzone-1,Mars/Olympus\\n"),
            reason: "AudienceInvalid",
            words: ["people.csv line 3, column 2 (time_zone)", "there is no such time zone"],
            mended: file("zone", "id,time_zone\\nzone-0,\\nzone-1,Europe/Berlin\\n"),
        },
        BadInput {
            name: "query",
            wrong: of_query("query", writing),
            reason: "QueryRefused",
            words: ["people", "data-modifying"],
            mended: of_query("query", "select id from people order by id"),
        },
        BadInput {
            name: "loop",
            wrong: sale("loop", "{recipients: [{id: loop-0}, {id: loop-1}]}", endless),
            reason: "TemplateInvalid",
            words: ["line 1", "remove loops"],
            mended: good("loop"),
        },
        BadInput {
            name: "long",
            wrong: sale("long", &people("long", "word", &"x".repeat(100)), long),
            reason: "MessageInvalid",
            words: ["long", "bytes"],
            mended: sale("long", &people("long", "word", "Hello"), HELLO),
        },
        BadInput {
            name: "picture",
            wrong: sale("picture", &people("picture", "picture", "ftp://cdn.example/1.png"), picture),
            reason: "MessageInvalid",
            words: ["the url of an attachment", "http"],
            mended: sale("picture", &people("picture", "picture", "https://cdn.example/2.png"), picture),
        },
        BadInput {
            name: "quiet",
            wrong: stage.broadcast("quiet", 2, quiet),
            reason: "QuietHoursInvalid",
            words: ["spec.schedule.quietHours[0].timeZone", "Mars/Olympus"],
            mended: good("quiet"),
        },
    ]
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn each_bad_input_is_told_with_its_place_and_the_same_object_goes_on_once_it_is_mended() {
    let stage = Stage::with_channel("bad", &[], 50);
    let crm = Crm::open(PEOPLE);
    stage.apply(&crm.secret());
    let inputs = bad_inputs(&stage);
    inputs.iter().for_each(|input| stage.apply(&input.wrong));
    let uid = |name: &str| find(&stage.namespace, "broadcastmessage", name).unwrap()["metadata"]["uid"].take();
    let uids: Vec<_> = inputs.iter().map(|input| uid(input.name)).collect();
    for input in &inputs {
        let message = stage.await_condition(input.name, "Stalled", input.reason);
        for words in input.words {
            assert!(message.contains(words), "{}: {words:?} is not in {message:?}", input.name);
        }
        stage.assert_verdict(input.name, "Failed");
    }
    stays("silence", Duration::from_secs(2), || stage.record().is_empty());
    assert_eq!(crm.number(COUNT), 2, "nothing is deleted");

    inputs.iter().for_each(|input| stage.apply(&input.mended));
    for input in &inputs {
        stage.await_end(input.name, "Delivered");
        let status = stage.judge(input.name, 2);
        assert_eq!(status["recipients"]["sent"], 2, "{}: {status}", input.name);
    }
    assert_eq!(inputs.iter().map(|input| uid(input.name)).collect::<Vec<_>>(), uids, "they are the same objects");
    assert_eq!(crm.number(COUNT), 2, "a query that reads deletes nothing");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn an_attachment_of_a_wrong_scheme_is_refused_by_the_api_server_and_taken_once_it_is_right() {
    let stage = Stage::with_channel("scheme", &[], 50);
    let with = |url: &str| {
        let picture = format!("attachments: [{{type: Image, url: \"{url}\"}}]");
        stage.broadcast("sale", 2, "").replace("content: {", &format!("content: {{{picture}, "))
    };
    let told = stage.try_apply(&with("ftp://cdn.example/1.png")).unwrap_err();
    assert!(told.contains("spec.content.attachments[0].url"), "{told}");
    assert!(find(&stage.namespace, "broadcastmessage", "sale").is_none(), "it is not taken");
    stage.apply(&with("https://cdn.example/1.png"));
    await_that("the plan", || stage.count("sale", "planned") == 2);
    stage.await_end("sale", "Delivered");
    assert_eq!(stage.record().len(), 4, "a text and a picture to each");
}
