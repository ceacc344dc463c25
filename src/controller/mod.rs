//! The operator: observe, decide (pure), apply, report.
//!
//! | file | job |
//! | --- | --- |
//! | [`broadcast`] | one BroadcastMessage: what is observed, decided and reported |

pub mod broadcast;
