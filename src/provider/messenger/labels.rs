//! Custom labels of a page. Making and assigning them is as on the Messenger Platform's page "Custom Labels" (18 Mar 2026):
//! `POST /PAGE/custom_labels {"page_label_name"}` (`name` before v12) and `POST /LABEL/label {"user"}`. That a list may be asked
//! for with `fields` and `limit`, and goes on by `paging.cursors.after` while there is a `paging.next`, is Graph's general rule
//! (recalled). That each call that makes a label makes a new one, also of the same name, is from one tool's documentation.

use bytes::Bytes;
use http::Request;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Messenger;
use super::graph_errors::GRAPH_ERRORS;
use crate::delivery::outcome::Outcome;
use crate::provider::answer::{json_object, text, unknown};
use crate::provider::label::{Labels, ListedLabels};
use crate::provider::{Answer, EncodeError, graph};

/// The name of a label, in answers and in the request that makes one.
const NAME: &str = "page_label_name";
/// As older versions call it.
const OLD_NAME: &str = "name";
/// Labels of one page of a list.
const LIMIT: usize = 100;

#[derive(Serialize)]
struct NewLabel<'a> {
    page_label_name: &'a str,
}

#[derive(Serialize)]
struct Assignment<'a> {
    user: &'a str,
}

impl Messenger {
    /// The object of an answer that holds no error.
    fn plain(&self, answer: &Answer<'_>) -> Result<Map<String, Value>, Outcome> {
        let body = json_object(answer)?;
        match body.get("error") {
            Some(error) => Err(graph::classify_error(error, answer, GRAPH_ERRORS, &self.graph.secrets)),
            None if answer.status.is_success() => Ok(body),
            None => Err(unknown("UnreadableAnswer", answer.status, "the answer is no yes and holds no error")),
        }
    }
}

impl Labels for Messenger {
    fn list(&self, after: Option<&str>) -> Result<Request<Bytes>, EncodeError> {
        let mut query = format!("fields=id,{NAME}&limit={LIMIT}");
        if let Some(after) = after {
            query.push_str("&after=");
            query.push_str(&escaped(after));
        }
        self.graph.get(&format!("{}/custom_labels", self.page_id), &query)
    }

    fn listed(&self, answer: &Answer<'_>) -> Result<ListedLabels, Outcome> {
        let body = self.plain(answer)?;
        let Some(data) = body.get("data").and_then(Value::as_array) else {
            return Err(unknown("IncompleteAnswer", answer.status, "the answer holds no list of labels"));
        };
        let name = |label: &Value| text(label.get(NAME)).or_else(|| text(label.get(OLD_NAME))).map(str::to_owned);
        let label = |label: &Value| Some((text(label.get("id"))?.to_owned(), name(label)?));
        let paging = body.get("paging").filter(|paging| paging.get("next").is_some());
        let after = paging.and_then(|paging| text(paging.pointer("/cursors/after"))).map(str::to_owned);
        Ok(ListedLabels { labels: data.iter().filter_map(label).collect(), after })
    }

    fn create(&self, name: &str) -> Result<Request<Bytes>, EncodeError> {
        self.graph.post_to(&format!("{}/custom_labels", self.page_id), &NewLabel { page_label_name: name })
    }

    fn created(&self, answer: &Answer<'_>) -> Result<String, Outcome> {
        let body = self.plain(answer)?;
        let id = text(body.get("id")).map(str::to_owned);
        id.ok_or_else(|| unknown("IncompleteAnswer", answer.status, "the answer holds no id of a label"))
    }

    fn assign(&self, label: &str, recipient: &str) -> Result<Request<Bytes>, EncodeError> {
        self.graph.post_to(&format!("{}/label", escaped(label)), &Assignment { user: recipient })
    }

    fn assigned(&self, answer: &Answer<'_>) -> Result<(), Outcome> {
        let body = self.plain(answer)?;
        match body.get("success").and_then(Value::as_bool) {
            Some(true) => Ok(()),
            _ => Err(unknown("IncompleteAnswer", answer.status, "the answer does not say that the label is given")),
        }
    }
}

/// Percent-encoded, but for what stands for itself in every part of a URL.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use secrecy::SecretString;
    use serde_json::json;

    use super::super::MessengerAccount;
    use super::*;
    use crate::delivery::time::Timestamp;

    fn page(app_secret: Option<&str>) -> Messenger {
        Messenger::new(MessengerAccount {
            page_id: "1029".into(),
            api_version: "v25.0".into(),
            base_url: "https://graph.facebook.com".into(),
            access_token: SecretString::from("EAAB-token"),
            app_secret: app_secret.map(SecretString::from),
        })
        .unwrap()
    }

    fn answered<T>(status: u16, body: &str, read: impl Fn(&Messenger, &Answer<'_>) -> T) -> T {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: &HeaderMap::new(),
            body: body.as_bytes(),
            body_truncated: false,
            received_at: Timestamp::EPOCH,
        };
        read(&page(None), &answer)
    }

    #[test]
    fn the_calls_are_those_of_the_page_with_its_token() {
        let plain = page(None);
        let list = plain.list(Some("QVFI=x&y")).unwrap();
        let url = "https://graph.facebook.com/v25.0/1029/custom_labels?fields=id,page_label_name&limit=100&after=QVFI%3Dx%26y";
        assert_eq!((list.method().as_str(), list.uri().to_string().as_str()), ("GET", url));
        let create = plain.create("spring sale").unwrap();
        assert_eq!(create.uri(), "https://graph.facebook.com/v25.0/1029/custom_labels");
        assert_eq!(&create.body()[..], br#"{"page_label_name":"spring sale"}"#);
        let assign = plain.assign("77/8", "24").unwrap();
        assert_eq!((assign.method().as_str(), assign.uri().path()), ("POST", "/v25.0/77%2F8/label"));
        assert_eq!(&assign.body()[..], br#"{"user":"24"}"#);
        for request in [list, create, assign] {
            let token = &request.headers()["authorization"];
            assert!(token.is_sensitive() && token == "Bearer EAAB-token");
        }
        let proven = page(Some("app-secret"));
        for uri in
            [proven.list(None).unwrap(), proven.assign("77", "24").unwrap()].map(|request| request.uri().to_string())
        {
            assert!(uri.contains("appsecret_proof="), "{uri}");
        }
    }

    #[test]
    fn a_list_goes_on_while_it_says_so() {
        let body = json!({
            "data": [{"id": "1", "page_label_name": "vip"}, {"id": "2", "name": "old"}, {"id": "3"}],
            "paging": {"cursors": {"after": "A"}, "next": "https://graph.facebook.com/…"},
        });
        let labels = vec![("1".to_owned(), "vip".to_owned()), ("2".to_owned(), "old".to_owned())];
        let listed = answered(200, &body.to_string(), |page, answer| page.listed(answer));
        assert_eq!(listed, Ok(ListedLabels { labels, after: Some("A".to_owned()) }));
        let last = r#"{"data": [], "paging": {"cursors": {"after": "A"}}}"#;
        assert_eq!(answered(200, last, |page, answer| page.listed(answer)), Ok(ListedLabels::default()));
    }

    #[test]
    fn only_a_yes_is_one_and_an_error_says_whose_fault_it_is() {
        assert_eq!(answered(200, r#"{"success": true}"#, |page, answer| page.assigned(answer)), Ok(()));
        assert_eq!(answered(200, r#"{"id": "77"}"#, |page, answer| page.created(answer)), Ok("77".to_owned()));
        for (status, body, reason) in [
            (200, r#"{"success": false}"#, "IncompleteAnswer"),
            (200, "{}", "IncompleteAnswer"),
            (500, "{}", "UnreadableAnswer"),
            (502, "<html>", "ProxyError"),
            (200, "<html>", "UnreadableAnswer"),
        ] {
            let outcome = answered(status, body, |page, answer| page.assigned(answer)).unwrap_err();
            assert!(matches!(&outcome, Outcome::Unknown { fault } if fault.reason == reason), "{body}: {outcome:?}");
        }
        let error = |code: i64, subcode: i64| {
            let body = json!({"error": {"code": code, "error_subcode": subcode, "message": "words"}}).to_string();
            answered(400, &body, |page, answer| page.assigned(answer)).unwrap_err()
        };
        assert!(matches!(error(2, 2_018_344), Outcome::Auth { fault } if fault.reason == "LabelTermsNotAccepted"));
        assert!(matches!(error(551, 0), Outcome::Permanent { .. }));
        assert!(matches!(error(613, 0), Outcome::Throttled { .. }));
    }
}
