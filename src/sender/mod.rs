//! The sender: plan, exchange, pace, send, record. The same code in a cluster and in `herald run`; they differ in which
//! ledger they are given.
//!
//! | file | job |
//! | --- | --- |
//! | [`assembly`] | from the kinds to providers and sources |
//! | `candidate` | a recipient of a plan, its message tried out |
//! | `chunks` | the recipients of a source in chunks, read ahead |
//! | [`planner`] | streams an audience into the ledger and seals the plan, or refuses it |
//! | [`suppressed`] | lists of people who get nothing, for a plan that is sealed |
//! | [`session`] | one sender's loop: ask, begin at the slot, record, leave |
//! | [`holding`] | what a sender holds and has to report: the loop's decisions, without IO |
//! | `flight` | one attempt on its way |
//! | `connections`, `warmth` | connections that are opened ahead, and how many |
//! | [`transport`] | one HTTP request to the provider, and how far it got |
//! | [`uploads`] | attachments that the provider keeps, uploaded once |
//! | `file_upload` | a file from its link to a provider that is given the bytes |
//! | `spare` | connections that are opened before anybody needs them |
//! | [`journal`] | what a killed process had on the wire |
//! | [`retry`], [`patient_ledger`] | a ledger that does not answer is asked again |
//! | [`recovery`] | takes over from a process that died |
//! | [`process`] | `herald sender`: all of it in a pod |
//! | [`options`] | its flags |
//! | [`credential_watch`] | waits until refused credentials are worth another try |
//! | [`mounts`] | the pod's folders: credentials, audience, journal |
//! | [`errand`], [`errands`] | what is done beside the sending, a page at a time |
//! | [`notifier`] | tells the broadcast's endpoints how it goes |
//! | [`webhook`] | one event posted to its endpoint |
//! | [`sql_write_back`], [`label_write_back`] | write down in a database, or by labels of a page, who was sent to |
//! | [`token`] | reads a token from wherever it is kept |
//! | [`clock`] | the ledger's slots on this machine's clock |

pub mod assembly;
mod candidate;
mod chunks;
pub mod clock;
mod connections;
pub mod credential_watch;
pub mod errand;
pub mod errands;
mod file_upload;
mod flight;
pub mod holding;
pub mod journal;
mod known_revisions;
pub mod label_write_back;
pub mod mounts;
pub mod notifier;
pub mod options;
pub mod patient_ledger;
pub mod planner;
pub mod process;
pub mod recovery;
pub mod retry;
pub mod session;
mod spare;
pub mod sql_write_back;
pub mod suppressed;
pub mod token;
pub mod transport;
mod unfilled;
pub mod uploads;
mod warmth;
pub mod webhook;

pub use errands::{Bells, Errands};
pub use journal::{Journal, JournalError};
pub use options::SenderOptions;
pub use patient_ledger::PatientLedger;
pub use planner::{PlanError, PlanSpec};
pub use process::{Left, SenderFailure, SenderProcess};
pub use session::{Ended, Session};
pub use transport::Transport;
