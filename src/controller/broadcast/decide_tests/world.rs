//! A cluster and a ledger as plain data: what is decided is done at once.

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::ResourceExt;
use serde_json::json;

use crate::api::{BatchState, BroadcastMessage, MessageBatch, MessageBatchStatus, MessageChannel};
use crate::controller::broadcast::decide_refused::{made, making, note};
use crate::controller::broadcast::memory::Unmade;
use crate::controller::broadcast::{Action, Decision, Declared, Memory, Observation, decide};
use crate::controller::job::SenderSettings;
use crate::controller::transition::Transition;
use crate::delivery::counts::Counts;
use crate::delivery::gate::Gate;
use crate::delivery::notification::Occasion;
use crate::delivery::rate::Rate;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::declaration::Told;
use crate::ledger::{BatchSnapshot, BroadcastId, BroadcastSnapshot, SealedPlan, ToldTrouble, Trouble};

pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);

pub fn settings() -> SenderSettings {
    SenderSettings {
        image: "registry.example/herald:1".to_owned(),
        image_pull_policy: None,
        ledger_url: "https://herald.herald-system.svc:8443".to_owned(),
        certificate_authority_pem: Some("-----BEGIN CERTIFICATE-----".to_owned()),
        resources: Default::default(),
    }
}

pub fn broadcast() -> BroadcastMessage {
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "BroadcastMessage",
        "metadata": {"name": "sale", "namespace": "marketing", "uid": "9f3a77aa-1111-2222-3333-444444444444", "generation": 1},
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
    }))
    .unwrap()
}

pub fn channel() -> MessageChannel {
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "page", "namespace": "marketing", "uid": "c", "generation": 1},
        "spec": {"messenger": {"pageID": "1"}, "credentialsSecretRef": {"name": "page"}},
    }))
    .unwrap()
}

/// A broadcast nobody has planned.
pub fn snapshot() -> BroadcastSnapshot {
    let gate = Gate {
        sealed: false,
        released: false,
        suspended: false,
        cancelled: false,
        plan_failed: false,
        is_suspect: false,
        loss: None,
        at_risk: false,
        block: None,
        account_stopped: false,
        start_at: None,
        end_at: None,
        start_by: None,
        begun: false,
        open_recipients: 0,
    };
    BroadcastSnapshot {
        id: BroadcastId(1),
        name: "sale".to_owned(),
        namespace: "marketing".to_owned(),
        idempotency_key: "sale".to_owned(),
        now: START,
        revision: 1,
        told: Told {
            generation: 1,
            identity_hash: String::new(),
            account_rate: Rate::new(100, 1),
            request_timeout: Span::from_secs(10),
            orders: None,
        },
        gate,
        closed: None,
        stop_message: None,
        trouble: None,
        planning: false,
        plan: None,
        words: Default::default(),
        parts: 1,
        rate_class: None,
        counts: Counts::default(),
        receipts: Default::default(),
        pace: Default::default(),
        outcomes: Vec::new(),
        skipped: Vec::new(),
        batches_total: 0,
        batches_active: 0,
        batches_complete: 0,
        retries: 0,
        rate: Rate::new(100, 1),
        effective_per_second: 100.0,
        usage_percent: None,
        throttled_until: None,
        lease_until: None,
        provider_slow: false,
        failing: None,
        due_at: None,
        quiet_until: None,
        declared_at: START - Span::from_secs(60),
        latency: Default::default(),
        first_attempt_at: None,
        finished_at: None,
        outbox: None,
        write_backs: Vec::new(),
    }
}

pub struct World {
    pub object: BroadcastMessage,
    pub channel: Option<MessageChannel>,
    pub refused: Option<(&'static str, String)>,
    pub snapshot: BroadcastSnapshot,
    pub batches: Vec<BatchSnapshot>,
    pub objects: Vec<MessageBatch>,
    pub jobs: Vec<Job>,
    pub pods: Vec<Pod>,
    pub warnings: Vec<crate::controller::broadcast::JobWarning>,
    pub memory: Memory,
    pub settings: SenderSettings,
    pub now: Timestamp,
    /// What the API server says to whatever is to be made of a kind, and how often it was asked.
    pub refuses: Option<Unmade>,
    pub not_made: usize,
    /// Writes to the API server: objects, statuses, events.
    pub writes: Vec<Timestamp>,
    pub told: Vec<Transition>,
    /// What endpoints are told.
    pub occasions: Vec<Occasion>,
    pub made: usize,
}

impl World {
    pub fn new() -> World {
        World {
            object: broadcast(),
            channel: Some(channel()),
            refused: None,
            snapshot: snapshot(),
            batches: Vec::new(),
            objects: Vec::new(),
            jobs: Vec::new(),
            pods: Vec::new(),
            warnings: Vec::new(),
            memory: Memory::default(),
            settings: settings(),
            now: START,
            refuses: None,
            not_made: 0,
            writes: Vec::new(),
            told: Vec::new(),
            occasions: Vec::new(),
            made: 0,
        }
    }

    /// A sealed plan of so many recipients in batches of `size`.
    pub fn planned(recipients: i64, size: i64) -> World {
        let mut world = World::new();
        world.seal(recipients, size);
        world
    }

    pub fn seal(&mut self, recipients: i64, size: i64) {
        self.snapshot.gate.sealed = true;
        self.snapshot.planning = false;
        self.snapshot.plan = Some(SealedPlan {
            planned: recipients as u64,
            duplicates: 2,
            excluded: 1,
            hash: format!("sha256:{:064}", recipients),
            sealed_at: self.now,
            batch_size: size as u32,
        });
        self.snapshot.due_at = Some(self.now);
        self.batches = (0..recipients)
            .step_by(size as usize)
            .map(|first| batch(first / size, first, (first + size).min(recipients) - 1))
            .collect();
        self.sum();
    }

    /// Brings the sums of the broadcast up to those of its batches.
    pub fn sum(&mut self) {
        let mut counts = Counts::default();
        self.batches.iter().for_each(|batch| counts.add(&batch.counts));
        self.snapshot.counts = counts;
        self.snapshot.gate.open_recipients = counts.open();
        self.snapshot.batches_total = self.batches.len() as i64;
        self.snapshot.batches_complete = self.batches.iter().filter(|batch| batch.counts.open() == 0).count() as i64;
        self.snapshot.batches_active = self.batches.iter().filter(|batch| batch.holder.is_some()).count() as i64;
        if counts.pending == 0 {
            self.snapshot.due_at = None;
        }
        if self.snapshot.gate.sealed && counts.open() == 0 {
            self.snapshot.finished_at.get_or_insert(self.now);
        }
    }

    /// One sender takes and sends so many, batch after batch.
    pub fn send(&mut self, messages: i64) {
        let mut left = messages;
        self.snapshot.first_attempt_at.get_or_insert(self.now);
        for batch in &mut self.batches {
            let now = left.min(batch.counts.pending);
            if now == 0 {
                continue;
            }
            batch.started_at.get_or_insert(self.now);
            batch.claimed_at.get_or_insert(self.now);
            batch.renewed_at = Some(self.now);
            batch.counts.pending -= now;
            batch.counts.sent += now;
            batch.holder = (batch.counts.pending > 0).then(|| "sale-9f3a-1-x".to_owned());
            if batch.counts.pending == 0 {
                batch.completed_at = Some(self.now);
            }
            left -= now;
        }
        self.sum();
    }

    pub fn observation(&self) -> Observation {
        let mut snapshot = self.snapshot.clone();
        snapshot.now = self.now;
        snapshot.closed = snapshot.gate.closed(self.now);
        snapshot.due_at = snapshot.due_at.map(|due| due.max(self.now));
        Observation {
            object: self.object.clone(),
            channel: self.channel.clone(),
            suppression: Vec::new(),
            declared: match &self.refused {
                Some((reason, message)) => Declared::Refused { reason, message: message.clone() },
                None => Declared::Known { snapshot: Box::new(snapshot), batches: self.batches.clone() },
            },
            batches: self.objects.clone(),
            jobs: self.jobs.clone(),
            pods: self.pods.clone(),
            warnings: self.warnings.clone(),
            now: self.now,
        }
    }

    pub fn decide(&self) -> Decision {
        decide(&self.observation(), &self.memory, &self.settings)
    }

    /// Decides and does it.
    pub fn look(&mut self) -> Decision {
        let decision = self.decide();
        self.memory = decision.memory.clone();
        for action in &decision.actions {
            self.try_to(action);
        }
        if let Some(status) = &decision.status {
            self.object.status = Some(status.clone());
        }
        for (name, status) in &decision.batch_statuses {
            let object = self.objects.iter_mut().find(|object| object.name_any() == *name).unwrap();
            object.status = Some(status.clone());
        }
        let reported =
            usize::from(decision.status.is_some()) + decision.batch_statuses.len() + decision.transitions.len();
        self.writes.extend(std::iter::repeat_n(self.now, reported));
        self.told.extend(decision.transitions.clone());
        decision
    }

    fn try_to(&mut self, action: &Action) {
        if let Some((kind, name)) = making(action) {
            if let Some(unmade) = self.refuses.clone().filter(|unmade| unmade.kind == kind) {
                self.not_made += 1;
                let observation = self.observation();
                return note(&mut self.memory, Unmade { name, ..unmade }, &observation);
            }
            made(&mut self.memory, kind, &name);
        }
        self.apply(action);
    }

    fn apply(&mut self, action: &Action) {
        // What the ledger is told is no write to the API server.
        if !matches!(action, Action::TellStanding(_)) {
            self.made += 1;
            self.writes.push(self.now);
        }
        let made = |metadata: &ObjectMeta, uid: usize, now: Timestamp| ObjectMeta {
            uid: Some(format!("uid-{uid}")),
            creation_timestamp: Some(time(now)),
            generation: Some(1),
            ..metadata.clone()
        };
        match action {
            Action::CreateJob(job) => {
                let metadata = made(&job.metadata, self.made, self.now);
                self.jobs.push(Job { metadata, ..Job::clone(job) });
            }
            Action::DeleteJob { name, uid } => {
                self.jobs.retain(|job| !(job.name_any() == *name && job.metadata.uid.as_ref() == Some(uid)));
            }
            Action::ScaleJob { name, parallelism } => {
                let job = self.jobs.iter_mut().find(|job| job.name_any() == *name).unwrap();
                job.spec.as_mut().unwrap().parallelism = Some(*parallelism);
            }
            Action::CreateBatch(batch) => {
                assert!(self.objects.iter().all(|object| object.name_any() != batch.name_any()));
                let metadata = made(&batch.metadata, self.made, self.now);
                // What the definition's default says of it.
                let status = MessageBatchStatus { state: Some(BatchState::Pending), ..MessageBatchStatus::default() };
                self.objects.push(MessageBatch { metadata, status: Some(status), ..MessageBatch::clone(batch) });
            }
            Action::DeleteBatch { name, uid } => {
                self.objects.retain(|batch| !(batch.name_any() == *name && batch.metadata.uid.as_ref() == Some(uid)));
            }
            Action::LiftCredentialStop => self.snapshot.gate.account_stopped = false,
            Action::LiftBlock => self.snapshot.gate.block = None,
            Action::TellStanding(standing) => {
                self.occasions.extend(self.snapshot.outbox.as_mut().unwrap().told.step(standing));
            }
        }
    }

    pub fn wait(&mut self, seconds: i64) {
        self.now = self.now + Span::from_secs(seconds);
    }

    /// The wave in progress ends.
    pub fn end_wave(&mut self, type_: &str, reason: Option<&str>) {
        let at = time(self.now);
        let status = self.jobs.last_mut().unwrap().status.get_or_insert_with(JobStatus::default);
        status.conditions = Some(vec![JobCondition {
            type_: type_.to_owned(),
            status: "True".to_owned(),
            reason: reason.map(str::to_owned),
            last_transition_time: Some(at),
            ..JobCondition::default()
        }]);
        self.pods.clear();
    }

    /// A pod of the last Job.
    pub fn pod(&mut self, phase: &str, container: ContainerStatus) {
        let job = self.jobs.last().unwrap();
        let owner = OwnerReference { uid: job.metadata.uid.clone().unwrap(), ..OwnerReference::default() };
        self.pods = vec![Pod {
            metadata: ObjectMeta { owner_references: Some(vec![owner]), ..ObjectMeta::default() },
            status: Some(PodStatus {
                phase: Some(phase.to_owned()),
                container_statuses: Some(vec![container]),
                ..PodStatus::default()
            }),
            ..Pod::default()
        }];
    }

    pub fn trouble(&mut self, reason: &str) {
        let trouble = Trouble::new(reason, "the Secret `page` is missing; create it");
        self.snapshot.trouble = Some(ToldTrouble { trouble, told_at: self.now });
    }

    pub fn stall(&self) -> Option<(String, String)> {
        let conditions = &self.object.status.as_ref()?.conditions;
        let stall = conditions.iter().find(|condition| condition.type_ == "Stalled")?;
        Some((stall.reason.clone(), stall.message.clone()))
    }
}

pub fn batch(index: i64, first: i64, last: i64) -> BatchSnapshot {
    BatchSnapshot {
        index,
        first_seq: first,
        last_seq: last,
        epoch: 1,
        holder: None,
        claimed_at: None,
        renewed_at: None,
        counts: Counts { pending: last - first + 1, ..Counts::default() },
        skipped_by_cancel: 0,
        retries: 0,
        requests: 0,
        latency: Default::default(),
        reclaims: 0,
        last_error: None,
        started_at: None,
        completed_at: None,
    }
}

pub fn time(at: Timestamp) -> Time {
    Time(crate::ledger::status::instant(at).unwrap())
}

pub fn waiting(reason: &str, message: &str) -> ContainerStatus {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message: Some(message.to_owned()) };
    ContainerStatus {
        state: Some(ContainerState { waiting: Some(waiting), ..Default::default() }),
        ..Default::default()
    }
}

pub fn crashed(exit_code: i32, message: &str, restart_count: i32) -> ContainerStatus {
    let terminated = ContainerStateTerminated {
        exit_code,
        reason: Some("Error".to_owned()),
        message: Some(message.to_owned()),
        ..Default::default()
    };
    let last_state = Some(ContainerState { terminated: Some(terminated), ..Default::default() });
    ContainerStatus { last_state, restart_count, ..Default::default() }
}

pub fn creates_job(decision: &Decision) -> bool {
    decision.actions.iter().any(|action| matches!(action, Action::CreateJob(_)))
}
