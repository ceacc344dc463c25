//! `herald run`: all parts in one process, on an embedded ledger.
//!
//! | file | job |
//! | --- | --- |
//! | [`options`] | the flags |
//! | [`documents`] | reads what the flags name |
//! | [`manifest`] | documents and flags, checked and resolved |
//! | [`order`] | one broadcast made ready to send |
//! | [`ledger_path`] | where the ledger lies |
//! | [`recovery`] | settles what an earlier process left |
//! | `fixed_plan` | what is said of a broadcast whose audience is not read any more |
//! | [`call_backs`] | the receiver of a run, and the wait for those that tell of the unknown |
//! | [`refusal`] | what a run cannot begin or go on for |
//! | [`refused`] | a broadcast that cannot be sent as it is written, in messages and in its status |
//! | [`confirmation`] | the question before the first message to a provider elsewhere |
//! | [`interruption`] | a run that is told to stop before it sends |
//! | [`mod@run`] | plan, confirm, send, end |
//! | `transports` | the HTTP clients |
//! | [`progress`] | what people see while it runs |
//! | [`verdict`] | exit codes and the last words |
//! | `earlier_run` | one broadcast of an earlier run, and the ledger that it is in |
//! | [`mod@preview`] | `herald preview`: what a run would send |
//! | [`row_options`] | the flags of results, here and of a cluster |
//! | [`report`] | `herald report`: what became of a broadcast, in figures |
//! | [`report_options`] | how a report is written, here and of a cluster |
//! | [`results`] | `herald results`: recipients with what became of each |
//! | [`contacts`] | `herald contacts`: contacts, tags and opt-outs by hand |
//! | [`rehearsal`] | `--test ID`: one message outside the plan |

pub mod call_backs;
pub mod confirmation;
pub mod contacts;
pub mod documents;
mod earlier_run;
mod fixed_plan;
pub mod interruption;
pub mod ledger_path;
pub mod manifest;
pub mod manifest_data;
pub mod manifest_document;
pub mod manifest_fault;
mod manifest_references;
#[cfg(test)]
mod manifest_tests;
pub mod options;
pub mod order;
pub mod preview;
pub mod progress;
pub mod recovery;
pub mod refusal;
pub mod refused;
pub mod rehearsal;
pub mod report;
pub mod report_options;
pub mod results;
pub mod row_options;
pub mod run;
mod telling;
mod transports;
pub mod verdict;

pub use contacts::ContactsOptions;
pub use manifest::Namespace;
pub use options::RunOptions;
pub use preview::{PreviewOptions, preview};
pub use report::ReportOptions;
pub use results::ResultsOptions;
pub use run::run;
pub use verdict::Verdict;
