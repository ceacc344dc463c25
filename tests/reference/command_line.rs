//! The help texts of the binaries, one page each.

use std::process::Command;

/// A binary and how its page is made.
pub struct Program {
    binary: &'static str,
    /// As it is typed.
    name: &'static str,
    title: &'static str,
    /// The words of each part.
    commands: &'static [&'static [&'static str]],
}

pub const HERALD: Program = Program {
    binary: env!("CARGO_BIN_EXE_herald"),
    name: "herald",
    title: "The command line",
    commands: &[
        &[],
        &["run"],
        &["preview"],
        &["results"],
        &["report"],
        &["contacts"],
        &["contacts", "import"],
        &["contacts", "export"],
        &["contacts", "tag"],
        &["contacts", "untag"],
        &["contacts", "opt-out"],
        &["contacts", "opt-in"],
        &["operator"],
        &["sender"],
        &["receiver"],
        &["simulator"],
        &["crds"],
        &["completion"],
    ],
};

pub const PLUGIN: Program = Program {
    binary: env!("CARGO_BIN_EXE_kubectl-broadcast"),
    name: "kubectl broadcast",
    title: "kubectl broadcast",
    commands: &[
        &[],
        &["pause"],
        &["resume"],
        &["cancel"],
        &["status"],
        &["retry"],
        &["results"],
        &["report"],
        &["contacts"],
        &["contacts", "import"],
        &["contacts", "export"],
        &["contacts", "tag"],
        &["contacts", "untag"],
        &["contacts", "opt-out"],
        &["contacts", "opt-in"],
        &["preview"],
        &["completion"],
    ],
};

/// The page.
pub fn page(program: &Program) -> String {
    let mut page = format!(
        "# {}\n\nGenerated from the binary by `make generate`; each part is what `--help` prints.\n",
        program.title
    );
    for words in program.commands {
        let command = [program.name].iter().chain(*words).copied().collect::<Vec<_>>().join(" ");
        page.push_str(&format!("\n## {command}\n\n```text\n{}\n```\n", help(program, words).trim_end()));
    }
    page
}

fn help(program: &Program, words: &[&str]) -> String {
    let output = Command::new(program.binary)
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
    for program in [HERALD, PLUGIN] {
        let listed: Vec<String> = help(&program, &[])
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .filter(|name| name != "help")
            .collect();
        let mut shown: Vec<&str> = program.commands.iter().filter_map(|words| words.first()).copied().collect();
        shown.dedup();
        assert_eq!(listed, shown, "{}", program.name);
    }
}
