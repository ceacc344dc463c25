//! A rate as people write it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// So many messages in so many seconds. Two integers, so that one message in six seconds is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// How many messages may be sent per period: 1 to 1000000. Required.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub messages: u32,
    /// The length of the period in seconds: 1 to 86400, default 1. `{messages: 1, periodSeconds: 6}` is one message
    /// every six seconds. Messages are spread evenly over the period, never sent in a burst.
    #[serde(default = "one_second")]
    #[schemars(range(min = 1, max = 86_400))]
    pub period_seconds: u32,
}

fn one_second() -> u32 {
    1
}
