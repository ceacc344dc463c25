//! What sending is compared with: a bare loop of requests, and a loop that sends and then sleeps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use herald::content::{Extras, Template};
use herald::delivery::time::Timestamp;
use herald::provider::{Message, Provider as _};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::{people, process};

/// The pause after each message of a loop that means to send 10/s.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause between two batches, and their size.
const BATCH_PAUSE: Duration = Duration::from_secs(1);
pub const BATCH: u32 = 100;

#[derive(Debug, Serialize, Deserialize)]
pub struct PostBare {
    pub url: String,
    pub messages: u32,
    pub concurrency: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Posted {
    pub cpu_seconds: f64,
}

/// Posts prepared requests, `concurrency` at a time: no ledger, no journal, no pace, no rendering.
pub async fn post_bare(task: PostBare) -> anyhow::Result<Posted> {
    let requests = Arc::new(Mutex::new(requests(&task.url, task.messages)?));
    let client = client()?;
    let before = process::cpu_seconds();
    let mut workers = JoinSet::new();
    for _ in 0..task.concurrency {
        let (requests, client) = (requests.clone(), client.clone());
        workers.spawn(async move {
            loop {
                let next = requests.lock().ok().and_then(|mut requests| requests.pop());
                let Some(request) = next else { return anyhow::Ok(()) };
                post(&client, request).await?;
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(Posted { cpu_seconds: process::cpu_seconds() - before })
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SendThenSleep {
    pub url: String,
}

/// One batch and the first message of the next, one after the other, with a pause after each: the time from the first
/// request of one batch to the first of the next is what 100 messages take.
pub async fn send_then_sleep(task: SendThenSleep) -> anyhow::Result<()> {
    let client = client()?;
    let mut requests = requests(&task.url, BATCH + 1)?;
    for _ in 0..BATCH {
        let request = requests.pop().context("too few requests")?;
        post(&client, request).await?;
        tokio::time::sleep(PAUSE).await;
    }
    tokio::time::sleep(BATCH_PAUSE).await;
    post(&client, requests.pop().context("too few requests")?).await
}

fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().retry(reqwest::retry::never()).build()?)
}

async fn post(client: &reqwest::Client, request: http::Request<Bytes>) -> anyhow::Result<()> {
    let response = client.execute(request.try_into()?).await?.error_for_status()?;
    response.bytes().await?;
    Ok(())
}

/// The same requests that Herald makes for these people.
fn requests(url: &str, count: u32) -> anyhow::Result<Vec<http::Request<Bytes>>> {
    let messenger = people::messenger(url)?;
    let template = Template::compile(people::TEXT)?;
    let request = |number| {
        let person = people::person(number);
        let vars = BTreeMap::from([
            ("city".to_owned(), person.city.to_owned()),
            ("first_name".to_owned(), person.first_name.to_owned()),
        ]);
        let text = template.render(&vars)?;
        let correlation = format!("1:{number}:1:0");
        let message = Message {
            recipient: &person.id,
            text: &text,
            extras: &Extras::None,
            attachments: &[],
            is_last: true,
            vars: &vars,
            correlation: &correlation,
            id: &format!("msg_1_{number}"),
            at: Timestamp::EPOCH,
        };
        Ok(messenger.encode(&message)?)
    };
    (0..count).rev().map(request).collect()
}
