use super::*;
use crate::simulator::request::Refusal;
use crate::simulator::settings::RetryAfter;

fn call(played: Played, recipient: &str) -> Call {
    Call {
        played,
        account: "1029".into(),
        recipient: recipient.into(),
        correlation: None,
        text: "hi".into(),
        attachments: Vec::new(),
        callback: None,
        refusal: None,
    }
}

fn settings(latency: &str, fail: &[&str], drop: &str) -> Settings {
    Settings {
        quota: None,
        usage: false,
        latency: latency.parse().unwrap(),
        rate_limit: 0,
        retry_after: RetryAfter::default(),
        fail: fail.iter().map(|failure| failure.parse().unwrap()).collect(),
        drop: drop.parse().unwrap(),
        refuse_link: None,
        attachment_seconds: 0,
        seed: 7,
        ..Settings::default()
    }
}

const FIRST: Circumstances = Circumstances {
    number: 1,
    earlier: 0,
    in_last_second: 1,
    in_quota: 1,
    quota_opens_in: Duration::ZERO,
    now: jiff::Timestamp::UNIX_EPOCH,
};

/// How many of so many recipients meet the code.
fn count(settings: &Settings, code: &str, recipients: usize) -> usize {
    let met = |recipient: usize| {
        decide(settings, &call(Played::Messenger, &recipient.to_string()), &FIRST).code.as_deref() == Some(code)
    };
    (0..recipients).filter(|recipient| met(*recipient)).count()
}

#[test]
fn a_run_repeats_with_its_seed_and_differs_with_another() {
    let settings = settings("10-500", &["551=0.3", "never=0.1"], "0.2");
    let run = |settings: &Settings| -> Vec<Decision> {
        (0..200).map(|n| decide(settings, &call(Played::Messenger, &n.to_string()), &FIRST)).collect()
    };
    assert_eq!(run(&settings), run(&settings));
    assert_ne!(run(&settings), run(&Settings { seed: 8, ..settings.clone() }));
}

#[test]
fn decisions_do_not_depend_on_the_order_of_arrival() {
    let settings = settings("10-500", &["551=0.5"], "0.2");
    let at = |number| {
        let decision = decide(&settings, &call(Played::Http, "24"), &Circumstances { number, ..FIRST });
        (decision.latency, decision.code, decision.reply)
    };
    assert_eq!(at(1), at(1_000_000));
}

#[test]
fn a_second_request_of_a_recipient_is_decided_anew() {
    let settings = settings("0", &["2=0.5"], "0");
    let failures = (0..1000).filter(|earlier| {
        let circumstances = Circumstances { earlier: *earlier, ..FIRST };
        decide(&settings, &call(Played::Messenger, "24"), &circumstances).code.is_some()
    });
    assert!((400..600).contains(&failures.count()));
}

#[test]
fn fractions_are_kept() {
    let settings = settings("0", &["551=0.1", "10/2018278=0.2", "http:500=0.05"], "0");
    assert!((850..1150).contains(&count(&settings, "551", 10_000)));
    assert!((1800..2200).contains(&count(&settings, "10/2018278", 10_000)));
    assert!((400..600).contains(&count(&settings, "http:500", 10_000)));
    let dropping = self::settings("0", &["551=1"], "0.05:before");
    assert!((400..600).contains(&count(&dropping, "drop:before", 10_000)));
    assert_eq!(count(&self::settings("0", &["551=1"], "0"), "551", 1000), 1000);
    assert_eq!(count(&self::settings("0", &["551=0"], "0"), "551", 1000), 0);
}

#[test]
fn latency_spreads_over_its_range() {
    let settings = settings("50-150", &[], "0");
    let all: Vec<u128> =
        (0..1000).map(|n| decide(&settings, &call(Played::Http, &n.to_string()), &FIRST).latency.as_millis()).collect();
    assert!(all.iter().all(|ms| (50..=150).contains(ms)));
    assert!(*all.iter().min().unwrap() < 60 && *all.iter().max().unwrap() > 140);
}

#[test]
fn above_the_rate_limit_each_provider_throttles_in_its_own_way() {
    let settings = Settings { rate_limit: 10, ..settings("0", &[], "0") };
    let at =
        |played, in_last_second| decide(&settings, &call(played, "24"), &Circumstances { in_last_second, ..FIRST });
    assert!(at(Played::Messenger, 10).accepted && at(Played::Http, 10).accepted);

    let messenger = at(Played::Messenger, 11);
    assert!(messenger.throttled && !messenger.accepted);
    let Reply::Answer(answer) = messenger.reply else { panic!("an answer") };
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, body["error"]["code"].as_i64()), (400, Some(613)));

    let http = at(Played::Http, 11);
    assert!(http.throttled && !http.accepted);
    let Reply::Answer(answer) = http.reply else { panic!("an answer") };
    assert_eq!(answer.status, 429);
    assert!(answer.headers.contains(&("retry-after", "1".into())));

    let dated = Settings { retry_after: "30:date".parse().unwrap(), ..settings };
    let limited = Circumstances { in_last_second: 11, ..FIRST };
    let Reply::Answer(answer) = decide(&dated, &call(Played::Http, "24"), &limited).reply else { panic!("an answer") };
    assert!(answer.headers.contains(&("retry-after", "Thu, 01 Jan 1970 00:00:30 GMT".into())));
}

#[test]
fn what_a_client_could_see_as_success_counts_as_accepted() {
    for (failure, accepted, status) in [
        ("551=1", false, Some(400)),
        ("4=1", false, Some(403)),
        ("2=1", false, Some(500)),
        ("http:500=1", false, Some(500)),
        ("http:204=1", true, Some(204)),
        ("garbage=1", true, Some(200)),
        ("half-body=1", true, Some(200)),
        ("huge-body=1", true, Some(200)),
        ("slow=1", true, Some(200)),
        ("redirect=1", false, Some(307)),
        ("never=1", true, None),
    ] {
        let decision = decide(&settings("0", &[failure], "0"), &call(Played::Messenger, "24"), &FIRST);
        assert_eq!((decision.accepted, decision.reply.status()), (accepted, status), "{failure}");
    }
}

#[test]
fn graph_codes_do_not_befall_a_plain_endpoint() {
    let settings = settings("0", &["551=0.5", "http:404=0.5"], "0");
    let codes: Vec<_> = (0..100).map(|n| decide(&settings, &call(Played::Http, &n.to_string()), &FIRST).code).collect();
    assert!(codes.iter().flatten().all(|code| code == "http:404") && codes.iter().any(Option::is_none));
}

#[test]
fn dropped_requests_are_accepted_only_after_being_taken() {
    let after = decide(&settings("0", &[], "1:after"), &call(Played::Messenger, "24"), &FIRST);
    assert_eq!((after.accepted, after.reply), (true, Reply::Close));
    let before = decide(&settings("0", &[], "1:before"), &call(Played::Messenger, "24"), &FIRST);
    assert_eq!((before.accepted, before.reply), (false, Reply::Close));
}

#[test]
fn a_call_without_a_token_gets_190_whatever_the_settings() {
    let refused = Call { refusal: Some(Refusal::NoToken), ..call(Played::Messenger, "24") };
    let decision = decide(&settings("0", &["551=1"], "1"), &refused, &FIRST);
    assert_eq!(decision.code.as_deref(), Some("190"));
    assert_eq!(decision.reply.status(), Some(400));
}

#[test]
fn a_quota_throttles_beyond_it_and_meta_says_how_much_is_used() {
    let quota = Some("10/60".parse().unwrap());
    let told = Settings { quota, usage: true, ..Settings::default() };
    let used = |settings: &Settings, played, in_quota| {
        let decision = decide(settings, &call(played, "24"), &Circumstances { in_quota, ..FIRST });
        let Reply::Answer(response) = decision.reply else { panic!() };
        let header = response.headers.into_iter().find(|(name, _)| *name == "x-business-use-case-usage");
        (decision.throttled, header.map(|(_, value)| value))
    };
    for played in [Played::Messenger, Played::WhatsApp] {
        let (throttled, header) = used(&told, played, 8);
        assert!(!throttled && header.unwrap().contains("\"call_count\":80"));
        let (throttled, header) = used(&told, played, 11);
        assert!(throttled && header.unwrap().contains("\"call_count\":110"));
    }
    assert_eq!(used(&told, Played::Http, 11), (true, None));
    let left = |in_quota, milliseconds| {
        let quota_opens_in = Duration::from_millis(milliseconds);
        let told = decide(&told, &call(Played::Http, "24"), &Circumstances { in_quota, quota_opens_in, ..FIRST });
        let Reply::Answer(response) = told.reply else { panic!() };
        response.headers.into_iter().find(|(name, _)| *name == "ratelimit").unwrap().1
    };
    assert_eq!(left(8, 59_001), "\"simulated\";r=2;t=60");
    assert_eq!(left(11, 3_000), "\"simulated\";r=0;t=3");
    assert_eq!(used(&Settings { usage: false, ..told }, Played::Messenger, 8), (false, None));
}
