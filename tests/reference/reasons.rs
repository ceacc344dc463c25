//! Every reason a user can meet stands in `docs/errors.md`, and nothing else does.

use std::{collections::BTreeSet, fs, path::PathBuf};

use herald::audience::WRITE_FAULTS;
use herald::controller::EVENTS;
use herald::controller::broadcast::{
    BATCH_REFUSED, CHANNEL_INVALID, CHANNEL_NOT_FOUND, CHANNEL_UNREADABLE, NAME_TAKEN, QUIET_HOURS_INVALID,
    SENDER_CRASH_LOOPING, SENDER_NOT_STARTING, TEMPLATE_INVALID, UNREADABLE, WRITE_BACK_FAILING, WRITE_BACK_INVALID,
};
use herald::controller::channel::{RECEIVER_NAME_TAKEN, RECEIVER_NOT_READY, RECEIVER_READY};
use herald::delivery::gate::Closed;
use herald::delivery::recipient::RETRIES_EXHAUSTED;
use herald::delivery::unanswered::SENDER_LOST;
use herald::ledger::notification::{ENDPOINT_GONE, NOTIFICATION_FORGOTTEN};
use herald::ledger::status::{End, PROVIDER_FAILING, PROVIDER_SLOW, QUIET_HOURS};
use herald::provider::callback::UNDELIVERED;
use herald::provider::messenger::graph_errors::GRAPH_ERRORS;
use herald::provider::slack::errors::SLACK_ERRORS;
use herald::provider::telegram::errors::TELEGRAM_ERRORS;
use herald::provider::twilio::callback::TWILIO_LATE_FAILURES;
use herald::provider::twilio::errors::TWILIO_ERRORS;
use herald::provider::whatsapp::errors::WHATSAPP_ERRORS;
use herald::sender::transport::NO_ANSWER;
use herald::sender::uploads::ATTACHMENT_REFUSED;
use herald::sender::webhook::{NOT_SENT, REFUSED, UNANSWERED};
use regex::Regex;

/// What opens a reason in the sources: the makers of faults, and the arms of the functions that name reasons.
const FAULT: &str = r#"(?:Fault::new|fault|unknown)\("([A-Z][A-Za-z]+)""#;
const ARM: &str = r#"=> (?:Some\()?"([A-Z][A-Za-z]+)""#;

/// The files whose arms `=> "Reason"` are reasons.
const ARMS_IN: [&str; 6] = [
    "ledger/error.rs",
    "sender/planner.rs",
    "sender/mounts.rs",
    "audience/source.rs",
    "audience/source_fault.rs",
    "provider/http/answers.rs",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file without its tests, which make up reasons of their own.
fn production(path: &std::path::Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()
}

fn sources(folder: PathBuf, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(path, found),
            false
                if path.extension().is_some_and(|extension| extension == "rs")
                    && !path.to_string_lossy().ends_with("tests.rs") =>
            {
                found.push(path);
            }
            false => {}
        }
    }
}

fn captures(pattern: &str, text: &str) -> Vec<String> {
    Regex::new(pattern).unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
}

fn in_code() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(root().join("src"), &mut files);
    let mut reasons = BTreeSet::new();
    for file in &files {
        reasons.extend(captures(FAULT, &production(file)));
    }
    for file in ARMS_IN {
        let found = captures(ARM, &production(&root().join("src").join(file)));
        assert!(!found.is_empty(), "src/{file} names no reason any more; look for where it went");
        reasons.extend(found);
    }
    let closed = [
        Closed::NotPlanned,
        Closed::Scheduled,
        Closed::Suspended,
        Closed::LedgerRegressed,
        Closed::FreshLedger,
        Closed::DuplicateSuspected,
        Closed::CredentialsInvalid,
        Closed::ProviderBlocked,
        Closed::MessageRejected,
        Closed::Cancelled,
        Closed::Expired,
        Closed::Missed,
        Closed::Failed,
    ];
    reasons.extend(closed.map(|closed| closed.as_str().to_owned()));
    let ends = [End::Delivered, End::DeliveredWithFailures, End::Cancelled, End::Expired, End::Missed, End::Failed];
    reasons.extend(ends.map(|end| end.as_str().to_owned()));
    reasons.extend(GRAPH_ERRORS.iter().map(|row| row.reason.to_owned()));
    reasons.extend(TELEGRAM_ERRORS.iter().map(|row| row.reason.to_owned()));
    reasons.extend(WHATSAPP_ERRORS.iter().map(|row| row.reason.to_owned()));
    reasons.extend(SLACK_ERRORS.iter().map(|row| row.reason.to_owned()));
    reasons.extend(TWILIO_ERRORS.iter().map(|row| row.reason.to_owned()));
    reasons.extend(TWILIO_LATE_FAILURES.iter().map(|(_, reason, _)| (*reason).to_owned()));
    reasons.extend([UNDELIVERED, RETRIES_EXHAUSTED, NO_ANSWER, SENDER_LOST].map(str::to_owned));
    reasons.extend([NOT_SENT, UNANSWERED, REFUSED, ENDPOINT_GONE, NOTIFICATION_FORGOTTEN].map(str::to_owned));
    // Conditions while nothing has ended.
    let told = ["Sending", "NotSuspended", "Planning", PROVIDER_SLOW, PROVIDER_FAILING, QUIET_HOURS];
    reasons.extend(told.map(str::to_owned));
    // Conditions of batches and channels.
    reasons.extend(["Pending", "Waiting", "AllSettled", "Ready", "NotUsed", "MessageTaken"].map(str::to_owned));
    reasons.extend([RECEIVER_READY, RECEIVER_NOT_READY, RECEIVER_NAME_TAKEN].map(str::to_owned));
    reasons.extend([CHANNEL_NOT_FOUND, CHANNEL_INVALID, CHANNEL_UNREADABLE].map(str::to_owned));
    reasons.extend([NAME_TAKEN, BATCH_REFUSED].map(str::to_owned));
    reasons.extend(WRITE_FAULTS.map(str::to_owned));
    reasons.extend([WRITE_BACK_INVALID, WRITE_BACK_FAILING, ATTACHMENT_REFUSED].map(str::to_owned));
    reasons.extend(
        [TEMPLATE_INVALID, QUIET_HOURS_INVALID, UNREADABLE, SENDER_NOT_STARTING, SENDER_CRASH_LOOPING]
            .map(str::to_owned),
    );
    reasons
}

#[test]
fn every_reason_of_the_code_is_explained_and_no_other() {
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let explained: BTreeSet<String> = captures(r"(?m)^\| `([A-Z][A-Za-z]+)` \|", &page).into_iter().collect();
    let known = in_code();
    let missing: Vec<&String> = known.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/errors.md does not explain {missing:?}");
    let gone: Vec<&String> = explained.difference(&known).collect();
    assert!(gone.is_empty(), "docs/errors.md explains {gone:?}, which the code does not say");
}

/// What opens the reason of an event, but for those that are constants.
const TRANSITION: &str = r#"(?:transition|Transition::new)\((?:false|true), "([A-Z][A-Za-z]+)""#;

/// The reasons of events and the kinds that they are told of.
type Events = BTreeSet<(String, String)>;

fn events_in_code() -> Events {
    let of_broadcasts = |reason: &str| ("BroadcastMessage".to_owned(), reason.to_owned());
    let ends = [End::Delivered, End::DeliveredWithFailures, End::Cancelled, End::Expired, End::Missed, End::Failed];
    let mut told: Events = ends.iter().map(|end| of_broadcasts(end.as_str())).collect();
    told.insert(of_broadcasts(WRITE_BACK_FAILING));
    for (file, kind) in [("broadcast/decide_events.rs", "BroadcastMessage"), ("channel/decide.rs", "MessageChannel")] {
        let found = captures(TRANSITION, &production(&root().join("src/controller").join(file)));
        assert!(!found.is_empty(), "src/controller/{file} tells no event any more; look for where it went");
        told.extend(found.into_iter().map(|reason| (kind.to_owned(), reason)));
    }
    told
}

#[test]
fn every_event_is_explained_and_no_other() {
    let page = fs::read_to_string(root().join("docs/kubernetes.md")).unwrap();
    let section = page.split("\n## Events\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut explained = Events::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.trim_start_matches("| ").split(" | ");
        let (reasons, kinds) = (cells.next().unwrap(), cells.next().unwrap());
        for kind in kinds.split(", ") {
            explained.extend(captures("([A-Z][A-Za-z]+)", reasons).into_iter().map(|reason| (kind.to_owned(), reason)));
        }
    }
    assert_eq!(explained, events_in_code());
}

#[test]
fn every_event_is_in_the_list_that_figures_are_made_of_and_no_other() {
    let all = |(kind, reasons): (&str, &[&str])| -> Vec<(String, String)> {
        reasons.iter().map(|reason| (kind.to_owned(), (*reason).to_owned())).collect()
    };
    let listed: Events = EVENTS.into_iter().flat_map(all).collect();
    assert_eq!(listed, events_in_code());
}
