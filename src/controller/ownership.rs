//! Who owns an object, as its references say.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use crate::api::{BroadcastMessage, GROUP};

/// The one owner that controls the object.
pub fn controller_of(object: &impl Resource<DynamicType = ()>) -> Option<&OwnerReference> {
    object.meta().owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// The BroadcastMessage that controls the object; whatever version of its group made it.
pub fn owning_broadcast(object: &impl Resource<DynamicType = ()>) -> Option<&OwnerReference> {
    let kind = BroadcastMessage::kind(&());
    controller_of(object).filter(|owner| owner.kind == kind && group_of(&owner.api_version) == GROUP)
}

/// The Job that controls the object.
pub fn owning_job(object: &impl Resource<DynamicType = ()>) -> Option<&OwnerReference> {
    let kind = Job::kind(&());
    controller_of(object).filter(|owner| owner.kind == kind && group_of(&owner.api_version) == Job::group(&()))
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
