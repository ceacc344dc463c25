//! The operator: observe, decide (pure), apply, report.
//!
//! | file | job |
//! | --- | --- |
//! | [`broadcast`] | one BroadcastMessage: what is observed, decided and reported |
//! | [`channel`] | one MessageChannel: what its status says |
//! | [`job`] | the Job of one wave of senders |
//! | [`sender_pod`] | the pods of that Job |

pub mod broadcast;
pub mod channel;
pub mod job;
pub mod sender_pod;
