//! The flight journal: what a killed process had on the wire.
//!
//! A local append-only file, locked for life, that names the senders of this process and the machine's boot. A line is
//! written before each request is handed over, and one when its answer is classified; a SIGKILL loses none of it. Lines of
//! one moment go by one write: at a high rate the writes are much of what a message costs. The next process replays it, so
//! that only requests that were on the wire become unknown.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use super::known_revisions::KnownRevisions;
use crate::delivery::outcome::Outcome;
use crate::ledger::exchange::{BroadcastId, LastWords, Report};

/// Past this size the journal is rewritten with what is still open: some 20,000 messages between two rewrites.
const REWRITE_BYTES: u64 = 4 * 1024 * 1024;
/// What names the boot of this machine; absent where there is no such file, and then nothing is believed.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why a journal cannot be kept. Nothing may be sent without one.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the flight journal {path} is in use by another process")]
    Locked { path: PathBuf },
    #[error(
        "failed to {action} the flight journal {path}: {source}; free space or check the folder's permissions and run again: it goes on, and nobody is messaged twice"
    )]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },
}

#[derive(Serialize, Deserialize)]
enum Entry<'a> {
    /// The boot of the machine; first in the file.
    Boot(Cow<'a, str>),
    /// A sender of this process, and what it sends.
    Sender(Cow<'a, str>, BroadcastId),
    /// A request is about to be handed over: sender, recipient, attempt.
    Begun(Cow<'a, str>, i64, u32),
    /// Its answer was classified, after so many milliseconds.
    Ended(Cow<'a, str>, i64, u32, Cow<'a, Outcome>, Option<u64>),
    /// What a broadcast is called outside the ledger: an older copy of it may not have it at all.
    Name(BroadcastId, Cow<'a, str>),
    /// The ledger has replied that it is at this revision of the broadcast.
    Revision(BroadcastId, i64),
}

/// The journal of one process; shared by its senders.
pub struct Journal {
    path: PathBuf,
    boot: String,
    state: Mutex<State>,
    /// The lock outlives rewrites of the journal, so it is a file of its own.
    _lock: File,
}

/// What became of a request, and after how many milliseconds.
type End = (Outcome, Option<u64>);

type Flights = HashMap<(i64, u32), Option<End>>;

struct State {
    file: File,
    /// The length of the file in whole lines.
    bytes: u64,
    /// The last write failed.
    torn: bool,
    senders: Vec<(String, BroadcastId)>,
    /// By sender: begun and not yet acknowledged by the ledger.
    open: Vec<(String, Flights)>,
    /// Of this process and those before it.
    known: KnownRevisions,
    /// The lines being written; kept for their buffer.
    lines: Vec<u8>,
}

impl State {
    /// Allocates only for a sender that was not seen before.
    fn flights(&mut self, holder: &str) -> &mut Flights {
        let index = self.open.iter().position(|(known, _)| known == holder).unwrap_or_else(|| {
            self.open.push((holder.to_owned(), Flights::new()));
            self.open.len() - 1
        });
        &mut self.open[index].1
    }
}

impl Journal {
    /// Locks the journal and reads what the process before left. The file stays as it is until [`Journal::start`], so a
    /// replay that is interrupted can be repeated.
    pub fn open(path: &Path) -> Result<(Journal, Vec<LastWords>), JournalError> {
        let io = |action| move |source| JournalError::Io { path: path.to_owned(), action, source };
        let lock = lock(path)?;
        let boot = boot_id();
        let left = match File::open(path) {
            Ok(file) => left_behind(file, &boot).map_err(io("read"))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Left::default(),
            Err(error) => return Err(io("read")(error)),
        };
        let file = private().append(true).create(true).open(path).map_err(io("open"))?;
        let bytes = file.metadata().map_err(io("read"))?.len();
        let state = State {
            file,
            bytes,
            torn: false,
            senders: Vec::new(),
            open: Vec::new(),
            known: left.known,
            lines: Vec::new(),
        };
        Ok((Journal { path: path.to_owned(), boot, state: Mutex::new(state), _lock: lock }, left.words))
    }

    /// Forgets the process before: its words are in the ledger. The revisions that it knew stay.
    pub fn start(&self) -> Result<(), JournalError> {
        self.rewrite(&mut self.state())
    }

    /// Names a sender, before its first exchange.
    pub fn introduce(&self, holder: &str, broadcast: BroadcastId) -> Result<(), JournalError> {
        let mut state = self.state();
        state.senders.push((holder.to_owned(), broadcast));
        self.write(&mut state, [Entry::Sender(holder.into(), broadcast)])
    }

    /// Names a broadcast as its owner does, for [`Journal::revision_of`].
    pub fn name(&self, broadcast: BroadcastId, name: &str) -> Result<(), JournalError> {
        let mut state = self.state();
        state.known.name(broadcast, name);
        self.write(&mut state, [Entry::Name(broadcast, name.into())])
    }

    /// Notes the revision of the ledger's reply, before anything is done by it.
    pub fn learned(&self, broadcast: BroadcastId, revision: i64) -> Result<(), JournalError> {
        let mut state = self.state();
        if state.known.learn(broadcast, revision) {
            self.write(&mut state, [Entry::Revision(broadcast, revision)])?;
        }
        Ok(())
    }

    /// The highest revision of a broadcast that any process of this journal was told; 0 for none.
    pub fn revision(&self, broadcast: BroadcastId) -> i64 {
        self.state().known.of(broadcast)
    }

    /// The same for a broadcast by its name, whatever ledger it was in.
    pub fn revision_of(&self, name: &str) -> i64 {
        self.state().known.of_name(name)
    }

    /// Notes that these requests are about to be handed over: recipients and attempts. If this fails none may be.
    pub fn begun(&self, holder: &str, attempts: &[(i64, u32)]) -> Result<(), JournalError> {
        let mut state = self.state();
        self.write(&mut state, attempts.iter().map(|(seq, attempt)| Entry::Begun(holder.into(), *seq, *attempt)))?;
        state.flights(holder).extend(attempts.iter().map(|attempt| (*attempt, None)));
        Ok(())
    }

    /// Notes what became of them.
    pub fn ended(&self, holder: &str, reports: &[Report]) -> Result<(), JournalError> {
        let mut state = self.state();
        for Report { seq, attempt, outcome, took_ms } in reports {
            state.flights(holder).insert((*seq, *attempt), Some((outcome.clone(), *took_ms)));
        }
        self.write(&mut state, reports.iter().map(|report| ended(holder, report)))
    }

    /// Notes that the ledger has recorded these, and shortens the file when it has grown.
    pub fn acknowledged(&self, holder: &str, reports: &[Report]) -> Result<(), JournalError> {
        let mut state = self.state();
        let flights = state.flights(holder);
        for report in reports {
            flights.remove(&(report.seq, report.attempt));
        }
        if state.bytes > REWRITE_BYTES { self.rewrite(&mut state) } else { Ok(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while holding it leaves at worst a line too many.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn io(&self, action: &'static str) -> impl Fn(std::io::Error) -> JournalError + '_ {
        move |source| JournalError::Io { path: self.path.clone(), action, source }
    }

    fn write<'a>(&self, state: &mut State, entries: impl IntoIterator<Item = Entry<'a>>) -> Result<(), JournalError> {
        self.mend(state)?;
        state.lines.clear();
        for entry in entries {
            encode(&entry, &mut state.lines).map_err(self.io("write"))?;
        }
        if let Err(source) = state.file.write_all(&state.lines) {
            // On a full disk a part of them may be there, and would swallow the next line.
            state.torn = true;
            return Err(self.io("write")(source));
        }
        state.bytes += state.lines.len() as u64;
        Ok(())
    }

    /// Cuts off what a failed write left, before anything follows it.
    fn mend(&self, state: &mut State) -> Result<(), JournalError> {
        if state.torn {
            state.file.set_len(state.bytes).map_err(self.io("mend"))?;
            state.torn = false;
        }
        Ok(())
    }

    /// Writes a new file beside the old one and puts it in its place in one step.
    fn rewrite(&self, state: &mut State) -> Result<(), JournalError> {
        let mut entries = vec![Entry::Boot((&self.boot).into())];
        entries.extend(state.senders.iter().map(|(holder, broadcast)| Entry::Sender(holder.into(), *broadcast)));
        for known in state.known.all() {
            entries.push(Entry::Name(known.broadcast, known.name.as_str().into()));
            entries.push(Entry::Revision(known.broadcast, known.revision));
        }
        for (holder, flights) in &state.open {
            for ((seq, attempt), end) in flights {
                entries.push(Entry::Begun(holder.into(), *seq, *attempt));
                if let Some((outcome, took_ms)) = end {
                    entries.push(Entry::Ended(holder.into(), *seq, *attempt, Cow::Borrowed(outcome), *took_ms));
                }
            }
        }
        let mut lines = Vec::new();
        for entry in &entries {
            encode(entry, &mut lines).map_err(self.io("write"))?;
        }
        let new_path = beside(&self.path, ".new");
        match std::fs::remove_file(&new_path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(self.io("replace")(source)),
            _ => {}
        }
        // The handle that is written through goes on after the rename: opening anew could fail, and later lines would go
        // into the file that has lost its name.
        let mut file = private().create_new(true).append(true).open(&new_path).map_err(self.io("write"))?;
        file.write_all(&lines).map_err(self.io("write"))?;
        std::fs::rename(&new_path, &self.path).map_err(self.io("replace"))?;
        state.file = file;
        state.bytes = lines.len() as u64;
        state.torn = false;
        Ok(())
    }
}

/// New files are for their owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn ended<'a>(holder: &'a str, report: &'a Report) -> Entry<'a> {
    Entry::Ended(holder.into(), report.seq, report.attempt, Cow::Borrowed(&report.outcome), report.took_ms)
}

/// Appends a line.
fn encode(entry: &Entry, lines: &mut Vec<u8>) -> std::io::Result<()> {
    serde_json::to_writer(&mut *lines, entry)?;
    lines.push(b'\n');
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn lock(path: &Path) -> Result<File, JournalError> {
    let io = |source| JournalError::Io { path: path.to_owned(), action: "lock", source };
    let file = File::options().write(true).create(true).truncate(false).open(beside(path, ".lock")).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

fn boot_id() -> String {
    std::fs::read_to_string(BOOT_ID).map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// What earlier processes left.
#[derive(Default)]
struct Left {
    words: Vec<LastWords>,
    known: KnownRevisions,
}

/// What each sender of an earlier process left, and what all of them knew. A torn last line is one that was being written when the process died:
/// its request was not handed over yet.
fn left_behind(file: File, boot: &str) -> std::io::Result<Left> {
    let mut known = KnownRevisions::default();
    let mut complete = false;
    let mut torn = false;
    let mut senders: BTreeMap<String, Heard> = BTreeMap::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        let Ok(entry) = serde_json::from_slice(&line) else {
            torn = true;
            continue;
        };
        // A line that cannot be read before one that can may have been a request.
        complete &= !torn;
        match entry {
            Entry::Boot(then) => complete = !boot.is_empty() && then == boot,
            Entry::Sender(holder, broadcast) => {
                senders.entry(holder.into_owned()).or_default().broadcast = Some(broadcast)
            }
            Entry::Begun(holder, seq, attempt) => {
                senders.entry(holder.into_owned()).or_default().flights.insert((seq, attempt), None);
            }
            Entry::Ended(holder, seq, attempt, outcome, took_ms) => {
                let flights = &mut senders.entry(holder.into_owned()).or_default().flights;
                flights.insert((seq, attempt), Some((outcome.into_owned(), took_ms)));
            }
            Entry::Name(broadcast, name) => known.name(broadcast, &name),
            Entry::Revision(broadcast, revision) => drop(known.learn(broadcast, revision)),
        }
    }
    let words = senders.into_iter().map(|(holder, heard)| words(holder, heard, complete, &known)).collect();
    Ok(Left { words, known })
}

/// What the file tells of one sender.
#[derive(Default)]
struct Heard {
    broadcast: Option<BroadcastId>,
    flights: BTreeMap<(i64, u32), Option<End>>,
}

fn words(holder: String, heard: Heard, complete: bool, known: &KnownRevisions) -> LastWords {
    let known_revision = heard.broadcast.map_or(0, |broadcast| known.of(broadcast));
    let mut words = LastWords { holder, outcomes: Vec::new(), begun: Vec::new(), complete, known_revision };
    for ((seq, attempt), end) in heard.flights {
        match end {
            Some((outcome, took_ms)) => words.outcomes.push(Report { seq, attempt, outcome, took_ms }),
            None => words.begun.push((seq, attempt)),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted() -> Outcome {
        Outcome::Accepted { provider_id: Some("m_1".into()) }
    }

    fn report(seq: i64) -> Report {
        Report { took_ms: Some(120), ..Report::new(seq, 1, accepted()) }
    }

    fn words_left(path: &Path) -> Vec<LastWords> {
        Journal::open(path).unwrap().1
    }

    #[test]
    fn the_next_process_learns_what_was_begun_and_how_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, nothing) = Journal::open(&path).unwrap();
        assert_eq!(nothing, []);
        journal.start().unwrap();
        journal.introduce("one", BroadcastId(1)).unwrap();
        journal.introduce("idle", BroadcastId(2)).unwrap();
        for seq in 1..=3 {
            journal.begun("one", &[(seq, 1)]).unwrap();
        }
        journal.ended("one", &[report(2)]).unwrap();
        journal.learned(BroadcastId(1), 9).unwrap();
        drop(journal);
        let idle =
            LastWords { holder: "idle".into(), outcomes: vec![], begun: vec![], complete: true, known_revision: 0 };
        let one = LastWords {
            holder: "one".into(),
            outcomes: vec![report(2)],
            begun: vec![(1, 1), (3, 1)],
            complete: true,
            known_revision: 9,
        };
        assert_eq!(words_left(&path), [idle.clone(), one.clone()]);
        // Nothing is forgotten until the words are settled.
        assert_eq!(words_left(&path), [idle, one]);
    }

    #[test]
    fn the_revision_of_a_broadcast_outlives_processes_and_rewrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (one, other) = (BroadcastId(1), BroadcastId(2));
        for revision in [7, 9, 8] {
            let (journal, _) = Journal::open(&path).unwrap();
            journal.start().unwrap();
            journal.name(one, "default/sale").unwrap();
            journal.learned(one, revision).unwrap();
        }
        let (journal, _) = Journal::open(&path).unwrap();
        assert_eq!((journal.revision(one), journal.revision_of("default/sale")), (9, 9));
        assert_eq!((journal.revision(other), journal.revision_of("default/other")), (0, 0));
        journal.name(other, "default/sale").unwrap();
        assert_eq!(journal.revision_of("default/sale"), 9, "in another ledger it has another number");
    }

    #[test]
    fn another_boot_is_not_believed_to_be_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "{\"Boot\":\"another\"}\n{\"Sender\":[\"one\",1]}\n{\"Begun\":[\"one\",1,1]}\n").unwrap();
        assert!(words_left(&path).iter().all(|words| !words.complete));
    }

    #[test]
    fn a_torn_last_line_is_no_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let text = format!("{{\"Boot\":\"{}\"}}\n{{\"Sender\":[\"one\",1]}}\n{{\"Begun\":[\"one\",1", boot_id());
        std::fs::write(&path, text).unwrap();
        assert_eq!(words_left(&path)[0].begun, []);
    }

    #[test]
    fn a_line_that_a_full_disk_cut_off_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, _) = Journal::open(&path).unwrap();
        journal.start().unwrap();
        journal.introduce("one", BroadcastId(1)).unwrap();
        {
            let mut state = journal.state();
            state.file.write_all(b"{\"Begun\":[\"one\",1").unwrap();
            state.torn = true;
        }
        journal.begun("one", &[(2, 1)]).unwrap();
        drop(journal);
        assert_eq!(words_left(&path)[0].begun, [(2, 1)]);
    }

    #[test]
    fn a_second_process_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let first = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Locked { .. })));
        drop(first);
        assert!(Journal::open(&path).is_ok());
    }

    #[test]
    fn the_file_stays_small_and_keeps_what_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, _) = Journal::open(&path).unwrap();
        journal.start().unwrap();
        journal.introduce("one", BroadcastId(1)).unwrap();
        journal.begun("one", &[(0, 1)]).unwrap();
        for seq in 1..60_000 {
            journal.begun("one", &[(seq, 1)]).unwrap();
            journal.ended("one", &[report(seq)]).unwrap();
            journal.acknowledged("one", &[report(seq)]).unwrap();
        }
        drop(journal);
        assert!(std::fs::metadata(&path).unwrap().len() <= REWRITE_BYTES + 1_000);
        let words = words_left(&path);
        assert!(words[0].begun.contains(&(0, 1)));
    }
}
