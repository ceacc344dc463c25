//! The flags of `herald sender`.

use std::path::PathBuf;
use std::sync::Arc;

use super::mounts::Folders;
use super::process::SenderProcess;
use crate::api::mount;
use crate::ledger::wire::client::RemoteLedgerError;
use crate::ledger::wire::{RemoteLedger, RemoteLedgerOptions};

/// Sends one broadcast from a pod that the operator made. Everything it needs is in its pod.
///
/// Exit codes: 0 there is nothing to do now, whatever the reason, which is its last line on standard error; 1 it could
/// not go on and may when it is started again.
#[derive(Debug, clap::Args)]
pub struct SenderOptions {
    /// Where the operator serves the ledger.
    #[arg(long, value_name = "URL", env = mount::LEDGER_URL_VARIABLE)]
    pub ledger_url: String,

    /// The certificate authority of the ledger, as PEM.
    #[arg(long, value_name = "PEM", env = mount::LEDGER_CA_VARIABLE)]
    pub ledger_ca: Option<String>,

    /// The name under which people see this sender.
    #[arg(long, value_name = "NAME", env = mount::POD_NAME_VARIABLE, default_value = "sender")]
    pub pod_name: String,

    /// Where the folders of a pod are, for trials outside of one.
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub root: PathBuf,
}

impl SenderOptions {
    /// # Errors
    /// The ledger's URL or authority cannot be used.
    pub fn into_process(self) -> Result<SenderProcess<RemoteLedger>, RemoteLedgerError> {
        let folders = Folders::of_pod(&self.root);
        let ledger = RemoteLedger::new(RemoteLedgerOptions {
            url: self.ledger_url,
            certificate_authority: self.ledger_ca,
            token_file: folders.token_file.clone(),
        })?;
        Ok(SenderProcess { ledger: Arc::new(ledger), folders, display: self.pod_name })
    }
}
