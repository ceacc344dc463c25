//! A run that is told to stop before it sends.

use std::future::Future;

use tokio::sync::watch;

use super::verdict::Verdict;

/// What `doing` comes to; `None` if the user interrupts first. Then `doing` is dropped, which must do no harm.
pub async fn unless_interrupted<T>(stop: &watch::Receiver<bool>, doing: impl Future<Output = T>) -> Option<T> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        Ok(_) = stop.wait_for(|stopped| *stopped) => None,
        done = doing => Some(done),
    }
}

/// Tells that the run ends without having sent anything.
pub fn nothing_sent() -> Verdict {
    eprintln!("interrupted; nothing was sent; run the same command again to go on");
    Verdict::Interrupted
}
