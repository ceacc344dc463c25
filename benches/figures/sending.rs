//! The task of sending one broadcast as `herald run` does: plan, senders, upkeep, in one process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use herald::api::Content;
use herald::ledger::exchange::BroadcastId;
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::random::random_id;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::upkeep::keep_up;
use herald::ledger::{Declaration, Ledger, SenderLedger};
use herald::provider::Provider as _;
use herald::provider::messenger::Messenger;
use herald::sender::{Journal, Session, Transport, planner};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::distant::Distant;
use crate::{people, process};

/// Where a task keeps its ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Kept {
    /// In a file of its folder.
    File,
    /// In a schema of a PostgreSQL server.
    Server { url: String, schema: String },
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Send {
    /// For ledger, journal and recipients.
    pub folder: PathBuf,
    pub kept: Kept,
    pub url: String,
    pub rate: u32,
    pub senders: u32,
    pub messages: u32,
    pub batch_size: Option<u32>,
    /// How much later than it could every exchange is answered.
    pub exchange_ms: u64,
    /// When the first sender is lost, and another takes its place.
    pub lost_after_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Sent {
    pub sent: i64,
    /// On the wire when a sender was lost.
    pub unknown: i64,
    /// From after planning to the last record.
    pub cpu_seconds: f64,
}

pub async fn send(task: Send) -> anyhow::Result<Sent> {
    match task.kept.clone() {
        Kept::File => {
            let ledger = SqliteLedger::open(&task.folder.join("ledger.sqlite")).await?;
            send_on(task, ledger).await
        }
        Kept::Server { url, schema } => {
            let ledger = PostgresLedger::open_in(&url, &schema, None).await?;
            send_on(task, ledger).await
        }
    }
}

async fn send_on<L: Ledger>(task: Send, ledger: L) -> anyhow::Result<Sent> {
    let csv = task.folder.join("people.csv");
    people::write_csv(&csv, task.messages)?;
    let provider = Arc::new(people::messenger(&task.url)?);
    let ledger = Arc::new(ledger);
    let (journal, _) = Journal::open(&task.folder.join("journal"))?;
    journal.start()?;
    let declaration = Declaration { batch_size: task.batch_size, ..people::declaration(task.rate) };
    let broadcast = ledger.declare(&declaration).await?.id;
    let (_stop, stopped) = watch::channel(false);
    planner::plan(ledger.as_ref(), broadcast, people::plan_spec(&csv, provider.clone())?, &stopped).await?;

    let before = process::cpu_seconds();
    let upkeep = tokio::spawn(keep_up(ledger.clone()));
    let transport = Transport::new(provider.endpoint())?;
    let distant = Arc::new(Distant::new(ledger.clone(), Duration::from_millis(task.exchange_ms)));
    let content = declaration.content;
    let office = Office { ledger: distant, broadcast, content, provider, transport, journal: Arc::new(journal) };
    let mut sessions = JoinSet::new();
    let first = office.start(&mut sessions, &stopped);
    for _ in 1..task.senders {
        office.start(&mut sessions, &stopped);
    }
    if let Some(millis) = task.lost_after_ms {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        first.abort();
        office.start(&mut sessions, &stopped);
    }
    while let Some(ended) = sessions.join_next().await {
        match ended {
            Err(lost) if lost.is_cancelled() => {}
            ended => drop(ended??),
        }
    }
    upkeep.abort();
    let cpu_seconds = process::cpu_seconds() - before;
    let counts = ledger.snapshot(broadcast).await?.counts;
    Ok(Sent { sent: counts.sent, unknown: counts.unknown + counts.inflight, cpu_seconds })
}

/// What every sender of the task shares.
struct Office<L> {
    ledger: Arc<L>,
    broadcast: BroadcastId,
    content: Content,
    provider: Arc<Messenger>,
    transport: Transport,
    journal: Arc<Journal>,
}

impl<L: SenderLedger> Office<L> {
    fn start(&self, sessions: &mut JoinSet<SessionEnd>, stop: &watch::Receiver<bool>) -> AbortHandle {
        let session = Session {
            ledger: self.ledger.clone(),
            broadcast: self.broadcast,
            holder: random_id(),
            display: "figures".to_owned(),
            provider: self.provider.clone(),
            transport: self.transport.clone(),
            journal: self.journal.clone(),
            content: self.content.clone(),
            plan: None,
            patience: None,
            retry_credentials: false,
            bells: Default::default(),
        };
        sessions.spawn(session.run(stop.clone()))
    }
}

type SessionEnd = Result<herald::sender::Ended, herald::sender::session::SessionError>;
