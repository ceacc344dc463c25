//! Every statement is a round trip to the server, so an exchange needs few: counted by the server itself.

use std::collections::VecDeque;
use std::sync::Arc;

use herald::api::content::AttachmentType;
use herald::delivery::outcome::{Fault, Outcome, PermanentScope};
use herald::delivery::rate::Rate;
use herald::delivery::time::{Span, Timestamp};
use herald::ledger::clock::ManualClock;
use herald::ledger::exchange::{Assignment, ExchangeReply, ExchangeRequest};
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::{Clock, Contacts, ContactsFilter, Declaration, SenderLedger};
use herald::provider::whatsapp::marketing::MARKETING_STOPPED_TAG;
use sqlx::{Connection, PgConnection};

use super::notifications::telling;
use super::parts::in_three_parts;
use super::quiet_hours::{plan_in_zones, quiet};
use super::rate_classes::with;
use super::world::*;
use super::write_backs::writing;
use crate::postgres_server::{fresh_schema, server};

/// Beside BEGIN and COMMIT.
const MOST_STATEMENTS: i64 = 8;

/// Statements that sessions of this schema have run so far. The server counts by user, so each counter has one.
pub struct Counter {
    connection: PgConnection,
    user: String,
}

impl Counter {
    pub async fn new(user: &str) -> Counter {
        let mut connection = PgConnection::connect(&server()).await.unwrap();
        for statement in [
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements".to_owned(),
            format!("CREATE ROLE {user} LOGIN SUPERUSER"),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        Counter { connection, user: user.to_owned() }
    }

    async fn read(&mut self) -> i64 {
        self.sum("calls").await
    }

    /// How many blocks they have read, from wherever.
    pub async fn blocks(&mut self) -> i64 {
        self.sum("shared_blks_hit + shared_blks_read").await
    }

    async fn sum(&mut self, figure: &'static str) -> i64 {
        let statement = format!(
            "SELECT CAST(coalesce(sum({figure}), 0) AS BIGINT) FROM pg_stat_statements \
             WHERE userid = (SELECT oid FROM pg_roles WHERE rolname = $1) \
             AND query !~* '^(begin|commit|rollback)'"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(&self.user)
            .fetch_one(&mut self.connection)
            .await
            .unwrap()
    }
}

/// A ledger that is asked by a sender, its statements counted.
struct Counted {
    world: World<PostgresLedger>,
    counter: Counter,
    exchanges: usize,
}

impl Counted {
    async fn new() -> Counted {
        let user = fresh_schema();
        let counter = Counter::new(&user).await;
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let url = server().replace("herald@", &format!("{user}@"));
        let ledger = PostgresLedger::open_in(&url, &user, Some(clock.clone())).await.unwrap();
        Counted { world: World { ledger, clock }, counter, exchanges: 0 }
    }

    async fn exchange(&mut self, request: &ExchangeRequest) -> ExchangeReply {
        let before = self.counter.read().await;
        let reply = self.world.ledger.exchange(request).await.unwrap();
        let statements = self.counter.read().await - before;
        assert!(statements > 0, "the server counts");
        assert!(statements <= MOST_STATEMENTS, "an exchange ran {statements} statements");
        self.exchanges += 1;
        reply
    }

    fn pass(&self, span: Span) {
        self.world.clock.advance(span);
    }
}

/// Groups of 25 from batches of 40: every second exchange crosses the end of a batch. With endpoints: the first exchange, each
/// that completes a batch, and the last one tell them something.
#[tokio::test]
async fn an_exchange_over_the_end_of_a_batch_runs_at_most_eight_statements() {
    let mut counted = Counted::new().await;
    let wide = Declaration { account_rate: Rate::new(100, 1), batch_size: Some(40), ..telling("wide") };
    let broadcast = counted.world.planned(&wide, 400).await;
    let mut sender = Sender::proven(&counted.world, "sender", broadcast).await;
    let (mut outcomes, mut taken) = (vec![], 0);
    loop {
        let request = sender.request(std::mem::take(&mut outcomes), 25);
        let reply = counted.exchange(&request).await;
        taken += reply.rows.len();
        outcomes = reports(&reply.rows, &accepted());
        if reply.rows.is_empty() && counted.world.clock.now() > Timestamp::from_secs(1_700_000_030) {
            break;
        }
        counted.pass(Span::from_millis(250));
    }
    assert_eq!(taken, 399, "everybody but the one that proved the sender");
    assert!(counted.exchanges > 20);
    let told = counted.world.snapshot(broadcast).await.outbox.unwrap();
    assert_eq!(told.pending, 12, "ten batches, the start and the end");
    counted.world.sums_hold().await;
}

/// Whom to try again, one in each of ten batches.
#[tokio::test]
async fn an_exchange_that_takes_from_many_batches_runs_at_most_eight_statements() {
    let mut counted = Counted::new().await;
    let scattered = Declaration { batch_size: Some(10), ..declaration("scattered") };
    let scattered = counted.world.planned(&scattered, 100).await;
    let mut sender = Sender::proven(&counted.world, "again", scattered).await;
    let (mut waiting, taken_by_provider) = (0, accepted());
    while waiting < 10 {
        let rows = sender.take(&counted.world, 25).await;
        let later = recipient_throttled(Span::from_secs(60));
        let reports = rows.iter().map(|row| report(row, if row.seq % 10 == 5 { &later } else { &taken_by_provider }));
        waiting += rows.iter().filter(|row| row.seq % 10 == 5).count();
        sender.tell(&counted.world, reports.collect()).await;
        counted.pass(Span::from_millis(250));
    }
    counted.pass(Span::from_secs(900));
    let reply = counted.exchange(&sender.request(vec![], 25)).await;
    assert_eq!(reply.rows.len(), 10, "all batches in one exchange");
}

/// The next parts of messages wait in the batch before the held one, since answers take a while.
#[tokio::test]
async fn an_exchange_about_parts_of_messages_runs_at_most_eight_statements() {
    let mut counted = Counted::new().await;
    let parts = counted.world.planned(&in_three_parts("parts"), 60).await;
    let mut sender = Sender::proven(&counted.world, "parts", parts).await;
    let (mut on_the_wire, mut taken) = (VecDeque::from([Vec::new(), Vec::new()]), 0);
    while counted.world.counts(parts).await.open() > 0 {
        let answered: Vec<Assignment> = on_the_wire.pop_front().unwrap_or_default();
        let reply = counted.exchange(&sender.request(reports(&answered, &accepted()), 8)).await;
        taken += reply.rows.len();
        on_the_wire.push_back(reply.rows);
        counted.pass(Span::from_millis(250));
    }
    assert_eq!(taken, 3 * 60 - 1, "every part but the one that proved the sender");
}

/// Films have a rate of their own, and wait in the batch before the held one.
#[tokio::test]
async fn an_exchange_about_audio_and_video_runs_at_most_eight_statements() {
    let mut counted = Counted::new().await;
    let films = counted.world.planned(&with("films", "hello", &[AttachmentType::Video]), 40).await;
    let mut sender = Sender::proven(&counted.world, "films", films).await;
    let (mut on_the_wire, mut taken) = (VecDeque::from([Vec::new(), Vec::new()]), 0);
    while counted.world.counts(films).await.open() > 0 {
        let answered: Vec<Assignment> = on_the_wire.pop_front().unwrap_or_default();
        let reply = counted.exchange(&sender.request(reports(&answered, &accepted()), 8)).await;
        taken += reply.rows.len();
        on_the_wire.push_back(reply.rows);
        counted.pass(Span::from_millis(100));
    }
    assert_eq!(taken, 2 * 40 - 1, "every part but the one that proved the sender");
}

/// Where it is quiet for some, and then for everybody.
#[tokio::test]
async fn an_exchange_in_quiet_hours_runs_at_most_eight_statements() {
    let mut counted = Counted::new().await;
    let quiet = Declaration { quiet_hours: quiet("21:00", "08:00"), ..declaration("quiet") };
    let quiet = counted.world.declare(&quiet).await.id;
    let zone = |number: usize| [None, Some("Asia/Tokyo"), Some("America/New_York")][number % 3];
    plan_in_zones(&counted.world, quiet, 60, zone).await;
    let mut sender = Sender::proven(&counted.world, "quiet", quiet).await;
    for expected in [19, 0] {
        let reply = counted.exchange(&sender.request(vec![], 25)).await;
        assert_eq!(reply.rows.len(), expected);
        sender.tell(&counted.world, reports(&reply.rows, &accepted())).await;
        counted.pass(Span::from_millis(500));
    }
}

/// Everybody is tagged, becomes a contact and is to be written elsewhere, some opt out or stop marketing, and windows are looked
/// at.
#[tokio::test]
async fn an_exchange_that_writes_contacts_and_tags_runs_at_most_eight_statements() {
    let mut counted = Counted::new().await;
    let sent_tags = vec!["spring".to_owned(), "vip".to_owned()];
    let tagging = Declaration { sent_tags, reply_window: Some(Span::from_secs(60)), ..writing("tagging") };
    let tagging = counted.world.planned(&Declaration { batch_size: Some(40), ..tagging }, 100).await;
    let mut sender = Sender::proven(&counted.world, "tagging", tagging).await;
    let refused = |scope| Outcome::Permanent { scope, fault: Fault::new("Gone", None, "") };
    let wants_no_more = refused(PermanentScope::OptedOut);
    let wants_no_marketing = refused(PermanentScope::MarketingStopped);
    let (mut told, taken_by_provider) = (vec![], accepted());
    while counted.world.snapshot(tagging).await.finished_at.is_none() {
        let reply = counted.exchange(&sender.request(std::mem::take(&mut told), 25)).await;
        let outcome = |seq: i64| match seq % 10 {
            3 => &wants_no_more,
            6 => &wants_no_marketing,
            _ => &taken_by_provider,
        };
        told = reply.rows.iter().map(|row| report(row, outcome(row.seq))).collect();
        counted.pass(Span::from_millis(250));
    }
    let snapshot = counted.world.snapshot(tagging).await;
    assert_eq!((snapshot.counts.sent, snapshot.counts.failed), (80, 20));
    assert_eq!(snapshot.write_backs[0].pending, 80);
    let account = declaration("any").account;
    let known = counted.world.ledger.contacts_page(&account, None, &ContactsFilter::default()).await.unwrap().contacts;
    let tagged = |tag: &str| known.iter().filter(|one| one.tags.contains(tag)).count();
    assert_eq!((tagged(MARKETING_STOPPED_TAG), tagged("vip")), (10, 80));
    counted.world.sums_hold().await;
}
