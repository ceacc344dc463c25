//! Recipients with what became of each, page by page: as many as there are, in memory no more than a page.

use std::io::{self, BufWriter, IsTerminal, Write};

use super::cluster::Cluster;
use super::failure::PluginError;
use super::ledger_access::{LedgerAccess, Purpose};
use super::ledger_route::{PodRoute, Route};
use super::options::ResultsOptions;
use crate::ledger::wire::message::ResultsRequest;
use crate::report::words::clean;

pub async fn write(cluster: &Cluster, options: &ResultsOptions) -> Result<(), PluginError> {
    let route = PodRoute { client: cluster.client.clone(), namespace: options.access.operator_namespace.clone() };
    let mut access = LedgerAccess::new(cluster, Purpose::Results, &options.access, route).await?;
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    write_to(&mut access, &cluster.namespace, options, BufWriter::new(stdout.lock()), is_terminal).await
}

/// A reader of the output that has seen enough ends it, and that is no error.
pub async fn write_to<R: Route>(
    access: &mut LedgerAccess<R>,
    namespace: &str,
    options: &ResultsOptions,
    mut out: impl Write,
    is_terminal: bool,
) -> Result<(), PluginError> {
    let (format, filter) = (options.rows.format(), options.rows.filter());
    let (namespace, name) = (namespace.to_owned(), options.name.clone());
    let mut request = ResultsRequest { namespace, name, filter, from: 0 };
    let mut is_first = true;
    loop {
        let page = access.results(&request).await?;
        let mut text = if is_first { format.header().to_owned() } else { String::new() };
        is_first = false;
        page.rows.iter().for_each(|row| text.push_str(&format.line(row)));
        let text = if is_terminal { clean(&text) } else { text };
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(PluginError::Writing)?,
        }
        match page.next {
            Some(next) if next > request.from => request.from = next,
            Some(_) => return Err(PluginError::Refused("the ledger's pages do not go on".to_owned())),
            None => return Ok(()),
        }
    }
}
