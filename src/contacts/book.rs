//! Whoever keeps the contacts of one account.

use std::future::Future;

use crate::ledger::contacts::{Contact, ContactRow, ContactsFilter, ContactsPage, Imported, OptedOut};
use crate::ledger::{AccountKey, Contacts, LedgerError};

/// The calls of [`Contacts`] for one account; each takes at most
/// [`MAX_CONTACTS`](crate::ledger::contacts::MAX_CONTACTS) recipients, and may be repeated.
pub trait ContactBook {
    type Error: std::error::Error;

    fn import(&mut self, rows: &[ContactRow]) -> impl Future<Output = Result<Imported, Self::Error>>;
    fn tag(&mut self, recipients: &[String], tags: &[String]) -> impl Future<Output = Result<u64, Self::Error>>;
    fn untag(&mut self, recipients: &[String], tags: &[String]) -> impl Future<Output = Result<u64, Self::Error>>;
    fn opt_out(&mut self, recipients: &[String], reason: &str) -> impl Future<Output = Result<OptedOut, Self::Error>>;
    fn opt_in(&mut self, recipients: &[String]) -> impl Future<Output = Result<u64, Self::Error>>;
    fn page(
        &mut self,
        after: Option<&str>,
        filter: &ContactsFilter,
    ) -> impl Future<Output = Result<ContactsPage, Self::Error>>;
}

/// A ledger at hand.
pub struct LedgerBook<'a, L> {
    pub ledger: &'a L,
    pub account: AccountKey,
}

impl<L: Contacts> ContactBook for LedgerBook<'_, L> {
    type Error = LedgerError;

    async fn import(&mut self, rows: &[ContactRow]) -> Result<Imported, LedgerError> {
        self.ledger.import_contacts(&self.account, rows).await
    }

    async fn tag(&mut self, recipients: &[String], tags: &[String]) -> Result<u64, LedgerError> {
        self.ledger.tag(&self.account, recipients, tags).await
    }

    async fn untag(&mut self, recipients: &[String], tags: &[String]) -> Result<u64, LedgerError> {
        self.ledger.untag(&self.account, recipients, tags).await
    }

    async fn opt_out(&mut self, recipients: &[String], reason: &str) -> Result<OptedOut, LedgerError> {
        self.ledger.opt_out(&self.account, recipients, reason).await
    }

    async fn opt_in(&mut self, recipients: &[String]) -> Result<u64, LedgerError> {
        self.ledger.opt_in(&self.account, recipients).await
    }

    async fn page(&mut self, after: Option<&str>, filter: &ContactsFilter) -> Result<ContactsPage, LedgerError> {
        self.ledger.contacts_page(&self.account, after, filter).await
    }
}

/// Every contact that a filter means, page by page.
///
/// # Errors
/// That of the book, or of `take`.
pub async fn each_page<B: ContactBook, E>(
    book: &mut B,
    filter: &ContactsFilter,
    failed: impl Fn(B::Error) -> E,
    mut take: impl FnMut(Vec<Contact>) -> Result<(), E>,
) -> Result<(), E> {
    let mut after: Option<String> = None;
    loop {
        let page = book.page(after.as_deref(), filter).await.map_err(&failed)?;
        take(page.contacts)?;
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}
