//! One leader among several operators, by a Lease: it alone reconciles; all serve the ledger.
//!
//! No safety rests on it: what a leader that does not know it was succeeded still does, the ledger refuses or the
//! successor sets right.

mod decide;

use std::future::Future;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use tokio::sync::watch;

use super::cluster::{CallError, call};
pub use decide::{LEASE, RENEW_DEADLINE, RETRY};
use decide::{Observed, Record, Step};

/// The Lease, in the operator's own namespace.
pub const LEASE_NAME: &str = "herald-operator";

/// Stands for leadership and gives it up for good when told to.
pub struct Candidate {
    api: Api<Lease>,
    identity: String,
    started: Instant,
    observed: Observed,
}

impl Candidate {
    /// `identity` differs from process to process, for people too: the pod's name.
    pub fn new(client: Client, namespace: &str, identity: String) -> Candidate {
        let api = Api::namespaced(client, namespace);
        Candidate { api, identity, started: Instant::now(), observed: Observed::default() }
    }

    /// Keeps `leads` up to date until `stop` becomes true, and then gives the Lease back, so that a successor need not wait.
    pub async fn stand(mut self, leads: watch::Sender<bool>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = self.look(&leads) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        leads.send_replace(false);
        self.give_back().await;
    }

    async fn look(&mut self, leads: &watch::Sender<bool>) {
        // A call that hangs must not keep this process in a leadership that is over.
        let deadline = tokio::time::sleep(RENEW_DEADLINE);
        let done = tokio::select! {
            done = self.step() => done,
            () = deadline => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(reason = error.reason(), %error, "the lease of the leader was not looked at");
        }
        let now = self.now();
        let before = leads.send_replace(self.observed.leads(&self.identity, now));
        if before != *leads.borrow() {
            tracing::info!(leads = !before, identity = self.identity, "leadership has changed");
        }
    }

    async fn step(&mut self) -> Result<(), CallError> {
        let found = call("read the lease of the leader", self.api.get_opt(LEASE_NAME)).await?;
        let now = self.now();
        self.observed.saw(found.as_ref().map(record), now);
        let written = match (self.observed.step(&self.identity, now), found) {
            (Step::Wait, _) => return Ok(()),
            (Step::Create, _) | (_, None) => self.create().await,
            (Step::Take | Step::Renew, Some(lease)) => self.replace(lease).await,
        };
        match written {
            Ok(lease) => {
                self.observed.wrote(record(&lease), now);
                Ok(())
            }
            // Somebody was faster: the next look says who.
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn create(&self) -> impl Future<Output = Result<Lease, CallError>> {
        let metadata = ObjectMeta { name: Some(LEASE_NAME.to_owned()), ..ObjectMeta::default() };
        let lease = self.claimed(Lease { metadata, spec: None });
        let api = self.api.clone();
        async move { call("create the lease of the leader", api.create(&PostParams::default(), &lease)).await }
    }

    /// On condition that nobody has changed it since it was read.
    fn replace(&self, found: Lease) -> impl Future<Output = Result<Lease, CallError>> {
        let lease = self.claimed(found);
        let api = self.api.clone();
        async move { call("renew the lease of the leader", api.replace(LEASE_NAME, &PostParams::default(), &lease)).await }
    }

    fn claimed(&self, mut lease: Lease) -> Lease {
        let now = Some(MicroTime(Timestamp::now()));
        let mut spec = lease.spec.take().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            spec.lease_transitions =
                Some(spec.lease_transitions.map_or(0, |transitions| transitions.saturating_add(1)));
            spec.acquire_time.clone_from(&now);
        }
        let duration = Some(LEASE.as_secs() as i32);
        let holder = Some(self.identity.clone());
        lease.spec =
            Some(LeaseSpec { holder_identity: holder, lease_duration_seconds: duration, renew_time: now, ..spec });
        lease
    }

    async fn give_back(&self) {
        let given_back = async {
            let Some(mut lease) = self.api.get_opt(LEASE_NAME).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
            if spec.holder_identity.as_deref() != Some(&self.identity) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            self.api.replace(LEASE_NAME, &PostParams::default(), &lease).await.map(drop)
        };
        if let Err(error) = call("give the lease of the leader back", given_back).await {
            tracing::warn!(reason = error.reason(), %error, "a successor will wait for the lease to run out");
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0)),
        version: lease.resource_version().unwrap_or_default(),
    }
}
