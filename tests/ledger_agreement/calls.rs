//! What is asked of the ledgers beside sending: by receivers of call-backs, by people, by who posts to endpoints, and by who
//! writes down elsewhere whom messages were sent to.

use std::collections::BTreeMap;

use herald::api::WriteBackTarget;
use herald::delivery::correlation::Correlation;
use herald::delivery::outcome::Fault;
use herald::delivery::provider_event::{News as Told, ProviderEvent, Which};
use herald::delivery::time::Timestamp;
use herald::ledger::{
    Contact, ContactRow, Contacts, ContactsFilter, NotificationReport, OptedOut, Posted, PutOff, ReceiverLedger,
    RefusedPerson, ReportNotifications, ReportWriteBacks, SenderLedger, TakeNotifications, TakeWriteBacks,
};

use super::attachments::Asked;
use super::contacts::{Brought, Known, TAGS};
use super::declarations::{HOOK, write_back};
use super::driver::{Case, agreed, on_each};
use super::model::{Heard, PEOPLE};
use super::outbox;
use super::write_backs::{self, Fate, OF_PERSON, OF_TARGET};

/// Who was given it, of which broadcast, for which target.
pub type Page = (usize, usize, WriteBackTarget);

fn name(person: usize) -> String {
    format!("person-{person}")
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found:?}, expected {expected:?}")),
    }
}

impl Case<'_> {
    pub async fn call_back(&mut self, which: usize, place: usize, heard: Heard) -> Result<(), String> {
        let Some((seq, attempt)) = self.one_given(which, place) else { return Ok(()) };
        let (part, at) = (self.model.part(which, seq), Timestamp::from_secs(self.model.now));
        let news = match heard {
            Heard::Accepted => Told::Accepted,
            Heard::Delivered => Told::Delivered,
            Heard::Read => Told::Read,
            Heard::Undelivered => {
                Told::Undelivered { reason: "HandsetUnreachable".to_owned(), code: None, marketing_stopped: false }
            }
        };
        let expected = self.model.call_back(which, seq, attempt, part, heard);
        let account = self.account();
        let received = on_each!(self, |ledger, ids| async {
            let correlation = Some(Correlation { broadcast: ids[which].0, seq, attempt, part });
            let message = Which::One { correlation, provider_id: None };
            let event = ProviderEvent::Message { which: message, recipient: None, news: news.clone(), at };
            ledger.receive(&account, &[event]).await
        });
        let received = agreed(received)?;
        let found = (received.resolved, received.news, received.nothing);
        let expected = (u32::from(expected.resolved), u32::from(expected.is_news), u32::from(!expected.is_news));
        expect("resolved, news and nothing", &found, &expected)
    }

    pub async fn opt(&mut self, person: usize, out: bool) -> Result<(), String> {
        let (news, skipped) = self.model.opt(person, out);
        let (account, person) = (self.account(), [name(person)]);
        if out {
            let told = on_each!(self, |ledger, _ids| ledger.opt_out(&account, &person, "asked to stop"));
            return expect("opted out", &agreed(told)?, &OptedOut { new: news, skipped });
        }
        expect("opted in", &agreed(on_each!(self, |ledger, _ids| ledger.opt_in(&account, &person)))?, &news)
    }

    pub async fn import(&mut self, brought: &[Brought]) -> Result<(), String> {
        let expected = self.model.import(brought);
        let row = |brought: &Brought| ContactRow {
            recipient: name(brought.person),
            vars: brought.number.map(|number| ("number".to_owned(), number.to_string())).into_iter().collect(),
            active_at: brought.wrote.map(|ago| Timestamp::from_secs(self.model.now - ago)),
            tags: brought.tag.map(|tag| TAGS[tag].to_owned()).into_iter().collect(),
            opted_out: brought.out.then(|| "asked to stop".to_owned()),
        };
        let rows: Vec<ContactRow> = brought.iter().map(row).collect();
        let account = self.account();
        let imported = agreed(on_each!(self, |ledger, _ids| ledger.import_contacts(&account, &rows)))?;
        expect("imported", &[imported.new, imported.changed, imported.same, imported.skipped], &expected)
    }

    pub async fn tag(&mut self, person: usize, tag: usize, away: bool) -> Result<(), String> {
        let expected = self.model.tag(person, tag, away);
        let (account, person, tag) = (self.account(), [name(person)], [TAGS[tag].to_owned()]);
        let changed = on_each!(self, |ledger, _ids| async {
            match away {
                true => ledger.untag(&account, &person, &tag).await,
                false => ledger.tag(&account, &person, &tag).await,
            }
        });
        expect("tags", &agreed(changed)?, &expected)
    }

    pub async fn write(&mut self, person: usize, ago: i64) -> Result<(), String> {
        self.model.hear_from(person, ago);
        let (account, heard) = (self.account(), [(name(person), Timestamp::from_secs(self.model.now - ago))]);
        agreed(on_each!(self, |ledger, _ids| ledger.heard_from(&account, &heard)))
    }

    fn poster(&self, poster: usize) -> String {
        format!("{}-poster-{poster}", self.account().namespace)
    }

    pub async fn take_notifications(&mut self, poster: usize) -> Result<(), String> {
        let holder = self.poster(poster);
        let page = agreed(on_each!(self, |ledger, ids| async {
            ledger.take_notifications(&TakeNotifications { broadcast: ids[0], holder: holder.clone() }).await
        }))?;
        self.model.outbox.take(poster, &page, &self.model.broadcasts[0], self.model.now)
    }

    pub async fn post(&mut self, poster: usize, which: usize, told: outbox::Told) -> Result<(), String> {
        let Some((key, retry_after_ms)) = self.model.outbox.one_seen(which) else { return Ok(()) };
        self.model.outbox.report(poster, &key, told, self.model.now);
        let posted = match told {
            outbox::Told::Taken => Posted::Taken,
            outbox::Told::Gone => Posted::Gone,
            outbox::Told::Failed => Posted::Failed {
                reason: "EndpointError".to_owned(),
                code: Some("503".to_owned()),
                retry_after_ms: Some(retry_after_ms),
            },
        };
        let (holder, report) = (self.poster(poster), NotificationReport { key, url: HOOK.to_owned(), posted });
        agreed(on_each!(self, |ledger, ids| async {
            let reports = vec![report.clone()];
            ledger
                .report_notifications(&ReportNotifications { broadcast: ids[0], holder: holder.clone(), reports })
                .await
        }))
    }

    fn writer(&self, writer: usize) -> String {
        format!("{}-writer-{writer}", self.account().namespace)
    }

    /// How long who was refused waits is not known: they are waited for where much hangs on it.
    pub async fn take_write_backs(&mut self, page: Page) -> Result<(), String> {
        let (writer, which, target) = page;
        while let Some(until) = self.model.broadcasts[which].debts.uncertain_until(target, self.model.now) {
            self.pass(until - self.model.now);
        }
        let holder = self.writer(writer);
        let pages = on_each!(self, |ledger, ids| async {
            let request = TakeWriteBacks { broadcast: ids[which], holder: holder.clone(), target };
            ledger.take_write_backs(&request).await
        });
        let pages: Vec<_> = pages.into_iter().map(Result::unwrap).collect();
        self.model.take_write_backs(which, target, writer, &pages)?;
        if let (Some(named), people) = (&pages[0].write_back, &pages[0].people) {
            let edition = (0..=u8::MAX).find(|edition| write_back(target, *edition) == *named);
            self.pages.insert(page, (edition.unwrap(), people.iter().map(|owed| owed.seq as usize).collect()));
        }
        Ok(())
    }

    pub async fn report_write_backs(&mut self, page: Page, fates: &[Fate], put_off: bool) -> Result<(), String> {
        let (writer, which, target) = page;
        let Some((edition, people)) = self.pages.get(&page) else { return Ok(()) };
        let fate_of = |place: usize| match fates.len() {
            0 if place + 1 == people.len() => Fate::Refused,
            0 => Fate::Done,
            many => fates[place % many],
        };
        let of = |fate: Fate| {
            let fated = people.iter().enumerate().filter(|(place, _)| fate_of(*place) == fate);
            fated.map(|(_, person)| *person).collect::<Vec<usize>>()
        };
        let wish = self.model.broadcasts[which].debts.wish(target);
        let put_off = put_off && wish.is_some();
        let told = write_backs::Told { edition: *edition, done: of(Fate::Done), refused: of(Fate::Refused), put_off };
        self.model.report_write_backs(which, target, writer, &told, wish);
        let fault = |code: &str| Fault::new("Modelled", Some(code.to_owned()), "words");
        let refused = |person: &usize| RefusedPerson { seq: *person as i64, fault: fault(OF_PERSON) };
        let holder = self.writer(writer);
        agreed(on_each!(self, |ledger, ids| async {
            let report = ReportWriteBacks {
                broadcast: ids[which],
                holder: holder.clone(),
                write_back: write_back(target, told.edition),
                done: told.done.iter().map(|person| *person as i64).collect(),
                refused: told.refused.iter().map(refused).collect(),
                put_off: put_off.then(|| PutOff {
                    fault: fault(OF_TARGET),
                    retry_after_ms: wish.map(|seconds| seconds as u64 * 1_000),
                }),
            };
            ledger.report_write_backs(&report).await
        }))
    }

    pub async fn ask_attachments(&mut self, which: usize, asked: &Asked) -> Result<(), String> {
        let expected = self.model.ask_attachments(asked);
        let kept = on_each!(self, |ledger, ids| async { ledger.attachments(&asked.request(ids[which])).await });
        expect("kept", &agreed(kept)?, &expected)
    }

    pub async fn compare_contacts(&self) -> Result<(), String> {
        let account = self.account();
        let filter = ContactsFilter { opted_out: true, ..ContactsFilter::default() };
        let page = agreed(on_each!(self, |ledger, _ids| ledger.contacts_page(&account, None, &filter)))?;
        let found: BTreeMap<String, Known> = page.contacts.into_iter().map(plainly).collect();
        let known = |person: usize| Some((name(person), self.model.contacts[person].clone()?));
        expect("contacts", &found, &(0..PEOPLE).filter_map(known).collect())
    }
}

/// As the model says it.
fn plainly(contact: Contact) -> (String, Known) {
    let tag = |tag: &String| TAGS.iter().position(|known| known == tag).expect("a tag that was given");
    let known = Known {
        number: contact.vars.get("number").map(|number| number.parse().expect("a number that was given")),
        wrote_at: contact.active_at.map(|at| at.0 / 1_000_000_000),
        tags: contact.tags.iter().map(tag).collect(),
        opted_out: contact.opted_out.is_some(),
    };
    (contact.recipient, known)
}
