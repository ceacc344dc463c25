//! Who owns an object, as its references say.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use crate::api::{BroadcastMessage, MessageChannel};

/// The one owner that controls the object.
pub fn controller_of(object: &impl Resource<DynamicType = ()>) -> Option<&OwnerReference> {
    object.meta().owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// Whether the owner of that uid controls the object that has this metadata.
pub fn is_controlled_by(metadata: &ObjectMeta, uid: Option<&str>) -> bool {
    let owners = metadata.owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
}

/// The BroadcastMessage that controls the object; whatever version of its group made it.
pub fn owning_broadcast(object: &impl Resource<DynamicType = ()>) -> Option<&OwnerReference> {
    owning::<BroadcastMessage>(object)
}

/// The Job that controls the object.
pub fn owning_job(object: &impl Resource<DynamicType = ()>) -> Option<&OwnerReference> {
    owning::<Job>(object)
}

/// The ReplicaSet that controls the object.
pub fn owning_replica_set(object: &impl Resource<DynamicType = ()>) -> Option<&OwnerReference> {
    owning::<ReplicaSet>(object)
}

/// The Deployment that controls the object.
pub fn owning_deployment(object: &impl Resource<DynamicType = ()>) -> Option<&OwnerReference> {
    owning::<Deployment>(object)
}

/// The MessageChannel that controls the object; whatever version of its group made it.
pub fn owning_channel(object: &impl Resource<DynamicType = ()>) -> Option<&OwnerReference> {
    owning::<MessageChannel>(object)
}

/// The owner of that kind that controls the object.
fn owning<K: Resource<DynamicType = ()>>(object: &impl Resource<DynamicType = ()>) -> Option<&OwnerReference> {
    controller_of(object).filter(|owner| owner.kind == K::kind(&()) && group_of(&owner.api_version) == K::group(&()))
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
