//! How a broadcast stands, once or until it has ended.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::cluster::Cluster;
use super::failure::PluginError;
use super::options::StatusOptions;
use super::status_text::{View, one_line, text};
use super::words::holds;
use crate::ledger::clock::{Clock, SystemClock};
use crate::ledger::status::instant;

/// Between two looks: as often as a status is written.
const INTERVAL: Duration = Duration::from_secs(2);
/// Looks in a row that may fail while it is watched: a minute or more of an API server that is away.
const MAX_FAILURES: u32 = 30;
/// Puts the cursor of a terminal to its first place and empties the screen.
const HOME: &str = "\u{1b}[H\u{1b}[2J";

pub async fn show(cluster: &Cluster, options: &StatusOptions) -> Result<(), PluginError> {
    if !options.watch {
        let view = look(cluster, &options.name).await?;
        return print(&text(&view, options.batches));
    }
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    watch(cluster, options, &mut Screen::new(stdout, is_terminal, options.batches)).await
}

/// Where look after look is shown: a terminal has one picture, a log a line for each change.
struct Screen<W> {
    out: W,
    is_terminal: bool,
    all_batches: bool,
    last_line: String,
}

impl<W: Write> Screen<W> {
    fn new(out: W, is_terminal: bool, all_batches: bool) -> Screen<W> {
        Screen { out, is_terminal, all_batches, last_line: String::new() }
    }

    fn show(&mut self, view: &View) -> Result<(), PluginError> {
        if self.is_terminal {
            return write(&mut self.out, &format!("{HOME}{}", text(view, self.all_batches)));
        }
        let line = one_line(view);
        if line != self.last_line {
            write(&mut self.out, &line)?;
            self.last_line = line;
        }
        Ok(())
    }
}

/// Shows it until it has ended.
async fn watch<W: Write>(
    cluster: &Cluster,
    options: &StatusOptions,
    screen: &mut Screen<W>,
) -> Result<(), PluginError> {
    let mut failures = 0;
    loop {
        match look(cluster, &options.name).await {
            Ok(view) => {
                failures = 0;
                screen.show(&view)?;
                if view.broadcast.status.as_ref().is_some_and(|status| holds(status, "Finished").is_some()) {
                    return Ok(());
                }
            }
            Err(error) if error.is_not_found() => return Err(error),
            Err(error) => {
                failures += 1;
                if failures >= MAX_FAILURES {
                    return Err(error);
                }
                eprintln!("{error}; trying again");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn look(cluster: &Cluster, name: &str) -> Result<View, PluginError> {
    let broadcast = cluster.broadcast(name).await?;
    let batches = cluster.batches(name).await?;
    Ok(View { broadcast, batches, now: instant(SystemClock.now()).unwrap_or_default() })
}

fn print(text: &str) -> Result<(), PluginError> {
    write(&mut io::stdout().lock(), text)
}

/// A reader that has seen enough is no error.
fn write(out: &mut impl Write, text: &str) -> Result<(), PluginError> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(PluginError::Writing),
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
