//! Completion of the command line: a script for a shell, and what kubectl asks for.
//!
//! kubectl hands the words after `kubectl broadcast` to a program `kubectl_complete-broadcast`, the last one as far as it is
//! typed, and reads candidates, a line each with their description after a tab, and at last a colon with a number that says
//! what else the shell may offer.

use std::io::{self, Write};

use clap::builder::ValueHint;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

use super::failure::PluginError;
use super::options::Cli;

/// Nothing else is offered.
const NO_FILES: u8 = 4;
/// Files are offered as well.
const FILES: u8 = 0;

/// Prints the script for `kubectl-broadcast` as a command of its own.
pub fn script(shell: Shell) -> Result<(), PluginError> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kubectl-broadcast", &mut text);
    print(&text)
}

/// Prints the candidates for the last of the words.
pub fn complete(words: &[String]) -> Result<(), PluginError> {
    let (candidates, others) = candidates(&Cli::command(), words);
    let lines: String = candidates.iter().map(|(word, help)| format!("{word}\t{help}\n")).collect();
    print(format!("{lines}:{others}\n").as_bytes())
}

fn print(text: &[u8]) -> Result<(), PluginError> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(PluginError::Writing),
    }
}

/// Candidates with their descriptions, and what else may be offered.
fn candidates(root: &Command, words: &[String]) -> (Vec<(String, String)>, u8) {
    let Some((typed, before)) = words.split_last() else { return (subcommands(root, ""), NO_FILES) };
    let mut command = root;
    let mut awaiting: Option<&Arg> = None;
    for word in before {
        if awaiting.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            awaiting = flag(command, root, word).filter(|arg| takes_value(arg) && !word.contains('='));
        } else if let Some(found) = command.find_subcommand(word) {
            command = found;
        }
    }
    if let Some(arg) = awaiting {
        let is_file = matches!(arg.get_value_hint(), ValueHint::AnyPath | ValueHint::FilePath);
        return (values(arg, typed), if is_file { FILES } else { NO_FILES });
    }
    if typed.starts_with('-') {
        return (flags(command, root, typed), NO_FILES);
    }
    (subcommands(command, typed), NO_FILES)
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// Flags of a command, and those of the root that every command has.
fn flags_of<'a>(command: &'a Command, root: &'a Command) -> impl Iterator<Item = &'a Arg> {
    let is_root = std::ptr::eq(command, root);
    let global = root.get_arguments().filter(move |arg| !is_root && arg.is_global_set());
    command.get_arguments().chain(global).filter(|arg| !arg.is_positional())
}

fn flag<'a>(command: &'a Command, root: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or_default();
    flags_of(command, root).find(|arg| {
        let long = arg.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = arg.get_short().is_some_and(|short| name.strip_prefix('-') == Some(short.to_string().as_str()));
        long || short
    })
}

fn flags(command: &Command, root: &Command, typed: &str) -> Vec<(String, String)> {
    let named =
        flags_of(command, root).filter_map(|arg| Some((format!("--{}", arg.get_long()?), described(arg.get_help()))));
    named.filter(|(name, _)| name.starts_with(typed)).collect()
}

fn values(arg: &Arg, typed: &str) -> Vec<(String, String)> {
    let possible = arg.get_possible_values();
    let named = possible.iter().map(|value| (value.get_name().to_owned(), described(value.get_help())));
    named.filter(|(name, _)| name.starts_with(typed)).collect()
}

fn subcommands(command: &Command, typed: &str) -> Vec<(String, String)> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    let named = shown.map(|command| (command.get_name().to_owned(), described(command.get_about())));
    named.filter(|(name, _)| name.starts_with(typed)).collect()
}

fn described(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(|help| help.to_string().lines().next().unwrap_or_default().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(words: &[&str]) -> (Vec<String>, u8) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let (candidates, others) = candidates(&Cli::command(), &words);
        (candidates.into_iter().map(|(word, _)| word).collect(), others)
    }

    #[test]
    fn commands_flags_and_values_are_completed_as_far_as_they_are_typed() {
        assert_eq!(offered(&["re"]), (["resume", "retry", "results", "report"].map(str::to_owned).to_vec(), NO_FILES));
        assert_eq!(offered(&["retry", "spring", "--dry"]).0, ["--dry-run"]);
        assert_eq!(offered(&["retry", "spring", "--outcome", "U"]).0, ["Unknown"]);
        assert_eq!(offered(&["results", "spring", "-o", ""]).0, ["csv", "ndjson"]);
        assert_eq!(offered(&["results", "spring", "--name"]).0, ["--namespace"], "a flag of every command");
    }

    #[test]
    fn files_are_offered_only_where_one_is_meant_and_what_is_hidden_is_not() {
        assert_eq!(offered(&["preview", "-f", ""]), (vec![], FILES));
        assert_eq!(offered(&["status", ""]), (vec![], NO_FILES));
        assert_eq!(offered(&["__"]), (vec![], NO_FILES));
        assert!(!offered(&[]).0.is_empty());
    }
}
