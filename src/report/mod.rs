//! What people and files are told of a broadcast in figures: before it is sent and after. Nobody is named.
//!
//! | file | job |
//! | --- | --- |
//! | [`preview`] | what would be sent |
//! | [`summary`] | a report: figures of a status and of the ledger, and what follows from them |
//! | [`mod@text`], [`mod@csv`], [`mod@html`] | a report in the forms that people read and file away |
//! | [`plot`], [`mod@sparkline`] | curves and bars, and a curve within a line of text |
//! | [`table`], [`words`] | columns, figures and other people's words for a terminal |

pub mod csv;
pub mod html;
pub mod plot;
pub mod preview;
pub mod sparkline;
pub mod summary;
pub mod table;
pub mod text;
pub mod words;

use self::csv::Table;
use self::summary::Report;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    Text,
    Json,
    Csv(Table),
    Html,
}

/// The report as it is printed or kept.
pub fn write(report: &Report, format: ReportFormat) -> String {
    match format {
        ReportFormat::Text => text::text(report),
        ReportFormat::Json => json(report),
        ReportFormat::Csv(table) => csv::csv(report, table),
        ReportFormat::Html => html::html(report),
    }
}

/// One object.
pub fn json(report: &Report) -> String {
    // Plain data with text keys: there is nothing in it that JSON could not hold.
    format!("{}\n", serde_json::to_string_pretty(report).unwrap_or_default())
}
