//! What senders do beside the sending: a task of its own that takes work from the ledger, a page at a time, and does it.
//! Sessions ring when there is some.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::delivery::time::{Span, Timestamp};
use crate::ledger::LedgerError;

/// A ledger that has refused is asked again after this long, where nobody rings before.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);

/// What asking for a page came to.
pub enum Page {
    Done,
    Nothing {
        /// When there will be one, as far as is known.
        next: Option<Instant>,
    },
    /// There will never be one that this process could do.
    Impossible,
}

impl Page {
    /// Nothing yet. In time it may be there already, and gone to another sender: then a moment is waited.
    pub fn nothing(now: Timestamp, asked: Instant, next_at: Option<Timestamp>) -> Page {
        let wait = |at: Timestamp| (at - now).max(Span::from_millis(100)).to_duration();
        Page::Nothing { next: next_at.map(|at| asked + wait(at)) }
    }
}

/// One kind of work.
pub trait Errand: Sized + Send + 'static {
    /// What it is, for the log.
    const NAME: &'static str;

    /// Does a page of what is due.
    fn page(&mut self) -> impl Future<Output = Result<Page, LedgerError>> + Send;

    /// Begins. Where nothing is known to be due, the ledger is not asked before somebody rings.
    fn start(self, at_once: bool) -> Running {
        let bell = Arc::new(Notify::new());
        let (ending, is_ending) = watch::channel(None);
        let task = tokio::spawn(work(self, bell.clone(), is_ending, at_once));
        Running { bell, ending, task }
    }
}

/// An [`Errand`] at work.
pub struct Running {
    bell: Arc<Notify>,
    /// What comes due later than this is not waited for, once it is to end.
    ending: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
}

async fn work<E: Errand>(
    mut errand: E,
    bell: Arc<Notify>,
    mut ending: watch::Receiver<Option<Instant>>,
    at_once: bool,
) {
    let mut is_asked = at_once;
    loop {
        // Before the look: what comes while it looks is looked for once more.
        let deadline = *ending.borrow_and_update();
        let next = match is_asked {
            true => match do_due(&mut errand).await {
                Ok(next) => next,
                Err(Impossible) => return,
            },
            false => None,
        };
        if deadline.is_some_and(|deadline| next.is_none_or(|next| next > deadline)) {
            return;
        }
        tokio::select! {
            biased;
            () = bell.notified() => is_asked = true,
            // Nobody rings any more: what has come last is looked for once.
            Ok(()) = ending.changed() => {}
            () = until(next) => {}
        }
    }
}

struct Impossible;

/// Does everything that is due; returns when the next of what is left is.
async fn do_due<E: Errand>(errand: &mut E) -> Result<Option<Instant>, Impossible> {
    loop {
        match errand.page().await {
            Ok(Page::Nothing { next }) => return Ok(next),
            Ok(Page::Done) => {}
            Ok(Page::Impossible) => return Err(Impossible),
            Err(LedgerError::UnknownBroadcast) => return Ok(None),
            Err(error) => {
                tracing::warn!(reason = error.reason(), %error, "the ledger gives no {}", E::NAME);
                return Ok(Some(Instant::now() + AFTER_REFUSAL));
            }
        }
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

impl Running {
    /// What sessions ring.
    pub fn bell(&self) -> Arc<Notify> {
        self.bell.clone()
    }

    /// Ends once everything is done, or nothing more comes due within `grace`; at the latest after `longest`. What is on the way
    /// then is done again later.
    pub async fn finish(mut self, grace: Duration, longest: Duration) {
        let now = Instant::now();
        self.ending.send_replace(Some(now + grace));
        // A panic there is in the log, and no reason to call the sending failed.
        let _ = tokio::time::timeout_at(now + longest, &mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
