//! Contacts: whom an account knows, their tags, and who wants no more messages.
//!
//! They belong to the account row, so to (namespace, provider, account, host), and outlive every broadcast of it. A recipient
//! becomes a contact when the provider takes a message for them, when they are imported, heard from, or opt out.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use serde::{Deserialize, Serialize};

use super::Result;
use super::declaration::AccountKey;
use super::error::LedgerError;
use crate::api::audience::ContactsSource;
use crate::api::tag::is_tag;
use crate::audience::{MAX_ID_CHARACTERS, MAX_VALUE_CHARACTERS, MAX_VARIABLES, canonical_id};
use crate::delivery::time::Timestamp;

/// The most contacts of one call: a transaction of a few dozen milliseconds, for which the account waits.
pub const MAX_CONTACTS: usize = 1_000;
/// The most contacts of one page.
pub const MAX_CONTACTS_PAGE: u32 = 1_000;
/// A page ends after so many bytes of ids and variables, and a hundred contacts more at most: whoever serves it has it in
/// memory.
pub const MAX_CONTACTS_PAGE_BYTES: usize = 2 * 1024 * 1024;
/// The most tags that a contact may be given by hand; `onSent` of a broadcast adds its own whatever there is, since its
/// message was sent, and is bounded by itself.
pub const MAX_TAGS_OF_CONTACT: usize = 256;
/// The longest reason of an opt-out, in characters.
pub const MAX_OPT_OUT_REASON: usize = 128;

/// A contact as it is brought in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactRow {
    pub recipient: String,
    /// In place of those that are known, unless there are none. `time_zone` is one of them.
    pub vars: BTreeMap<String, String>,
    /// When the person last wrote, as far as is known; an earlier one than the known changes nothing.
    pub active_at: Option<Timestamp>,
    /// Added to those that are known.
    pub tags: BTreeSet<String>,
    /// That they want no more messages, and why, as by [`Contacts::opt_out`]. `None` says nothing: who has opted out stays so.
    #[serde(default)]
    pub opted_out: Option<String>,
}

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub new: u64,
    pub changed: u64,
    pub same: u64,
    /// Who has opted out by it, and had not before.
    pub opted_out: u64,
    /// Who was given a tag that they did not have.
    pub tagged: u64,
    /// Deliveries that were pending for those who have opted out by it, and are skipped now.
    pub skipped: u64,
}

/// What an opt-out came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptedOut {
    /// Who had not opted out before.
    pub new: u64,
    /// Deliveries that were pending and are skipped now.
    pub skipped: u64,
}

/// A contact as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub recipient: String,
    pub vars: BTreeMap<String, String>,
    pub met_at: Timestamp,
    pub active_at: Option<Timestamp>,
    pub opted_out: Option<OptOut>,
    pub tags: BTreeSet<String>,
}

/// That somebody wants no more messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptOut {
    pub at: Timestamp,
    /// CamelCase for those that the provider told, e.g. `BotBlocked`; else the words of who told it.
    pub reason: String,
}

/// Which contacts are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactsFilter {
    #[serde(default)]
    pub source: ContactsSource,
    /// Those too who have opted out.
    #[serde(default)]
    pub opted_out: bool,
}

/// Some contacts, by recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactsPage {
    pub contacts: Vec<Contact>,
    /// After whom the next page begins; `None` after the last one.
    pub next: Option<String>,
}

/// What the owner of a ledger does with contacts; senders cannot. Each call is one transaction, may be repeated after an error,
/// and takes at most [`MAX_CONTACTS`] recipients.
///
/// # Errors
/// [`LedgerError::RequestTooLarge`] for more; [`LedgerError::ContactInvalid`] for a recipient, tag, variable or reason that is
/// out of bounds. Nothing is changed then.
pub trait Contacts: Send + Sync {
    /// Brings contacts in. Somebody who is known keeps tags, opt-out and the later activity; importing twice changes nothing
    /// the second time. Who opts out by it does so in the same transaction, with all that [`Contacts::opt_out`] does. Several
    /// rows of one recipient come to what they would come to in calls of their own, one after the other: the variables of the last
    /// one that has any stay, tags are united, and activity and opt-out of each count. Such a recipient is counted once.
    fn import_contacts(
        &self,
        account: &AccountKey,
        rows: &[ContactRow],
    ) -> impl Future<Output = Result<Imported>> + Send;

    /// Tags contacts; who is not known becomes one. Returns how many tags are new. A contact that would have more than
    /// [`MAX_TAGS_OF_CONTACT`] refuses the call.
    fn tag(
        &self,
        account: &AccountKey,
        recipients: &[String],
        tags: &[String],
    ) -> impl Future<Output = Result<u64>> + Send;

    /// Takes tags away; returns how many were there.
    fn untag(
        &self,
        account: &AccountKey,
        recipients: &[String],
        tags: &[String],
    ) -> impl Future<Output = Result<u64>> + Send;

    /// These people want no more messages of the account, known or not. Whatever is pending for them in its broadcasts is
    /// skipped in the same transaction; who waits to be resent is unknown again; messages in flight are left alone. From the
    /// commit on nobody of them is given to a sender. Instant and reason of an earlier opt-out stay.
    fn opt_out(
        &self,
        account: &AccountKey,
        recipients: &[String],
        reason: &str,
    ) -> impl Future<Output = Result<OptedOut>> + Send;

    /// They want messages again: counts for broadcasts that are planned from now on. Returns how many had opted out.
    fn opt_in(&self, account: &AccountKey, recipients: &[String]) -> impl Future<Output = Result<u64>> + Send;

    /// They wrote at these instants: opens the provider's window anew for whatever is pending for them. The last activity only
    /// grows, and never lies ahead of the ledger's clock. Who is not known becomes a contact.
    fn heard_from(
        &self,
        account: &AccountKey,
        heard: &[(String, Timestamp)],
    ) -> impl Future<Output = Result<()>> + Send;

    /// A page of contacts in the order of their ids as the database sorts them, beginning after `after`, the first one for
    /// `None`. A page may hold few or nobody and be followed by more: of a filter that few meet, so many contacts are looked
    /// through at a time.
    fn contacts_page(
        &self,
        account: &AccountKey,
        after: Option<&str>,
        filter: &ContactsFilter,
    ) -> impl Future<Output = Result<ContactsPage>> + Send;
}

fn invalid(problem: impl Into<String>) -> LedgerError {
    LedgerError::ContactInvalid { problem: problem.into() }
}

/// Whether a call is within its bounds.
pub fn check_recipients<'a>(recipients: impl ExactSizeIterator<Item = &'a str>) -> Result<()> {
    if recipients.len() > MAX_CONTACTS {
        return Err(LedgerError::RequestTooLarge { limit: MAX_CONTACTS });
    }
    for (place, recipient) in recipients.enumerate() {
        match canonical_id(recipient) {
            Ok(canonical) if canonical == recipient => {}
            Ok(_) => return Err(invalid(format!("the id at place {place} has white space around it"))),
            Err(error) => return Err(invalid(format!("the id at place {place}: {error}; {}", error.remedy()))),
        }
    }
    Ok(())
}

pub fn check_tags<'a>(tags: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut count = 0;
    for tag in tags {
        count += 1;
        if count > MAX_TAGS_OF_CONTACT {
            return Err(invalid(format!("a contact has at most {MAX_TAGS_OF_CONTACT} tags")));
        }
        if !is_tag(tag) {
            let rule = "a tag is 1 to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
            return Err(invalid(rule));
        }
    }
    Ok(())
}

pub fn check_rows(rows: &[ContactRow]) -> Result<()> {
    check_recipients(rows.iter().map(|row| row.recipient.as_str()))?;
    for (place, row) in rows.iter().enumerate() {
        check_tags(row.tags.iter())?;
        row.opted_out.as_deref().map_or(Ok(()), check_reason)?;
        let too_long = |text: &String, limit: usize| text.chars().count() > limit;
        let is_bad = |(name, value): (&String, &String)| {
            !crate::api::audience::is_variable_name(name)
                || too_long(name, MAX_ID_CHARACTERS)
                || value.contains('\0')
                || too_long(value, MAX_VALUE_CHARACTERS)
        };
        if row.vars.len() > MAX_VARIABLES || row.vars.iter().any(is_bad) {
            return Err(invalid(format!("the variables at place {place} are not those that an audience may have")));
        }
    }
    Ok(())
}

pub fn check_reason(reason: &str) -> Result<()> {
    let fits =
        !reason.is_empty() && reason.chars().count() <= MAX_OPT_OUT_REASON && !reason.chars().any(char::is_control);
    let rule = || invalid(format!("the reason of an opt-out has 1 to {MAX_OPT_OUT_REASON} characters, on one line"));
    fits.then_some(()).ok_or_else(rule)
}
