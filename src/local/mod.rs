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
//! | [`refusal`] | what a run cannot begin or go on for |
//! | [`refused`] | a broadcast that cannot be sent as it is written, in messages and in its status |
//! | [`confirmation`] | the question before the first message to a provider elsewhere |
//! | [`interruption`] | a run that is told to stop before it sends |
//! | [`mod@run`] | plan, confirm, send, end |
//! | `transports` | the HTTP clients |
//! | [`progress`] | what people see while it runs |
//! | [`verdict`] | exit codes and the last words |
//! | [`results`] | `herald results`: recipients with what became of each |
//! | [`contacts`] | `herald contacts`: contacts, tags and opt-outs by hand |
//! | [`rehearsal`] | `--test ID`: one message outside the plan |

pub mod confirmation;
pub mod contacts;
pub mod documents;
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
pub mod progress;
pub mod recovery;
pub mod refusal;
pub mod refused;
pub mod rehearsal;
pub mod results;
pub mod run;
mod transports;
pub mod verdict;

pub use contacts::ContactsOptions;
pub use options::RunOptions;
pub use results::ResultsOptions;
pub use run::run;
pub use verdict::Verdict;
