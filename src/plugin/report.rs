//! What became of a broadcast, in figures.

use std::io::{self, Write};

use super::cluster::Cluster;
use super::failure::PluginError;
use super::options::{ReportOptions, ReportOutput};
use super::report_text::{Report, csv, html, json};

pub async fn write(cluster: &Cluster, options: &ReportOptions) -> Result<(), PluginError> {
    let broadcast = cluster.broadcast(&options.name).await?;
    let batches = cluster.batches(&options.name).await?;
    let Some(report) = Report::of(&broadcast, &batches) else {
        let why = format!("there is nothing to report of {} yet: it has no plan", options.name);
        return Err(PluginError::Refused(why));
    };
    let text = match options.output {
        ReportOutput::Json => json(&report),
        ReportOutput::Csv => csv(&report),
        ReportOutput::Html => html(&report),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(PluginError::Writing),
    }
}
