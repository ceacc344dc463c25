use super::*;

fn pointers(list: &str, next: Option<&str>) -> Pointers {
    Pointers { list: pointer(list), next: next.map(pointer) }
}

fn read(text: &str, list: &str, next: Option<&str>) -> (Vec<String>, Result<Option<String>, String>) {
    let input = std::io::Cursor::new(text.to_owned().into_bytes());
    let mut rows = JsonRows::new("list", input, pointers(list, next));
    let ids = rows.by_ref().map(|row| row.map_or_else(|error| error.to_string(), |row| row.id)).collect();
    (ids, rows.finish().map(|outcome| outcome.next))
}

#[test]
fn a_pointer_is_taken_apart_by_its_own_rules() {
    assert_eq!(pointer(""), [] as [&str; 0]);
    assert_eq!(pointer("/"), [""]);
    assert_eq!(pointer("/a~1b/m~0n/~01/0"), ["a/b", "m~n", "~1", "0"]);
}

#[test]
fn the_list_and_the_next_page_are_found_wherever_they_stand() {
    let cases = [
        (r#"[{"id": 1}, {"id": "2"}]"#, "", None, vec!["1", "2"], None),
        (r#" {"x": [[{"id": 9}]], "a": {"b": [{"id": 1}]}} "#, "/a/b", None, vec!["1"], None),
        (r#"[[{"id": 9}], {"d": [{"id": 1}]}]"#, "/1/d", Some("/0/0/id"), vec!["1"], Some("9")),
        (r#"{"a/b": {"": [{"id": 1}]}, "n": 1e3}"#, "/a~1b/", Some("/n"), vec!["1"], Some("1e3")),
        (r#"{"d": [], "n": "\u00fc\n"}"#, "/d", Some("/n"), vec![], Some("ü\n")),
        (r#"{"n": false, "d": []}"#, "/d", Some("/n"), vec![], None),
        (r#"{"d": [], "n": 1}"#, "/d", Some("/n/x"), vec![], None),
        (r#"{"d": null}"#, "/d", Some("/n"), vec![], None),
    ];
    for (text, list, next, ids, expected) in cases {
        assert_eq!(
            read(text, list, next),
            (ids.into_iter().map(str::to_owned).collect(), Ok(expected.map(str::to_owned))),
            "{text}"
        );
    }
}

#[test]
fn a_pointer_to_the_next_page_that_leads_nowhere_is_told_from_a_last_page() {
    let lost = |text: &str| {
        let mut rows = JsonRows::new("list", std::io::Cursor::new(text.to_owned()), pointers("/d", Some("/m/next")));
        rows.by_ref().for_each(drop);
        rows.finish().unwrap().lost_next
    };
    for (text, expected) in [
        (r#"{"d": [{"id": 1}]}"#, true),
        (r#"{"d": [{"id": 1}], "meta": {"next": "2"}}"#, true),
        (r#"{"d": [{"id": 1}], "m": 7}"#, true),
        (r#"{"d": [{"id": 1}], "m": {}}"#, false),
        (r#"{"d": [{"id": 1}], "m": null}"#, false),
        (r#"{"d": [{"id": 1}], "m": {"next": null}}"#, false),
        (r#"{"m": {"next": "2"}, "d": [{"id": 1}]}"#, false),
        (r#"{"d": []}"#, false),
    ] {
        assert_eq!(lost(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_answer_is_told_without_its_words() {
    let deep = format!("{{\"d\": {}", "[".repeat(500));
    let cases = [
        ("", "the answer is not JSON: EOF while parsing a value at line 1 column 0"),
        ("{\"d\": []} secret", "the answer is not JSON: trailing characters at line 1 column 11"),
        ("{\"d\": secret}", "the answer is not JSON: expected value at line 1 column 7"),
        ("{\"d\": \"secret\"}", "the answer has no list where recipientsPointer points"),
        ("{\"d\": {\"secret\": 1}}", "the answer has an object where recipientsPointer points, not a list"),
        ("{\"d\": [], \"n\": true}", "the answer has no text or number where nextPage.pointer points"),
        (deep.as_str(), "the answer is not JSON: EOF while parsing a list at line 1 column 506"),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text, "/d", Some("/n")).1, Err(expected.to_owned()));
    }
}

#[test]
fn what_is_kept_is_bounded_and_what_is_skipped_is_not() {
    let long = "x".repeat(2 * MAX_ROW_BYTES);
    let skipped = format!(r#"{{"x": "{long}", "d": [{{"id": 1}}], "y": ["{long}"]}}"#);
    assert_eq!(read(&skipped, "/d", None), (vec!["1".to_owned()], Ok(None)));
    for kept in [format!(r#"{{"d": [{{"id": "{long}"}}]}}"#), format!(r#"{{"{long}": 1}}"#)] {
        let (ids, outcome) = read(&kept, "/d", None);
        let error = outcome.unwrap_err();
        assert!(ids.is_empty() && error.starts_with("a name or row is longer than 1048576 bytes"), "{error}");
    }
}

#[test]
fn rows_come_in_order_whatever_their_number_and_size() {
    let wide = "y".repeat(3_000);
    let rows: Vec<String> = (0..2_000).map(|id| format!(r#"{{"id": {id}, "note": "{wide}"}}"#)).collect();
    let (ids, outcome) = read(&format!("[{}]", rows.join(",")), "", None);
    assert_eq!(ids, (0..2_000).map(|id| id.to_string()).collect::<Vec<_>>());
    assert_eq!(outcome, Ok(None));
}

#[test]
fn a_reader_that_is_given_up_ends_its_parser() {
    struct Endless {
        rows: usize,
        _alive: std::sync::mpsc::Sender<()>,
    }
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let row = if self.rows == 0 { &b"[{\"id\": 1}"[..] } else { &b",{\"id\": 1}"[..] };
            self.rows += 1;
            buffer[..row.len()].copy_from_slice(row);
            Ok(row.len())
        }
    }
    let (alive, ended) = std::sync::mpsc::channel();
    let mut rows = JsonRows::new("list", Endless { rows: 0, _alive: alive }, pointers("", None));
    assert_eq!(rows.next().unwrap().unwrap().id, "1");
    drop(rows);
    // The parser drops its input when it ends.
    assert!(ended.recv().is_err());
}
