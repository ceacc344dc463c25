//! One leader among several operators, by a Lease: it alone reconciles; all serve the ledger.
//!
//! No safety rests on it: what a leader that does not know it was succeeded still does, the ledger refuses or the
//! successor sets right.

mod decide;

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::cluster::{CallError, call};
use crate::ledger::clock::{Clock, SystemClock};
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

    /// Runs `work` whenever this process leads, until `stop` becomes true or `work` fails; what it is given becomes true
    /// when it must end. Then gives the Lease back, so that a successor need not wait.
    pub async fn lead<E, W: Future<Output = Result<(), E>>>(
        self,
        stop: watch::Receiver<bool>,
        work: impl Fn(watch::Receiver<bool>) -> W,
    ) -> Result<(), E> {
        let (leads, leadership) = watch::channel(false);
        let (ended, has_ended) = watch::channel(false);
        let working = async {
            let outcome = while_leading(leadership, stop, work).await;
            ended.send_replace(true);
            outcome
        };
        let ((), outcome) = tokio::join!(self.stand(leads, has_ended), working);
        outcome
    }

    /// Keeps `leads` up to date until `stop` becomes true.
    async fn stand(mut self, leads: watch::Sender<bool>, mut stop: watch::Receiver<bool>) {
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
        let now = Timestamp::from_nanosecond(i128::from(SystemClock.now().0)).ok().map(MicroTime);
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

async fn while_leading<E, W: Future<Output = Result<(), E>>>(
    mut leadership: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
    work: impl Fn(watch::Receiver<bool>) -> W,
) -> Result<(), E> {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            leads = leadership.wait_for(|leads| *leads) => if leads.is_err() { return Ok(()) },
        }
        let (end, must_end) = watch::channel(false);
        let work = work(must_end);
        tokio::pin!(work);
        tokio::select! {
            ended = &mut work => return ended,
            _ = stop.wait_for(|stop| *stop) => {}
            _ = leadership.wait_for(|leads| !*leads) => {}
        }
        end.send_replace(true);
        work.await?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::super::fake_cluster::FakeCluster;
    use super::*;

    const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/herald-system/leases/herald-operator";

    /// An operator that counts how many of them work at a time.
    struct Operator {
        working: Arc<AtomicUsize>,
        stop: watch::Sender<bool>,
        task: tokio::task::JoinHandle<Result<(), String>>,
    }

    fn start(cluster: &FakeCluster, name: &str) -> Operator {
        let (stop, stopped) = watch::channel(false);
        let working = Arc::new(AtomicUsize::new(0));
        let (candidate, at_work) =
            (Candidate::new(cluster.client(), "herald-system", name.to_owned()), working.clone());
        let task = tokio::spawn(candidate.lead(stopped, move |mut end: watch::Receiver<bool>| {
            let at_work = at_work.clone();
            async move {
                at_work.fetch_add(1, Ordering::SeqCst);
                let _ = end.wait_for(|end| *end).await;
                at_work.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        }));
        Operator { working, stop, task }
    }

    async fn pass(seconds: u64) {
        for _ in 0..seconds * 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn at_work(operators: &[&Operator]) -> Vec<usize> {
        operators.iter().map(|operator| operator.working.load(Ordering::SeqCst)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_two_works_and_the_other_takes_over_at_once_when_it_is_told_to_stop() {
        let cluster = FakeCluster::default();
        let one = start(&cluster, "one");
        pass(1).await;
        let two = start(&cluster, "two");
        pass(60).await;
        assert_eq!(at_work(&[&one, &two]), [1, 0]);
        one.stop.send_replace(true);
        assert_eq!(one.task.await.unwrap(), Ok(()));
        pass(RETRY.as_secs() + 1).await;
        assert_eq!(two.working.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_is_gone_is_succeeded_within_its_lease_and_one_look() {
        let cluster = FakeCluster::default();
        let one = start(&cluster, "one");
        pass(1).await;
        let two = start(&cluster, "two");
        pass(5).await;
        one.task.abort();
        pass(LEASE.as_secs() - RETRY.as_secs() - 1).await;
        assert_eq!(two.working.load(Ordering::SeqCst), 0, "it may still live");
        pass(2 * RETRY.as_secs() + 2).await;
        assert_eq!(two.working.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_cannot_renew_stops_working_and_works_again_when_it_can() {
        let cluster = FakeCluster::default();
        let one = start(&cluster, "one");
        pass(5).await;
        assert_eq!(at_work(&[&one]), [1]);
        cluster.set_down(true);
        pass(RENEW_DEADLINE.as_secs() + RETRY.as_secs() + 1).await;
        assert_eq!(at_work(&[&one]), [0]);
        cluster.set_down(false);
        pass(RETRY.as_secs() + 1).await;
        assert_eq!(at_work(&[&one]), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_somebody_else_renews_ends_the_work() {
        let cluster = FakeCluster::default();
        let one = start(&cluster, "one");
        pass(5).await;
        cluster.put(
            PATH,
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": LEASE_NAME, "namespace": "herald-system", "resourceVersion": "999"},
                "spec": {"holderIdentity": "two", "leaseDurationSeconds": 15}}),
        );
        pass(RETRY.as_secs() + 1).await;
        assert_eq!(at_work(&[&one]), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_fails_is_told_and_the_lease_given_back() {
        let cluster = FakeCluster::default();
        let candidate = Candidate::new(cluster.client(), "herald-system", "one".to_owned());
        let (_stop, stopped) = watch::channel(false);
        let outcome = candidate.lead(stopped, |_| async { Err("a fault") }).await;
        assert_eq!(outcome, Err("a fault"));
        let two = start(&cluster, "two");
        pass(1).await;
        assert_eq!(at_work(&[&two]), [1]);
    }
}
