//! The operator: observe, decide (pure), apply, report.
//!
//! | file | job |
//! | --- | --- |
//! | [`broadcast`] | one BroadcastMessage: what is observed, decided, done and reported |
//! | [`channel`] | one MessageChannel: its status |
//! | [`job`], `sender_pod` | the Job of one wave of senders |
//! | `operator` | starts everything in order and ends it in order |
//! | `scope` | the watches and reconcilers of one namespace, or of the whole cluster |
//! | `watch`, `triggers` | what changed, and what is to be looked at because of it |
//! | `leadership` | which of several operators reconciles |
//! | `departures` | closes the gates of broadcasts whose object is gone |
//! | `identity` | which broadcast a sender's token stands for |
//! | `receivers` | whose call-backs a receiver's token stands for |
//! | `readers` | whether a person's token may read the results of a broadcast |
//! | `token_review`, `strangers` | whose a token is, by the cluster's word; how many unknown ones are looked up |
//! | `sender_token`, `admissions` | what a token says of itself; who was admitted or refused lately |
//! | `connections` | how many connections the ledger API holds |
//! | `binding` | one ledger for one cluster |
//! | `certificate` | the authority of the ledger API, and what it is served with |
//! | `published` | tells people's tools how to trust the ledger API |
//! | `transition`, `status_writer` | changes worth an event, and how they and statuses are written |
//! | `cluster` | the client of the Kubernetes API, bounded in rate and time |
//! | `health`, `metrics` | probes and figures |
//!
//! # Rights
//!
//! Every verb the operator uses; a role with one more has one too many.
//!
//! | API group | resource | verbs | where | used by |
//! | --- | --- | --- | --- | --- |
//! | `herald.dev` | `broadcastmessages` | get, list, watch | watched namespaces | watches; identity, readers and keys in use look past the cache (get) |
//! | `herald.dev` | `messagechannels` | get, list, watch | watched namespaces | watches; identity of receivers and readers of contacts look past the cache (get) |
//! | `herald.dev` | `messagebatches` | get, list, watch, create, delete | watched namespaces | batches of the plan; get tells whose a taken name is |
//! | `herald.dev` | `broadcastmessages/status`, `messagechannels/status`, `messagebatches/status` | patch | watched namespaces | statuses, by server-side apply |
//! | `herald.dev` | `broadcastmessages/finalizers`, `messagechannels/finalizers` | update | watched namespaces | `blockOwnerDeletion` where the cluster enforces that right |
//! | `batch` | `jobs` | get, list, watch, create, patch, delete | watched namespaces | waves of senders; patch changes their number; get: identity, and whose a taken name is |
//! | `apps` | `deployments` | get, create, patch, delete | watched namespaces | receivers of channels; get: whether one is ready, whose a taken name is, and identity |
//! | `apps` | `replicasets` | get | watched namespaces | identity of receivers |
//! | `` (core) | `services` | get, create, patch, delete | watched namespaces | the way to receivers |
//! | `` (core) | `pods` | get, list, watch | watched namespaces | why a wave does not start; identity (get) |
//! | `` (core) | `events` | list | watched namespaces | why a wave does not start |
//! | `events.k8s.io` | `events` | create, patch | watched namespaces | what changed, for people |
//! | `authentication.k8s.io` | `tokenreviews` | create | cluster | identity of senders, of receivers and of people's tools |
//! | `authorization.k8s.io` | `subjectaccessreviews` | create | cluster | whether a reader may get the broadcast, or get or update the channel |
//! | `` (core) | `namespaces`, named `kube-system` | get | cluster | its uid tells which cluster the ledger serves |
//! | `` (core) | `secrets` | create | own namespace | the certificate authority, once |
//! | `coordination.k8s.io` | `leases` | create | own namespace, with PostgreSQL | the leader of several operators |
//! | `coordination.k8s.io` | `leases`, named `herald-operator` | get, update | own namespace, with PostgreSQL | the leader of several operators |
//! | `` (core) | `secrets`, named `herald-ca` | get | own namespace | the certificate authority |
//! | `` (core) | `configmaps` | create | own namespace | how the ledger API is trusted, for people's tools |
//! | `` (core) | `configmaps`, named `herald-ledger` | patch | own namespace | the same, where it is there |

mod admissions;
mod binding;
pub mod broadcast;
mod certificate;
pub mod channel;
mod channel_pod;
mod cluster;
mod connections;
mod departures;
mod failure;
#[cfg(test)]
pub(crate) mod fake_cluster;
mod health;
mod identity;
pub mod job;
mod leadership;
mod metrics;
mod operator;
mod ownership;
mod published;
mod readers;
mod receivers;
mod scope;
pub mod sender_pod;
mod sender_token;
mod settings;
#[cfg(test)]
mod stage;
mod status_writer;
mod strangers;
mod token_review;
mod transition;
mod triggers;
mod watch;

pub use operator::{OperatorError, run};
pub use settings::OperatorOptions;
pub use transition::EVENTS;
