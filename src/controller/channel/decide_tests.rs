use serde_json::json;

use super::*;
use crate::delivery::time::Span;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

fn observation(account: Option<AccountSnapshot>) -> ChannelObservation {
    let object = serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "page", "generation": 2},
        "spec": {"messenger": {"pageID": "1"}, "credentialsSecretRef": {"name": "page"}},
    }));
    let receiver = ReceiverDecision::default();
    ChannelObservation { object: object.unwrap(), account, broadcasts: Vec::new(), receiver, now: START }
}

fn account() -> AccountSnapshot {
    AccountSnapshot {
        ceiling: Rate::new(40, 1),
        effective_per_second: 40.0,
        usage_percent: None,
        throttled_until: None,
        stop_message: None,
        verified: false,
        active_broadcasts: 0,
    }
}

fn broadcast(state: &str, stalled: Option<&str>) -> BroadcastMessage {
    let time = "2026-12-01T09:00:00Z";
    let stall = |reason| json!({"type": "Stalled", "status": "True", "reason": reason, "message": "expired", "lastTransitionTime": time});
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "BroadcastMessage",
        "metadata": {"name": "sale"},
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
        "status": {"state": state, "conditions": stalled.map(stall).into_iter().collect::<Vec<_>>()},
    }))
    .unwrap()
}

fn conditions(observation: &ChannelObservation) -> Vec<(String, ConditionStatus)> {
    let status = decide(observation).status.unwrap();
    status.conditions.into_iter().map(|condition| (condition.type_, condition.status)).collect()
}

#[test]
fn credentials_are_unknown_until_used_then_true_or_false() {
    use ConditionStatus::{False, True, Unknown};
    let named = |wanted: &[(&str, ConditionStatus)]| -> Vec<_> {
        wanted.iter().map(|(type_, status)| ((*type_).to_owned(), *status)).collect()
    };
    let fresh = named(&[("Ready", True), ("CredentialsVerified", Unknown)]);
    assert_eq!(conditions(&observation(None)), fresh);
    assert_eq!(conditions(&observation(Some(account()))), fresh);
    let used = AccountSnapshot { verified: true, ..account() };
    assert_eq!(conditions(&observation(Some(used))), named(&[("Ready", True), ("CredentialsVerified", True)]));
    let refused = named(&[("Ready", False), ("CredentialsVerified", False), ("Stalled", True)]);
    let stopped = AccountSnapshot { verified: true, stop_message: Some("expired".to_owned()), ..account() };
    assert_eq!(conditions(&observation(Some(stopped))), refused);
    let mut probed = observation(Some(AccountSnapshot { verified: true, ..account() }));
    probed.broadcasts = vec![broadcast("Suspended", Some("CredentialsInvalid"))];
    assert_eq!(conditions(&probed), refused, "while they are looked at again");
}

#[test]
fn the_rate_is_the_account_s_and_its_fall_is_told_once() {
    let mut seen = observation(Some(account()));
    seen.broadcasts = vec![broadcast("Sending", None), broadcast("Complete", None)];
    let first = decide(&seen);
    let status = first.status.unwrap();
    assert_eq!(
        status.rate.as_ref().map(|rate| (rate.configured_per_minute, rate.effective_per_minute)),
        Some((2_400, 2_400))
    );
    assert_eq!((status.active_broadcasts, status.observed_generation), (Some(1), Some(2)));
    assert_eq!(first.transitions, []);

    seen.object.status = Some(status);
    seen.now = START + Span::from_secs(60);
    assert_eq!(decide(&seen).status, None, "nothing has changed");

    let until = Some(seen.now + Span::from_secs(30));
    seen.account = Some(AccountSnapshot { effective_per_second: 20.0, throttled_until: until, ..account() });
    let braked = decide(&seen);
    let reasons: Vec<_> = braked.transitions.iter().map(|transition| transition.reason).collect();
    assert_eq!(reasons, ["Throttled", "RateReduced"]);
    let status = braked.status.unwrap();
    let rate = status.rate.clone().unwrap();
    assert_eq!(rate.effective_per_minute, 1_200);
    assert!(rate.throttled_until_time.is_some());

    let told = Some(AccountSnapshot { effective_per_second: 16.0, usage_percent: Some(92), ..account() });
    let told = decide(&ChannelObservation { account: told, ..seen.clone() });
    let [reduced] = &told.transitions[..] else { panic!("{:?}", told.transitions) };
    assert!(reduced.note.contains("because 92 % of the provider's own limit is used"), "{}", reduced.note);
    assert_eq!(told.status.unwrap().rate.unwrap().usage_percent, Some(92));

    seen.object.status = Some(status);
    seen.account = Some(AccountSnapshot { effective_per_second: 30.0, ..account() });
    assert_eq!(decide(&seen).transitions, [], "it rises again");
}
