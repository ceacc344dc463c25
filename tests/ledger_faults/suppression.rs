//! Lists of people who get nothing, as senders that go on with a plan read them.

use std::collections::HashMap;

use herald::ledger::exchange::Assignment;

use super::backend::Backend;
use super::simulated::{RECIPIENTS, World, person};

/// So many are named at once.
const NAMED: u64 = 3;

/// Whom a list has named by now, and the last attempt that they had been given by then: by sequence number.
#[derive(Default)]
pub struct Lists {
    named: HashMap<i64, u32>,
}

impl Lists {
    pub fn name(&mut self, seq: i64, attempt: u32) {
        self.named.entry(seq).or_insert(attempt);
    }

    /// What is wrong with an assignment: nobody is given away after they were named.
    pub fn judge(&self, row: &Assignment) -> Option<String> {
        let last = *self.named.get(&row.seq)?;
        (row.attempt > last).then(|| format!("seq {} was on a list after attempt {last}: {row:?}", row.seq))
    }
}

impl<L: Backend> World<L> {
    /// Somebody starts, and tells whom the lists name; its answer may be lost, and then it tells again.
    pub async fn read_lists(&mut self) {
        let people: Vec<u64> = (0..NAMED).map(|_| self.chance.below(RECIPIENTS as u64)).collect();
        let list: Vec<String> = people.iter().map(|number| person(*number as usize)).collect();
        let (broadcast, plan) = (self.broadcast, self.plan);
        for _ in 0..=self.chance.below(2) {
            self.ledger().suppress_pending(plan, &list).await.unwrap();
        }
        for seq in people.into_iter().map(|number| number as i64) {
            let row = self.ledger().deliveries(broadcast, seq, 1).await.unwrap().remove(0);
            assert_eq!(row.seq, seq);
            self.lists.name(seq, row.attempt);
        }
    }
}
