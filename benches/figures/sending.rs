//! The task of sending one broadcast as `herald run` does: plan, senders, upkeep, in one process.

use std::path::PathBuf;
use std::sync::Arc;

use herald::ledger::Ledger;
use herald::ledger::sqlite::{SqliteLedger, random_id};
use herald::ledger::upkeep::keep_up;
use herald::provider::Provider;
use herald::sender::{Journal, Session, Transport, planner};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{people, process};

#[derive(Debug, Serialize, Deserialize)]
pub struct Send {
    /// For ledger, journal and recipients.
    pub folder: PathBuf,
    pub url: String,
    pub rate: u32,
    pub senders: u32,
    pub messages: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Sent {
    pub sent: i64,
    /// From after planning to the last record.
    pub cpu_seconds: f64,
}

pub async fn send(task: Send) -> anyhow::Result<Sent> {
    let csv = task.folder.join("people.csv");
    people::write_csv(&csv, task.messages)?;
    let provider = Arc::new(people::messenger(&task.url)?);
    let ledger = Arc::new(SqliteLedger::open(&task.folder.join("ledger.sqlite")).await?);
    let (journal, _) = Journal::open(&task.folder.join("journal"))?;
    journal.start()?;
    let journal = Arc::new(journal);
    let transport = Transport::new(provider.endpoint())?;
    let broadcast = ledger.declare(&people::declaration(task.rate)).await?.id;
    let (_stop, stopped) = watch::channel(false);
    planner::plan(ledger.as_ref(), broadcast, people::plan_spec(&csv, provider.clone())?, &stopped).await?;

    let before = process::cpu_seconds();
    let upkeep = tokio::spawn(keep_up(ledger.clone()));
    let mut sessions = JoinSet::new();
    for number in 1..=task.senders {
        let session = Session {
            ledger: ledger.clone(),
            broadcast,
            holder: random_id(),
            display: format!("figures-{number}"),
            provider: provider.clone(),
            transport: transport.clone(),
            journal: journal.clone(),
            plan: None,
            patience: None,
        };
        sessions.spawn(session.run(stopped.clone()));
    }
    while let Some(ended) = sessions.join_next().await {
        ended??;
    }
    upkeep.abort();
    let cpu_seconds = process::cpu_seconds() - before;
    Ok(Sent { sent: ledger.snapshot(broadcast).await?.counts.sent, cpu_seconds })
}
