//! Tells a broadcast's endpoints how it goes, beside the sending: takes events from the ledger, a page at a time, and posts
//! a few at once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::sync::Arc;

use futures::StreamExt;
use secrecy::SecretString;
use tokio::time::Instant;

use super::errand::{Errand, Page};
use super::token::MAX_TOKEN_BYTES;
use super::webhook::{self, WebhookClient, host};
use crate::api::SecretKeyRef;
use crate::audience::{MaterialError, MaterialKind, Materials};
use crate::delivery::time::Span;
use crate::ledger::{
    BroadcastId, LedgerError, Notification, NotificationPage, NotificationReport, Posted, ReportNotifications,
    SenderLedger, TakeNotifications,
};
use crate::provider::standard_webhooks::SigningKeys;

/// Requests on the way at once: endpoints are no provider, and the sending comes first.
const AT_ONCE: usize = 4;
/// What tells the endpoints of one broadcast.
pub struct Notifier<L> {
    pub ledger: Arc<L>,
    pub broadcast: BroadcastId,
    /// Random, made at process start.
    pub holder: String,
    /// Where the signing secrets are.
    pub materials: Arc<dyn Materials>,
    /// Made once there is somebody to tell.
    client: Option<WebhookClient>,
}

/// By name and key of their Secret; why there are none.
type KeysOfPage<'a> = BTreeMap<(&'a str, &'a str), Result<SigningKeys, &'static str>>;

impl<L: SenderLedger> Errand for Notifier<L> {
    const NAME: &'static str = "events to be told";

    async fn page(&mut self) -> Result<Page, LedgerError> {
        if self.client.is_none() {
            match WebhookClient::new() {
                Ok(made) => self.client = Some(made),
                Err(error) => {
                    tracing::warn!(%error, "endpoints are not told: the HTTP client cannot be set up");
                    return Ok(Page::Impossible);
                }
            }
        }
        let Some(client) = &self.client else { return Ok(Page::Impossible) };
        let request = TakeNotifications { broadcast: self.broadcast, holder: self.holder.clone() };
        let page = self.ledger.take_notifications(&request).await?;
        let taken = Instant::now();
        if page.notifications.is_empty() {
            return Ok(Page::nothing(page.now, taken, page.next_at));
        }
        let keys = self.keys(&page).await;
        let tries: Vec<_> =
            page.notifications.iter().map(|told| self.tell(client, &page, told, &keys, taken)).collect();
        // A few at a time: whoever is ended in the midst of a page has told of what was taken before.
        let mut answered = futures::stream::iter(tries).buffer_unordered(AT_ONCE).chunks(AT_ONCE);
        while let Some(reports) = answered.next().await {
            let told = ReportNotifications { broadcast: self.broadcast, holder: self.holder.clone(), reports };
            self.ledger.report_notifications(&told).await?;
        }
        Ok(Page::Done)
    }
}

impl<L: SenderLedger> Notifier<L> {
    pub fn new(ledger: Arc<L>, broadcast: BroadcastId, holder: String, materials: Arc<dyn Materials>) -> Notifier<L> {
        Notifier { ledger, broadcast, holder, materials, client: None }
    }

    async fn tell(
        &self,
        client: &WebhookClient,
        page: &NotificationPage,
        notification: &Notification,
        keys: &KeysOfPage<'_>,
        taken: Instant,
    ) -> NotificationReport {
        let secret = &notification.secret;
        let posted = match keys.get(&(secret.name.as_str(), secret.key.as_str())) {
            Some(Ok(keys)) => {
                // By the ledger's clock: that of this machine may be wrong, and receivers take five minutes of difference.
                let now = page.now + Span(i64::try_from(taken.elapsed().as_nanos()).unwrap_or(i64::MAX));
                client.post(self.broadcast, page, notification, keys, now).await
            }
            Some(Err(reason)) => webhook::failed(reason),
            None => webhook::failed(webhook::NOT_SENT),
        };
        tell_log(notification, &posted);
        NotificationReport { key: notification.key.clone(), url: notification.url.clone(), posted }
    }

    /// The signing keys of a page, read anew for each: a Secret may be changed at any time.
    async fn keys<'a>(&self, page: &'a NotificationPage) -> KeysOfPage<'a> {
        let mut keys = BTreeMap::new();
        for Notification { secret, .. } in &page.notifications {
            let of = (secret.name.as_str(), secret.key.as_str());
            if let Entry::Vacant(free) = keys.entry(of) {
                free.insert(self.read(secret).await);
            }
        }
        keys
    }

    async fn read(&self, secret: &SecretKeyRef) -> Result<SigningKeys, &'static str> {
        let (materials, secret) = (self.materials.clone(), secret.clone());
        let read = move || {
            let read = signing_keys(materials.as_ref(), &secret);
            read.map_err(|(reason, problem)| {
                tracing::warn!(secret = secret.name, key = secret.key, reason, problem, "endpoints are not told");
                reason
            })
        };
        // A file may be slow, or a pipe.
        tokio::task::spawn_blocking(read).await.unwrap_or(Err("SecretKeyUnusable"))
    }
}

/// The reason and the words for what is no signing secret; never its value.
fn signing_keys(materials: &dyn Materials, secret: &SecretKeyRef) -> Result<SigningKeys, (&'static str, String)> {
    let unusable = |problem: String| ("SecretKeyUnusable", problem);
    let value = materials.open(MaterialKind::Secret, &secret.name, &secret.key).map_err(|error| match error {
        MaterialError::NotFound { .. } => ("SecretNotFound", error.to_string()),
        MaterialError::KeyNotFound { .. } => ("SecretKeyNotFound", error.to_string()),
        MaterialError::Unreadable { .. } => unusable(error.to_string()),
    })?;
    let mut text = String::new();
    value
        .take(MAX_TOKEN_BYTES as u64)
        .read_to_string(&mut text)
        .map_err(|_| unusable("it is not text in UTF-8, or cannot be read".to_owned()))?;
    SigningKeys::parse(&SecretString::from(text)).map_err(|error| unusable(format!("it {error}")))
}

fn tell_log(notification: &Notification, posted: &Posted) {
    let (endpoint, event) = (notification.key.endpoint.as_str(), notification.key.event.as_str());
    let host = host(&notification.url);
    match posted {
        Posted::Taken => tracing::debug!(endpoint, host, event, "an endpoint was told"),
        Posted::Gone => tracing::warn!(endpoint, host, event, "an endpoint is gone (410), and is told nothing more"),
        Posted::Failed { reason, code, .. } => {
            let code = code.as_deref().unwrap_or_default();
            tracing::info!(endpoint, host, event, reason, code, "an endpoint did not take an event; it is tried again");
        }
    }
}
