//! Work of the runtime, waited for on a thread that may.

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What the work gives; `None` when the runtime ends first, as it does when the process is told to stop. Waiting on the thread
/// itself would panic then.
pub fn wait<T: Send + 'static>(runtime: &Handle, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (done, is_done) = oneshot::channel();
    runtime.spawn(async move {
        // Nobody waits for it: then nobody wants it.
        let _ = done.send(work.await);
    });
    is_done.blocking_recv().ok()
}
