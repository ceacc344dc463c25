//! Recipients that an HTTP server gives, page after page.
//!
//! | file | job |
//! | --- | --- |
//! | `permission` | where requests may go, and with which headers |
//! | `exchange` | one page asked for: retries, redirects, statuses |
//! | `file` | one file of whatever kind, as it comes |
//! | `body` | its bytes as a reader wants them |
//! | `page` | its rows, by how it is written |
//! | `json` | a JSON answer as a stream |
//! | `link` | the header that names the next page |
//! | `limits` | how much, and how long |
//! | `waiting` | a thread waits for the runtime |

mod body;
mod exchange;
mod file;
mod json;
mod limits;
mod link;
mod page;
mod permission;
#[cfg(test)]
mod scripted_server;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::runtime::Handle;

use self::body::{Body, Trace};
use self::exchange::{Exchange, LIST};
pub use self::file::LinkedFile;
use self::json::{Pointers, pointer};
use self::limits::Limits;
use self::page::{Follow, Page, PageForm};
pub use self::permission::Reach;
use self::permission::{Permission, shown_origin};
use self::waiting::wait;
use super::materials::Materials;
use super::read_error::ReadError;
use super::recipient::Recipient;
use super::source_fault::{FaultKind, SourceFault};
use crate::api::HttpSource;

/// The recipients of an HTTP source in order. Blocks while the server does, so it is read on a thread that may.
pub struct HttpRows {
    exchange: Arc<Exchange>,
    runtime: Handle,
    /// The source as places show it.
    shown: String,
    first: Url,
    form: PageForm,
    follow: Follow,
    /// The page to ask for when the current one is read.
    next: Option<Url>,
    current: Option<(Page, String)>,
    trace: Trace,
    pages: u64,
    circle: Circle,
    done: bool,
}

impl HttpRows {
    /// Opens the source for one reading; nothing is asked yet.
    ///
    /// # Errors
    /// A Secret that it needs is not there or cannot be used, or the URL is none.
    pub fn open(spec: &HttpSource, materials: &dyn Materials, runtime: Handle) -> Result<HttpRows, SourceFault> {
        let silence = Duration::from_secs(u64::from(spec.timeout_seconds));
        HttpRows::within(Limits::with_silence(silence), spec, materials, runtime)
    }

    fn within(
        limits: Limits,
        spec: &HttpSource,
        materials: &dyn Materials,
        runtime: Handle,
    ) -> Result<HttpRows, SourceFault> {
        let invalid = |place: &str, problem: &str, remedy: &'static str| {
            Err(SourceFault::new(FaultKind::Invalid, place, problem, remedy))
        };
        let Ok(url) = Url::parse(&spec.url) else {
            return invalid("an http source", "its url is none", "write it as https://HOST/PATH");
        };
        let shown = format!("{}{}", shown_origin(&url), url.path());
        let list = pointer(spec.recipients_pointer.as_deref().unwrap_or_default());
        let next = spec.next_page.as_ref().map(|next| pointer(&next.pointer));
        if next.as_ref().is_some_and(|next| next.starts_with(&list) || list.starts_with(next)) {
            let remedy = "point recipientsPointer at the list, and nextPage.pointer at a member beside it";
            return invalid(&shown, "one of its pointers leads through what the other points at", remedy);
        }
        let secret = spec.headers_secret_ref.as_ref().map(|secret| secret.name.as_str());
        let permission = Permission::of(&url, secret, materials, &shown)?;
        Ok(HttpRows {
            exchange: Arc::new(Exchange::new(&url, permission, LIST, limits, &shown)?),
            runtime,
            shown,
            form: PageForm { format: spec.format, pointers: Pointers { list, next } },
            follow: Follow { by_member: spec.next_page.clone() },
            next: Some(url.clone()),
            first: url,
            current: None,
            trace: Trace::default(),
            pages: 0,
            circle: Circle::default(),
            done: false,
        })
    }

    /// Asks for the next page; `false` after the last one.
    fn turn(&mut self) -> Result<bool, SourceFault> {
        let Some(url) = self.next.take() else { return Ok(false) };
        self.pages += 1;
        let place = if self.pages == 1 { self.shown.clone() } else { format!("{} page {}", self.shown, self.pages) };
        if self.pages > self.exchange.limits.pages {
            let problem = format!("there are more than {} pages", self.exchange.limits.pages);
            return Err(SourceFault::new(FaultKind::TooLarge, place, problem, "let the server give larger pages"));
        }
        if self.circle.closes_at(&url) {
            let problem = "the pages go round in a circle: this one was there before";
            let remedy = "check nextPage, and what the server names as the next page";
            return Err(SourceFault::new(FaultKind::Invalid, place, problem, remedy));
        }
        let leading = if self.pages == 1 { "the url" } else { "the next page" };
        let (exchange, at) = (self.exchange.clone(), place.clone());
        let waited = wait(&self.runtime, async move { exchange.page(&url, &at, leading).await });
        let answer = waited.ok_or_else(|| self.exchange.stopped(&place))??;
        let (from, headers) = (answer.url.clone(), answer.headers.clone());
        let (exchange, runtime, trace) = (self.exchange.clone(), self.runtime.clone(), self.trace.clone());
        let body = Body::new(exchange, runtime, &place, trace, answer);
        self.current = Some((Page::new(&self.form, from, headers, &self.first, &place, body)?, place));
        Ok(true)
    }

    /// Goes on behind a page whose rows are all taken.
    fn leave(&mut self, page: Page, place: &str) -> Result<(), SourceFault> {
        let ended = page.end();
        // Why a page broke off is known better than what it looked like then.
        if let Some(fault) = self.trace.take_fault() {
            return Err(fault);
        }
        let ended = ended.map_err(|problem| {
            let remedy = "check format, recipientsPointer and nextPage against what the server answers";
            SourceFault::new(FaultKind::Invalid, place, problem, remedy)
        })?;
        // Taken for the last page, it would leave out everybody of the others.
        if let Some(next) = self.follow.by_member.as_ref().filter(|_| self.pages == 1 && ended.lost_member) {
            let problem = format!("nextPage.pointer {:?} leads through what the answer does not hold", next.pointer);
            let remedy = "correct it, or remove nextPage where the list has one page";
            return Err(SourceFault::new(FaultKind::Invalid, place, problem, remedy));
        }
        self.next = self.follow.next(&self.first, &ended, place)?;
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Recipient>, ReadError> {
        loop {
            let Some((page, _)) = &mut self.current else {
                if !self.turn()? {
                    return Ok(None);
                }
                continue;
            };
            match page.next() {
                Some(Ok(recipient)) => return Ok(Some(recipient)),
                Some(Err(error)) => {
                    return Err(self.trace.take_fault().map_or(ReadError::Row(error), ReadError::Source));
                }
                None => {
                    if let Some((page, place)) = self.current.take() {
                        self.leave(page, &place)?;
                    }
                }
            }
        }
    }
}

impl Iterator for HttpRows {
    type Item = Result<Recipient, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step();
        self.done = matches!(step, Ok(None) | Err(ReadError::Source(_)));
        step.transpose()
    }
}

/// Notices pages that go round in a circle, by remembering one of them (Brent): the first that comes again after it.
#[derive(Default)]
struct Circle {
    remembered: Option<Url>,
    steps: u64,
    patience: u64,
}

impl Circle {
    fn closes_at(&mut self, url: &Url) -> bool {
        if self.remembered.as_ref() == Some(url) {
            return true;
        }
        if self.steps == self.patience {
            self.remembered = Some(url.clone());
            self.patience = (2 * self.patience).max(1);
            self.steps = 0;
        }
        self.steps += 1;
        false
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
