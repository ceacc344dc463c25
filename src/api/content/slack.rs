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
        let blocks: Vec<Value> = serde_saphyr::from_str(text)
            .map_err(|error| format!("is no list in YAML or JSON: {}", first_line(&error)))?;
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

fn first_line(error: &serde_saphyr::Error) -> String {
    error.without_snippet().render().lines().next().unwrap_or_default().to_owned()
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
