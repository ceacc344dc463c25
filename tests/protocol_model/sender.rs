//! A sender process: one unanswered exchange at most, and the requests it holds or has on the wire.

use super::ledger::{Given, Request, Told};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waits for its slot.
    Held,
    /// Its time was looked at and it is in the journal as begun; frozen here it would go out late.
    Begun,
    /// On the wire; what the provider answers is decided.
    OnWire(Told),
    /// Kept until an exchange that told it is answered.
    Told(Told),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    pub person: usize,
    pub attempt: u32,
    pub part: usize,
    pub stage: Stage,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sender {
    /// The process, as the ledger numbers it; `None` while none runs.
    pub process: Option<usize>,
    pub number: u8,
    pub asking: Option<Request>,
    pub tasks: Vec<Task>,
    pub left: bool,
}

impl Sender {
    /// The next request, with everything that is to be told.
    pub fn ask(&mut self, leaving: bool) {
        let told = |task: &Task| match task.stage {
            Stage::Told(told) => Some((task.person, task.attempt, told)),
            _ => None,
        };
        self.number += 1;
        self.asking =
            Some(Request { number: self.number, outcomes: self.tasks.iter().filter_map(told).collect(), leaving });
    }

    pub fn answered(&mut self, given: &[Given]) {
        let Some(request) = self.asking.take() else { return };
        self.tasks.retain(|task| !matches!(task.stage, Stage::Told(_)));
        let held = |&Given { person, attempt, part }: &Given| Task { person, attempt, part, stage: Stage::Held };
        self.tasks.extend(given.iter().map(held));
        self.left |= request.leaving;
    }

    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.asking.is_none()
    }

    pub fn has_news(&self) -> bool {
        self.tasks.iter().any(|task| matches!(task.stage, Stage::Told(_)))
    }

    /// What the flight journal of a killed process tells: not begun, the answer, or that nobody knows.
    pub fn last_words(&self) -> Vec<(usize, u32, Told)> {
        let words = |task: &Task| {
            let told = match task.stage {
                Stage::Held => Told::NotBegun,
                Stage::Begun | Stage::OnWire(_) => Told::Unknown,
                Stage::Told(told) => told,
            };
            (task.person, task.attempt, told)
        };
        self.tasks.iter().map(words).collect()
    }
}
