//! The HTTP clients of a run: one for each provider, shared by its broadcasts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::provider::Provider;
use crate::sender::Transport;
use crate::sender::transport::{TransportError, origin};

#[derive(Default)]
pub struct Transports(BTreeMap<String, Transport>);

impl Transports {
    pub fn to(&mut self, provider: &dyn Provider) -> Result<Transport, TransportError> {
        let endpoint = provider.endpoint();
        Ok(match self.0.entry(origin(endpoint)) {
            Entry::Occupied(there) => there.get().clone(),
            Entry::Vacant(free) => free.insert(Transport::new(endpoint)?).clone(),
        })
    }
}
