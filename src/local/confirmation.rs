//! The question before the first message to a provider that is not on this machine.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;

use tokio::sync::watch;

use super::interruption::unless_interrupted;
use super::options::RunOptions;
use super::refusal::Refusal;

/// The terminal of a process whose standard input is something else.
const TERMINAL: &str = "/dev/tty";
/// The longest answer that is read.
const MAX_ANSWER: u64 = 1_000;

#[derive(Debug, thiserror::Error)]
#[error("failed to ask for a confirmation: {0}; give --yes to be asked nothing")]
pub struct AskError(io::Error);

/// What a person says to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    Yes,
    /// Anything but a yes: no answer and an end of input as well.
    No,
    Interrupted,
}

/// Asks at a terminal whether to go on. Where there is no terminal, and with `--yes`, nobody is asked.
pub async fn ask(options: &RunOptions, question: &str, stop: &watch::Receiver<bool>) -> Result<Confirmed, AskError> {
    let Some(terminal) = terminal(options) else { return Ok(Confirmed::Yes) };
    eprint!("{question} [y/N] ");
    io::stderr().flush().map_err(AskError)?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        BufReader::new(terminal.take(MAX_ANSWER)).read_line(&mut answer).map(|_| answer)
    });
    let Some(read) = unless_interrupted(stop, reading).await else { return Ok(Confirmed::Interrupted) };
    let answer = read.map_err(|error| AskError(io::Error::other(error)))?.map_err(AskError)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(Confirmed::Yes),
        _ => Ok(Confirmed::No),
    }
}

/// The end of a run that was not.
pub fn not_confirmed() -> Refusal {
    Refusal("not confirmed; nothing was sent".to_owned())
}

/// Where a person can be asked: standard input, unless it brought the documents.
fn terminal(options: &RunOptions) -> Option<Box<dyn Read + Send>> {
    let from_documents = options.documents.files.iter().any(|file| file == Path::new("-"));
    if options.yes {
        None
    } else if from_documents {
        // A person is there if somebody sees the question.
        if io::stderr().is_terminal() { File::open(TERMINAL).ok().map(|file| Box::new(file) as _) } else { None }
    } else if io::stdin().is_terminal() {
        Some(Box::new(io::stdin()))
    } else {
        None
    }
}
