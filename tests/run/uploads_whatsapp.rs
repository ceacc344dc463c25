//! Files that WhatsApp keeps: fetched once for a broadcast and posted to it, and named by their id in each message.

use super::run_support::audience_server::{AudienceServer, Reply};
use super::run_support::{Stage, broadcast};

const PEOPLE: u64 = 12;
const PICTURE: &str = "the bytes of a picture";

/// Writes `run.yaml`: a number at so many messages a second, and a broadcast of what is at this link.
fn documents(stage: &Stage, messages: u32, link: &str) {
    let recipients: Vec<String> = (0..PEOPLE).map(|id| format!("{{id: \"+1650555{id:04}\"}}")).collect();
    let spec = format!(
        "  audience: {{recipients: [{}]}}\n  content: {{attachments: [{{type: Image, url: \"{link}\"}}]}}\n",
        recipients.join(", ")
    );
    let channel = format!(
        "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: page}}\nspec:\n  whatsapp: \
         {{phoneNumberID: \"106540352242922\", baseURL: \"{}\"}}\n  credentialsSecretRef: {{name: page}}\n  rate: \
         {{messages: {messages}}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: page}}\nstringData: \
         {{accessToken: EAAB-canary}}\n---\n",
        stage.base_url
    );
    stage.write("run.yaml", channel + &broadcast("spring", &spec));
}

fn sent(stage: &Stage) -> Vec<String> {
    let lines = stage.requests();
    lines.iter().filter(|line| line.accepted).map(|line| line.attachments[0].to_string()).collect()
}

/// A server of files that nobody has credentials for.
fn files(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> AudienceServer {
    AudienceServer::start(move |request| {
        assert_eq!(request.authorization, "", "the provider's credentials are nobody else's");
        answer(request.number)
    })
}

#[test]
fn a_file_is_fetched_and_uploaded_once_for_every_message_of_a_broadcast_whatever_stops_it_between() {
    let stage = Stage::open(&["--latency", "20"]);
    let files = files(|_| Reply::file("image/png", PICTURE));
    let link = format!("{}/menu.png?signature=canary", files.url);
    documents(&stage, 5, &link);
    let run = stage.start(&[]);
    stage.await_requests(PEOPLE as usize / 2);
    run.signal("TERM");
    run.wait().exits(3);
    documents(&stage, 100, &link);
    stage.run(&[]).exits(0);
    assert_eq!((stage.accepted().len() as u64, stage.summary().uploads, files.requests()), (PEOPLE, 1, 1));
    let sent = sent(&stage);
    let whole = format!(" image/png,{},menu.png", PICTURE.len());
    assert!(
        sent.iter().all(|what| *what == sent[0] && what.starts_with("image kept:") && what.ends_with(&whole)),
        "{sent:?}"
    );
}

#[test]
fn a_file_that_whatsapp_has_forgotten_is_uploaded_again_and_nobody_fails() {
    let stage = Stage::open(&["--attachment-seconds", "1"]);
    let files = files(|_| Reply::file("image/png", PICTURE));
    documents(&stage, 5, &format!("{}/menu.png", files.url));
    let run = stage.start(&[]);
    stage.await_requests(PEOPLE as usize * 2 / 3);
    // What is uploaded from now on lives long enough.
    stage.settings("{\"attachment-seconds\": 0}");
    let told = run.wait().exits(0);
    assert_eq!(stage.accepted().len() as u64, PEOPLE, "{told:?}");
    let uploads = stage.summary().uploads;
    assert!(uploads >= 2 && uploads == files.requests() as u64, "{uploads} uploads");
    let refused: Vec<_> = stage.requests().into_iter().filter(|line| !line.accepted).collect();
    assert!(!refused.is_empty() && refused.iter().all(|line| line.code.as_deref() == Some("100")), "{refused:?}");
}

#[test]
fn a_file_of_unknown_length_goes_in_chunks_and_one_that_broke_off_is_fetched_again() {
    let stage = Stage::open(&[]);
    let files = files(|number| match number {
        0 => Reply::file("image/png", PICTURE).broken_off(),
        _ => Reply::file("image/png", PICTURE).chunked(),
    });
    documents(&stage, 100, &format!("{}/menu.png", files.url));
    stage.run(&[]).exits(0);
    assert_eq!((stage.accepted().len() as u64, stage.summary().uploads, files.requests()), (PEOPLE, 1, 2));
    assert!(sent(&stage)[0].ends_with(&format!(" image/png,{},menu.png", PICTURE.len())));
}

#[test]
fn what_whatsapp_cannot_be_given_is_named_and_nobody_is_messaged() {
    /// What the server answers, and what is said of it.
    type Case = (fn(usize) -> Reply, &'static str);
    let cases: [Case; 4] = [
        (|_| Reply::status("404 Not Found"), "answered 404"),
        (|_| Reply::file("text/html", "<html>"), "it is text/html, and one of image/jpeg, image/png is taken"),
        (|_| Reply::file("image/png", "x".repeat(5 * 1024 * 1024 + 1)), "5242880 bytes"),
        (|_| Reply::file("image/png", "x".repeat(5 * 1024 * 1024 + 1)).chunked(), "5242880 bytes"),
    ];
    for (answer, problem) in cases {
        let stage = Stage::open(&[]);
        let files = files(answer);
        documents(&stage, 100, &format!("{}/menu.png?signature=canary", files.url));
        let told = stage.run(&[]).exits(1);
        let told = told.says(&["spec.content.attachments[0].url", problem]);
        assert!(!told.stderr.contains("canary"), "{}", told.stderr);
        assert!(stage.requests().is_empty(), "{problem}");
    }
}

#[test]
fn a_link_that_leads_to_another_server_is_left_for_whatsapp_to_fetch() {
    let stage = Stage::open(&[]);
    let files = files(|_| Reply::redirect("http://127.0.0.2:9/a.png?canary"));
    let link = format!("{}/menu.png?signature=canary", files.url);
    documents(&stage, 100, &link);
    let told = stage.run(&[]).exits(0);
    let told = told.says(&["a redirect leads to http://127.0.0.2:9, away from", "messages carry its link"]);
    assert!(!told.stderr.contains("canary"), "{}", told.stderr);
    assert_eq!((sent(&stage), stage.summary().uploads), (vec![format!("image {link}"); PEOPLE as usize], 0));
}

#[test]
fn a_link_that_nobody_answers_is_refused_and_another_one_may_take_its_place() {
    let stage = Stage::open(&[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    documents(&stage, 100, &format!("http://{}/menu.png", listener.local_addr().unwrap()));
    drop(listener);
    stage.run(&[]).exits(1).says(&["spec.content.attachments[0].url", "3 times in a row"]);
    assert!(stage.requests().is_empty());
    let files = files(|_| Reply::file("application/octet-stream", PICTURE));
    documents(&stage, 100, &format!("{}/menu.png", files.url));
    stage.run(&[]).exits(0);
    assert_eq!((stage.accepted().len() as u64, files.requests()), (PEOPLE, 1), "the end of the link says what it is");
}
