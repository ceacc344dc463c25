//! Whether the provider saw the configured rate, on a machine that may be busy with something else.
//!
//! Two looks at the same requests. The log of the runs says when each was handed over: the sender's own doing, judged by
//! the bare promise on any machine. The provider's record says when each arrived: a request that the machine delays by D
//! lets the window it falls into hold rate x D more. So a watcher measures how long this machine let a thread wait that
//! had asked for nothing but a moment's sleep, and a window of the record is judged with the longest wait around it, once
//! for each thread on the way, up to a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use herald::simulator::record::OwnedLine;

/// The widths that are judged, and the tolerance that the promise has by itself: 5 % of a second, 0.5 % of ten.
const WINDOWS: [(Duration, Duration); 2] =
    [(Duration::from_secs(1), Duration::from_millis(50)), (Duration::from_secs(10), Duration::from_millis(50))];
/// The log and the record are told by the same clock, the one read anew each time, the other counted on from its start.
const SAME_CLOCK: Duration = Duration::from_millis(5);
/// The threads that a request passes through: the sender's, its connection's, the provider's listener's and its
/// connection's. Each may have to wait for a processor.
const THREADS_ON_THE_WAY: u32 = 4;
/// A wait of the machine is believed up to this long: a sender that bursts must not hide behind it.
const MOST_BELIEVED: Duration = Duration::from_millis(500);
const NAP: Duration = Duration::from_millis(2);

/// Watches how long the machine makes threads wait.
pub struct Watcher {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Wait>>,
}

#[derive(Clone, Copy)]
struct Wait {
    ended_ns: u64,
    length: Duration,
}

/// What a watcher saw; by default nothing.
#[derive(Clone, Default)]
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
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// I11 by the bare promise: the moments at which requests were handed over, in order.
pub fn handed_over_too_fast(handed_over: &[u64], rate: u32) -> Vec<String> {
    let mut wrong = Vec::new();
    for (width, tolerance) in WINDOWS {
        let promised = promised(rate, width + tolerance);
        let (worst, _) = windows(handed_over, width).max().unwrap_or_default();
        if worst as f64 > promised {
            wrong.push(format!("{worst} requests handed over in {width:?}, promised {promised:.0}"));
        }
    }
    wrong
}

/// Every request of the record was handed over before: none is the HTTP client's own.
fn assert_all_handed_over(name: &str, arrived: &[u64], handed_over: &[u64]) {
    for (index, time) in arrived.iter().enumerate() {
        let before = handed_over.partition_point(|handed_over| *handed_over <= time + SAME_CLOCK.as_nanos() as u64);
        assert!(before > index, "{name}: {} requests arrived when {before} had been handed over", index + 1);
    }
}

fn arrivals(lines: &[OwnedLine]) -> Vec<u64> {
    let mut arrived: Vec<u64> = lines.iter().map(|line| line.time_ns).collect();
    arrived.sort_unstable();
    arrived
}

fn promised(rate: u32, span: Duration) -> f64 {
    f64::from(rate) * span.as_secs_f64() + 1.0
}

/// The requests within a width that ends with each request, and when the first of them was. Times in order.
fn windows(times: &[u64], width: Duration) -> impl Iterator<Item = (usize, u64)> {
    let mut first = 0;
    times.iter().enumerate().map(move |(index, time)| {
        while u128::from(time - times[first]) >= width.as_nanos() {
            first += 1;
        }
        (index + 1 - first, times[first])
    })
}

impl Waits {
    fn longest(&self, from_ns: u64, to_ns: u64) -> Duration {
        let around = |wait: &&Wait| wait.ended_ns >= from_ns && wait.ended_ns - wait.length.as_nanos() as u64 <= to_ns;
        self.0.iter().filter(around).map(|wait| wait.length).max().unwrap_or_default()
    }

    /// How long this machine may have delayed what passed through its threads in this time.
    fn delay(&self, from_ns: u64, to_ns: u64) -> Duration {
        (self.longest(from_ns, to_ns) * THREADS_ON_THE_WAY).min(MOST_BELIEVED)
    }

    /// How many more than usual were on the wire for this machine's delay in the second before.
    pub fn more_on_the_wire(&self, at_ns: u64, rate: u32) -> usize {
        let delay = self.delay(at_ns.saturating_sub(Duration::from_secs(1).as_nanos() as u64), at_ns);
        (f64::from(rate) * delay.as_secs_f64()).ceil() as usize
    }

    /// I11: requests in any sliding second and any ten seconds, over process runs and restarts alike. `handed_over` is
    /// what [`super::stage::Stage::handed_over`] says, after the same runs.
    pub fn assert_pace(&self, name: &str, lines: &[OwnedLine], handed_over: &[u64], rate: u32) {
        assert_eq!(handed_over_too_fast(handed_over, rate), Vec::<String>::new(), "{name}");
        assert_all_handed_over(name, &arrivals(lines), handed_over);
        self.assert_pace_of_arrivals(name, lines, rate);
    }

    /// I11 by the record alone, where the senders are in pods and keep no log of what they handed over.
    pub fn assert_pace_of_arrivals(&self, name: &str, lines: &[OwnedLine], rate: u32) {
        let fullest =
            self.fullest_windows(lines, rate).map(|window| window.unwrap_or_else(|wrong| panic!("{name}: {wrong}")));
        eprintln!("{name}: {}", fullest.collect::<Vec<_>>().join(", "));
    }

    /// The same as a check: the windows in which more arrived than is promised and this machine explains.
    pub fn arrived_too_fast(&self, lines: &[OwnedLine], rate: u32) -> Vec<String> {
        self.fullest_windows(lines, rate).filter_map(Result::err).collect()
    }

    fn fullest_windows(&self, lines: &[OwnedLine], rate: u32) -> impl Iterator<Item = Result<String, String>> {
        let arrived = arrivals(lines);
        WINDOWS.into_iter().map(move |(width, tolerance)| self.fullest_window(&arrived, rate, width, tolerance))
    }

    /// The fullest window in words; as an error when it holds too many.
    fn fullest_window(
        &self,
        arrived: &[u64],
        rate: u32,
        width: Duration,
        tolerance: Duration,
    ) -> Result<String, String> {
        let mut worst = (0, Duration::ZERO);
        for (index, (requests, from)) in windows(arrived, width).enumerate() {
            if requests as f64 <= promised(rate, width + tolerance) {
                worst = worst.max((requests, Duration::ZERO));
                continue;
            }
            let delay = self.delay(from.saturating_sub(MOST_BELIEVED.as_nanos() as u64), arrived[index]);
            let allowed = promised(rate, width + tolerance + delay);
            if requests as f64 > allowed {
                return Err(format!(
                    "{requests} requests arrived in {width:?}, allowed {allowed:.0} with this machine's delay of {delay:?}"
                ));
            }
            worst = worst.max((requests, delay));
        }
        let (requests, delay) = worst;
        Ok(format!("at most {requests} requests arrived in {width:?}, with this machine's delay of {delay:?}"))
    }
}
