//! Whether the provider saw the configured rate, on a machine that may be busy with something else.
//!
//! A request that the machine delays by D lets the window it falls into hold rate x D more of them. So a watcher
//! measures how long this machine let a thread wait that had asked for nothing but a moment's sleep, and a window is
//! judged with the longest wait around it, up to a bound.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use herald::simulator::record::{OwnedLine, worst_window};

/// The tolerance that the promise has by itself, of a second.
const TOLERANCE: Duration = Duration::from_millis(50);
/// And of ten seconds.
const TOLERANCE_OF_TEN: Duration = Duration::from_millis(50);
/// A wait of the machine is believed up to this long: a sender that bursts must not hide behind it.
const MOST_BELIEVED: Duration = Duration::from_millis(500);
const NAP: Duration = Duration::from_millis(2);

/// Runs that are judged by their pace have the machine to themselves, as far as these tests go.
static MACHINE: RwLock<()> = RwLock::new(());

/// For a test whose pace is judged.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// For all others.
pub fn among_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Watches how long the machine makes threads wait.
pub struct Watcher {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Wait>>,
}

struct Wait {
    ended_ns: u64,
    length: Duration,
}

/// What a watcher saw.
pub struct Waits(Vec<Wait>);

impl Watcher {
    pub fn start() -> Watcher {
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            let mut waits = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let before = std::time::Instant::now();
                std::thread::sleep(NAP);
                let length = before.elapsed().saturating_sub(NAP);
                if length > NAP {
                    waits.push(Wait { ended_ns: now_ns(), length });
                }
            }
            waits
        });
        Watcher { done, thread }
    }

    pub fn stop(self) -> Waits {
        self.done.store(true, Ordering::Relaxed);
        Waits(self.thread.join().unwrap())
    }
}

#[expect(clippy::disallowed_methods, reason = "compared with the wall-clock times of the simulator's record")]
fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

impl Waits {
    fn longest(&self, from_ns: u64, to_ns: u64) -> Duration {
        let around = |wait: &&Wait| wait.ended_ns >= from_ns && wait.ended_ns - wait.length.as_nanos() as u64 <= to_ns;
        self.0.iter().filter(around).map(|wait| wait.length).max().unwrap_or_default().min(MOST_BELIEVED)
    }

    /// I11: requests in any sliding second and any ten seconds, over process runs and restarts alike.
    pub fn assert_pace(&self, name: &str, lines: &[OwnedLine], rate: u32) {
        for (width, tolerance) in [(1, TOLERANCE), (10, TOLERANCE_OF_TEN)] {
            let width = Duration::from_secs(width);
            let promised = f64::from(rate) * (width + tolerance).as_secs_f64() + 1.0;
            let worst = worst_window(lines, width);
            eprintln!("{name}: at most {worst} requests in {width:?}, promised {promised:.0}");
            if worst as f64 > promised {
                self.judge_windows(name, lines, rate, width, tolerance);
            }
        }
    }

    fn judge_windows(&self, name: &str, lines: &[OwnedLine], rate: u32, width: Duration, tolerance: Duration) {
        let mut times: Vec<u64> = lines.iter().map(|line| line.time_ns).collect();
        times.sort_unstable();
        let width_ns = width.as_nanos() as u64;
        let mut first = 0;
        for (index, time) in times.iter().enumerate() {
            while time - times[first] >= width_ns {
                first += 1;
            }
            let (requests, from) = ((index + 1 - first) as f64, times[first]);
            let wait = self.longest(from.saturating_sub(MOST_BELIEVED.as_nanos() as u64), *time);
            let allowed = f64::from(rate) * (width + tolerance.max(wait)).as_secs_f64() + 1.0;
            assert!(
                requests <= allowed,
                "{name}: {requests} requests in {width:?}, allowed {allowed:.0} with this machine's wait of {wait:?}"
            );
        }
        eprintln!("{name}: above the promise for as long as this machine made threads wait; not the sender's doing");
    }
}
