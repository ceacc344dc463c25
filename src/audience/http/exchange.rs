//! One page asked for: again where that may help, and along redirects where they may be followed.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
    TRANSFER_ENCODING,
};
use reqwest::{Response, StatusCode, Url};

use super::limits::{Limits, MAX_REDIRECTS};
use super::permission::{Names, Permission, is_loopback, shown_origin};
use crate::audience::source_fault::{FaultKind, SourceFault};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The one coding that is known.
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// What a server is asked for.
pub struct Wanted {
    pub types: HeaderValue,
    pub coding: HeaderValue,
    pub remedies: Remedies,
}

/// What to do where it cannot be had.
pub struct Remedies {
    pub too_slow: &'static str,
    pub too_large: &'static str,
    pub broken_off: &'static str,
    /// The server asks who asks, or says that they may not.
    pub forbidden: &'static str,
    /// Any other refusal of the server.
    pub refused: &'static str,
}

/// A list of people.
pub const LIST: Wanted = Wanted {
    types: HeaderValue::from_static("application/x-ndjson, text/csv, application/json;q=0.9, */*;q=0.1"),
    coding: GZIP,
    remedies: Remedies {
        too_slow: "give fewer recipients, larger pages, or a faster server",
        too_large: "let the server give only the columns the message needs",
        broken_off: "look at the server; the audience is read from its beginning again, so that all of it is of one time",
        forbidden: "check headersSecretRef and what its headers allow",
        refused: "check the URL, and whether the server needs headers by headersSecretRef",
    },
};

/// Any file, byte by byte.
pub const FILE: Wanted = Wanted {
    types: HeaderValue::from_static("*/*"),
    coding: HeaderValue::from_static("identity"),
    remedies: Remedies {
        too_slow: "give a smaller file, or a faster server",
        too_large: "give a smaller file",
        broken_off: "look at the server",
        forbidden: "let anybody read it: it is asked for with nobody's credentials",
        refused: "check the link, and that anybody may read it",
    },
};

/// Asks for the pages of one source.
pub struct Exchange {
    client: reqwest::Client,
    permission: Permission,
    wanted: Wanted,
    pub limits: Limits,
    began: Instant,
}

/// A page as far as it was read ahead.
pub struct Answer {
    /// Where it came from at last.
    pub url: Url,
    pub headers: HeaderMap,
    /// Whether an answer that is cut short is told from a whole one: by its length, by its last chunk, or by TLS.
    pub end_is_marked: bool,
    /// It is compressed.
    pub is_gzip: bool,
    pub ahead: VecDeque<Bytes>,
    /// What is left to read; `None` where all of it was read ahead.
    pub rest: Option<Response>,
}

/// Why an attempt failed, and whether another one may do better.
enum Failed {
    ForGood(SourceFault),
    /// The server may have said how long to wait.
    ForNow(SourceFault, Option<Duration>),
}

impl Exchange {
    pub fn new(
        url: &Url,
        permission: Permission,
        wanted: Wanted,
        limits: Limits,
        place: &str,
    ) -> Result<Exchange, SourceFault> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .dns_resolver(Arc::new(Names(permission.reach())))
            .user_agent(concat!("herald/", env!("CARGO_PKG_VERSION")));
        // What is on this machine is not behind a proxy, whatever the environment says of the way to others.
        let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| {
            let problem = format!("failed to set up the HTTP client: {}", words(error));
            SourceFault::new(FaultKind::Unreachable, place, problem, "look at the certificates and proxies set here")
        })?;
        Ok(Exchange { client, permission, wanted, limits, began: Instant::now() })
    }

    /// How long may still be waited for anything; `None` when the time is up.
    pub fn patience(&self) -> Option<Duration> {
        let left = self.limits.whole.checked_sub(self.began.elapsed()).filter(|left| !left.is_zero())?;
        Some(left.min(self.limits.silence))
    }

    /// The time for all pages is up.
    pub fn too_slow(&self, place: &str) -> SourceFault {
        let problem = format!("reading takes longer than {} seconds", self.limits.whole.as_secs());
        SourceFault::new(FaultKind::TooSlow, place, problem, self.wanted.remedies.too_slow)
    }

    /// The page at this URL. `leading` says what led there.
    pub async fn page(&self, url: &Url, place: &str, leading: &str) -> Result<Answer, SourceFault> {
        let mut pause = self.limits.first_pause;
        let mut attempt = 1;
        loop {
            let (fault, asked) = match self.attempt(url, place, leading).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::ForGood(fault)) => return Err(fault),
                Err(Failed::ForNow(fault, asked)) => (fault, asked),
            };
            if attempt == self.limits.attempts {
                let problem = format!("{}, {attempt} times in a row", fault.problem);
                return Err(SourceFault { problem, ..fault });
            }
            tracing::info!(attempt, "what is at a URL could not be read, and is asked for again");
            tokio::time::sleep(asked.unwrap_or(pause).min(self.limits.longest_pause)).await;
            attempt += 1;
            pause *= 2;
        }
    }

    async fn attempt(&self, url: &Url, place: &str, leading: &str) -> Result<Answer, Failed> {
        let (mut url, mut leading) = (url.clone(), leading);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&url, place, leading).await?;
            match redirect(&response, place)? {
                None => return self.begin(url, response, place).await,
                Some(next) => {
                    if url.scheme() == "https" && next.scheme() == "http" {
                        let problem = format!("a redirect leads from https to {}", shown_origin(&next));
                        let remedy = "let the server redirect to https, or name the final URL";
                        return Err(Failed::ForGood(SourceFault::new(FaultKind::NotAllowed, place, problem, remedy)));
                    }
                    (url, leading) = (next, "a redirect");
                }
            }
        }
        let problem = format!("more than {MAX_REDIRECTS} redirects follow each other");
        Err(Failed::ForGood(SourceFault::new(FaultKind::Invalid, place, problem, "name the final URL")))
    }

    async fn send(&self, url: &Url, place: &str, leading: &str) -> Result<Response, Failed> {
        let headers = self.permission.headers_for(url, place, leading).map_err(Failed::ForGood)?;
        let Wanted { types, coding, .. } = &self.wanted;
        let request =
            self.client.get(url.clone()).header(ACCEPT, types).header(ACCEPT_ENCODING, coding).headers(headers);
        let Some(patience) = self.patience() else { return Err(Failed::ForGood(self.too_slow(place))) };
        match tokio::time::timeout(patience, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(for_now(place, format!("no answer: {}", words(error)))),
            Err(_) if self.patience().is_none() => Err(Failed::ForGood(self.too_slow(place))),
            Err(_) => Err(for_now(place, format!("no answer within {} seconds", patience.as_secs_f64()))),
        }
    }

    /// Takes an answer that is no redirect: its status first, then so much of it as is read ahead.
    async fn begin(&self, url: Url, mut response: Response, place: &str) -> Result<Answer, Failed> {
        refuse_status(&response, place, &self.wanted.remedies)?;
        let is_gzip = is_gzip(&response, place)?;
        let declared = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: u64| length > self.limits.bytes) {
            return Err(Failed::ForGood(self.too_large(place)));
        }
        let end_is_marked = end_is_marked(&response);
        let headers = std::mem::take(response.headers_mut());
        let (mut ahead, mut read) = (VecDeque::new(), 0);
        while read < self.limits.ahead {
            match self.piece(&mut response, place).await {
                Ok(Some(piece)) => {
                    read += piece.len();
                    ahead.push_back(piece);
                }
                Ok(None) => return Ok(Answer { url, headers, end_is_marked, is_gzip, ahead, rest: None }),
                Err(fault) if fault.kind == FaultKind::BrokenOff => return Err(for_now(place, fault.problem)),
                Err(fault) => return Err(Failed::ForGood(fault)),
            }
        }
        Ok(Answer { url, headers, end_is_marked, is_gzip, ahead, rest: Some(response) })
    }

    /// The process ends while somebody waits.
    pub fn stopped(&self, place: &str) -> SourceFault {
        SourceFault::new(FaultKind::Unreachable, place, "told to stop while reading", "run again")
    }

    /// The next piece of an answer; `None` after the last one.
    pub async fn piece(&self, response: &mut Response, place: &str) -> Result<Option<Bytes>, SourceFault> {
        let Some(patience) = self.patience() else { return Err(self.too_slow(place)) };
        let problem = match tokio::time::timeout(patience, response.chunk()).await {
            Ok(Ok(piece)) => return Ok(piece),
            Ok(Err(error)) => format!("the answer broke off: {}", words(error)),
            Err(_) if self.patience().is_none() => return Err(self.too_slow(place)),
            Err(_) => format!("the answer broke off: nothing came for {} seconds", patience.as_secs_f64()),
        };
        Err(SourceFault::new(FaultKind::BrokenOff, place, problem, self.wanted.remedies.broken_off))
    }

    pub fn too_large(&self, place: &str) -> SourceFault {
        let problem = format!("there are more than {} bytes", self.limits.bytes);
        SourceFault::new(FaultKind::TooLarge, place, problem, self.wanted.remedies.too_large)
    }
}

fn for_now(place: &str, problem: String) -> Failed {
    let remedy = "check the URL, the server, and that this machine may reach it";
    Failed::ForNow(SourceFault::new(FaultKind::Unreachable, place, problem, remedy), None)
}

/// See [`Answer::is_gzip`]. Other codings were not asked for.
fn is_gzip(response: &Response, place: &str) -> Result<bool, Failed> {
    let Some(coding) = response.headers().get(CONTENT_ENCODING) else { return Ok(false) };
    let is = |names: &[&[u8]]| names.iter().any(|name| coding.as_bytes().eq_ignore_ascii_case(name));
    if is(&[GZIP.as_bytes(), b"x-gzip"]) {
        return Ok(true);
    }
    if is(&[b"identity"]) {
        return Ok(false);
    }
    let remedy = "let the server answer with gzip or without a Content-Encoding, as it is asked to";
    let fault =
        SourceFault::new(FaultKind::Invalid, place, "the answer is compressed in a way that is not known", remedy);
    Err(Failed::ForGood(fault))
}

/// See [`Answer::end_is_marked`]. Without a length and without chunks an answer ends where its connection does (RFC 9112,
/// section 6.3), and only TLS says whether that was meant.
fn end_is_marked(response: &Response) -> bool {
    // In the order in which they were applied; the last one counts.
    let encodings = response.headers().get_all(TRANSFER_ENCODING).iter().next_back();
    let last = encodings.and_then(|encodings| encodings.to_str().ok()?.rsplit(',').next());
    let is_chunked = last.is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("chunked"));
    is_chunked || response.content_length().is_some() || response.url().scheme() == "https"
}

/// Where an answer redirects to; `None` for one that does not.
fn redirect(response: &Response, place: &str) -> Result<Option<Url>, Failed> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !redirects.contains(&response.status()) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| response.url().join(location).ok());
    target.map(Some).ok_or_else(|| {
        let problem = format!("answered {} without a Location that can be read", response.status().as_u16());
        Failed::ForGood(SourceFault::new(FaultKind::Invalid, place, problem, "name the final URL"))
    })
}

fn refuse_status(response: &Response, place: &str, remedies: &Remedies) -> Result<(), Failed> {
    let status = response.status();
    if status.is_success() && status != StatusCode::PARTIAL_CONTENT {
        return Ok(());
    }
    let problem = format!("answered {status}");
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    if status.is_server_error() || later.contains(&status) {
        let wait = response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
        let fault = SourceFault::new(FaultKind::Unreachable, place, problem, "look at the server, and try again later");
        return Err(Failed::ForNow(fault, wait.map(Duration::from_secs)));
    }
    let remedy = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => remedies.forbidden,
        _ => remedies.refused,
    };
    Err(Failed::ForGood(SourceFault::new(FaultKind::Refused, place, problem, remedy)))
}

/// The innermost cause, without the URL: a secret may stand in it.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
