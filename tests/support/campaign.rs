//! The documents of a run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One broadcast to people of its own, through the one channel of a stage.
#[derive(Clone, Debug)]
pub struct Campaign {
    pub name: String,
    pub recipients: usize,
    /// Messages per second of the channel; of several campaigns in one run the first one's counts.
    pub rate: u32,
    pub request_timeout_seconds: u32,
    pub senders: u32,
    pub priority: &'static str,
    pub batch_size: Option<u32>,
    pub text: String,
    /// How many pictures follow the text.
    pub attachments: usize,
    pub cancel: bool,
    /// A recipient in the document itself, before those of the file.
    pub inline: Option<String>,
}

impl Campaign {
    pub fn new(name: &str, recipients: usize, rate: u32) -> Campaign {
        Campaign {
            name: name.to_owned(),
            recipients,
            rate,
            request_timeout_seconds: 20,
            senders: 1,
            priority: "Normal",
            batch_size: None,
            text: "Hi {{ first_name | default('there') }}, 20 % off until Sunday.".to_owned(),
            attachments: 0,
            cancel: false,
            inline: None,
        }
    }

    /// Everybody in the file.
    pub fn audience(&self) -> impl Iterator<Item = String> {
        // Different people in each campaign, so that the record tells them apart by recipient as well.
        let first = 24_000_000_000_000_u64 + 1_000_000_000 * self.name.bytes().map(u64::from).sum::<u64>();
        (first..first + self.recipients as u64).map(|id| id.to_string())
    }

    fn people(&self) -> String {
        let mut csv = "id,first_name\n".to_owned();
        for (number, id) in self.audience().enumerate() {
            let name = if number % 3 == 0 { "" } else { "Zoë" };
            writeln!(csv, "{id},{name}").unwrap();
        }
        csv
    }

    fn document(&self) -> String {
        let Campaign { name, senders, priority, text, .. } = self;
        let pictures: Vec<String> = (1..=self.attachments)
            .map(|number| format!("{{type: Image, url: 'https://a.example/{number}.png'}}"))
            .collect();
        let pictures = pictures.join(", ");
        let inline =
            self.inline.as_ref().map_or_else(String::new, |id| format!("    recipients: [{{id: \"{id}\"}}]\n"));
        let mut document = format!(
            "---\napiVersion: herald.dev/v1alpha1\nkind: BroadcastMessage\nmetadata: {{name: {name}}}\nspec:\n  \
             channelRef: {{name: page}}\n  audience:\n{inline}    sources:\n      - {{name: people, configMapKeyRef: {{name: {name}, \
             key: {name}.csv}}}}\n  content: {{text: \"{text}\", attachments: [{pictures}]}}\n  delivery:\n    senders: {senders}\n    priority: {priority}\n"
        );
        if let Some(size) = self.batch_size {
            writeln!(document, "    batchSize: {size}").unwrap();
        }
        if self.cancel {
            document.push_str("  cancel: true\n");
        }
        document
    }
}

/// Writes documents, in a file of this name, and audiences into the folder; returns the arguments of `herald run` that
/// name them.
pub fn write(folder: &Path, name: &str, base_url: &str, campaigns: &[Campaign]) -> Vec<String> {
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let Campaign { rate, request_timeout_seconds, .. } = &campaigns[0];
    let mut documents = format!(
        "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: page}}\nspec:\n  messenger: {{pageID: \
         \"1029384756\", baseURL: \"{base_url}\"}}\n  credentialsSecretRef: {{name: page}}\n  rate: {{messages: {rate}}}\n  \
         requestTimeoutSeconds: {request_timeout_seconds}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: page}}\n\
         stringData: {{accessToken: EAAB-test-token}}\n"
    );
    let path = file(&format!("{name}.yaml"));
    let mut arguments = vec!["-f".to_owned(), path.display().to_string()];
    for campaign in campaigns {
        let people = file(&format!("{}.csv", campaign.name));
        std::fs::write(&people, campaign.people()).unwrap();
        documents.push_str(&campaign.document());
        arguments.extend(["--config-map".to_owned(), format!("{}={}", campaign.name, people.display())]);
    }
    std::fs::write(path, documents).unwrap();
    arguments
}
