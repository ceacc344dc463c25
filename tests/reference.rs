//! The reference in `docs/reference/` is what the code says, and `docs/errors.md` explains every reason the code gives.

// All of this is a test; what fails here is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "reference/command_line.rs"]
mod command_line;
#[path = "reference/kind_page.rs"]
mod kind_page;
#[path = "reference/reasons.rs"]
mod reasons;

use std::{fs, path::PathBuf};

/// Set this to write `docs/reference/` anew instead of comparing.
const UPDATE: &str = "UPDATE_REFERENCE";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reference")
}

fn compare(name: &str, generated: &str) {
    let path = folder().join(name);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    // Not assert_eq: two whole pages on one screen help nobody.
    assert!(
        committed == generated,
        "{} differs from the code; run {UPDATE}=1 cargo test --test reference",
        path.display()
    );
}

#[test]
fn the_page_of_each_kind_is_that_of_its_definition() {
    for crd in herald::api::crds() {
        compare(&format!("{}.md", crd.spec.names.singular.as_deref().unwrap()), &kind_page::page(&crd));
    }
}

#[test]
fn the_page_of_the_command_line_is_that_of_the_binary() {
    compare("command-line.md", &command_line::page(&command_line::HERALD));
}

#[test]
fn the_page_of_the_plugin_is_that_of_the_binary() {
    compare("kubectl-broadcast.md", &command_line::page(&command_line::PLUGIN));
}

#[test]
fn no_other_page_stands_in_the_reference() {
    let mut names: Vec<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let pages =
        ["broadcastmessage.md", "command-line.md", "kubectl-broadcast.md", "messagebatch.md", "messagechannel.md"];
    assert_eq!(names, pages);
}

#[test]
fn every_link_of_the_documentation_leads_to_a_file_and_a_heading() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    pages.extend(fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let link = regex::Regex::new(r"\]\(([^)#:]*)(?:#([^)]+))?\)").unwrap();
    let mut checked = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        for found in link.captures_iter(&fs::read_to_string(page).unwrap()) {
            let target = if found[1].is_empty() { page.clone() } else { page.parent().unwrap().join(&found[1]) };
            assert!(target.exists(), "{} links to {}", page.display(), &found[1]);
            if let Some(heading) = found.get(2) {
                let text = fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter_map(|line| line.strip_prefix('#'));
                let is_there = headings.any(|line| slug(line) == heading.as_str());
                assert!(is_there, "{} links to {}#{}", page.display(), &found[1], heading.as_str());
            }
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} links were found");
}

/// How a heading is named in links: lower case, dashes for spaces, nothing but letters and digits beside.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|character| character.is_alphanumeric() || [' ', '-'].contains(character))
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}
