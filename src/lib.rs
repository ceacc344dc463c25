//! Herald sends one message to very many people through a chat provider's API: paced at the provider's limit and
//! never above it, nobody skipped, nobody messaged twice, every recipient accounted for.
//!
//! The rooms, arrows only downward; `tests/architecture.rs` keeps them so:
//!
//! | room | job |
//! | --- | --- |
//! | [`api`] | the three kinds: types, schema, validation |
//! | [`delivery`] | the rules, pure: outcomes, states, backoff, pacing, sums |
//! | [`content`] | pure: templates and message parts |
//! | [`audience`] | sources to a stream of recipients |
//! | [`provider`] | one file per provider, pure: encode a request, classify an answer |
//! | [`ledger`] | the truth: what happened to each recipient |
//! | [`contacts`] | contacts, tags and opt-outs by hand, from files |
//! | [`sender`] | the loop: plan, exchange, pace, send, record |
//! | [`receiver`] | call-backs of providers: verified, and told to the ledger |
//! | [`controller`] | the operator: observe, decide, apply, report |
//! | [`report`] | figures of a broadcast, for people and files |
//! | [`local`] | `herald run`: all of it in one process |
//! | [`simulator`] | plays the providers |
//! | [`plugin`] | `kubectl broadcast`: what people do by hand |

pub mod api;
pub mod audience;
pub mod contacts;
pub mod content;
pub mod controller;
pub mod delivery;
pub mod ledger;
pub mod local;
pub mod plugin;
pub mod provider;
pub mod receiver;
pub mod report;
pub mod sender;
pub mod simulator;
