//! Whose calls are taken, and where.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::channel::CALLBACKS;
use crate::ledger::AccountKey;
use crate::provider::callback::Callbacks;

/// One channel whose provider calls back.
#[derive(Clone)]
pub struct Endpoint {
    /// What it tells is of this account alone.
    pub account: AccountKey,
    pub callbacks: Arc<dyn Callbacks>,
}

/// All of a receiver, by namespace and name of the channel.
#[derive(Clone, Default)]
pub struct Endpoints(BTreeMap<(String, String), Endpoint>);

impl Endpoints {
    pub fn add(&mut self, namespace: &str, channel: &str, endpoint: Endpoint) {
        self.0.insert((namespace.to_owned(), channel.to_owned()), endpoint);
    }

    pub fn get(&self, namespace: &str, channel: &str) -> Option<&Endpoint> {
        self.0.get(&(namespace.to_owned(), channel.to_owned()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where each is, for people.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.0.keys().map(|(namespace, channel)| format!("{CALLBACKS}/{namespace}/{channel}"))
    }
}
