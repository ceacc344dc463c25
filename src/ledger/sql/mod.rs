//! The rules of the ledger in SQL, written once for every database that can keep one.
//!
//! A database implements [`store::Database`] and [`store::Store`]; that makes it a [`Ledger`](super::Ledger). Each
//! method is one transaction, and in each the account is locked before the broadcast, and both before their rows; who
//! declares and who departs locks the owner's uid before all of them.

mod attachments;
mod audience;
mod audit;
pub(super) mod claim;
mod contact_pages;
mod contacts;
mod declare;
mod duplicate;
mod early;
pub(super) mod entries;
mod exchange;
mod ledger;
mod loss;
mod maintain;
mod marketing;
pub(super) mod opened;
mod opt_outs;
pub(super) mod outbox;
mod owed;
mod owner;
mod pace;
mod plan;
pub(super) mod posting;
mod rate_class;
mod read;
mod receive;
mod record;
mod results;
pub(super) mod rows;
pub(super) mod saving;
mod set_back;
pub(super) mod store;
mod take;
mod unanswered;
pub(super) mod value;
mod windows;
mod wishes;
pub(super) mod zones;

pub use audit::{DeliveryView, Inspect};
