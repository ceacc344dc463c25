//! Files that Telegram keeps by itself: the first message carries the link, and its answer tells the id that the later ones name.

use super::run_support::{Stage, broadcast};

const PEOPLE: u64 = 12;
const LINKS: [&str; 2] = ["https://cdn.example/menu.png", "https://cdn.example/menu.pdf"];

/// Writes `run.yaml`: a bot at so many messages a second, and a broadcast of a picture and a document.
fn documents(stage: &Stage, messages: u32) {
    let recipients: Vec<String> = (1..=PEOPLE).map(|id| format!("{{id: \"{id}\"}}")).collect();
    let [picture, paper] = LINKS;
    let spec = format!(
        "  audience: {{recipients: [{}]}}\n  content: {{attachments: [{{type: Image, url: \"{picture}\"}}, {{type: File, \
         url: \"{paper}\"}}]}}\n",
        recipients.join(", ")
    );
    let channel = format!(
        "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: page}}\nspec:\n  telegram: {{botID: \
         \"123456789\", baseURL: \"{}\"}}\n  credentialsSecretRef: {{name: page}}\n  rate: {{messages: \
         {messages}}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: page}}\nstringData: {{botToken: \
         \"123456789:canary\"}}\n---\n",
        stage.base_url
    );
    stage.write("run.yaml", channel + &broadcast("spring", &spec));
}

/// The messages that were taken, from this one on: how many carried the link, and how many an id.
fn taken(stage: &Stage, from: usize) -> (usize, usize) {
    let lines = stage.requests();
    let taken: Vec<_> = lines.iter().skip(from).filter(|line| line.accepted).collect();
    assert!(taken.iter().all(|line| LINKS.iter().any(|link| line.attachments[0].ends_with(link))), "{taken:?}");
    let by_id = taken.iter().filter(|line| line.attachments[0].contains(" kept:AgAC")).count();
    (taken.len() - by_id, by_id)
}

#[test]
fn later_messages_name_what_the_first_answer_told_whatever_stops_the_sender_between() {
    let stage = Stage::open(&["--latency", "20"]);
    documents(&stage, 8);
    let run = stage.start(&[]);
    // Some of them after the first answer.
    stage.await_requests(PEOPLE as usize);
    run.signal("TERM");
    run.wait().exits(3);
    let before = stage.requests().len();
    documents(&stage, 100);
    stage.run(&[]).exits(0);
    let (by_link, by_id) = taken(&stage, 0);
    assert_eq!((by_link + by_id, stage.accepted().len()), (2 * PEOPLE as usize, 2 * PEOPLE as usize));
    assert!(by_link >= LINKS.len() && by_id > 0, "{by_link} by link, {by_id} by id");
    let (by_link, by_id) = taken(&stage, before);
    assert!(by_link == 0 && by_id > 0, "a sender that is started anew asks the ledger: {by_link} by link");
}

#[test]
fn a_file_that_telegram_has_forgotten_goes_by_its_link_again_and_nobody_fails() {
    let stage = Stage::open(&["--attachment-seconds", "1"]);
    documents(&stage, 8);
    let run = stage.start(&[]);
    stage.await_requests(PEOPLE as usize * 3 / 2);
    // What is learned from now on lives long enough.
    stage.settings("{\"attachment-seconds\": 0}");
    let told = run.wait().exits(0);
    let (by_link, by_id) = taken(&stage, 0);
    assert_eq!((by_link + by_id, stage.accepted().len()), (2 * PEOPLE as usize, 2 * PEOPLE as usize), "{told:?}");
    let refused: Vec<_> = stage.requests().into_iter().filter(|line| !line.accepted).collect();
    let code = "400/wrong file identifier";
    assert!(!refused.is_empty() && refused.iter().all(|line| line.code.as_deref() == Some(code)), "{refused:?}");
    assert!(by_link > LINKS.len(), "{by_link} by link");
}
