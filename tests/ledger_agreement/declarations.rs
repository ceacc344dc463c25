//! What is declared of the two broadcasts of a case.

use herald::api::content::{Attachment, AttachmentType};
use herald::api::{
    Audience, Content, MessageChannelSpec, MessengerWriteBack, NotificationEndpoint, NotificationEvent, SecretKeyRef,
    SqlWriteBack, SuppressionSource, WriteBackTarget,
};
use herald::delivery::backoff::RetryPolicy;
use herald::delivery::pacing::NORMAL_WEIGHT;
use herald::delivery::quiet_hours::QuietHours;
use herald::delivery::rate::Rate;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::declaration::AccountKey;
use herald::ledger::{Declaration, Orders, SuppressionList, WriteBack};
use serde_json::json;

use super::model::{BATCH, MAX_TRIES, PARTS};
use super::write_backs::Named;

/// So many a second that slots never decide who is taken, not even at the brake's floor.
const RATE: u32 = 100_000;
const ENDPOINT: &str = "crm";
pub const HOOK: &str = "https://crm.example/hooks";

/// What a declaration changes.
#[derive(Clone, Debug)]
pub struct Wish {
    pub generation: i64,
    pub suspended: bool,
    pub cancelled: bool,
    pub end: Option<i64>,
    /// Which lists of people who get nothing the channels of the account name.
    pub lists: u8,
    pub named: Named,
}

pub fn account(namespace: &str) -> AccountKey {
    AccountKey {
        namespace: namespace.to_owned(),
        provider: "messenger".into(),
        account: "acme".into(),
        host: "localhost".into(),
    }
}

/// One of the two broadcasts of a namespace.
pub fn declaration(namespace: &str, which: usize, wish: &Wish) -> Declaration {
    let name = format!("{namespace}-{which}");
    Declaration {
        namespace: namespace.to_owned(),
        name: name.clone(),
        idempotency_key: name.clone(),
        owner_uid: name,
        generation: wish.generation,
        account: account(namespace),
        account_rate: Rate::new(RATE, 1),
        identity_hash: "same".into(),
        audience_hash: String::new(),
        content: content(PARTS[which]),
        orders: Some(orders(wish.lists)),
        sent_tags: Vec::new(),
        reply_window: None,
        request_timeout: Span::from_secs(2),
        rate: None,
        weight: NORMAL_WEIGHT,
        retry: RetryPolicy {
            max_tries: MAX_TRIES,
            initial_backoff: Span::ZERO,
            max_backoff: Span::ZERO,
            ..RetryPolicy::default()
        },
        key_is_given: true,
        recollection: Default::default(),
        batch_size: Some(BATCH as u32),
        plan_limit: None,
        start_at: None,
        end_at: wish.end.map(|end| Timestamp::from_secs(end) + Span::from_millis(500)),
        start_by: None,
        quiet_hours: QuietHours::default(),
        notifications: if which == 0 { vec![endpoint()] } else { Vec::new() },
        write_backs: wish.named.targets().map(|target| write_back(target, wish.named.edition)).collect(),
        suspended: wish.suspended,
        cancelled: wish.cancelled,
    }
}

/// A target as one edition of a broadcast names it.
pub fn write_back(target: WriteBackTarget, edition: u8) -> WriteBack {
    match target {
        WriteBackTarget::Messenger => {
            let labels = (0..super::write_backs::LABELS).map(|number| format!("label-{edition}-{number}")).collect();
            WriteBack::Messenger(MessengerWriteBack { labels })
        }
        WriteBackTarget::Sql => WriteBack::Sql(SqlWriteBack {
            url_secret_key_ref: SecretKeyRef { name: "crm-db".to_owned(), key: "url".to_owned() },
            statement: format!("update people set edition = {edition} where psid = :id"),
        }),
    }
}

fn orders(lists: u8) -> Orders {
    let source = json!({"name": "gone", "configMapKeyRef": {"name": format!("lists-{lists}"), "key": "ids.csv"}});
    let source: SuppressionSource = serde_json::from_value(source).unwrap();
    let channel = json!({"http": {"url": "http://localhost/acme"}, "rate": {"messages": 100}});
    let audience = json!({"recipients": [{"id": "1"}]});
    let list = SuppressionList { channel: "acme".to_owned(), index: 0, source };
    Orders {
        channel: serde_json::from_value::<MessageChannelSpec>(channel).unwrap(),
        audience: serde_json::from_value::<Audience>(audience).unwrap(),
        suppression: if lists == 0 { Vec::new() } else { vec![list] },
    }
}

fn endpoint() -> NotificationEndpoint {
    NotificationEndpoint {
        name: ENDPOINT.to_owned(),
        url: HOOK.to_owned(),
        signing_secret_key_ref: SecretKeyRef { name: "hook".to_owned(), key: "secret".to_owned() },
        events: NotificationEvent::ALL.to_vec(),
    }
}

fn content(parts: u32) -> Content {
    let picture = |number| Attachment { kind: AttachmentType::Image, url: format!("https://a.example/{number}.png") };
    Content { text: "hello".into(), attachments: (1..parts).map(picture).collect(), ..Content::default() }
}
