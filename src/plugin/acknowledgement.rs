//! The operator's word that a wish is carried out. A status is written only after the ledger has committed, so one of the
//! wish's generation, or a later one, says that it is so.

use std::time::Duration;

use kube::core::DynamicObject;
use serde_json::Value;
use tokio::time::Instant;

use super::cluster::{Cluster, call};
use super::failure::PluginError;
use super::words::holds;
use crate::api::broadcast_status::BroadcastMessageStatus;
use crate::report::words::clean;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// What the operator says of a wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nobody wanted to wait.
    NotAwaited,
    /// It has not said anything in time.
    None,
    Ended {
        reason: String,
        status: Box<BroadcastMessageStatus>,
    },
    /// It has it in the ledger: this, or what others have wished since.
    Has(Box<Standing>),
}

/// How a broadcast stands that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Of the spec. What is not planned yet, or needs a person, is no less suspended by it.
    pub suspend: bool,
    /// Of the spec. Nobody takes it back.
    pub cancel: bool,
    /// What else keeps it from being sent, with its reason and message.
    pub held: Option<(String, String)>,
    pub status: BroadcastMessageStatus,
}

/// Waits until the status is of this generation. A look that fails is repeated within the time.
pub async fn wait(cluster: &Cluster, name: &str, generation: i64, limit: Duration) -> Result<Answer, PluginError> {
    if limit.is_zero() {
        return Ok(Answer::NotAwaited);
    }
    let api = cluster.untyped_broadcasts();
    let began = Instant::now();
    loop {
        let looked = call(format!("get the BroadcastMessage {name}"), api.get_opt(name)).await;
        match looked {
            Ok(Some(object)) => {
                if let Some(answer) = read(&object, generation) {
                    return Ok(answer);
                }
            }
            Ok(None) => return Err(cluster.no_such(name)),
            Err(error) if began.elapsed() >= limit => return Err(error),
            Err(_) => {}
        }
        if began.elapsed() >= limit {
            return Ok(Answer::None);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What a status says of a wish; `None` while it is of an older one.
fn read(object: &DynamicObject, generation: i64) -> Option<Answer> {
    let status = object.data.get("status")?;
    let status: BroadcastMessageStatus = serde_json::from_value(status.clone()).unwrap_or_else(|_| plain(status));
    if status.observed_generation? < generation {
        return None;
    }
    if let Some(finished) = holds(&status, "Finished") {
        return Some(Answer::Ended { reason: finished.reason.clone(), status: Box::new(status) });
    }
    let is_set = |field: &str| object.data["spec"][field] == true;
    let (suspend, cancel) = (is_set("suspend"), is_set("cancel"));
    let held = holds(&status, "Stalled").map(|stalled| (stalled.reason.clone(), clean(&stalled.message)));
    Some(Answer::Has(Box::new(Standing { suspend, cancel, held, status })))
}

/// What every version of a status has in common.
fn plain(status: &Value) -> BroadcastMessageStatus {
    BroadcastMessageStatus {
        observed_generation: status["observedGeneration"].as_i64(),
        conditions: serde_json::from_value(status["conditions"].clone()).unwrap_or_default(),
        ..BroadcastMessageStatus::default()
    }
}
