//! The rules of the house, read off the sources: arrows between rooms go downward, pure rooms know no clock, no
//! randomness and no IO, each outside dependency has its rooms, and files stay small and named after what they hold.
//!
//! Code under `#[cfg(test)]`, and a file that begins with `#![cfg(test)]`, is exempt: tests may look anywhere.

#![allow(clippy::unwrap_used, reason = "a failed read fails the test")]

use std::fmt;
use std::path::Path;

/// The rooms, and what each may import of the others; `src/lib.rs` describes them in the same order. The files
/// directly in `src` and the binaries wire everything and may import any.
const ROOMS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("delivery", &["api"]),
    ("content", &["api", "delivery"]),
    ("audience", &["api", "delivery", "content"]),
    ("provider", &["api", "delivery", "content"]),
    ("ledger", &["api", "delivery", "content", "audience", "provider"]),
    ("contacts", &["api", "delivery", "audience", "ledger"]),
    ("sender", &["api", "delivery", "content", "audience", "provider", "ledger"]),
    ("controller", &["api", "delivery", "content", "ledger"]),
    ("receiver", &["api", "delivery", "provider", "ledger", "sender"]),
    ("report", &["api", "delivery", "ledger"]),
    (
        "local",
        &["api", "delivery", "content", "audience", "provider", "ledger", "contacts", "sender", "receiver", "report"],
    ),
    ("simulator", &["delivery", "provider"]),
    ("plugin", &["api", "delivery", "content", "provider", "ledger", "contacts", "report", "local"]),
];

/// Rooms in which `now` and seeds are parameters. Files named `decide*.rs` are pure wherever they stand.
const PURE_ROOMS: &[&str] = &["api", "delivery", "content", "provider"];

/// What pure code does not name: a path is forbidden if it starts with one of these.
const IMPURE_PREFIXES: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::hash::RandomState",
    "std::collections::hash_map::RandomState",
    "tokio",
    "reqwest",
    "hyper",
    "hyper_util",
    "axum",
    "sqlx",
    "rustix",
    "rand",
    "getrandom",
    "fastrand",
    "ring::rand",
];

/// What pure code does not call, under whatever name it was imported: a path is forbidden if it ends with one of these.
const IMPURE_ENDINGS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "Utc::now",
    "Local::now",
    "Timestamp::now",
    "Zoned::now",
    "TimeZone::system",
    "TimeZone::get",
];

/// The only rooms that may name these.
const RESERVED: &[(&str, &[&str])] = &[
    ("sqlx", &["ledger", "audience"]),
    ("reqwest", &["sender", "audience", "ledger"]),
    ("axum", &["ledger", "controller", "receiver"]),
    ("axum_server", &["controller"]),
    ("hyper", &["sender", "receiver", "simulator", "plugin"]),
    ("hyper_util", &["simulator", "controller", "receiver", "plugin"]),
    ("tower", &["sender", "controller"]),
    ("kube", &["api", "controller", "plugin"]),
    ("kube::Client", &["controller", "plugin"]),
    ("kube::client", &["controller", "plugin"]),
    ("k8s_openapi", &["api", "ledger", "controller", "plugin"]),
    ("minijinja", &["content"]),
    ("indicatif", &["local"]),
    ("prometheus_client", &["controller"]),
    ("rcgen", &["controller"]),
    ("x509_parser", &["controller"]),
    ("rustix", &["sender"]),
    ("ring", &["provider", "ledger", "sender", "receiver", "controller", "simulator", "plugin"]),
    ("rustls", &["sender", "controller", "plugin"]),
    ("tokio_rustls", &["plugin"]),
    ("jiff", &["api", "content", "delivery", "provider", "ledger", "controller", "report", "simulator", "plugin"]),
    ("clap", &["contacts", "sender", "receiver", "controller", "local", "simulator", "plugin"]),
    ("clap_complete", &["plugin"]),
    ("serde_saphyr", &["api", "controller", "local", "plugin"]),
];

/// The command line and the program's start name these as well: there the flags are read and the crypto provider is set.
const WIRING: &[&str] = &["clap", "clap_complete", "ring", "rustls"];

/// A file that grows past this wants splitting by what it does.
const MAX_LINES: usize = 600;

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "type", "types", "misc"];

#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

#[test]
fn the_sources_keep_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    assert!(files.len() > ROOMS.len(), "the sources were not found under {}", root.display());

    let mut violations = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        violations.extend(check(&name, &std::fs::read_to_string(&file).unwrap()));
    }
    let shown: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert!(shown.is_empty(), "\n{}\n", shown.join("\n"));
}

#[test]
fn every_room_of_the_library_has_its_rules() {
    let library = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let rooms: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(!rooms.is_empty());
    for room in rooms {
        assert!(ROOMS.iter().any(|(name, _)| *name == room), "src/lib.rs: give the room {room} its arrows in ROOMS");
    }
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every broken rule of one file. `file` is its path from the root, such as `src/delivery/rate.rs`.
fn check(file: &str, text: &str) -> Vec<Violation> {
    let place = Location::of(file);
    let mut violations = Vec::new();
    let mut refuse = |line: usize, rule: String| {
        let violation = Violation { file: file.to_owned(), line, rule };
        if !violations.contains(&violation) {
            violations.push(violation);
        }
    };

    let lines = text.lines().count();
    if lines > MAX_LINES {
        refuse(lines, format!("a file has at most {MAX_LINES} lines; split it by what it does"));
    }
    if let Some(name) = place.modules.iter().chain([&place.stem]).find(|name| EMPTY_NAMES.contains(&name.as_str())) {
        refuse(1, format!("`{name}` says nothing about what is in it; name it after what it holds"));
    }

    for (line, path) in paths(&without_tests(tokens(text))) {
        let written = path.join("::");
        if let (Some(room), Some(target)) = (&place.room, place.room_named_by(&path))
            && target != *room
            && !allowed(room, &target)
        {
            refuse(line, format!("`{room}` does not import `{target}`: arrows between rooms go downward ({written})"));
        }
        if place.is_pure() {
            let impure = IMPURE_PREFIXES.iter().any(|prefix| starts_with(&path, prefix))
                || IMPURE_ENDINGS.iter().any(|ending| ends_with(&path, ending))
                || (starts_with(&path, "std::time") && !starts_with(&path, "std::time::Duration"));
            if impure {
                refuse(line, format!("pure code has no clock, no randomness and no IO: pass it in ({written})"));
            }
        }
        for (prefix, rooms) in RESERVED {
            let may = match &place.room {
                Some(room) => rooms.contains(&room.as_str()),
                None => WIRING.contains(prefix),
            };
            if starts_with(&path, prefix) && !may {
                refuse(line, format!("only {} may use `{prefix}` ({written})", rooms.join(" and ")));
            }
        }
    }
    violations
}

fn allowed(room: &str, target: &str) -> bool {
    ROOMS.iter().find(|(name, _)| *name == room).is_none_or(|(_, below)| below.contains(&target))
}

fn starts_with(path: &[String], prefix: &str) -> bool {
    let prefix: Vec<&str> = prefix.split("::").collect();
    // `core` and `alloc` hold parts of `std`.
    let same = |(name, wanted): (&String, &&str)| {
        name == wanted || (*wanted == "std" && matches!(name.as_str(), "core" | "alloc"))
    };
    // A lone word such as `rand` may be anything; a crate is named by what is taken from it, or by an import.
    let enough = prefix.len().max(2);
    path.len() >= enough && path.iter().zip(&prefix).all(same)
}

fn ends_with(path: &[String], ending: &str) -> bool {
    let ending: Vec<&str> = ending.split("::").collect();
    path.len() >= ending.len() && path[path.len() - ending.len()..] == ending[..]
}

/// Where a file stands in the library.
struct Location {
    /// The room, unless the file stands directly in `src` or is a binary.
    room: Option<String>,
    /// The modules that lead to this file's own module, the file's own included.
    modules: Vec<String>,
    stem: String,
}

impl Location {
    fn of(file: &str) -> Location {
        let inside = file.strip_prefix("src/").unwrap_or(file).trim_end_matches(".rs");
        let mut modules: Vec<String> = inside.split('/').map(str::to_owned).collect();
        let stem = modules.last().cloned().unwrap_or_default();
        if matches!(stem.as_str(), "mod" | "lib" | "main") {
            modules.pop();
        }
        let room = modules.first().filter(|first| ROOMS.iter().any(|(name, _)| name == first)).cloned();
        Location { room, modules, stem }
    }

    fn is_pure(&self) -> bool {
        self.stem.starts_with("decide") || self.room.as_ref().is_some_and(|room| PURE_ROOMS.contains(&room.as_str()))
    }

    /// The room a path leads to from here, through `crate`, `herald` or enough `super`s. What lies directly in the
    /// root counts as a room, so that nobody reaches `cli` from below.
    fn room_named_by(&self, path: &[String]) -> Option<String> {
        match path.first()?.as_str() {
            "crate" | "herald" => path.get(1).cloned(),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                // Inline modules add levels this does not see; only code under test has them.
                (ups >= self.modules.len()).then(|| path.get(ups).cloned()).flatten()
            }
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Sign(char),
}

/// The tokens of a source with their lines, without comments, texts and numbers' tails.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| characters.get(index).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let (mut index, mut line) = (0, 1);
    while index < characters.len() {
        let start = index;
        let character = at(index);
        if character == '/' && at(index + 1) == '/' {
            while index < characters.len() && at(index) != '\n' {
                index += 1;
            }
        } else if character == '/' && at(index + 1) == '*' {
            index = end_of_comment(&characters, index);
        } else if let Some(end) = end_of_raw_text(&characters, index) {
            index = end;
        } else if character == '"' {
            index += 1;
            while index < characters.len() && at(index) != '"' {
                index += if at(index) == '\\' { 2 } else { 1 };
            }
            index += 1;
        } else if character == '\'' {
            index = end_of_quote(&characters, index);
        } else if character.is_alphanumeric() || character == '_' {
            while at(index).is_alphanumeric() || at(index) == '_' {
                index += 1;
            }
            tokens.push((line, Token::Word(characters[start..index].iter().collect())));
        } else if character == ':' && at(index + 1) == ':' {
            index += 2;
            tokens.push((line, Token::Colons));
        } else {
            index += 1;
            if !character.is_whitespace() {
                tokens.push((line, Token::Sign(character)));
            }
        }
        let end = index.min(characters.len());
        line += characters[start..end].iter().filter(|character| **character == '\n').count();
    }
    tokens
}

fn end_of_comment(characters: &[char], start: usize) -> usize {
    let (mut index, mut depth) = (start, 0_usize);
    while index + 1 < characters.len() {
        match (characters[index], characters[index + 1]) {
            ('/', '*') => (depth, index) = (depth + 1, index + 2),
            ('*', '/') => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
        if depth == 0 {
            return index;
        }
    }
    characters.len()
}

/// The end of `r"…"`, `r#"…"#`, `br"…"`, if one starts here.
fn end_of_raw_text(characters: &[char], start: usize) -> Option<usize> {
    if start > 0 && (characters[start - 1].is_alphanumeric() || characters[start - 1] == '_') {
        return None;
    }
    let mut index = start;
    while matches!(characters.get(index), Some('b' | 'c')) && index == start {
        index += 1;
    }
    if characters.get(index) != Some(&'r') {
        return None;
    }
    index += 1;
    let hashes = characters[index..].iter().take_while(|character| **character == '#').count();
    index += hashes;
    if characters.get(index) != Some(&'"') {
        return None;
    }
    index += 1;
    while index < characters.len() {
        let closes = characters[index] == '"'
            && characters[index + 1..].iter().take(hashes).filter(|character| **character == '#').count() == hashes;
        index += 1;
        if closes {
            return Some(index + hashes);
        }
    }
    Some(characters.len())
}

/// The end of a character such as `'x'` or `'\n'`, or just past the quote of a lifetime.
fn end_of_quote(characters: &[char], start: usize) -> usize {
    if characters.get(start + 1) == Some(&'\\') {
        let close = characters[start + 3..].iter().position(|character| *character == '\'');
        return close.map_or(characters.len(), |close| start + 3 + close + 1);
    }
    if characters.get(start + 2) == Some(&'\'') { start + 3 } else { start + 1 }
}

/// Leaves out what follows `#[cfg(test)]`: an item up to its `;` or its closing brace.
fn without_tests(tokens: Vec<(usize, Token)>) -> Vec<(usize, Token)> {
    let word = |name: &str| Token::Word(name.to_owned());
    let mark = [
        Token::Sign('#'),
        Token::Sign('['),
        word("cfg"),
        Token::Sign('('),
        word("test"),
        Token::Sign(')'),
        Token::Sign(']'),
    ];
    let whole = [&[mark[0].clone(), Token::Sign('!')], &mark[1..]].concat();
    if tokens.len() >= whole.len() && tokens.iter().zip(&whole).all(|((_, token), wanted)| token == wanted) {
        return Vec::new();
    }
    let mut kept = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let marked = tokens.len() - index >= mark.len()
            && tokens[index..index + mark.len()].iter().zip(&mark).all(|((_, token), wanted)| token == wanted);
        if !marked {
            kept.push(tokens[index].clone());
            index += 1;
            continue;
        }
        index += mark.len();
        let mut depth = 0_usize;
        while index < tokens.len() {
            match tokens[index].1 {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') => depth -= 1,
                _ => {}
            }
            let ends = depth == 0 && matches!(tokens[index].1, Token::Sign(';' | '}'));
            index += 1;
            if ends {
                break;
            }
        }
    }
    kept
}

/// Every path of a source with its line, in `use` and elsewhere; groups in braces are spread out.
fn paths(tokens: &[(usize, Token)]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        index = match &tokens[index].1 {
            Token::Word(name) if is_whole_import(tokens, index) => {
                found.push((tokens[index].0, vec![name.clone(), "*".to_owned()]));
                index + 1
            }
            Token::Word(_) => path_from(tokens, index, &[], &mut found),
            // `use {a::b, c::d};` and everything else goes on with the next token.
            _ => index + 1,
        };
    }
    found
}

/// Whether the word is a crate that is imported as a whole: `use sqlx;`, `use sqlx as x;`, `extern crate sqlx;`.
fn is_whole_import(tokens: &[(usize, Token)], index: usize) -> bool {
    let is = |at: usize, wanted: &[&str]| matches!(tokens.get(at), Some((_, Token::Word(word))) if wanted.contains(&word.as_str()));
    let ends = matches!(tokens.get(index + 1), Some((_, Token::Sign(';')))) || is(index + 1, &["as"]);
    index > 0 && is(index - 1, &["use", "crate"]) && ends
}

/// Reads one path, or one branch of a group, from a word on and gives the index after it.
fn path_from(
    tokens: &[(usize, Token)],
    start: usize,
    before: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut path = before.to_vec();
    let mut index = start;
    let line = tokens[start].0;
    while let Some((_, Token::Word(name))) = tokens.get(index) {
        // `use a::{self}` means `a`.
        if name != "self" || path.is_empty() {
            path.push(name.clone());
        }
        index += 1;
        if tokens.get(index).map(|(_, token)| token) != Some(&Token::Colons) {
            break;
        }
        index += 1;
        if tokens.get(index).map(|(_, token)| token) == Some(&Token::Sign('{')) {
            index += 1;
            while let Some((_, token)) = tokens.get(index) {
                index = match token {
                    Token::Sign('}') => return index + 1,
                    Token::Word(_) => path_from(tokens, index, &path, found),
                    _ => index + 1,
                };
            }
            return index;
        }
    }
    found.push((line, path));
    index
}

#[cfg(test)]
mod the_checker {
    use super::*;

    fn rules(file: &str, text: &str) -> Vec<String> {
        check(file, text).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn names_file_line_and_rule() {
        assert_eq!(
            rules("src/delivery/rate.rs", "//! Rates.\n\nuse crate::ledger::Ledger;\n"),
            ["src/delivery/rate.rs:3: `delivery` does not import `ledger`: arrows between rooms go downward \
              (crate::ledger::Ledger)"]
        );
        assert_eq!(
            rules("src/content/text.rs", "fn now() -> u64 {\n    std::time::SystemTime::now();\n}"),
            ["src/content/text.rs:2: pure code has no clock, no randomness and no IO: pass it in \
              (std::time::SystemTime::now)"]
        );
        assert_eq!(
            rules("src/local/mod.rs", "use sqlx::Row;"),
            ["src/local/mod.rs:1: only ledger and audience may use `sqlx` (sqlx::Row)"]
        );
    }

    #[test]
    fn finds_every_kind_of_violation() {
        let cases = [
            ("src/api/channel.rs", "use crate::{\n    api::{self, rate},\n    delivery::outcome::Outcome,\n};"),
            ("src/provider/http.rs", "use super::super::audience::Recipient;"),
            ("src/provider/messenger/codes.rs", "fn f() { super::super::super::ledger::open() }"),
            ("src/audience/csv.rs", "use crate::provider::Message;"),
            ("src/simulator/mod.rs", "use crate::api::Channel;"),
            ("src/simulator/mod.rs", "use herald::ledger::Ledger;"),
            ("src/local/mod.rs", "use crate::simulator::serve;"),
            ("src/sender/mod.rs", "use crate::local::run;"),
            ("src/ledger/mod.rs", "use crate::cli::Arguments;"),
            ("src/delivery/pace.rs", "use std::{fmt, time::{Duration, Instant}};"),
            ("src/delivery/pace.rs", "use std::time;"),
            ("src/delivery/pace.rs", "fn f() { let x: core::time::Duration; Instant::now() }"),
            ("src/api/status.rs", "let now = jiff::Timestamp::now();"),
            ("src/provider/http.rs", "use ring::{hmac, rand::SystemRandom};"),
            ("src/provider/http.rs", "async fn f() { tokio::spawn(g()) }"),
            ("src/controller/decide_broadcast.rs", "use std::env;"),
            ("src/sender/decide.rs", "use std::fs::File;"),
            ("src/content/text.rs", "let url = \"http://x\"; let f = std::fs::read(url);"),
            ("src/content/text.rs", "fn f<'a>(x: &'a str) { let c = '\"'; std::process::exit(1) } // \""),
            ("src/content/text.rs", "let r = r#\"a \" b\"#; std::env::var(r);"),
            ("src/local/mod.rs", "let client = reqwest::Client::new();"),
            ("src/main.rs", "use sqlx::SqlitePool;"),
            ("src/local/mod.rs", "use sqlx;"),
            ("src/local/mod.rs", "use sqlx as database;"),
            ("src/local/mod.rs", "extern crate sqlx;"),
            ("src/delivery/pace.rs", "use tokio;"),
            ("src/ledger/wire/server.rs", "use hyper_util::rt::TokioIo;"),
            ("src/local/run.rs", "fn f() -> minijinja::Value { todo() }"),
            ("src/cli.rs", "use indicatif::ProgressBar;"),
            ("src/ledger/mod.rs", "use kube::Api;"),
            ("src/api/mod.rs", "use kube::{CustomResource, Client};"),
            ("src/delivery/helpers.rs", ""),
            ("src/ledger/common/mod.rs", ""),
            ("src/delivery/long.rs", &"\n".repeat(MAX_LINES + 1)),
            ("src/delivery/rate.rs", "#[cfg(test)]\nmod tests { fn f() {} }\nuse std::fs;"),
            ("src/delivery/rate.rs", "#[cfg(test)]\nmod simulated;\nuse std::fs;"),
            ("src/delivery/rate_tests.rs", "use std::fs;\n#![cfg(test)]"),
            ("src/plugin/status.rs", "use crate::controller::run;"),
        ];
        for (file, text) in cases {
            assert_eq!(rules(file, text).len(), 1, "{file}: {text}: {:?}", rules(file, text));
        }
    }

    #[test]
    fn lets_everything_else_pass() {
        let cases = [
            ("src/sender/mod.rs", "use crate::ledger::Ledger;\nuse std::time::Instant;\nuse reqwest::Client;"),
            ("src/ledger/sqlite.rs", "use super::Ledger; use super::super::delivery::rate::Rate; use sqlx::Row;"),
            ("src/delivery/time.rs", "//! Unlike std::time::Instant.\nuse std::time::Duration; /* std::fs */"),
            (
                "src/delivery/time.rs",
                "const HINT: &str = \"crate::ledger and std::fs\"; const TEXT: &str = r#\"std::env\"#;",
            ),
            ("src/delivery/time.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n    use crate::ledger;\n}"),
            (
                "src/provider/mod.rs",
                "use ring::hmac; use std::collections::BTreeMap; use crate::delivery::outcome::Fault;",
            ),
            ("src/delivery/rate_tests.rs", "//! Tests.\n#![cfg(test)]\nuse std::fs; use crate::ledger;"),
            ("src/plugin/cluster.rs", "use kube::Client; use crate::ledger::results::ResultsFilter;"),
            ("src/delivery/retry.rs", "fn backoff(rand: u64) -> u64 { rand % 7 }"),
            ("src/main.rs", "use herald::local; use herald::simulator; mod cli; use clap::Parser;"),
            ("src/ledger/sqlite.rs", "use sqlx; fn f(kube: u64) { let tower = kube; }"),
            ("src/bin/kubectl-broadcast.rs", "use herald::api::BroadcastMessage;"),
            ("src/controller/mod.rs", "use kube::Client; use crate::ledger::Ledger;"),
            ("src/api/mod.rs", "use kube::CustomResource; use jiff::Timestamp;"),
        ];
        for (file, text) in cases {
            assert_eq!(rules(file, text), Vec::<String>::new(), "{file}: {text}");
        }
    }
}
