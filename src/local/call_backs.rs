//! The call-backs of a run: its receiver, and the wait for those that may still tell what became of somebody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::order::Order;
use super::recovery::Recovered;
use super::refusal::{Refusal, refuse};
use crate::delivery::plural::counted;
use crate::ledger::Ledger;
use crate::ledger::clock::SystemClock;
use crate::ledger::exchange::BroadcastId;
use crate::receiver::{Endpoint, Endpoints, router, serve};

/// So long a run waits at its end for call-backs about people of whom nobody knows: providers that tell it do so within
/// seconds, and whoever is left stays unknown.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A receiver that takes calls until it is ended.
pub struct CallBacks {
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

/// Takes the port and begins to serve; `None` where no receiver is asked for.
pub async fn receive<L: Ledger>(
    listen: Option<SocketAddr>,
    recovered: &Recovered<L>,
    orders: &[Order],
) -> Result<Option<CallBacks>, Refusal> {
    let Some(listen) = listen else { return Ok(None) };
    let endpoints = endpoints(orders)?;
    let failed = |error| Refusal(format!("--receiver {listen}: failed to listen: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    for path in endpoints.paths() {
        eprintln!("receiver: http://{address}{path}");
    }
    let (_, known) = watch::channel(Arc::new(endpoints));
    let router = router(recovered.ledger.clone(), Arc::new(SystemClock), known);
    let (stop, stopped) = watch::channel(false);
    Ok(Some(CallBacks { stop, served: tokio::spawn(serve(listener, router, stopped)) }))
}

/// Those of all channels that can be verified; why others are not is told.
fn endpoints(orders: &[Order]) -> Result<Endpoints, Refusal> {
    let mut endpoints = Endpoints::default();
    for order in orders {
        let (namespace, channel) = (&order.declaration.namespace, &order.broadcast.spec.channel_ref.name);
        match &order.callbacks {
            Ok(callbacks) => {
                let endpoint = Endpoint { account: order.declaration.account.clone(), callbacks: callbacks.clone() };
                endpoints.add(namespace, channel, endpoint);
            }
            Err(error) => eprintln!("receiver: no calls are taken for channel {namespace}/{channel}: {error}"),
        }
    }
    match endpoints.is_empty() {
        true => Err(Refusal("--receiver: no channel of this run can take call-backs".to_owned())),
        false => Ok(endpoints),
    }
}

impl CallBacks {
    /// Waits for the call-backs that tell what became of people of whom nobody knows, as long as there are any, and not for
    /// ever. Returns whether one of them made somebody pending.
    pub async fn await_unknown<L: Ledger>(
        &self,
        recovered: &Recovered<L>,
        sent: &[(&Order, BroadcastId)],
        stop: &watch::Receiver<bool>,
    ) -> Result<bool, Refusal> {
        let telling: Vec<BroadcastId> = sent
            .iter()
            .filter(|(order, _)| order.callbacks.as_ref().is_ok_and(|callbacks| callbacks.resolves_unknown()))
            .map(|(_, id)| *id)
            .collect();
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut is_told = false;
        loop {
            let mut unknown = 0;
            for id in &telling {
                let snapshot = recovered.ledger.snapshot(*id).await.map_err(refuse)?;
                unknown += snapshot.counts.unknown;
                if snapshot.closed.is_none() && snapshot.counts.pending > 0 && !*stop.borrow() {
                    return Ok(true);
                }
            }
            if unknown == 0 || *stop.borrow() || tokio::time::Instant::now() >= end {
                return Ok(false);
            }
            if !is_told {
                let people = counted(unknown, "person", "people");
                eprintln!("waiting up to {} s for call-backs: nobody knows of {people}", PATIENCE.as_secs());
                is_told = true;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Answers what was taken, and ends.
    pub async fn end(self) {
        self.stop.send_replace(true);
        // A panic of the receiver is no reason to call the run failed.
        let _ = self.served.await;
    }
}
