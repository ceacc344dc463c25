//! What only Slack knows: blocks, and whether links unfold.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest list of blocks as it is written, in characters.
pub const MAX_BLOCKS_TEXT: usize = 16_384;
/// The most blocks of a message (Block Kit reference; recalled).
pub const MAX_BLOCKS: usize = 50;
/// How deep blocks may be nested: the deepest of Block Kit's own has some ten levels.
const MAX_DEPTH: usize = 20;
/// Aliases in the list: each repeats what its anchor holds, so that a short text would become as long as memory lasts. With
/// none, blocks are about as long as their text.
const MAX_ALIASES: usize = 0;
/// Values in the list: more than 50 full blocks have.
const MAX_NODES: usize = 4_096;

/// What only Slack knows of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlackContent {
    /// The layout of the message: a list of at most 50 blocks of Block Kit, written as YAML or JSON in one text of at most
    /// 16384 characters. Every text in it is a template. Where it is given, `spec.content.text` is what notifications show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_BLOCKS_TEXT))]
    pub blocks: Option<String>,
    /// `true`: links to pages are shown with a preview. Default: as Slack does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfurl_links: Option<bool>,
    /// `true`: links to pictures and films are shown with a preview. Default: as Slack does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfurl_media: Option<bool>,
}

impl SlackContent {
    /// The blocks as data; empty where none are given.
    ///
    /// # Errors
    /// Why the text is no list of blocks, in words for its author.
    pub fn parse_blocks(&self) -> Result<Vec<Value>, String> {
        let Some(text) = &self.blocks else { return Ok(Vec::new()) };
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_aliases: MAX_ALIASES, max_nodes: MAX_NODES, max_events: 2 * MAX_NODES,
            },
        };
        let blocks: Vec<Value> = serde_saphyr::from_str_with_options(text, options).map_err(|error| problem(&error))?;
        if blocks.is_empty() || blocks.len() > MAX_BLOCKS {
            return Err(format!("must hold 1 to {MAX_BLOCKS} blocks, not {}", blocks.len()));
        }
        for (index, block) in blocks.iter().enumerate() {
            if block.get("type").and_then(Value::as_str).is_none() {
                return Err(format!("block {index} must be an object with a type, e.g. `type: section`"));
            }
            if depth(block) > MAX_DEPTH {
                return Err(format!("block {index} is nested deeper than {MAX_DEPTH} levels"));
            }
        }
        Ok(blocks)
    }
}

fn problem(error: &serde_saphyr::Error) -> String {
    let error = error.without_snippet();
    match error {
        serde_saphyr::Error::Budget { .. } => {
            format!("must hold at most {MAX_NODES} values, each written out: aliases (`*name`) are not taken")
        }
        _ => format!("is no list in YAML or JSON: {}", error.render().lines().next().unwrap_or_default()),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(blocks: &str) -> Result<Vec<Value>, String> {
        SlackContent { blocks: Some(blocks.to_owned()), ..SlackContent::default() }.parse_blocks()
    }

    #[test]
    fn blocks_are_read_as_yaml_and_as_json() {
        let expected = serde_json::json!([{"type": "section", "text": {"type": "mrkdwn", "text": "*Hi*"}}]);
        let yaml = "- type: section\n  text: {type: mrkdwn, text: \"*Hi*\"}\n";
        assert_eq!(Value::Array(parse(yaml).unwrap()), expected);
        assert_eq!(Value::Array(parse(&expected.to_string()).unwrap()), expected);
        assert_eq!(SlackContent::default().parse_blocks(), Ok(Vec::new()));
    }

    #[test]
    fn a_short_text_does_not_become_long() {
        let with = |values: usize| format!("- {{type: x, y: [{}]}}", "1,".repeat(values));
        let aliases = "- &a {type: x, y: [z, z, z]}\n- {type: x, y: [*a, *a, *a]}\n";
        for text in [aliases, "- &a {type: x}\n- *a\n", &with(MAX_NODES)] {
            assert!(text.len() <= MAX_BLOCKS_TEXT);
            let problem = parse(text).unwrap_err();
            assert!(problem.starts_with("must hold at most 4096 values"), "{problem}");
        }
        assert!(parse(&with(MAX_NODES - 100)).is_ok());
        let star = parse("- {type: section, text: \"*Hi*\"}").unwrap();
        assert_eq!(star[0]["text"], "*Hi*");
    }

    #[test]
    fn what_is_no_list_of_blocks_is_refused() {
        let nested = format!("- type: section\n  x: {}1{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        for (text, expected) in [
            ("type: section", "is no list"),
            ("[", "is no list"),
            ("[]", "must hold 1 to 50 blocks"),
            ("- section", "block 0 must be an object"),
            ("- type: divider\n- text: x", "block 1 must be an object"),
            (nested.as_str(), "block 0 is nested deeper"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.starts_with(expected), "{text}: {problem}");
        }
        assert!(parse(&"- type: divider\n".repeat(MAX_BLOCKS)).is_ok());
        assert!(parse(&"- type: divider\n".repeat(MAX_BLOCKS + 1)).is_err());
    }
}
