//! Doctored cases: the judge is judged.

use herald::delivery::recipient::RecipientState;
use herald::simulator::record::OwnedLine;
use serde_json::json;

use super::invariants::{ALL, Case, Kill, Silence};
use super::judge::Claim;
use super::pace::Waits;

/// The number of an invariant, a word on what breaks it, and how that is done.
type Doctored = (&'static str, &'static str, fn(&mut Case));

const DOCTORED: [Doctored; 22] = [
    ("I1", "an attempt again", |case| again(case, true, 1)),
    ("I1", "an older epoch later on", |case| {
        case.looks.extend([case.broadcasts[0].clone(), case.broadcasts[0].clone()]);
        case.looks.last_mut().unwrap().batches[0].epoch = -1;
    }),
    ("I1", "a batch of a killed process goes on by the same claim", |case| {
        let batch = case.broadcasts[0].batches[0].clone();
        let (first_seq, last_seq) = (batch.first_seq, batch.last_seq);
        let claims = vec![Claim { batch: batch.index, epoch: batch.epoch, first_seq, last_seq }];
        case.kills.push(Kill { at_ns: 0, open: [].into(), allowed: 0, claims });
    }),
    ("I2", "one more who was sent", |case| case.broadcasts[0].snapshot.counts.sent += 1),
    ("I2", "a batch that lacks one", |case| case.broadcasts[0].batches[0].counts.sent -= 1),
    ("I3", "somebody left out", |case| case.audience.as_mut().unwrap().extend(["somebody else".to_owned()])),
    ("I4", "a second request without an answer to the first", |case| again(case, false, 2)),
    ("I4", "a part out of its turn", |case| again_as(case, false, 2, Some(5))),
    ("I5", "a second request that nothing allows", |case| again(case, false, 2)),
    ("I6", "sent, and not received", |case| {
        let line = sent_line(case);
        case.lines.iter_mut().filter(|other| **other == line).for_each(|line| line.accepted = false);
    }),
    ("I7", "accepted twice", |case| again(case, true, 2)),
    ("I8", "a request in a silence", |case| {
        let from_ns = sent_line(case).time_ns;
        case.silences.push(Silence { from_ns, to_ns: from_ns + 1 });
    }),
    ("I9", "unknown, and nobody knows why", |case| {
        case.broadcasts[0].deliveries.iter_mut().for_each(|row| row.state = RecipientState::Unknown);
    }),
    ("I9", "more in doubt than may be", |case| {
        case.kills.push(Kill { at_ns: 0, open: [(0, 1), (1, 1)].into(), allowed: 1, claims: Vec::new() });
    }),
    ("I10", "fewer sent than before", |case| {
        case.looks.extend([case.broadcasts[0].clone(), case.broadcasts[0].clone()]);
        case.looks.last_mut().unwrap().snapshot.counts.sent = 0;
    }),
    ("I10", "fewer told than before", |case| {
        case.told = [2, 1].map(|sent| json!({"recipients": {"sent": sent}})).into();
    }),
    ("I11", "faster than the rate by the log", |case| {
        case.waits = None;
        case.handed_over = case.lines.iter().map(|line| line.time_ns).collect();
        case.handed_over.sort_unstable();
        case.rate = Some(5);
    }),
    ("I11", "faster than the rate by the record", |case| {
        case.waits = Some(Waits::default());
        case.rate = Some(5);
    }),
    ("I12", "an attempt that was never given", |case| again(case, true, 99)),
    ("I13", "somebody left pending", |case| case.broadcasts[0].deliveries[0].state = RecipientState::Pending),
    ("I14", "another sum in the end", |case| case.status.as_mut().unwrap()["recipients"]["sent"] = 0.into()),
    ("I14", "more told on the way than there was", |case| {
        case.looks = vec![case.broadcasts[0].clone()];
        case.told = vec![json!({"recipients": {"sent": case.looks[0].snapshot.counts.sent + 1}})];
    }),
];

/// A request of somebody who was sent.
fn sent_line(case: &Case) -> OwnedLine {
    let sent = case.broadcasts[0].deliveries.iter().find(|row| row.state == RecipientState::Sent).unwrap();
    case.lines.iter().find(|line| line.accepted && *line.recipient == *sent.recipient).unwrap().clone()
}

/// The request once more, later, as another attempt.
fn again(case: &mut Case, accepted: bool, attempt: u64) {
    again_as(case, accepted, attempt, None);
}

/// The same, of another part of the message where one is named.
fn again_as(case: &mut Case, accepted: bool, attempt: u64, part: Option<u32>) {
    let line = sent_line(case);
    let mut members: Vec<String> = line.correlation.as_deref().unwrap().split(':').map(str::to_owned).collect();
    members[2] = attempt.to_string();
    members[3] = part.map_or(members[3].clone(), |part| part.to_string());
    let correlation = Some(members.join(":").into());
    case.lines.push(OwnedLine { time_ns: line.time_ns + 1_000_000, correlation, accepted, ..line });
}

/// Doctors a case that holds in every way, and expects the number of what it broke.
pub fn assert_noticed(whole: &Case) {
    for (number, what, doctor) in DOCTORED {
        let mut case = whole.clone();
        doctor(&mut case);
        let broken = case.broken();
        let named = format!("{number}: ");
        assert!(broken.iter().any(|wrong| wrong.starts_with(&named)), "{what}: {named}{broken:?}");
    }
    let undoctored = ALL.iter().filter(|invariant| DOCTORED.iter().all(|(number, ..)| *number != invariant.number));
    assert_eq!(undoctored.map(|invariant| invariant.number).collect::<Vec<_>>(), Vec::<&str>::new(), "not doctored");
}
