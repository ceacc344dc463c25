//! Pause, resume and cancel: one field of the spec each, set as anybody can with kubectl patch. A stop is asked for at
//! once, whatever else is known or fails; then the operator's word is awaited.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};

use super::FIELD_MANAGER;
use super::acknowledgement::{self, Answer, Standing};
use super::cluster::{Cluster, call};
use super::confirmation::confirm;
use super::failure::PluginError;
use super::options::{CancelOptions, WishOptions};
use super::words::balance;
use crate::report::words::number;

/// Field managers of people at a shell: what they set, no sync puts back.
const BY_HAND: [&str; 4] = [FIELD_MANAGER, "kubectl-patch", "kubectl-edit", "kubectl-create"];

/// What a person wants of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Pause,
    Resume,
    Cancel,
}

impl Wish {
    fn patch(self) -> Value {
        match self {
            Wish::Pause => json!({"spec": {"suspend": true}}),
            Wish::Resume => json!({"spec": {"suspend": null}}),
            Wish::Cancel => json!({"spec": {"cancel": true}}),
        }
    }

    fn field(self) -> &'static str {
        match self {
            Wish::Pause | Wish::Resume => "suspend",
            Wish::Cancel => "cancel",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Wish::Pause => "pause",
            Wish::Resume => "resume",
            Wish::Cancel => "cancel",
        }
    }
}

/// Asks, and cancels.
pub async fn cancel(cluster: &Cluster, options: &CancelOptions) -> Result<(), PluginError> {
    confirm(&question(cluster, &options.wish.names).await, options.yes)?;
    express(cluster, Wish::Cancel, &options.wish).await
}

/// What a cancel ends, as far as it can be told.
async fn question(cluster: &Cluster, names: &[String]) -> String {
    let mut parts = Vec::new();
    for name in names {
        let status = cluster.broadcast(name).await.ok().and_then(|broadcast| broadcast.status);
        let sums = status.and_then(|status| status.recipients);
        parts.push(match sums {
            Some(sums) => {
                let (pending, planned) = (number(sums.pending), number(sums.planned));
                format!("{name} ({pending} of {planned} were not messaged yet)")
            }
            None => name.clone(),
        });
    }
    format!("cancel {} for good? The idempotency key stays cancelled", parts.join(", "))
}

/// Asks for it everywhere first, and then waits everywhere: no broadcast goes on because of another.
pub async fn express(cluster: &Cluster, wish: Wish, options: &WishOptions) -> Result<(), PluginError> {
    let asked = futures::future::join_all(options.names.iter().map(|name| ask(cluster, wish, name))).await;
    let waiting = options.names.iter().zip(asked).map(|(name, asked)| async move {
        let generation = asked?;
        let limit = Duration::from_secs(options.timeout);
        acknowledgement::wait(cluster, name, generation, limit).await
    });
    let answers = futures::future::join_all(waiting).await;
    let mut failed = Vec::new();
    for (name, answer) in options.names.iter().zip(answers) {
        match answer {
            Ok(answer) => match told(wish, name, &answer, options.timeout) {
                Ok(words) => println!("{words}"),
                Err(words) => failed.push(words),
            },
            Err(error) => failed.push(error.to_string()),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(PluginError::Refused(failed.join("\nerror: "))) }
}

/// Sets the field; returns the generation that says it.
async fn ask(cluster: &Cluster, wish: Wish, name: &str) -> Result<i64, PluginError> {
    let api = cluster.untyped_broadcasts();
    let before = call(format!("get the BroadcastMessage {name}"), api.get_metadata_opt(name)).await;
    // Who else sets it is worth a warning; not to know it is worth none.
    if let Ok(Some(before)) = &before {
        warn_of_others(name, wish, &before.metadata);
    }
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(wish.patch());
    let patched = call(format!("{} {name}", wish.verb()), api.patch(name, &parameters, &patch)).await;
    let object: DynamicObject = match patched {
        Err(error) if error.is_not_found() => return Err(cluster.no_such(name)),
        patched => patched?,
    };
    Ok(object.metadata.generation.unwrap_or_default())
}

fn warn_of_others(name: &str, wish: Wish, metadata: &ObjectMeta) {
    let others = others(metadata, wish.field());
    if !others.is_empty() {
        let (field, others) = (wish.field(), others.join(", "));
        eprintln!("warning: spec.{field} of {name} is set by {others} too, whose next sync may set it again");
    }
}

/// Who sets a field of the spec, hands at a shell aside.
fn others(metadata: &ObjectMeta, field: &str) -> Vec<String> {
    let owns = |fields: &Value| fields.pointer(&format!("/f:spec/f:{field}")).is_some();
    let entries = metadata.managed_fields.iter().flatten();
    let owning = entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| owns(&fields.0)));
    let mut names: Vec<String> = owning.filter_map(|entry| entry.manager.clone()).collect();
    names.retain(|name| !BY_HAND.contains(&name.as_str()));
    names.sort();
    names.dedup();
    names
}

/// What came of it. `Err` where it is not known to be so.
fn told(wish: Wish, name: &str, answer: &Answer, timeout: u64) -> Result<String, String> {
    let with_balance = |words: String, status| {
        let balance = balance(status);
        if balance.is_empty() { words } else { format!("{words}: {balance}") }
    };
    match (wish, answer) {
        (_, Answer::NotAwaited) => Ok(format!("{name}: asked to {}", wish.verb())),
        (_, Answer::None) => Err(format!(
            "{name}: asked to {}, but the operator has not said within {timeout} s that it is so; look at its pods: kubectl get pods -A -l app.kubernetes.io/part-of=herald",
            wish.verb()
        )),
        (_, Answer::Ended { reason, status }) => Ok(with_balance(format!("{name} has ended ({reason})"), status)),
        (_, Answer::Has(standing)) => {
            let Standing { suspend, cancel, held, status } = standing.as_ref();
            match (wish, suspend, held) {
                (Wish::Cancel, ..) => Ok(with_balance(format!("{name} is cancelled"), status)),
                _ if *cancel => Err(with_balance(
                    format!(
                        "{name} is cancelled, which nobody can take back; send the rest under another idempotencyKey"
                    ),
                    status,
                )),
                (Wish::Pause, true, _) => Ok(with_balance(format!("{name} is paused"), status)),
                (Wish::Resume, false, None) => Ok(with_balance(format!("{name} goes on"), status)),
                (Wish::Resume, false, Some((reason, message))) => {
                    Err(format!("{name} is not suspended any more, but held ({reason}): {message}"))
                }
                (Wish::Pause, false, _) | (Wish::Resume, true, _) => {
                    Err(format!("{name}: somebody has set spec.suspend otherwise since"))
                }
            }
        }
    }
}

#[path = "wish_tests.rs"]
mod tests;
