//! The help texts of the binary as one page.

use std::process::Command;

const COMMANDS: [&[&str]; 6] = [&[], &["run"], &["operator"], &["sender"], &["simulator"], &["crds"]];

/// The page.
pub fn page() -> String {
    let mut page = String::from(
        "# The command line\n\nGenerated from the binary by `make generate`; each part is what `--help` prints.\n",
    );
    for words in COMMANDS {
        let command = ["herald"].iter().chain(words).copied().collect::<Vec<_>>().join(" ");
        page.push_str(&format!("\n## {command}\n\n```text\n{}\n```\n", help(words).trim_end()));
    }
    page
}

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(words)
        .arg("--help")
        // The help shows the values of variables that stand for flags.
        .env_remove("HERALD_LEDGER")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_command_has_its_part() {
    let listed: Vec<String> = help(&[])
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect();
    let shown: Vec<String> = COMMANDS.iter().filter_map(|words| words.first()).map(|name| name.to_string()).collect();
    assert_eq!(listed, shown);
}
