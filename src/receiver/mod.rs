//! The receiver of call-backs: verifies who calls, reads what is told, and answers once the ledger has it.
//!
//! | file | job |
//! | --- | --- |
//! | [`assembly`] | from a channel and its Secret to how its provider calls back |
//! | [`endpoint`] | whose calls are taken, and where |
//! | [`places`] | connections and bodies, of which strangers hold none for long |
//! | [`process`] | `herald receiver`: one channel's, in a pod |
//! | [`mod@router`] | one call: verified, read, given to the ledger, answered |
//! | [`taken`] | which calls were taken already |
//! | [`server`] | sockets, with bounds |

pub mod assembly;
pub mod endpoint;
pub mod places;
pub mod process;
pub mod router;
pub mod server;
pub mod taken;

pub use endpoint::{Endpoint, Endpoints};
pub use process::{ReceiverError, ReceiverOptions, run};
pub use router::router;
pub use server::serve;
