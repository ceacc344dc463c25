//! One broadcast of an earlier run: which one is meant, and the ledger that it is in.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::documents::inputs;
use super::ledger_path;
use super::manifest::{Document, Manifest};
use super::refusal::{Refusal, refuse};
use crate::api::BroadcastMessage;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::location::LedgerLocation;
use crate::ledger::postgres::PostgresLedger;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Inspect, Ledger};

/// Which broadcast of which ledger.
#[derive(Clone, Debug, clap::Args)]
pub struct EarlierRunOptions {
    /// The file of the BroadcastMessage, as it was given to `herald run`; `-` is standard input. Repeatable. What it refers
    /// to is not needed.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Which BroadcastMessage of the files, where they hold several.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Where the ledger is kept, as for `herald run`.
    #[arg(long, value_name = "sqlite:PATH|postgres://…", env = "HERALD_LEDGER", hide_env_values = true)]
    pub ledger: Option<LedgerLocation>,
}

/// The ledger of an earlier run, wherever it is kept.
pub enum OpenLedger {
    File(SqliteLedger),
    Server(PostgresLedger),
}

impl EarlierRunOptions {
    /// The document that is meant.
    ///
    /// # Errors
    /// Where the files hold none, or several and none is named.
    pub fn document(&self) -> Result<Document<BroadcastMessage>, Refusal> {
        let inputs = inputs(&self.files)?;
        let broadcasts = Manifest::broadcasts_of(&inputs).map_err(refuse)?;
        chosen(broadcasts, self.name.as_deref())
    }

    /// The ledger, which has to be there.
    ///
    /// # Errors
    /// Where it is not, or cannot be opened. One in a file has one user at a time.
    pub async fn open(&self) -> Result<OpenLedger, Refusal> {
        let location = ledger_path::resolve(self.ledger.as_ref()).map_err(refuse)?;
        match &location {
            LedgerLocation::File(path) => {
                // Opened, it would be made.
                if !path.exists() {
                    return Err(Refusal(format!(
                        "there is no ledger {location}; name the one of the run with --ledger"
                    )));
                }
                Ok(OpenLedger::File(SqliteLedger::open(path).await.map_err(refuse)?))
            }
            LedgerLocation::Server(url) => {
                Ok(OpenLedger::Server(PostgresLedger::open(url.expose_secret()).await.map_err(refuse)?))
            }
        }
    }
}

fn chosen(
    broadcasts: Vec<Document<BroadcastMessage>>,
    name: Option<&str>,
) -> Result<Document<BroadcastMessage>, Refusal> {
    let names = broadcasts.iter().map(|broadcast| broadcast.name.to_string()).collect::<Vec<_>>().join(", ");
    let mut fitting = broadcasts.into_iter().filter(|broadcast| name.is_none_or(|name| broadcast.name.name == name));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(Refusal(format!("the files hold several broadcasts, name one of them: {names}"))),
        (None, _) if names.is_empty() => Err(Refusal("the files hold no BroadcastMessage".to_owned())),
        (None, _) => Err(Refusal(format!("the files hold no such broadcast, but {names}"))),
    }
}

/// The number that the ledger has for a document's broadcast.
///
/// # Errors
/// Where it knows none of that key.
pub async fn find<L: Ledger + Inspect>(
    ledger: &L,
    document: &Document<BroadcastMessage>,
) -> Result<BroadcastId, Refusal> {
    let (name, key) = (&document.name, document.object.idempotency_key());
    let found = ledger.broadcast_of_key(&name.namespace, key).await.map_err(refuse)?;
    found.ok_or_else(|| {
        Refusal(format!("this ledger knows no broadcast {name} with the key `{key}`; was it run with it?"))
    })
}
