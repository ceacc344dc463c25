//! Health and metrics over plain HTTP: alive, ready and what for, and the figures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::metrics::Metrics;
use crate::ledger::Ledger;

/// How long the ledger may take to answer a probe: below the usual timeout of one.
const LEDGER_TIMEOUT: Duration = Duration::from_millis(800);

/// What must be so before the operator is ready.
#[derive(Default)]
pub struct Readiness {
    serving: AtomicBool,
    synced: AtomicBool,
    /// Why the definitions of the kinds are not served, while they are not.
    definitions: Mutex<Option<String>>,
}

impl Readiness {
    pub fn serves_the_ledger(&self) {
        self.serving.store(true, Ordering::Release);
    }

    /// Another operator may lead: this one serves the ledger, and is ready without having looked at anything.
    pub fn stands_by(&self) {
        self.synced();
    }

    pub fn synced(&self) {
        self.synced.store(true, Ordering::Release);
    }

    pub fn waits_for_definitions(&self, why: Option<String>) {
        *self.definitions.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn pending(&self) -> Vec<String> {
        let mut pending = Vec::new();
        if !self.serving.load(Ordering::Acquire) {
            pending.push("the ledger is not served yet".to_owned());
        }
        pending.extend(self.definitions.lock().unwrap_or_else(PoisonError::into_inner).clone());
        if !self.synced.load(Ordering::Acquire) {
            pending.push("the caches are not filled yet".to_owned());
        }
        pending
    }
}

struct Health<L> {
    ledger: Arc<L>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

/// `/livez`, `/readyz` and `/metrics`.
pub fn router<L: Ledger>(ledger: Arc<L>, readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready::<L>))
        .route("/metrics", get(figures::<L>))
        .with_state(Arc::new(Health { ledger, readiness, metrics }))
}

async fn ready<L: Ledger>(State(health): State<Arc<Health<L>>>) -> impl IntoResponse {
    let mut pending = health.readiness.pending();
    match tokio::time::timeout(LEDGER_TIMEOUT, health.ledger.find("")).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => pending.push(format!("the ledger does not answer: {}", error.reason())),
        Err(_) => pending.push("the ledger does not answer in time".to_owned()),
    }
    if pending.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready:\n{}\n", pending.join("\n")))
    }
}

async fn figures<L: Ledger>(State(health): State<Arc<Health<L>>>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    // Without an answer of the ledger the other figures are still worth having.
    if let Ok(Ok(totals)) = tokio::time::timeout(LEDGER_TIMEOUT, health.ledger.totals()).await {
        health.metrics.counted(&totals);
    }
    if let Ok(Ok(totals)) = tokio::time::timeout(LEDGER_TIMEOUT, health.ledger.notification_totals()).await {
        health.metrics.told(&totals);
    }
    if let Ok(Ok(totals)) = tokio::time::timeout(LEDGER_TIMEOUT, health.ledger.write_back_totals()).await {
        health.metrics.written_back(&totals);
    }
    match health.metrics.encode() {
        Ok(text) => Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text)),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::ledger::clock::SystemClock;
    use crate::ledger::sqlite::SqliteLedger;

    async fn get(router: &Router, path: &str) -> (StatusCode, String) {
        let reply = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = reply.status();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_says_what_is_pending_and_figures_are_served_all_the_while() {
        let ledger = Arc::new(SqliteLedger::in_memory(Arc::new(SystemClock)).await.unwrap());
        let readiness = Arc::new(Readiness::default());
        let router = router(ledger, readiness.clone(), Arc::new(Metrics::default()));
        readiness.waits_for_definitions(Some("waiting for messagechannels.herald.dev".to_owned()));

        let (status, body) = get(&router, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("messagechannels.herald.dev") && body.contains("caches"), "{body}");
        assert_eq!(get(&router, "/livez").await.0, StatusCode::OK);
        assert_eq!(get(&router, "/metrics").await.0, StatusCode::OK);

        readiness.waits_for_definitions(None);
        readiness.serves_the_ledger();
        readiness.synced();
        assert_eq!(get(&router, "/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    }
}
