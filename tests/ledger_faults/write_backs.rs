//! Writers that crash, lose and repeat what they tell, and a target that keeps its own record of who was written down: the
//! judge.

use std::collections::HashMap;

use herald::api::{SecretKeyRef, SqlWriteBack, WriteBackTarget};
use herald::delivery::outcome::Fault;
use herald::delivery::recipient::RecipientState;
use herald::delivery::time::Span;
use herald::delivery::write_back::MAX_TRIES;
use herald::ledger::exchange::BroadcastId;
use herald::ledger::{
    DeliveryView, Owed, PutOff, RefusedPerson, ReportWriteBacks, TakeWriteBacks, WriteBack, WriteBackPage,
};

use super::backend::Backend;
use super::simulated::World;

const WRITERS: usize = 2;
/// So often somebody may come for them, once nothing goes wrong any more, before it counts as never.
const MOST_VISITS: usize = 300;

/// Where whoever was sent to is written.
pub fn write_back() -> WriteBack {
    WriteBack::Sql(SqlWriteBack {
        url_secret_key_ref: SecretKeyRef { name: "crm-db".to_owned(), key: "url".to_owned() },
        statement: "update people set last = :broadcast where psid = :id".to_owned(),
    })
}

pub fn take(broadcast: BroadcastId, holder: &str) -> TakeWriteBacks {
    TakeWriteBacks { broadcast, holder: holder.to_owned(), target: WriteBackTarget::Sql }
}

/// That all of them were written.
pub fn written(broadcast: BroadcastId, holder: &str, people: &[Owed]) -> ReportWriteBacks {
    ReportWriteBacks {
        broadcast,
        holder: holder.to_owned(),
        write_back: write_back(),
        done: people.iter().map(|owed| owed.seq).collect(),
        refused: Vec::new(),
        put_off: None,
    }
}

#[derive(Default)]
struct Writer {
    holder: String,
    people: Vec<Owed>,
    /// What it has to tell, and perhaps has told already.
    report: Option<ReportWriteBacks>,
}

/// Everybody who writes down, and what they write to.
#[derive(Default)]
pub struct Errands {
    writers: Vec<Writer>,
    born: usize,
    /// Copies of reports that are still under way.
    late: Vec<ReportWriteBacks>,
    /// The target's own record: how often each was written down, and refused for themselves.
    written: HashMap<i64, u32>,
    refused: HashMap<i64, u32>,
}

impl Errands {
    pub fn new() -> Errands {
        let mut errands = Errands::default();
        errands.writers.resize_with(WRITERS, Writer::default);
        (0..WRITERS).for_each(|which| errands.born(which));
        errands
    }

    /// A writer takes the place of one that forgets what it had.
    fn born(&mut self, which: usize) {
        self.born += 1;
        self.writers[which] = Writer { holder: format!("writer-{}", self.born), ..Writer::default() };
    }

    /// What is wrong with the end of one recipient.
    pub fn judge(&self, row: &DeliveryView) -> Option<String> {
        let written = self.written.get(&row.seq).copied().unwrap_or_default();
        let refused = self.refused.get(&row.seq).copied().unwrap_or_default();
        match row.state {
            RecipientState::Sent if written == 0 && refused < MAX_TRIES => {
                Some(format!("seq {} was sent to, and is written nowhere; refused {refused} times", row.seq))
            }
            RecipientState::Sent => None,
            _ if written > 0 => Some(format!("seq {} is {:?}, and was written down", row.seq, row.state)),
            _ => None,
        }
    }
}

impl<L: Backend> World<L> {
    /// One of the writers goes on with what it does.
    pub async fn write_down(&mut self) {
        let which = self.chance.below(WRITERS as u64) as usize;
        if self.faults.crashes && self.chance.percent(4) {
            self.errands.born(which);
        }
        if self.faults.network && self.chance.percent(10) && !self.errands.late.is_empty() {
            let place = self.chance.below(self.errands.late.len() as u64) as usize;
            let late = self.errands.late.swap_remove(place);
            self.ledger().report_write_backs(&late).await.unwrap();
        }
        self.go_on(which).await;
    }

    async fn go_on(&mut self, which: usize) {
        if self.errands.writers[which].report.is_some() {
            self.tell_of_write_backs(which).await;
        } else if self.errands.writers[which].people.is_empty() {
            self.take_write_backs(which).await;
        } else {
            self.write_page(which);
        }
    }

    async fn take_write_backs(&mut self, which: usize) {
        let request = take(self.broadcast, &self.errands.writers[which].holder);
        let page: WriteBackPage = self.ledger().take_write_backs(&request).await.unwrap();
        let is_lost = self.faults.network && self.chance.percent(20);
        if !is_lost {
            self.errands.writers[which].people = page.people;
        }
    }

    /// The target takes them, refuses some of them, or takes nobody.
    fn write_page(&mut self, which: usize) {
        let people = std::mem::take(&mut self.errands.writers[which].people);
        let mut report = written(self.broadcast, &self.errands.writers[which].holder, &[]);
        let fault = || Fault::new("Simulated", None, "");
        if self.faults.provider && self.chance.percent(10) {
            report.put_off = Some(PutOff { fault: fault(), retry_after_ms: None });
        } else {
            for seq in people.iter().map(|owed| owed.seq) {
                if self.faults.provider && self.chance.percent(10) {
                    *self.errands.refused.entry(seq).or_default() += 1;
                    report.refused.push(RefusedPerson { seq, fault: fault() });
                } else {
                    *self.errands.written.entry(seq).or_default() += 1;
                    report.done.push(seq);
                }
            }
        }
        self.errands.writers[which].report = Some(report);
    }

    async fn tell_of_write_backs(&mut self, which: usize) {
        let Some(report) = self.errands.writers[which].report.clone() else { return };
        let fate = if self.faults.network { self.chance.below(10) } else { 9 };
        match fate {
            // It does not arrive, and is told again; or never, and the people are due again.
            0 => return,
            1 => self.errands.writers[which].report = None,
            // Its answer does not arrive: it is told again.
            2 => self.ledger().report_write_backs(&report).await.unwrap(),
            _ => {
                self.ledger().report_write_backs(&report).await.unwrap();
                self.errands.writers[which].report = None;
            }
        }
        if fate == 3 {
            self.errands.late.push(report);
        }
    }

    /// Nothing goes wrong any more, and nobody is sent to: whenever the ledger says that somebody is due, a writer comes.
    pub async fn write_the_rest_down(&mut self) {
        for _ in 0..MOST_VISITS {
            let broadcast = self.broadcast;
            let snapshot = self.ledger().snapshot(broadcast).await.unwrap();
            let Some(due_at) = snapshot.write_backs[0].due_at else { return };
            self.clock.advance((due_at - snapshot.now).max(Span::ZERO));
            // Tells what it has left, takes, writes and tells.
            for _ in 0..4 {
                self.go_on(0).await;
            }
        }
    }
}
