//! The part of the ledger API by which people read and change the contacts of a MessageChannel. Whose contacts is in the
//! path, so that a token is let in before a body is read; the account is the operator's to derive, from the object.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use serde::de::DeserializeOwned;

use super::gatekeeper::{ContactsGate, NotReadable};
use super::message::{
    ContactsCall, Counted, ImportContacts, MAX_BODY, MAX_CONTACTS_QUESTION, OptInContacts, OptOutContacts,
    PageOfContacts, TagContacts,
};
use super::server::{Refused, announced_length, answer, bearer, no_such_path, read};
use super::turns::Turns;
use crate::ledger::contacts::{ContactsPage, MAX_CONTACTS_PAGE_BYTES};
use crate::ledger::{AccountKey, Ledger, Result as LedgerResult};

/// Calls at once: each is a transaction that senders of its account have to wait for, and has a body of up to
/// [`MAX_BODY`] in memory.
const CALLS_AT_ONCE: usize = 2;
/// Calls that wait for their turn or their answer; more are turned away.
const MAX_WAITING: usize = 16;
/// How long a body may take to arrive, while it holds a turn.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

struct Desk<L, G> {
    ledger: Arc<L>,
    gate: Arc<G>,
    turns: Turns,
}

/// Its paths: each a POST with a bearer token and a body of JSON.
pub fn contacts_router<L: Ledger, G: ContactsGate>(ledger: Arc<L>, gate: Arc<G>) -> Router {
    let turns = Turns::new(MAX_WAITING, CALLS_AT_ONCE, "calls");
    let desk = Desk { ledger, gate, turns };
    Router::new()
        .route(ContactsCall::ROUTE, post(call::<L, G>))
        .method_not_allowed_fallback(no_such_path)
        .with_state(Arc::new(desk))
}

async fn call<L: Ledger, G: ContactsGate>(
    State(desk): State<Arc<Desk<L, G>>>,
    Path((namespace, channel, name)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Refused> {
    let Some(call) = ContactsCall::named(&name) else { return Err(no_such_path(request.uri().clone()).await) };
    let missing = || NotReadable::Unauthorized("the request has none".to_owned());
    let token = bearer(request.headers()).ok_or_else(missing)?;
    desk.gate.glance(&token)?;
    let _place = desk.turns.place()?;
    let account = desk.gate.admit(&token, &namespace, &channel, call.access()).await?;
    let _turn = desk.turns.turn().await?;
    desk.carry_out(call, &account, request).await
}

impl<L: Ledger, G> Desk<L, G> {
    async fn carry_out(&self, call: ContactsCall, account: &AccountKey, request: Request) -> Result<Response, Refused> {
        let ledger = &self.ledger;
        Ok(match call {
            ContactsCall::Page => {
                let PageOfContacts { after, filter } = body(request, MAX_CONTACTS_QUESTION).await?;
                let page = ledger.contacts_page(account, after.as_deref(), &filter).await;
                answer(page.map(|page| cut(page, MAX_CONTACTS_PAGE_BYTES)))
            }
            ContactsCall::Import => {
                let ImportContacts { rows } = body(request, MAX_BODY).await?;
                answer(ledger.import_contacts(account, &rows).await)
            }
            ContactsCall::Tag => {
                let TagContacts { recipients, tags } = body(request, MAX_BODY).await?;
                counted(ledger.tag(account, &recipients, &tags).await)
            }
            ContactsCall::Untag => {
                let TagContacts { recipients, tags } = body(request, MAX_BODY).await?;
                counted(ledger.untag(account, &recipients, &tags).await)
            }
            ContactsCall::OptOut => {
                let OptOutContacts { recipients, reason } = body(request, MAX_BODY).await?;
                answer(ledger.opt_out(account, &recipients, &reason).await)
            }
            ContactsCall::OptIn => {
                let OptInContacts { recipients } = body(request, MAX_BODY).await?;
                counted(ledger.opt_in(account, &recipients).await)
            }
        })
    }
}

async fn body<B: DeserializeOwned>(request: Request, most: usize) -> Result<B, Refused> {
    let length = announced_length(request.headers(), most)?;
    read(request, length, READ_TIMEOUT).await
}

fn counted(count: LedgerResult<u64>) -> Response {
    answer(count.map(|count| Counted { count }))
}

/// The page up to so many bytes of text, and one contact more: an answer has its bound. What is left is the next one's.
fn cut(mut page: ContactsPage, most: usize) -> ContactsPage {
    let mut bytes = 0;
    let fits = page.contacts.iter().take_while(|contact| {
        let begins_within = bytes < most;
        let vars = contact.vars.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let tags = contact.tags.iter().map(String::len).sum::<usize>();
        bytes += contact.recipient.len() + vars + tags;
        begins_within
    });
    let fits = fits.count();
    if fits < page.contacts.len() {
        page.contacts.truncate(fits);
        page.next = page.contacts.last().map(|contact| contact.recipient.clone());
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::delivery::time::Timestamp;
    use crate::ledger::contacts::Contact;

    fn contact(recipient: &str, bytes: usize) -> Contact {
        let vars = BTreeMap::from([("v".to_owned(), "x".repeat(bytes))]);
        let recipient = recipient.to_owned();
        let tags = Default::default();
        Contact { recipient, vars, met_at: Timestamp::EPOCH, active_at: None, opted_out: None, tags }
    }

    #[test]
    fn a_page_is_cut_by_its_bytes_and_the_next_one_begins_there() {
        let page = ContactsPage { contacts: vec![contact("1", 10), contact("2", 10), contact("3", 10)], next: None };
        let names = |page: &ContactsPage| page.contacts.iter().map(|one| one.recipient.clone()).collect::<Vec<_>>();
        let whole = cut(page.clone(), 1_000);
        assert_eq!(whole, page);
        let short = cut(page.clone(), 20);
        assert_eq!((names(&short), short.next.as_deref()), (vec!["1".to_owned(), "2".to_owned()], Some("2")));
        let one = cut(page, 1);
        assert_eq!((names(&one), one.next.as_deref()), (vec!["1".to_owned()], Some("1")), "it always goes on");
    }
}
