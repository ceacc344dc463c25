//! Contacts, tags and opt-outs of a channel's account, through the operator.

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cluster::Cluster;
use super::failure::PluginError;
use super::ledger_access::{LedgerAccess, Purpose};
use super::ledger_route::{PodRoute, Route};
use super::options::ContactsAccess;
use crate::contacts::{self, ContactBook, ContactsCommand};
use crate::ledger::contacts::{ContactRow, ContactsFilter, ContactsPage, Imported, OptedOut};
use crate::ledger::wire::message::{
    ContactsCall, Counted, ImportContacts, MAX_CONTACTS_ANSWER, OptInContacts, OptOutContacts, PageOfContacts,
    TagContacts,
};
use crate::report::words::clean;

pub async fn run(cluster: &Cluster, command: &ContactsCommand<ContactsAccess>) -> Result<(), PluginError> {
    let options = command.access();
    let route = PodRoute { client: cluster.client.clone(), namespace: options.operator_namespace.clone() };
    let access = LedgerAccess::new(cluster, Purpose::Contacts, &options.reach(), route).await?;
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    let out = Shown { out: BufWriter::new(stdout.lock()), is_terminal };
    let warning = run_with(access, &cluster.namespace, command, out).await?;
    if let Some(warning) = warning {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

/// Carries it out, and returns what is to be said beside.
pub async fn run_with<R: Route>(
    access: LedgerAccess<R>,
    namespace: &str,
    command: &ContactsCommand<ContactsAccess>,
    mut out: impl Write,
) -> Result<Option<String>, PluginError> {
    let channel = command.access().channel.clone();
    if !is_name(&channel) || !is_name(namespace) {
        return Err(PluginError::Refused("no MessageChannel or namespace has such a name".to_owned()));
    }
    let mut book = RemoteBook { access, namespace: namespace.to_owned(), channel };
    let refused = |error: contacts::ContactsError| PluginError::Refused(error.to_string());
    let done = contacts::run(command, &mut book, &mut out).await.map_err(refused)?;
    if let Some(counts) = done.counts {
        match writeln!(out, "{counts}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written.map_err(PluginError::Writing)?,
        }
    }
    Ok(done.warning)
}

/// What a path may hold as it is; whether there is such an object is the operator's to say.
fn is_name(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    !name.is_empty() && name.bytes().all(inside) && !name.starts_with('.')
}

/// The contacts of a channel's account, as the operator keeps them.
struct RemoteBook<R: Route> {
    access: LedgerAccess<R>,
    namespace: String,
    channel: String,
}

impl<R: Route> RemoteBook<R> {
    /// What is lost is asked for again: whatever was done is not changed again, and counts as no change then.
    async fn call<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        call: ContactsCall,
        body: &Q,
    ) -> Result<A, PluginError> {
        let path = call.path(&self.namespace, &self.channel);
        self.access.call(&path, body, MAX_CONTACTS_ANSWER).await
    }

    async fn counted<Q: Serialize>(&mut self, call: ContactsCall, body: &Q) -> Result<u64, PluginError> {
        let Counted { count } = self.call(call, body).await?;
        Ok(count)
    }
}

impl<R: Route> ContactBook for RemoteBook<R> {
    type Error = PluginError;

    async fn import(&mut self, rows: &[ContactRow]) -> Result<Imported, PluginError> {
        self.call(ContactsCall::Import, &ImportContacts { rows: rows.to_vec() }).await
    }

    async fn tag(&mut self, recipients: &[String], tags: &[String]) -> Result<u64, PluginError> {
        let body = TagContacts { recipients: recipients.to_vec(), tags: tags.to_vec() };
        self.counted(ContactsCall::Tag, &body).await
    }

    async fn untag(&mut self, recipients: &[String], tags: &[String]) -> Result<u64, PluginError> {
        let body = TagContacts { recipients: recipients.to_vec(), tags: tags.to_vec() };
        self.counted(ContactsCall::Untag, &body).await
    }

    async fn opt_out(&mut self, recipients: &[String], reason: &str) -> Result<OptedOut, PluginError> {
        let body = OptOutContacts { recipients: recipients.to_vec(), reason: reason.to_owned() };
        self.call(ContactsCall::OptOut, &body).await
    }

    async fn opt_in(&mut self, recipients: &[String]) -> Result<u64, PluginError> {
        self.counted(ContactsCall::OptIn, &OptInContacts { recipients: recipients.to_vec() }).await
    }

    async fn page(&mut self, after: Option<&str>, filter: &ContactsFilter) -> Result<ContactsPage, PluginError> {
        let question = PageOfContacts { after: after.map(str::to_owned), filter: filter.clone() };
        let page: ContactsPage = self.call(ContactsCall::Page, &question).await?;
        if page.next.is_some() && page.next.as_deref() == after {
            return Err(PluginError::Refused("the ledger's pages do not go on".to_owned()));
        }
        Ok(page)
    }
}

/// Standard output, where a terminal is shown nothing that it would obey.
struct Shown<W> {
    out: W,
    is_terminal: bool,
}

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_terminal {
            self.out.write_all(clean(&String::from_utf8_lossy(bytes)).as_bytes())?;
        } else {
            self.out.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
