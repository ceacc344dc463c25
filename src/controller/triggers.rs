//! What is to be looked at next: a set, so that any number of changes to one object is one look.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

/// Objects that something happened to. As many as there are objects at most.
pub struct Triggers<K: Resource>
where
    K::DynamicType: Eq + Hash,
{
    waiting: Mutex<HashSet<ObjectRef<K>>>,
    woken: Notify,
}

impl<K> Default for Triggers<K>
where
    K: Resource,
    K::DynamicType: Eq + Hash,
{
    fn default() -> Triggers<K> {
        Triggers { waiting: Mutex::default(), woken: Notify::new() }
    }
}

impl<K> Triggers<K>
where
    K: Resource + 'static,
    K::DynamicType: Eq + Hash + Clone + Send,
{
    pub fn insert(&self, objects: impl IntoIterator<Item = ObjectRef<K>>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(objects);
        self.woken.notify_one();
    }

    fn take(&self) -> HashSet<ObjectRef<K>> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything inserted, each object once until it is taken. For one reader.
    pub fn stream(self: Arc<Self>) -> impl Stream<Item = ObjectRef<K>> + Send {
        let start = (self, Vec::new());
        futures::stream::unfold(start, |(triggers, mut ready): (Arc<Self>, Vec<ObjectRef<K>>)| async move {
            loop {
                if let Some(next) = ready.pop() {
                    return Some((next, (triggers, ready)));
                }
                ready.extend(triggers.take());
                if ready.is_empty() {
                    triggers.woken.notified().await;
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[tokio::test]
    async fn many_changes_of_one_object_are_one_look_and_none_is_lost() {
        let triggers = Arc::new(Triggers::<ConfigMap>::default());
        let mut stream = triggers.clone().stream().boxed();
        triggers.insert([ObjectRef::new("a"), ObjectRef::new("a")]);
        triggers.insert([ObjectRef::new("b")]);
        let mut seen = vec![stream.next().await.unwrap().name, stream.next().await.unwrap().name];
        seen.sort();
        assert_eq!(seen, ["a", "b"]);
        assert!(stream.next().now_or_never().is_none());
        triggers.insert([ObjectRef::new("a")]);
        assert_eq!(stream.next().await.unwrap().name, "a");
    }
}
