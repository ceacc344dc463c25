//! Custom labels of Messenger's pages: listed, made, and given to people. They are no messages, so they are counted by
//! themselves, for `GET /_simulator/labels`.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::decide::{Draw, draw, hash};
use super::played::Played;
use super::request::{Posted, Refusal, field};
use super::response::Response;
use super::settings::{Failure, Mishap, Settings};

/// The most labels, and the most people of all of them together, so that memory stays small. What comes beyond is answered,
/// and not kept.
const MAX_LABELS: usize = 1_000;
const MAX_PEOPLE: usize = 1_000_000;
/// Labels of one page of a list where the caller asks for no fewer.
const LIMIT: usize = 25;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    List { page: String, after: Option<String>, limit: usize },
    Create { page: String, name: String },
    Assign { label: String, user: String },
    Refused(Refusal),
}

/// Reads a request; `None` where it is not about labels.
pub fn read(method: &Method, request: &Posted<'_>) -> Option<Asked> {
    let (object, kind) = match request.segments()[..] {
        [version, object, kind] if version.starts_with('v') && !object.is_empty() => (object, kind),
        _ => return None,
    };
    let body = request.json();
    let text = |pointer: &str| body.text(pointer);
    let bad = |what: &str| Asked::Refused(Refusal::BadParameter(what.to_owned()));
    let object = object.to_owned();
    let asked = match (method, kind) {
        (&Method::GET, "custom_labels") => {
            let limit = field(request.query, "limit").and_then(|limit| limit.parse().ok()).unwrap_or(LIMIT);
            Asked::List { page: object, after: field(request.query, "after"), limit }
        }
        (&Method::POST, "custom_labels") => text("/page_label_name").map_or_else(
            || bad("The parameter page_label_name is required."),
            |name| Asked::Create { page: object, name },
        ),
        (&Method::POST, "label") => text("/user")
            .map_or_else(|| bad("The parameter user is required."), |user| Asked::Assign { label: object, user }),
        _ => return None,
    };
    Some(if request.has_bearer_token() { asked } else { Asked::Refused(Refusal::NoToken) })
}

/// One label and who has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub page: String,
    pub id: String,
    pub name: String,
    pub people: BTreeSet<String>,
}

/// The answer of `GET /_simulator/labels`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSummary {
    /// Calls of every kind, whatever became of them.
    pub calls: u64,
    pub failed: u64,
    /// The most calls in any sliding second.
    pub worst_second: u64,
    pub labels: Vec<Label>,
}

/// What is remembered of labels.
#[derive(Default)]
pub struct LabelBook {
    summary: LabelSummary,
    /// Arrivals within the last second: bounded by what one core can answer in a second.
    last_second: VecDeque<u64>,
    /// How often each was asked for the same.
    earlier: HashMap<u64, u32>,
    people: usize,
}

impl LabelBook {
    pub fn summary(&self) -> &LabelSummary {
        &self.summary
    }

    /// Takes a call; returns its latency and its answer.
    pub fn take(&mut self, settings: &Settings, asked: &Asked, time_ns: u64) -> (Duration, Response) {
        while self.last_second.front().is_some_and(|first| first + NANOS_PER_SECOND <= time_ns) {
            self.last_second.pop_front();
        }
        self.last_second.push_back(time_ns);
        self.summary.calls += 1;
        self.summary.worst_second = self.summary.worst_second.max(self.last_second.len() as u64);
        let key = match asked {
            Asked::Assign { label, user } => format!("{label} {user}"),
            Asked::List { page, .. } | Asked::Create { page, .. } => page.clone(),
            Asked::Refused(_) => String::new(),
        };
        let earlier = self.ask_again(&key);
        let latency = settings.latency.at(draw(settings.seed, &key, earlier, Draw::Latency));
        let response = match befalls(&settings.fail_labels, draw(settings.seed, &key, earlier, Draw::Failure)) {
            Some(mishap) => fail(mishap),
            None => self.answer(settings.seed, asked),
        };
        self.summary.failed += u64::from(response.status >= 300);
        (latency, response)
    }

    fn ask_again(&mut self, key: &str) -> u32 {
        if self.earlier.len() >= MAX_PEOPLE {
            return 0;
        }
        let earlier = self.earlier.entry(hash(0, &[key.as_bytes()])).or_default();
        *earlier += 1;
        *earlier - 1
    }

    fn answer(&mut self, seed: u64, asked: &Asked) -> Response {
        match asked {
            Asked::Refused(refusal) => Played::Messenger.play().refuse(refusal).1,
            Asked::List { page, after, limit } => self.list(page, after.as_deref(), *limit),
            Asked::Create { page, name } => {
                let id = format!("77{seed}{:06}", self.summary.labels.len());
                if self.summary.labels.len() < MAX_LABELS {
                    let (page, name) = (page.clone(), name.clone());
                    self.summary.labels.push(Label { page, id: id.clone(), name, people: BTreeSet::new() });
                }
                Response::json(200, &json!({ "id": id }))
            }
            Asked::Assign { label, user } => match self.summary.labels.iter_mut().find(|known| known.id == *label) {
                Some(known) => {
                    if self.people < MAX_PEOPLE && known.people.insert(user.clone()) {
                        self.people += 1;
                    }
                    Response::json(200, &json!({"success": true}))
                }
                None => Played::Messenger.play().refuse(&Refusal::BadParameter("there is no such label".to_owned())).1,
            },
        }
    }

    fn list(&self, page: &str, after: Option<&str>, limit: usize) -> Response {
        let from = after.and_then(|after| after.parse().ok()).unwrap_or(0);
        let limit = limit.clamp(1, LIMIT);
        let of_page: Vec<&Label> = self.summary.labels.iter().filter(|label| label.page == page).collect();
        let shown = of_page.iter().skip(from).take(limit);
        let data: Vec<_> = shown.map(|label| json!({"id": label.id, "page_label_name": label.name})).collect();
        let next = from + data.len();
        let mut paging = json!({"cursors": {"before": from.to_string(), "after": next.to_string()}});
        if next < of_page.len() {
            paging["next"] = format!("https://graph.facebook.com/custom_labels?after={next}").into();
        }
        Response::json(200, &json!({"data": data, "paging": paging}))
    }
}

fn befalls(failures: &[Failure], drawn: f64) -> Option<&Mishap> {
    let mut end = 0.0;
    let befallen = failures.iter().find(|failure| {
        end += failure.fraction;
        drawn < end
    });
    befallen.map(|failure| &failure.mishap)
}

fn fail(mishap: &Mishap) -> Response {
    match mishap {
        Mishap::Status(status) => Response::text(*status, "simulated failure"),
        Mishap::Code(code) => Played::Messenger.play().fail(code, &super::request::nobody(Played::Messenger)),
        _ => Response::text(500, "simulated failure"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn asked(method: &Method, path: &str, query: &str, token: bool, body: &str) -> Option<Asked> {
        let authorization = token.then_some("Bearer t");
        read(method, &Posted { path, query, authorization, body: body.as_bytes(), ..Posted::EMPTY })
    }

    #[test]
    fn calls_about_labels_are_told_from_messages_and_need_a_token() {
        let page = || "1029".to_owned();
        assert_eq!(
            asked(&Method::GET, "/v25.0/1029/custom_labels", "limit=2&after=4", true, ""),
            Some(Asked::List { page: page(), after: Some("4".into()), limit: 2 })
        );
        assert_eq!(
            asked(&Method::POST, "/v25.0/1029/custom_labels", "", true, r#"{"page_label_name": "vip"}"#),
            Some(Asked::Create { page: page(), name: "vip".into() })
        );
        assert_eq!(
            asked(&Method::POST, "/v25.0/77/label", "", true, r#"{"user": "24"}"#),
            Some(Asked::Assign { label: "77".into(), user: "24".into() })
        );
        assert_eq!(asked(&Method::POST, "/v25.0/77/label", "", false, "{}"), Some(Asked::Refused(Refusal::NoToken)));
        assert!(matches!(asked(&Method::POST, "/v25.0/77/label", "", true, "{}"), Some(Asked::Refused(_))));
        for path in ["/v25.0/1029/messages", "/send", "/v25.0//label", "/v25.0/1029/label/x"] {
            assert_eq!(asked(&Method::POST, path, "", true, "{}"), None, "{path}");
        }
    }

    #[test]
    fn a_label_is_made_anew_each_time_listed_in_pages_and_given_once() {
        let mut book = LabelBook::default();
        let mut take = |asked: &Asked| book.take(&Settings::default(), asked, 0).1.body;
        for name in ["vip", "vip", "sale"] {
            take(&Asked::Create { page: "1".into(), name: name.into() });
        }
        let list = |after: Option<&str>| Asked::List { page: "1".into(), after: after.map(str::to_owned), limit: 2 };
        let first: serde_json::Value = serde_json::from_str(&take(&list(None))).unwrap();
        assert_eq!((first["data"].as_array().unwrap().len(), &first["paging"]["cursors"]["after"]), (2, &"2".into()));
        assert!(first["paging"]["next"].is_string());
        let last: serde_json::Value = serde_json::from_str(&take(&list(Some("2")))).unwrap();
        assert_eq!(
            (&last["data"][0]["page_label_name"], &last["paging"]["next"]),
            (&"sale".into(), &serde_json::Value::Null)
        );
        let id = last["data"][0]["id"].as_str().unwrap();
        for _ in 0..2 {
            assert_eq!(take(&Asked::Assign { label: id.into(), user: "24".into() }), r#"{"success":true}"#);
        }
        assert!(take(&Asked::Assign { label: "99".into(), user: "24".into() }).contains("\"code\":100"));
        let summary = book.summary();
        assert_eq!((summary.calls, summary.failed, summary.worst_second), (8, 1, 8));
        let people: BTreeMap<&str, usize> =
            summary.labels.iter().map(|label| (label.name.as_str(), label.people.len())).collect();
        assert_eq!(people, BTreeMap::from([("sale", 1), ("vip", 0)]));
    }

    #[test]
    fn a_share_of_the_calls_fails_and_the_next_try_is_another_one() {
        let settings = Settings { fail_labels: vec!["2=0.5".parse().unwrap()], ..Settings::default() };
        let mut book = LabelBook::default();
        let asked = Asked::List { page: "1".into(), after: None, limit: 2 };
        let failed = (0..200).filter(|_| book.take(&settings, &asked, 0).1.status == 500).count();
        assert!((70..130).contains(&failed), "{failed}");
        assert_eq!(book.summary().failed, failed as u64);
    }
}
