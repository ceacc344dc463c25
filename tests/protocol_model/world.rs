//! Everything that may happen, and what must hold whatever does.

use herald::delivery::recipient::RecipientState;
use stateright::{Model, Property};

use super::ledger::{Known, Ledger, PARTS, PEOPLE, Plan, Request, Row, Rules, Told};
use super::sender::{Sender, Stage};

pub const NOBODY_TWICE: &str = "nobody gets a part twice (I7)";
pub const DEFINITE_BEFORE_NEXT: &str = "no second attempt without a definite outcome of the first (I4)";
pub const ANSWERED_BEFORE_NEXT: &str = "no second request for a part whose first was not refused (I5)";
pub const ONE_HOLDER: &str = "at most one sender takes by one epoch (I1)";
pub const OLD_EPOCH: &str = "an old epoch takes no recipient (I12)";
pub const CLOSED_GATE: &str = "a closed gate gives nobody away (I8)";
pub const ON_A_LIST: &str = "nobody is given away once a list has named them";
pub const HONEST: &str = "sent was received, and of others the parts that count as done and no more (I6)";
pub const SETTLES: &str = "when faults stop, everybody settles (I13)";

const SENDERS: usize = 2;

#[derive(Clone, Debug)]
pub struct Protocol {
    pub plan: Plan,
    pub faults: Faults,
    /// Killed processes leave a journal that the next one replays.
    pub journal: bool,
    pub rules: Rules,
}

impl Default for Protocol {
    fn default() -> Protocol {
        Protocol {
            plan: Plan { people: PEOPLE, parts: 1 },
            faults: Faults::default(),
            journal: true,
            rules: Rules::ALL,
        }
    }
}

/// How often each fault may still happen, and how often a person may still change their mind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    pub crashes: u8,
    pub lost_replies: u8,
    pub lost_answers: u8,
    pub refusals: u8,
    pub passed_slots: u8,
    pub ended_leases: u8,
    pub edits: u8,
    /// Requests of which a copy arrives late.
    pub copies: u8,
    /// Lists of people who get nothing, each of which names one more.
    pub lists: u8,
}

/// Ledger, senders and provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    ledger: Ledger,
    senders: [Sender; SENDERS],
    /// How often the provider has accepted each part for each.
    accepted: [[u8; PARTS]; PEOPLE],
    /// How many refusals of each are on their way, or got lost.
    refused: [[u8; PARTS]; PEOPLE],
    /// What must never happen, as far as the provider alone can tell.
    asked_without_an_answer: bool,
    left: Faults,
    /// A copy of a request that is still under way, and whose it is. Nobody waits for its answer.
    copy: Option<(usize, Request)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Start(usize),
    Crash(usize),
    Ask(usize),
    Leave(usize),
    Exchange(usize),
    /// The ledger has done it and the reply gets lost: the same request is repeated.
    LoseReply(usize),
    /// A copy of the request stays under way.
    Copy(usize),
    Arrive,
    Begin(usize, usize),
    Send(usize, usize, Told),
    Answer(usize, usize),
    LoseAnswer(usize, usize),
    /// A slot passes before its message was begun.
    Pass(usize),
    Sweep(usize),
    EndLease,
    Suspend,
    Resume,
    Cancel,
    Skip,
    ReadAList(usize),
}

impl World {
    fn steps_of(&self, index: usize, steps: &mut Vec<Step>) {
        let sender = &self.senders[index];
        let Some(process) = sender.process else {
            // The two are alike, so which of them is first makes no difference.
            let others_turn = index > 0 && self.ledger.senders.is_empty();
            if !self.ledger.settled() && !others_turn {
                steps.push(Step::Start(index));
            }
            return;
        };
        if self.left.crashes > 0 && !sender.left {
            steps.push(Step::Crash(index));
        }
        if sender.asking.is_some() {
            steps.push(Step::Exchange(index));
            if self.left.lost_replies > 0 {
                steps.push(Step::LoseReply(index));
            }
            if self.left.copies > 0 && self.copy.is_none() {
                steps.push(Step::Copy(index));
            }
        } else if !sender.left {
            let may_take = sender.tasks.len() < 2 && self.ledger.has_work() && self.ledger.is_free_for(process);
            if sender.has_news() || may_take {
                steps.push(Step::Ask(index));
            } else if sender.is_idle() && !self.ledger.has_work() && self.ledger.batch.holder == Some(process) {
                steps.push(Step::Leave(index));
            }
        }
        for (place, task) in sender.tasks.iter().enumerate() {
            match task.stage {
                Stage::Held => steps.push(Step::Begin(index, place)),
                Stage::Begun => {
                    steps.push(Step::Send(index, place, Told::Accepted));
                    if self.left.refusals > 0 {
                        steps.push(Step::Send(index, place, Told::Refused));
                    }
                }
                Stage::OnWire(_) => {
                    steps.push(Step::Answer(index, place));
                    if self.left.lost_answers > 0 {
                        steps.push(Step::LoseAnswer(index, place));
                    }
                }
                Stage::Told(_) => {}
            }
        }
    }

    /// Whether somebody alive still has this attempt in hand: then its deadline comes only as a fault.
    fn in_hand(&self, person: usize) -> bool {
        let attempt = self.ledger.rows[person].attempt;
        self.senders.iter().any(|sender| {
            let asked = sender.asking.is_some() && self.ledger.rows[person].holder == sender.process;
            asked || sender.tasks.iter().any(|task| task.person == person && task.attempt == attempt)
        })
    }

    fn steps_of_time(&self, steps: &mut Vec<Step>) {
        if self.copy.is_some() {
            steps.push(Step::Arrive);
        }
        for (person, row) in self.ledger.rows.iter().enumerate() {
            if row.state == RecipientState::Inflight {
                if !row.passed && (self.left.passed_slots > 0 || !self.in_hand(person)) {
                    steps.push(Step::Pass(person));
                }
                if row.passed {
                    steps.push(Step::Sweep(person));
                }
            }
        }
        let holder = self.ledger.batch.holder;
        let is_dead = holder.is_some_and(|holder| self.senders.iter().all(|sender| sender.process != Some(holder)));
        if holder.is_some() && self.ledger.batch.lease && (self.left.ended_leases > 0 || is_dead) {
            steps.push(Step::EndLease);
        }
    }

    fn steps_of_people(&self, steps: &mut Vec<Step>) {
        if self.left.edits > 0 && !self.ledger.cancelled {
            steps.push(if self.ledger.suspended { Step::Resume } else { Step::Suspend });
            steps.push(Step::Cancel);
        } else if self.ledger.suspended && !self.ledger.cancelled {
            // A pause is not the end of it.
            steps.push(Step::Resume);
        }
        if self.left.lists > 0 {
            let is_open = |row: &Row| {
                matches!(row.state, RecipientState::Pending | RecipientState::Inflight | RecipientState::Unknown)
            };
            let open = (0..PEOPLE).filter(|person| is_open(&self.ledger.rows[*person]) && !self.ledger.named[*person]);
            steps.extend(open.map(Step::ReadAList));
        }
        let pending = self.ledger.rows.iter().any(|row| row.state == RecipientState::Pending);
        if self.ledger.cancelled && pending {
            steps.push(Step::Skip);
        }
    }

    fn follow(&mut self, step: Step, journal: bool) {
        match step {
            Step::Start(index) => self.start(index, journal),
            Step::Crash(index) => {
                self.left.crashes -= 1;
                self.senders[index].process = None;
                self.senders[index].asking = None;
                if !journal {
                    self.senders[index].tasks.clear();
                }
            }
            Step::Ask(index) => self.senders[index].ask(false),
            Step::Leave(index) => self.senders[index].ask(true),
            Step::Exchange(index) => self.exchange(index, true),
            Step::LoseReply(index) => {
                self.left.lost_replies -= 1;
                self.exchange(index, false);
            }
            Step::Copy(index) => {
                self.left.copies -= 1;
                self.copy = self.senders[index].process.zip(self.senders[index].asking.clone());
            }
            Step::Arrive => {
                if let Some((process, request)) = self.copy.take() {
                    let _nobody_waits = self.ledger.exchange(process, &request);
                }
            }
            Step::Begin(index, place) => {
                let task = &mut self.senders[index].tasks[place];
                let row = &self.ledger.rows[task.person];
                let late = row.passed && row.attempt == task.attempt;
                task.stage = if late { Stage::Told(Told::NotBegun) } else { Stage::Begun };
            }
            Step::Send(index, place, answer) => {
                let task = &mut self.senders[index].tasks[place];
                task.stage = Stage::OnWire(answer);
                let (accepted, refused) =
                    (&mut self.accepted[task.person][task.part], &mut self.refused[task.person][task.part]);
                self.asked_without_an_answer |= *accepted + *refused > 0;
                if answer == Told::Accepted {
                    *accepted += 1;
                } else {
                    *refused += 1;
                    self.left.refusals -= 1;
                }
            }
            Step::Answer(index, place) => {
                let task = &mut self.senders[index].tasks[place];
                if let Stage::OnWire(answer) = task.stage {
                    task.stage = Stage::Told(answer);
                    self.refused[task.person][task.part] -= u8::from(answer == Told::Refused);
                }
            }
            Step::LoseAnswer(index, place) => {
                self.left.lost_answers -= 1;
                self.senders[index].tasks[place].stage = Stage::Told(Told::Unknown);
            }
            Step::Pass(person) => {
                if self.in_hand(person) {
                    self.left.passed_slots -= 1;
                }
                self.ledger.rows[person].passed = true;
            }
            Step::Sweep(person) => self.ledger.sweep(person),
            Step::EndLease => {
                self.left.ended_leases = self.left.ended_leases.saturating_sub(1);
                self.ledger.batch.lease = false;
            }
            Step::Suspend => {
                self.left.edits -= 1;
                self.ledger.suspended = true;
            }
            Step::Resume => {
                self.left.edits = self.left.edits.saturating_sub(1);
                self.ledger.suspended = false;
            }
            Step::Cancel => {
                self.left.edits -= 1;
                self.ledger.cancelled = true;
            }
            Step::Skip => self.ledger.skip_the_rest(),
            Step::ReadAList(person) => {
                self.left.lists -= 1;
                self.ledger.read_a_list(person);
            }
        }
    }

    /// A new process; with a journal it first says what became of the old one.
    fn start(&mut self, index: usize, journal: bool) {
        let sender = &mut self.senders[index];
        let words = sender.last_words();
        let before = self.ledger.senders.len();
        if let (true, Some(old)) = (journal, self.last_process(index)) {
            self.ledger.record(&words);
            self.ledger.close(old);
        }
        self.ledger.senders.push(Known::default());
        self.senders[index] = Sender { process: Some(before), ..Sender::default() };
    }

    /// Processes are numbered in the order they start; the one that died at this place is the latest that runs nowhere.
    fn last_process(&self, index: usize) -> Option<usize> {
        let other = self.senders[1 - index].process;
        (0..self.ledger.senders.len())
            .rev()
            .find(|process| Some(*process) != other && !self.ledger.senders[*process].closed)
    }

    fn exchange(&mut self, index: usize, answered: bool) {
        let (Some(process), Some(request)) = (self.senders[index].process, self.senders[index].asking.clone()) else {
            return;
        };
        let given = self.ledger.exchange(process, &request);
        if answered {
            match given {
                Some(given) => self.senders[index].answered(&given),
                None => self.senders[index].left = true,
            }
        }
    }

    fn is_honest(&self) -> bool {
        self.ledger.rows.iter().zip(&self.accepted).all(|(row, accepted)| is_honest(row, accepted))
    }
}

fn is_honest(row: &Row, accepted: &[u8; PARTS]) -> bool {
    let is_open = matches!(row.state, RecipientState::Inflight | RecipientState::Unknown);
    accepted.iter().enumerate().all(|(part, times)| match row.parts_done as usize {
        done if part < done => *times == 1,
        done if part == done && is_open => *times <= 1,
        _ => *times == 0,
    })
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            ledger: Ledger::new(self.plan, self.rules),
            senders: Default::default(),
            accepted: Default::default(),
            refused: Default::default(),
            asked_without_an_answer: false,
            left: self.faults,
            copy: None,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        (0..SENDERS).for_each(|index| world.steps_of(index, steps));
        world.steps_of_time(steps);
        world.steps_of_people(steps);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        next.follow(step, self.journal);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        vec![
            Property::always(NOBODY_TWICE, |_, world: &World| world.accepted.iter().flatten().all(|times| *times <= 1)),
            Property::always(DEFINITE_BEFORE_NEXT, |_, world: &World| !world.ledger.taken_without_a_definite_outcome),
            Property::always(ANSWERED_BEFORE_NEXT, |_, world: &World| !world.asked_without_an_answer),
            Property::always(ONE_HOLDER, |_, world: &World| !world.ledger.taken_by_two_in_one_epoch),
            Property::always(OLD_EPOCH, |_, world: &World| !world.ledger.taken_by_an_old_epoch),
            Property::always(CLOSED_GATE, |_, world: &World| !world.ledger.taken_through_a_closed_gate),
            Property::always(ON_A_LIST, |_, world: &World| !world.ledger.taken_from_a_list),
            Property::always(HONEST, |_, world: &World| world.is_honest()),
            // Every fault has a budget and nothing happens twice, so every path ends: everybody must be settled there.
            Property::always(SETTLES, |protocol, world| {
                let mut steps = Vec::new();
                protocol.actions(world, &mut steps);
                !steps.is_empty() || world.ledger.settled()
            }),
        ]
    }
}
