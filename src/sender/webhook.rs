//! One event posted to its endpoint, by Standard Webhooks. No redirect and no retry of the client's own: each try is told
//! to the ledger.

use std::error::Error;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use super::transport::is_on_this_machine;
use crate::delivery::time::Timestamp;
use crate::ledger::notification::{LONGEST_RETRY_AFTER, NotificationPage, Posted};
use crate::ledger::{BroadcastId, Notification};
use crate::provider::retry_after_ms;
use crate::provider::standard_webhooks::SigningKeys;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// With the connect timeout the 20 s that the specification recommends. Four at once, a page of 16 takes at most half of its
/// lease.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// So much of an answer is read, so that its connection serves the next event; what it says is of no interest.
const MAX_ANSWER_READ: usize = 64 * 1024;

/// Nothing of it was sent: no such host, refused, no TLS.
pub const NOT_SENT: &str = "NotificationNotSent";
/// The endpoint did not answer in time, or broke off.
pub const UNANSWERED: &str = "NotificationUnanswered";
/// The endpoint answered that it does not take it.
pub const REFUSED: &str = "NotificationRefused";

/// The HTTP clients of one sender, for endpoints anywhere.
pub struct WebhookClient {
    /// By the proxy of the environment, where it names one.
    far: reqwest::Client,
    /// To this machine, which is behind no proxy.
    near: reqwest::Client,
}

impl WebhookClient {
    /// # Errors
    /// The machine has no TLS to offer.
    pub fn new() -> Result<WebhookClient, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(CONNECT_TIMEOUT + ANSWER_TIMEOUT)
                .pool_idle_timeout(IDLE_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .user_agent(concat!("herald/", env!("CARGO_PKG_VERSION")))
        };
        Ok(WebhookClient { far: builder().build()?, near: builder().no_proxy().build()? })
    }

    /// Makes one try, signed at this instant.
    pub async fn post(
        &self,
        broadcast: BroadcastId,
        page: &NotificationPage,
        notification: &Notification,
        keys: &SigningKeys,
        at: Timestamp,
    ) -> Posted {
        let body = notification.body(page);
        let Ok(mut headers) = keys.sign(&notification.id(broadcast), at, body.as_bytes()) else {
            return failed(NOT_SENT);
        };
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let host = host(&notification.url);
        let client = if is_on_this_machine(&host) { &self.near } else { &self.far };
        match client.post(&notification.url).headers(headers).body(body).send().await {
            Ok(answer) => {
                let posted = classify(answer.status(), answer.headers(), at);
                drain(answer).await;
                posted
            }
            Err(error) => {
                let reason = if error.is_connect() || error.is_builder() { NOT_SENT } else { UNANSWERED };
                tracing::debug!(host, reason, error = innermost(error), "an endpoint did not answer");
                failed(reason)
            }
        }
    }
}

/// Host and port of an endpoint: the rest of its URL may hold a token and is shown nowhere.
pub fn host(url: &str) -> String {
    url.parse::<Uri>().ok().and_then(|url| url.host().map(str::to_owned)).unwrap_or_default()
}

/// What an answer means. Only its status counts.
fn classify(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Posted {
    match status {
        StatusCode::GONE => Posted::Gone,
        status if status.is_success() => Posted::Taken,
        status => {
            let wish = retry_after_ms(headers, now).map(|wish| wish.min(LONGEST_RETRY_AFTER.as_millis() as u64));
            let code = Some(status.as_u16().to_string());
            Posted::Failed { reason: REFUSED.to_owned(), code, retry_after_ms: wish }
        }
    }
}

pub(super) fn failed(reason: &str) -> Posted {
    Posted::Failed { reason: reason.to_owned(), code: None, retry_after_ms: None }
}

/// An endpoint that has taken an event has it, whatever becomes of the rest of its answer.
async fn drain(mut answer: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > MAX_ANSWER_READ {
            return;
        }
    }
}

/// Without the URL.
fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_hundreds_are_taken_and_only_410_is_an_end() {
        let of = |status| classify(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), Timestamp::EPOCH);
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(of(status), Posted::Taken, "{status}");
        }
        assert_eq!(of(410), Posted::Gone);
        for status in [301, 302, 308, 400, 401, 404, 429, 500, 502, 503] {
            let code = Some(status.to_string());
            assert_eq!(
                of(status),
                Posted::Failed { reason: REFUSED.to_owned(), code, retry_after_ms: None },
                "{status}"
            );
        }
    }

    #[test]
    fn an_endpoint_is_left_alone_for_as_long_as_it_asks_and_no_longer_than_the_longest() {
        let wish = |seconds: &'static str| {
            let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, HeaderValue::from_static(seconds))]);
            match classify(StatusCode::TOO_MANY_REQUESTS, &headers, Timestamp::EPOCH) {
                Posted::Failed { retry_after_ms, .. } => retry_after_ms,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(wish("30"), Some(30_000));
        assert_eq!(wish("999999"), Some(LONGEST_RETRY_AFTER.as_millis() as u64));
    }

    #[test]
    fn of_a_url_only_its_host_is_told() {
        assert_eq!(host("https://hooks.example:8443/T0K3N?key=5"), "hooks.example");
        assert_eq!(host("no url"), "");
    }
}
