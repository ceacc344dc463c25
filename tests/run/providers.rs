//! `herald run` through each provider that the simulator plays, end to end: sent, failed, throttled, wrong credentials.

use serde_json::Value;

use super::run_support::audience_server::{AudienceServer, Reply};
use super::run_support::{Finished, Running, Stage};

/// A channel of one provider, whom it reaches, and how it errs.
struct Case {
    /// The member with its fields; `BASE` stands for the simulator.
    member: &'static str,
    /// The Secret; its values hold the word canary.
    secret: &'static str,
    recipients: [&'static str; 3],
    /// Lines of the content beside the text.
    content: &'static str,
    /// A code that fails one person, its reason, and one that stops the account.
    failure: (&'static str, &'static str),
    credentials: &'static str,
    /// The account, as the simulator knows it.
    account: &'static str,
    /// Whether the provider takes a correlation value.
    correlates: bool,
    /// Whether it takes attachments with the text.
    together: bool,
}

const TELEGRAM: Case = Case {
    member: r#"telegram: {botID: "123456789", baseURL: "BASE"}"#,
    secret: r#"botToken: "123456789:canary-5f1c""#,
    recipients: ["987654321", "-1001234567890", "@acme_news"],
    content: "    telegram: {parseMode: MarkdownV2, disableNotification: true}\n",
    failure: ("403/blocked by the user", "BotBlocked"),
    credentials: "401",
    account: "123456789",
    correlates: false,
    together: false,
};

const MESSENGER: Case = Case {
    member: r#"messenger: {pageID: "1029384756", baseURL: "BASE"}"#,
    secret: r#"accessToken: "EAAB-canary-5f1c""#,
    recipients: ["24005550001", "24005550002", "24005550003"],
    content: "    messenger: {template: {name: order, language: en, parameters: [{text: Ana}]}}\n",
    failure: ("551", "PersonUnavailable"),
    credentials: "190",
    account: "1029384756",
    correlates: true,
    together: false,
};

const WHATSAPP: Case = Case {
    member: r#"whatsapp: {phoneNumberID: "106540352242922", baseURL: "BASE"}"#,
    secret: r#"accessToken: "EAAB-canary-5f1c""#,
    recipients: ["+16505551234", "+4915112345678", "US.13491208655302741918"],
    content: r#"    whatsapp: {template: {name: order, language: en, components: [
      {type: Header, parameters: [{image: {url: "https://a.example/{{ who | default('all') }}.png"}}]},
      {type: Body, parameters: [{text: A}, {currency: {amount: "12.99", code: EUR, fallback: "12.99 EUR"}}, {dateTime: "Monday"}]},
      {type: Button, subType: QuickReply, index: 0, parameters: [{payload: stop}]},
      {type: Button, subType: CopyCode, index: 1, parameters: [{couponCode: 25OFF}]}]}}
"#,
    failure: ("131026", "Undeliverable"),
    credentials: "190",
    account: "106540352242922",
    correlates: true,
    together: false,
};

const SLACK: Case = Case {
    member: r#"slack: {teamID: T0123ABCD, baseURL: "BASE"}"#,
    secret: r#"botToken: "xoxb-canary-5f1c""#,
    recipients: ["C123ABC456", "D0LAN2Q65", "U2CERLKJA"],
    content: "    slack: {blocks: \"- type: divider\", unfurlLinks: false}\n",
    failure: ("is_archived", "ChannelArchived"),
    credentials: "invalid_auth",
    account: "workspace",
    correlates: true,
    together: true,
};

const TWILIO: Case = Case {
    member: r#"twilio: {accountSID: AC00000000000000000000000000000001, from: "+15005550006", baseURL: "BASE"}"#,
    secret: "apiKeySID: SK-canary-5f1c\n  apiKeySecret: canary-5f1c",
    recipients: ["+14255550100", "+14255550101", "whatsapp:+14255550102"],
    content: "",
    failure: ("21610", "OptedOut"),
    credentials: "20003",
    account: "AC00000000000000000000000000000001/+15005550006",
    correlates: false,
    together: true,
};

const HTTP: Case = Case {
    member: r#"http: {url: "BASE/v1/to/{{ id }}/send?key={{ secret.key }}", method: PUT, headers: [{name: Authorization, value: "Bearer {{ secret.key }}"}, {name: X-Id, value: "{{ message_id }} {{ secret.key }}"}], body: '{"text": {{ text }}, "attachments": {{ attachments }}, "key": {{ secret.key }}}', response: {messageIDPointer: /id, errorCodePointer: /error/code, errorMessagePointer: /error/message, codes: [{code: opted_out, class: OptedOut}, {code: bad_key, class: Auth}]}}"#,
    secret: "key: canary-5f1c",
    recipients: ["+1 415/5550100?", "7001", "ana@example.com"],
    content: "",
    failure: ("error:opted_out", "ErrorCode"),
    credentials: "error:bad_key",
    account: "/v1/to",
    correlates: true,
    together: true,
};

impl Case {
    fn stage(&self, flags: &[&str]) -> Stage {
        let text = if self.content.contains("template:") { "" } else { "    text: Hello\n" };
        self.stage_saying(flags, &format!("{text}{}", self.content))
    }

    fn stage_saying(&self, flags: &[&str], content: &str) -> Stage {
        let stage = Stage::open(flags);
        let recipients: Vec<String> = self.recipients.iter().map(|id| format!("{{id: \"{id}\"}}")).collect();
        let document = format!(
            "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: channel}}\nspec:\n  {}\n  \
             credentialsSecretRef: {{name: channel}}\n  rate: {{messages: 20}}\n---\napiVersion: v1\nkind: \
             Secret\nmetadata: {{name: channel}}\nstringData:\n  {}\n---\napiVersion: herald.dev/v1alpha1\nkind: \
             BroadcastMessage\nmetadata: {{name: sale}}\nspec:\n  channelRef: {{name: channel}}\n  audience: \
             {{recipients: [{}]}}\n  content:\n{content}",
            self.member.replace("BASE", &stage.base_url),
            self.secret,
            recipients.join(", "),
        );
        stage.write("run.yaml", document);
        stage
    }

    /// Runs with everything logged, and finds no secret in anything that was said.
    fn run(&self, stage: &Stage) -> (Finished, Value) {
        let mut herald = stage.herald(&["run", "-f", "run.yaml", "--ledger", "sqlite:ledger.sqlite", "-o", "json"]);
        herald.env("HERALD_LOG", "trace");
        let finished = Running::spawn(&mut herald, None).wait();
        for file in ["ledger.sqlite", "ledger.sqlite-wal", "record.ndjson"] {
            let bytes = std::fs::read(stage.path(file)).unwrap_or_default();
            assert!(!bytes.windows(6).any(|window| window == b"canary"), "a secret is in {file}");
        }
        for (name, said) in [("stdout", &finished.stdout), ("stderr", &finished.stderr)] {
            let line = said.lines().find(|line| line.contains("canary"));
            assert!(line.is_none(), "a secret is in {name}: {line:?}");
        }
        let status = finished.json().first().map(|line| line["status"].clone()).unwrap_or_default();
        (finished, status)
    }

    fn check(&self) {
        self.sends();
        self.fails();
        self.waits();
        self.stops();
        self.attaches();
    }

    fn sends(&self) {
        let stage = self.stage(&[]);
        let (finished, status) = self.run(&stage);
        finished.exits(0);
        assert_eq!(status["recipients"]["sent"], 3, "{status}");
        let mut recipients = self.recipients.map(str::to_owned).to_vec();
        recipients.sort();
        assert_eq!(stage.accepted(), recipients);
        for line in stage.requests() {
            assert_eq!((&*line.account, line.correlation.is_some()), (self.account, self.correlates), "{line:?}");
        }
    }

    /// Text and pictures come once, in their order, in as many requests as the provider takes them in.
    fn attaches(&self) {
        let names = ["/1.png", "/2.png"];
        let files = AudienceServer::start(|_| Reply::file("image/png", "a picture"));
        let pictures = names.map(|name| format!("{{type: Image, url: \"{}{name}\"}}", files.url)).join(", ");
        let stage = self.stage_saying(&[], &format!("    text: Hello\n    attachments: [{pictures}]\n"));
        let (finished, status) = self.run(&stage);
        finished.exits(0);
        assert_eq!(status["recipients"]["sent"], 3, "{status}");
        // Some are given the link, and some the file of that name.
        let picture = |line: &str| names.iter().position(|name| line.ends_with(&name[1..])).unwrap();
        for recipient in self.recipients {
            let requests = stage.requests();
            let own = requests.iter().filter(|line| line.recipient == recipient);
            let came: Vec<(&str, Vec<usize>)> =
                own.map(|line| (&*line.text, line.attachments.iter().map(|line| picture(line)).collect())).collect();
            let expected: &[(&str, &[usize])] = match self.together {
                true => &[("Hello", &[0, 1])],
                false => &[("Hello", &[]), ("", &[0]), ("", &[1])],
            };
            assert!(
                came.iter().map(|(text, pictures)| (*text, &pictures[..])).eq(expected.iter().copied()),
                "{came:?}"
            );
        }
    }

    fn fails(&self) {
        let (code, reason) = self.failure;
        let stage = self.stage(&["--fail", &format!("{code}=1")]);
        let (finished, status) = self.run(&stage);
        finished.exits(2);
        let failed = &status["reasons"][0];
        assert_eq!(
            (&failed["outcome"], &failed["reason"], &failed["count"]),
            (&"Failed".into(), &reason.into(), &3.into())
        );
    }

    fn waits(&self) {
        let stage = self.stage(&["--rate-limit", "1"]);
        let (finished, status) = self.run(&stage);
        finished.exits(0);
        assert_eq!(status["recipients"]["sent"], 3, "{status}");
        let throttled = stage.requests().iter().filter(|line| !line.accepted).count();
        assert!(throttled > 0, "nobody was throttled");
        assert_eq!(stage.accepted().len(), 3);
    }

    fn stops(&self) {
        let stage = self.stage(&["--fail", &format!("{}=1", self.credentials)]);
        let (finished, status) = self.run(&stage);
        finished.exits(4);
        assert_eq!(status["recipients"]["pending"], 3, "{status}");
    }
}

#[test]
fn messenger_is_sent_to_and_errs_in_its_own_words() {
    MESSENGER.check();
}

#[test]
fn whatsapp_is_sent_to_and_errs_in_its_own_words() {
    WHATSAPP.check();
}

#[test]
fn slack_is_sent_to_and_errs_in_its_own_words() {
    SLACK.check();
}

#[test]
fn twilio_is_sent_to_and_errs_in_its_own_words() {
    TWILIO.check();
}

#[test]
fn an_endpoint_is_sent_to_and_errs_as_its_channel_says() {
    HTTP.check();
}

#[test]
fn telegram_is_sent_to_and_errs_in_its_own_words() {
    TELEGRAM.check();
}

/// The same documents with another name and text: another broadcast to the same people.
fn again(stage: &Stage, name: &str) {
    let text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    stage.write("run.yaml", text.replace("{name: sale}", &format!("{{name: {name}}}")).replace("Hello", "Once more"));
}

#[test]
fn who_has_opted_out_by_an_endpoints_answer_is_skipped_by_the_next_broadcast_without_a_call() {
    let stage = HTTP.stage(&["--fail", "error:opted_out=1"]);
    let (finished, _) = HTTP.run(&stage);
    finished.exits(2);
    assert_eq!(stage.requests().len(), 3);
    stage.settings("{\"fail\": []}");
    again(&stage, "next");
    let (_, status) = HTTP.run(&stage);
    assert_eq!(stage.requests().len(), 3, "nobody is called");
    assert_eq!((&status["recipients"]["planned"], &status["recipients"]["skipped"]), (&3.into(), &3.into()));
    assert_eq!(status["reasons"][0], serde_json::json!({"outcome": "Skipped", "reason": "OptedOut", "count": 3}));
}

#[test]
fn who_is_out_of_the_window_of_a_channel_of_twilio_is_skipped_without_a_call() {
    let service = Case {
        member: r#"twilio: {accountSID: AC00000000000000000000000000000001, messagingServiceSID: MG0123456789abcdef0123456789abcdef, baseURL: "BASE"}"#,
        ..TWILIO
    };
    let stage = service.stage(&[]);
    let mut text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    for id in service.recipients {
        let long_ago = format!("{{id: \"{id}\", vars: {{last_active_time: \"2020-01-01T00:00:00Z\"}}}}");
        text = text.replace(&format!("{{id: \"{id}\"}}"), &long_ago);
    }
    stage.write("run.yaml", text);
    let (finished, status) = service.run(&stage);
    finished.exits(2);
    assert_eq!(stage.accepted(), ["+14255550100", "+14255550101"], "an SMS has no window");
    assert_eq!(status["reasons"][0], serde_json::json!({"outcome": "Skipped", "reason": "WindowClosed", "count": 1}));
}

#[test]
fn a_template_that_cannot_be_filled_in_for_one_recipient_refuses_the_plan() {
    let content = "    whatsapp: {template: {name: sale, language: en, components: [{type: Header, parameters: \
                   [{image: {url: \"{{ picture | default('https://a.example/all.png') }}\"}}]}]}}\n";
    let stage = WHATSAPP.stage_saying(&[], content);
    let text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    let id = WHATSAPP.recipients[1];
    let lacking = format!("{{id: \"{id}\", vars: {{picture: nowhere}}}}");
    stage.write("run.yaml", text.replace(&format!("{{id: \"{id}\"}}"), &lacking));
    let finished = WHATSAPP.run(&stage).0.exits(1);
    assert!(
        finished.stderr.contains("the url in the header of the template must be an absolute"),
        "{}",
        finished.stderr
    );
    assert_eq!(stage.requests().len(), 0);
}

#[test]
fn who_has_stopped_marketing_is_skipped_by_the_next_campaign_and_reached_by_what_is_none() {
    let stage = WHATSAPP.stage(&["--fail", "131050=1"]);
    let (finished, status) = WHATSAPP.run(&stage);
    finished.exits(2);
    assert_eq!((stage.requests().len(), &status["reasons"][0]["reason"]), (3, &"MarketingStopped".into()));
    stage.settings("{\"fail\": []}");
    let first = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    let other = |name: &str, template: &str| {
        let text = first.replace("{name: sale}", &format!("{{name: {name}}}"));
        stage.write("run.yaml", text.replace("{name: order,", &format!("{{name: {template},")));
        WHATSAPP.run(&stage)
    };
    let (_, status) = other("next-campaign", "spring");
    assert_eq!(stage.requests().len(), 3, "nobody is called");
    assert_eq!(status["reasons"][0], serde_json::json!({"outcome": "Skipped", "reason": "OptedOut", "count": 3}));
    let (finished, status) = other("orders", "ready, category: Utility");
    finished.exits(0);
    assert_eq!((&status["recipients"]["sent"], stage.accepted().len()), (&3.into(), 3));
}
