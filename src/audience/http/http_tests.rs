use std::collections::BTreeMap;
use std::io::Read;

use tokio::runtime::Runtime;

use super::scripted_server::{Answer, Asked, ScriptedServer, answer, broken, head, with_tls_provider};
use super::*;
use crate::api::{HttpFormat, NextPage, ObjectRef};
use crate::audience::{MaterialError, MaterialKind};

/// Secrets by name and key.
#[derive(Default)]
struct Secrets(BTreeMap<(&'static str, &'static str), String>);

impl Materials for Secrets {
    fn open(&self, kind: MaterialKind, name: &str, key: &str) -> Result<Box<dyn Read + Send>, MaterialError> {
        let found = self.0.iter().find(|((there, known), _)| *there == name && *known == key);
        match found {
            Some((_, value)) => Ok(Box::new(std::io::Cursor::new(value.clone().into_bytes()))),
            None => Err(MaterialError::KeyNotFound {
                kind,
                name: name.to_owned(),
                key: key.to_owned(),
                remedy: "add it".to_owned(),
            }),
        }
    }

    fn keys(&self, _: MaterialKind, name: &str) -> Result<Vec<String>, MaterialError> {
        Ok(self.0.keys().filter(|(there, _)| *there == name).map(|(_, key)| (*key).to_owned()).collect())
    }
}

/// A Secret `crm` with a token, whose headers may go to these hosts.
fn crm(allowed: &str) -> Secrets {
    let keys = [("allowedHosts", allowed), ("Authorization", "Bearer hunter2"), ("x-team", "growth\n")];
    Secrets(keys.map(|(key, value)| (("crm", key), value.to_owned())).into())
}

fn source(url: String) -> HttpSource {
    HttpSource {
        url,
        headers_secret_ref: None,
        format: None,
        recipients_pointer: None,
        next_page: None,
        timeout_seconds: 60,
    }
}

fn with_crm(url: String) -> HttpSource {
    HttpSource { headers_secret_ref: Some(ObjectRef { name: "crm".to_owned() }), ..source(url) }
}

/// Bounds that a test reaches without waiting.
fn limits() -> Limits {
    Limits { first_pause: Duration::from_millis(1), ..Limits::with_silence(Duration::from_secs(30)) }
}

type Outcome = Result<Vec<(String, String)>, Box<(Vec<String>, ReadError)>>;

/// Ids and places to the end, or those before the first error and the error.
fn read_within(limits: Limits, spec: &HttpSource, secrets: &Secrets) -> Outcome {
    with_tls_provider();
    let runtime = Runtime::new().unwrap();
    let rows = HttpRows::within(limits, spec, secrets, runtime.handle().clone())
        .map_err(|fault| Box::new((Vec::new(), ReadError::Source(fault))))?;
    let mut seen = Vec::new();
    for row in rows {
        match row {
            Ok(row) => seen.push((row.id, row.place.to_string())),
            Err(error) => return Err(Box::new((seen.into_iter().map(|(id, _)| id).collect(), error))),
        }
    }
    Ok(seen)
}

fn ids(spec: &HttpSource) -> Vec<String> {
    read_within(limits(), spec, &Secrets::default()).unwrap().into_iter().map(|(id, _)| id).collect()
}

#[track_caller]
fn refused(outcome: Outcome, kind: FaultKind, parts: &[&str]) -> Vec<String> {
    let (before, error) = *outcome.unwrap_err();
    let text = error.to_string();
    let ReadError::Source(fault) = error else { panic!("{text}") };
    assert_eq!(fault.kind, kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
    before
}

fn kind(kind: &str) -> String {
    format!("content-type: {kind}")
}

fn ndjson(ids: &[u32]) -> String {
    ids.iter().map(|id| format!("{{\"id\": \"{id}\"}}\n")).collect()
}

#[test]
fn pages_follow_each_other_by_the_header_link() {
    let server = ScriptedServer::start(|asked, _| {
        let next = |target: &str| vec![kind("application/x-ndjson"), format!("link: <{target}>; rel=\"next\"")];
        match asked.target.as_str() {
            "/people?all=1" => answer("200 OK", &next("/people?page=2"), &ndjson(&[1, 2])),
            "/people?page=2" => answer("200 OK", &next("?page=3#rest"), ""),
            _ => answer("200 OK", &[kind("application/x-ndjson")], &ndjson(&[3])),
        }
    });
    let rows = read_within(limits(), &source(server.url("/people?all=1")), &Secrets::default()).unwrap();
    let people = server.url("/people");
    let expected = [("1", " line 1"), ("2", " line 2"), ("3", " page 3 line 1")];
    assert_eq!(rows, expected.map(|(id, place)| (id.to_owned(), format!("{people}{place}"))));
    assert_eq!(server.targets(), ["/people?all=1", "/people?page=2", "/people?page=3"]);
}

#[test]
fn pages_follow_each_other_by_a_cursor_before_or_behind_the_list() {
    let server = ScriptedServer::start(|asked, _| {
        let body = match asked.target.as_str() {
            "/people?size=2" => {
                r#"{"meta": {"next": 240055500012400555000}, "data": {"people": [{"id": 1}, {"id": 2}]}}"#
            }
            "/people?size=2&after=240055500012400555000" => {
                r#"{"data": {"people": [{"id": "3"}], "more": [1]}, "meta": {"of": 3, "next": "a b&c"}}"#
            }
            "/people?size=2&after=a+b%26c" => r#"{"data": {"people": null}, "meta": {"next": null}}"#,
            other => panic!("{other}"),
        };
        answer("200 OK", &[kind("application/json"), "link: </elsewhere>; rel=next".to_owned()], body)
    });
    let next = NextPage { pointer: "/meta/next".to_owned(), parameter: Some("after".to_owned()) };
    let spec = HttpSource {
        recipients_pointer: Some("/data/people".to_owned()),
        next_page: Some(next),
        ..source(server.url("/people?size=2"))
    };
    let rows = read_within(limits(), &spec, &Secrets::default()).unwrap();
    let people = server.url("/people");
    let expected = [("1", " /data/people[0]"), ("2", " /data/people[1]"), ("3", " page 2 /data/people[0]")];
    assert_eq!(rows, expected.map(|(id, place)| (id.to_owned(), format!("{people}{place}"))));
}

#[test]
fn a_member_may_hold_the_whole_url_of_the_next_page() {
    let server = ScriptedServer::start(|asked, _| {
        let next = if asked.target == "/people" { r#""/people/2""# } else { "\"\"" };
        let id = asked.target.len();
        answer(
            "200 OK",
            &[kind("application/json")],
            &format!(r#"{{"links": {{"next": {next}}}, "d": [{{"id": {id}}}]}}"#),
        )
    });
    let next = NextPage { pointer: "/links/next".to_owned(), parameter: None };
    let spec = HttpSource {
        recipients_pointer: Some("/d".to_owned()),
        next_page: Some(next),
        ..source(server.url("/people"))
    };
    assert_eq!(ids(&spec), ["7", "9"]);
}

#[test]
fn csv_and_a_plain_list_are_read_too() {
    let server = ScriptedServer::start(|asked, _| match asked.target.as_str() {
        "/people" => answer("200 OK", &[kind("text/csv")], "id,first_name\n1,Ana\n2,\n"),
        "/people.json" => answer("200 OK", &[], r#"[{"id": "3"}, {"id": 4}]"#),
        _ => answer("204 No Content", &[kind("text/html")], ""),
    });
    assert_eq!(ids(&source(server.url("/people"))), ["1", "2"]);
    assert_eq!(ids(&source(server.url("/people.json"))), ["3", "4"]);
    let nobody = HttpSource { format: Some(HttpFormat::Ndjson), ..source(server.url("/nobody")) };
    assert_eq!(ids(&nobody), [] as [&str; 0]);
}

#[test]
fn rows_that_break_a_rule_are_told_by_page_and_place() {
    let server = ScriptedServer::start(|_, _| {
        answer("200 OK", &[kind("application/json")], r#"{"d": [{"id": "1"}, {"id": "hunter2", "x": [1]}, 5]}"#)
    });
    let spec = HttpSource { recipients_pointer: Some("/d".to_owned()), ..source(server.url("/people")) };
    with_tls_provider();
    let runtime = Runtime::new().unwrap();
    let rows = HttpRows::within(limits(), &spec, &Secrets::default(), runtime.handle().clone()).unwrap();
    let rows: Vec<_> = rows.map(|row| row.map(|row| row.id).map_err(|error| error.to_string())).collect();
    let people = server.url("/people");
    assert_eq!(
        rows,
        [
            Ok("1".to_owned()),
            Err(format!(
                "{people} /d[1], field x: the value is an object or a list; give each variable a field of its own, \
                 with a text, a number, true, false or null"
            )),
            Err(format!(
                "{people} /d[2]: the item is not a JSON object; let the list hold objects such as \
                 {{\"id\": \"24005550001\", \"first_name\": \"Ana\"}}"
            )),
        ]
    );
}

#[test]
fn headers_of_the_secret_go_to_the_hosts_it_names_and_to_no_other() {
    let server = ScriptedServer::start(|_, _| answer("200 OK", &[kind("text/csv")], "id\n1\n"));
    let spec = with_crm(server.url("/people"));
    let allowed = crm(&format!("crm.example,\n {}", server.address));
    assert_eq!(read_within(limits(), &spec, &allowed).unwrap().len(), 1);
    let asked = server.asked();
    assert_eq!(asked[0].header("authorization"), Some("Bearer hunter2"));
    assert_eq!((asked[0].header("x-team"), asked[0].header("allowedhosts")), (Some("growth"), None));

    let other = crm("crm.example 127.0.0.1");
    let parts = ["the url leads to http://127.0.0.1:", "does not allow", "add it to the key allowedHosts"];
    refused(read_within(limits(), &spec, &other), FaultKind::NotAllowed, &parts);
    assert_eq!(server.asked().len(), 1, "nothing was asked");
}

#[test]
fn a_secret_that_is_missing_or_unusable_is_told_by_its_key() {
    let spec = with_crm("http://127.0.0.1:9/people".to_owned());
    let nothing = Secrets::default();
    let parts = ["the Secret \"crm\" has no key \"allowedHosts\"", "add it"];
    refused(read_within(limits(), &spec, &nothing), FaultKind::SecretKeyNotFound, &parts);
    let long = format!("hunter2{}", "x".repeat(9_000));
    let cases = [
        ("allowedHosts", "https:///hunter2", "holds something that is no host"),
        ("allowedHosts", "  ", "is empty"),
        ("Host", "hunter2", "is a header that Herald sets itself"),
        ("X-Token", "hunter2\nhunter2", "holds a line break"),
        ("X-Token", long.as_str(), "is longer than 8192 bytes"),
        ("not a name", "hunter2", "is no name of a header"),
    ];
    for (key, value, expected) in cases {
        let mut secrets = crm("127.0.0.1:9");
        secrets.0.insert(("crm", key), value.to_owned());
        let named = format!("key \"{key}\" of the Secret \"crm\"");
        refused(read_within(limits(), &spec, &secrets), FaultKind::SecretKeyUnusable, &[&named, expected]);
    }
    let mut secrets = crm("127.0.0.1:9");
    secrets.0.extend((0..31).map(|number| (("crm", &*format!("x-{number}").leak()), "hunter2".to_owned())));
    let parts = ["the Secret \"crm\" has 33 headers", "at most 32 are sent"];
    refused(read_within(limits(), &spec, &secrets), FaultKind::SecretKeyUnusable, &parts);
}

#[test]
fn redirects_are_followed_where_the_source_may_go_and_refused_elsewhere() {
    let away = ScriptedServer::start(|_, _| answer("200 OK", &[kind("text/csv")], "id\n2\n"));
    let target = away.url("/x?token=hunter2");
    let server = ScriptedServer::start(move |asked, _| {
        let to = |target: &str| answer("307 Temporary Redirect", &[format!("location: {target}")], "");
        match asked.target.as_str() {
            "/here" => to("/people"),
            "/away" => to(&target),
            "/round" => to("/round"),
            "/nowhere" => answer("302 Found", &[], ""),
            "/paged" => answer("200 OK", &[kind("text/csv"), format!("link: <{target}>; rel=next")], "id\n1\n"),
            _ => answer("200 OK", &[kind("text/csv")], "id\n1\n"),
        }
    });
    assert_eq!(ids(&source(server.url("/here"))), ["1"]);
    let read = |spec: &HttpSource, secrets: &Secrets| read_within(limits(), spec, secrets);
    let nothing = Secrets::default();
    let away_from = format!("a redirect leads to http://{}, away from http://{};", away.address, server.address);
    refused(read(&source(server.url("/away")), &nothing), FaultKind::NotAllowed, &[&away_from]);
    let before =
        refused(read(&source(server.url("/paged")), &nothing), FaultKind::NotAllowed, &["the next page leads to"]);
    assert_eq!(before, ["1"]);
    refused(read(&source(server.url("/round")), &nothing), FaultKind::Invalid, &["more than 5 redirects"]);
    refused(read(&source(server.url("/nowhere")), &nothing), FaultKind::Invalid, &["302", "Location"]);

    let one = crm(&server.address);
    refused(
        read(&with_crm(server.url("/away")), &one),
        FaultKind::NotAllowed,
        &["which the Secret \"crm\" does not allow"],
    );
    assert_eq!(away.asked(), [], "the headers have not left");
    let both = crm(&format!("{} {}", server.address, away.address));
    assert_eq!(read(&with_crm(server.url("/away")), &both).unwrap()[0].0, "2");
    assert_eq!(away.asked()[0].header("authorization"), Some("Bearer hunter2"));
}

#[test]
fn a_page_is_asked_for_again_before_any_row_of_it_is_taken() {
    let failing = |failure: fn() -> Answer| {
        ScriptedServer::start(move |_, before| match before {
            0 | 1 => failure(),
            _ => answer("200 OK", &[kind("text/csv")], "id\n1\n2\n"),
        })
    };
    let failures: [fn() -> Answer; 6] = [
        // Longer than is ever waited for.
        || answer("503 Service Unavailable", &["retry-after: 86400".to_owned()], ""),
        || answer("503 Service Unavailable", &[], "hunter2"),
        || answer("429 Too Many Requests", &["retry-after: 0".to_owned()], ""),
        || broken(&[kind("text/csv")], "id\n1\n"),
        || Answer::Bytes(Vec::new()),
        || Answer::Bytes(b"hunter2".to_vec()),
    ];
    for failure in failures {
        let server = failing(failure);
        let hurried = Limits { longest_pause: Duration::from_millis(2), ..limits() };
        let rows = read_within(hurried, &source(server.url("/people")), &Secrets::default()).unwrap();
        assert_eq!((rows.len(), server.asked().len()), (2, 3));
    }
    let server = ScriptedServer::start(|_, _| answer("500 Internal Server Error", &[], ""));
    let parts = ["answered 500 Internal Server Error, 5 times in a row", "look at the server"];
    refused(read_within(limits(), &source(server.url("/")), &Secrets::default()), FaultKind::Unreachable, &parts);
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn a_definite_no_is_taken_at_the_first_word() {
    for (status, remedy) in [("401 Unauthorized", "check headersSecretRef"), ("404 Not Found", "check the URL")] {
        let server = ScriptedServer::start(move |_, _| answer(status, &[], "hunter2"));
        let spec = source(server.url("/people?key=hunter2"));
        let place = format!("http://{}/people: answered {status}", server.address);
        refused(read_within(limits(), &spec, &Secrets::default()), FaultKind::Refused, &[&place, remedy]);
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_server_that_is_not_there_is_told_without_the_query() {
    // The port is free again when the listener is dropped.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let spec = source(format!("http://{free}/people?key=hunter2"));
    let parts = ["no answer: ", "5 times in a row", "check the URL"];
    refused(read_within(limits(), &spec, &Secrets::default()), FaultKind::Unreachable, &parts);
}

#[test]
fn what_breaks_off_with_rows_taken_is_read_from_the_beginning_or_not_at_all() {
    let many = ndjson(&(0..5_000).collect::<Vec<u32>>());
    let server = ScriptedServer::start(move |_, _| broken(&[kind("application/x-ndjson")], &many));
    let little = Limits { ahead: 1_000, ..limits() };
    let outcome = read_within(little, &source(server.url("/people")), &Secrets::default());
    let before = refused(outcome, FaultKind::BrokenOff, &["the answer broke off", "from its beginning again"]);
    assert!(!before.is_empty());
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_json_answer_that_breaks_off_is_no_shorter_list() {
    let many = (0..5_000).map(|id| format!("{{\"id\": {id}}}")).collect::<Vec<_>>().join(",");
    let server = ScriptedServer::start(move |_, _| broken(&[kind("application/json")], &format!("[{many}")));
    let little = Limits { ahead: 1_000, ..limits() };
    let outcome = read_within(little, &source(server.url("/people")), &Secrets::default());
    refused(outcome, FaultKind::BrokenOff, &["the answer broke off"]);
    let cut = ScriptedServer::start(|_, _| answer("200 OK", &[kind("application/json")], r#"[{"id": 1}"#));
    let outcome = read_within(limits(), &source(cut.url("/people")), &Secrets::default());
    refused(outcome, FaultKind::Invalid, &["the answer is not JSON: EOF while parsing a list"]);
}

#[test]
fn silence_is_borne_so_long_and_no_longer() {
    let server = ScriptedServer::start(|asked, _| match asked.target.as_str() {
        "/dumb" => Answer::Stall(Vec::new()),
        _ => Answer::Stall(head("200 OK", &[kind("text/csv")], 1_000, "id\n1\n")),
    });
    // Longer than a busy machine takes for an answer.
    let short = Limits { silence: Duration::from_millis(500), attempts: 2, ..limits() };
    let read = |limits: Limits, target: &str| read_within(limits, &source(server.url(target)), &Secrets::default());
    refused(read(short, "/dumb"), FaultKind::Unreachable, &["no answer within 0.5 seconds, 2 times in a row"]);
    refused(read(short, "/half"), FaultKind::Unreachable, &["nothing came for 0.5 seconds, 2 times in a row"]);
    let before = refused(read(Limits { ahead: 2, ..short }, "/half"), FaultKind::BrokenOff, &["nothing came"]);
    assert_eq!(before, ["1"]);
    let hurried = Limits { whole: Duration::ZERO, ..short };
    refused(read(hurried, "/half"), FaultKind::TooSlow, &["longer than 0 seconds"]);
}

#[test]
fn more_than_is_read_of_one_source_is_refused() {
    let server = ScriptedServer::start(|asked: &Asked, before| {
        let next = format!("link: <?page={before}>; rel=next");
        let body = if asked.target == "/declared" { ndjson(&(0..500).collect::<Vec<_>>()) } else { ndjson(&[1, 2]) };
        answer("200 OK", &[kind("application/x-ndjson"), next], &body)
    });
    let read = |limits: Limits, target: &str| read_within(limits, &source(server.url(target)), &Secrets::default());
    let few_bytes = Limits { bytes: 100, ..limits() };
    refused(read(few_bytes, "/declared"), FaultKind::TooLarge, &["more than 100 bytes"]);
    // Over all pages together.
    let before = refused(read(few_bytes, "/people"), FaultKind::TooLarge, &[" page 5: ", "more than 100 bytes"]);
    assert_eq!(before.len(), 8);
    let few_pages = Limits { pages: 3, ..limits() };
    let before = refused(read(few_pages, "/people"), FaultKind::TooLarge, &["more than 3 pages"]);
    assert_eq!(before.len(), 6);
}

#[test]
fn pages_that_go_round_in_a_circle_are_refused() {
    for length in [1_usize, 2, 7] {
        let server = ScriptedServer::start(move |asked, _| {
            let page: usize = asked.target.trim_start_matches("/people?page=").parse().unwrap();
            // A tail of three pages leads into the circle.
            let next = if page < 3 + length - 1 { page + 1 } else { 3 };
            let headers = [kind("application/x-ndjson"), format!("link: <?page={next}>; rel=next")];
            answer("200 OK", &headers, &ndjson(&[page as u32]))
        });
        let outcome = read_within(limits(), &source(server.url("/people?page=0")), &Secrets::default());
        refused(outcome, FaultKind::Invalid, &["go round in a circle"]);
        assert!(server.asked().len() <= 4 * (3 + length), "{}", server.asked().len());
    }
}

#[test]
fn an_answer_in_no_known_form_is_refused_with_what_to_set() {
    let server = ScriptedServer::start(|asked, _| match asked.target.as_str() {
        "/html" => answer("200 OK", &[kind("text/html")], "<p>hunter2</p>"),
        "/gzip" => answer("200 OK", &[kind("text/csv"), "content-encoding: gzip".to_owned()], "hunter2"),
        "/zstd" => answer("200 OK", &[kind("text/csv"), "content-encoding: zstd".to_owned()], "hunter2"),
        "/part" => answer("206 Partial Content", &[kind("text/csv")], "id\n1\n"),
        "/csv" => answer("200 OK", &[kind("text/csv")], "id\n1\n"),
        "/object" => answer("200 OK", &[kind("application/json")], r#"{"people": {"hunter2": 1}}"#),
        "/broken" => answer("200 OK", &[kind("application/json")], r#"{"people": [{"id": 1}], hunter2}"#),
        "/cursor" => answer("200 OK", &[kind("application/json")], r#"{"people": [], "next": {"hunter2": 1}}"#),
        "/paged" => answer("200 OK", &[kind("application/json")], r#"{"people": [{"id": 1}], "meta": {"next": 2}}"#),
        other => panic!("{other}"),
    });
    let next = |pointer: &str| Some(NextPage { pointer: pointer.to_owned(), parameter: None });
    let read = |target: &str, pointer: &str, next_page: Option<NextPage>| {
        let spec = HttpSource { recipients_pointer: Some(pointer.to_owned()), next_page, ..source(server.url(target)) };
        read_within(limits(), &spec, &Secrets::default())
    };
    let cases = [
        (read("/html", "", None), "its content type \"text/html\" tells no format; set format"),
        (read("/gzip", "", None), "the answer is not the gzip that its Content-Encoding says"),
        (
            read("/zstd", "", None),
            "the answer is compressed in a way that is not known; let the server answer with gzip",
        ),
        (read("/csv", "/d", next("/next")), "the answer is no JSON, which nextPage points into"),
        (read("/object", "", None), "an object where recipientsPointer points, not a list"),
        (read("/object", "/people", None), "an object where recipientsPointer points, not a list"),
        (read("/object", "/persons", None), "no list where recipientsPointer points"),
        (read("/broken", "/people", None), "the answer is not JSON: key must be a string"),
        (read("/cursor", "/people", next("/next")), "no text or number where nextPage.pointer points"),
        (read("/cursor", "/people", next("/people/0/id")), "leads through what the other points at"),
        (
            read("/paged", "/people", next("/mta/next")),
            "nextPage.pointer \"/mta/next\" leads through what the answer does not",
        ),
        (read("/cursor", "", next("/next")), "leads through what the other points at"),
    ];
    for (outcome, expected) in cases {
        refused(outcome, FaultKind::Invalid, &[expected]);
    }
    refused(read("/part", "", None), FaultKind::Refused, &["206"]);
}

#[test]
fn an_answer_that_only_its_connection_ends_is_refused_unless_it_says_itself_where_it_ends() {
    let close = |kind: &str, body: &str| {
        Answer::Bytes(
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {kind}\r\n\r\n{body}").into_bytes(),
        )
    };
    let server = ScriptedServer::start(move |asked, _| match asked.target.as_str() {
        "/csv" => close("text/csv", "id\n1\n24005"),
        "/ndjson" => close("application/x-ndjson", "{\"id\": \"1\"}\n"),
        "/json" => close("application/json", "[{\"id\": \"1\"}]"),
        "/cut.json" => close("application/json", "[{\"id\": \"1\"}"),
        "/none" => Answer::Bytes(b"HTTP/1.1 204 No Content\r\ncontent-type: application/x-ndjson\r\n\r\n".to_vec()),
        "/chunked" => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ntransfer-encoding: Chunked\r\n\r\n";
            Answer::Bytes(format!("{head}5\r\nid\n1\n\r\n0\r\n\r\n").into_bytes())
        }
        other => panic!("{other}"),
    });
    let read = |target: &str| read_within(limits(), &source(server.url(target)), &Secrets::default());
    for target in ["/csv", "/ndjson"] {
        let parts = ["ends only where its connection does", "send Content-Length or Transfer-Encoding: chunked"];
        assert!(refused(read(target), FaultKind::Invalid, &parts).is_empty(), "{target}");
    }
    assert!(read("/cut.json").is_err());
    assert_eq!(ids(&source(server.url("/json"))), ["1"]);
    assert_eq!(ids(&source(server.url("/chunked"))), ["1"]);
    assert_eq!(ids(&source(server.url("/none"))), Vec::<String>::new());
}

/// An answer of these bytes, compressed; without its last ones where it is cut.
fn compressed(kind: &str, text: &str, cut: usize) -> Answer {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let mut packed = encoder.finish().unwrap();
    packed.truncate(packed.len() - cut);
    let headers = [format!("content-type: {kind}"), "content-encoding: gzip".to_owned()];
    let mut bytes = head("200 OK", &headers, packed.len(), "");
    bytes.extend(packed);
    Answer::Bytes(bytes)
}

#[test]
fn compressed_answers_are_read_as_what_they_were_within_the_same_bounds() {
    let people: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    let csv = format!("id\n{people}");
    let server = ScriptedServer::start(move |asked, _| match asked.target.as_str() {
        "/csv" => compressed("text/csv", &csv, 0),
        "/json" => compressed("application/json", r#"[{"id": "7001"}]"#, 0),
        "/cut" => compressed("text/csv", &csv, 9),
        other => panic!("{other}"),
    });
    let read = |limits: Limits, target: &str| read_within(limits, &source(server.url(target)), &Secrets::default());
    assert_eq!(read(limits(), "/csv").unwrap().len(), 20_000);
    assert_eq!(read(limits(), "/json").unwrap()[0].0, "7001");
    refused(read(limits(), "/cut"), FaultKind::Invalid, &["or not all of it"]);
    // More than it looks like on the way.
    let narrow = Limits { bytes: 100_000, ..limits() };
    refused(read(narrow, "/csv"), FaultKind::TooLarge, &["there are more than 100000 bytes"]);
}
