//! Audio and video at Messenger, which takes 10 of them a second for a page within whatever else it takes. The simulator's
//! record is the judge.

use herald::simulator::record::{Correlation, OwnedLine};

use super::run_support::{Stage, broadcast};
use super::support::machine;
use super::support::pace::Watcher;

const CEILING: u32 = 10;
const RATE: u32 = 40;

fn spec(first: u64, count: u64, content: &str) -> String {
    let recipients: Vec<String> = (first..first + count).map(|id| format!("{{id: \"{id}\"}}")).collect();
    format!("  audience: {{recipients: [{}]}}\n  content: {{{content}}}\n", recipients.join(", "))
}

fn of_kind(lines: &[OwnedLine], kind: &str) -> Vec<OwnedLine> {
    lines.iter().filter(|line| line.attachments.iter().any(|one| one.starts_with(kind))).cloned().collect()
}

fn seconds(lines: &[OwnedLine]) -> f64 {
    let (first, last) = (lines.first().unwrap(), lines.last().unwrap());
    (last.time_ns - first.time_ns) as f64 / 1e9
}

#[test]
fn audio_goes_out_at_its_own_rate_and_each_soon_after_its_text() {
    let _machine = machine::alone();
    let stage = Stage::open(&["--latency", "50"]);
    let people = 120;
    let content = "text: Hello, attachments: [{type: Audio, url: \"https://cdn.example/a.mp3\"}]";
    stage.documents(RATE, &[broadcast("spring", &spec(1, people, content))]);
    let watcher = Watcher::start();
    stage.run(&[]).exits(0);
    let waits = watcher.stop();
    let lines = stage.requests();
    let audio = of_kind(&lines, "audio");
    assert_eq!((audio.len() as u64, lines.len() as u64), (people, 2 * people));
    waits.assert_pace_of_arrivals("everything", &lines, RATE);
    waits.assert_pace_of_arrivals("audio", &audio, CEILING);
    // Ten a second, and no slower than that but for a busy machine.
    let took = seconds(&audio);
    eprintln!("{people} in {took:.1} s");
    assert!(took >= (people - 12) as f64 / f64::from(CEILING), "{took} s");
    // Of the page's slots that audio cannot use texts have had what they need, and nobody a text much before its audio.
    let texts_by = |time_ns| lines.iter().filter(|line| line.attachments.is_empty() && line.time_ns <= time_ns).count();
    for (number, line) in audio.iter().enumerate() {
        let lead = texts_by(line.time_ns) - number;
        assert!(lead <= 30 + 2 * RATE as usize, "{lead} people have a text and wait for their audio");
    }
}

#[test]
fn two_broadcasts_with_films_share_what_one_page_may_send() {
    let _machine = machine::alone();
    let stage = Stage::open(&["--latency", "50"]);
    let people = 40;
    let content = "attachments: [{type: Video, url: \"https://cdn.example/a.mp4\"}]";
    let spring = broadcast("spring", &spec(1, people, content));
    let autumn = broadcast("autumn", &spec(1_001, people, content));
    stage.documents(RATE, &[spring, autumn]);
    let watcher = Watcher::start();
    stage.run(&[]).exits(0);
    let waits = watcher.stop();
    let films = of_kind(&stage.requests(), "video");
    assert_eq!(films.len() as u64, 2 * people);
    waits.assert_pace_of_arrivals("films", &films, CEILING);
    let half = &films[..people as usize];
    let broadcast_of =
        |line: &OwnedLine| Correlation::parse(line.correlation.as_deref().unwrap()).unwrap().broadcast.to_owned();
    let first = broadcast_of(&films[0]);
    let of_first = half.iter().filter(|line| broadcast_of(line) == first).count();
    assert!((people as usize / 4..=people as usize * 3 / 4).contains(&of_first), "{of_first} of the first {people}");
}
