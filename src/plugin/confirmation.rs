//! The question before what cannot be taken back.

use std::io::{self, BufRead, IsTerminal, Write};

use super::failure::PluginError;

/// The longest answer that is read.
const MAX_ANSWER: u64 = 1_000;

/// Asks at a terminal whether to go on. Where there is none, and with `yes`, nobody is asked.
///
/// # Errors
/// [`PluginError::NotConfirmed`] for anything but a yes.
pub fn confirm(question: &str, yes: bool) -> Result<(), PluginError> {
    if yes || !io::stdin().is_terminal() {
        return Ok(());
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush().map_err(PluginError::Asking)?;
    answer(io::stdin().lock())
}

fn answer(input: impl BufRead) -> Result<(), PluginError> {
    let mut line = String::new();
    input.take(MAX_ANSWER).read_line(&mut line).map_err(PluginError::Asking)?;
    match line.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(PluginError::NotConfirmed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_a_yes_is_a_no() {
        for yes in ["y\n", "Y\n", "yes\n", " yes \n"] {
            assert!(answer(yes.as_bytes()).is_ok(), "{yes}");
        }
        for no in ["", "\n", "n\n", "no\n", "yess\n", "yes please\n"] {
            assert!(matches!(answer(no.as_bytes()), Err(PluginError::NotConfirmed)), "{no}");
        }
    }
}
