//! `herald run` with its ledger in PostgreSQL. The simulator's record is the judge.

use std::time::Duration;

use herald::delivery::recipient::RecipientState;
use herald::ledger::exchange::DEADLINE_GRACE;
use herald::ledger::postgres::PostgresLedger;
use herald::ledger::{DeliveryView, Inspect, Ledger};
use sqlx::{Connection, PgConnection};

use super::postgres_server::{self, Middle};
use super::run_support::{Running, Stage, broadcast, people};
use super::support::machine;

const RATE: u32 = 200;
/// Twice what is on the wire at 200 a second and 100 ms.
const UNKNOWN_PER_KILL: usize = 40;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The address goes in by the environment: other users of a machine see its arguments.
fn start(stage: &Stage, database: &str) -> Running {
    let mut command = stage.herald(&["run", "-f", "run.yaml", "-o", "json"]);
    Running::spawn(command.env("HERALD_LEDGER", database), None)
}

/// Everybody in the ledger, once its sums were checked.
fn everybody(database: &str) -> Vec<DeliveryView> {
    block_on(async {
        let ledger = PostgresLedger::open(database).await.unwrap();
        assert_eq!(ledger.audit().await.unwrap(), Vec::<String>::new());
        let broadcasts = ledger.broadcasts().await.unwrap();
        ledger.deliveries(broadcasts[0], 0, u32::MAX).await.unwrap()
    })
}

fn in_state(everybody: &[DeliveryView], state: RecipientState) -> Vec<String> {
    let mut found: Vec<String> =
        everybody.iter().filter(|row| row.state == state).map(|row| row.recipient.clone()).collect();
    found.sort();
    found
}

#[test]
fn killed_again_and_again_it_goes_on_and_only_what_was_on_the_wire_is_unknown() {
    let _machine = machine::among_few();
    const PEOPLE: u64 = 700;
    const KILLS: usize = 3;
    let stage = Stage::open(&["--latency", "100"]);
    stage.documents(RATE, &[broadcast("killed", &people(1, PEOPLE))]);
    let database = block_on(postgres_server::fresh_database());
    for kill in 1..=KILLS {
        let mut run = start(&stage, &database);
        stage.await_requests(kill * 150);
        run.child.kill().unwrap();
        run.child.wait().unwrap();
    }
    let finished = start(&stage, &database).wait();

    let everybody = everybody(&database);
    let unknown = in_state(&everybody, RecipientState::Unknown);
    finished.exits(if unknown.is_empty() { 0 } else { 2 }).says(&["ledger: postgres://herald@127.0.0.1:"]);
    assert!(unknown.len() <= KILLS * UNKNOWN_PER_KILL, "{} are unknown", unknown.len());
    let sent = in_state(&everybody, RecipientState::Sent);
    assert_eq!(sent.len() + unknown.len(), PEOPLE as usize);
    let accepted = stage.accepted();
    assert!(sent.iter().all(|recipient| accepted.binary_search(recipient).is_ok()), "I6: sent was received");
    let accounted = |recipient: &String| sent.binary_search(recipient).or(unknown.binary_search(recipient)).is_ok();
    assert!(accepted.iter().all(accounted), "whoever was messaged is sent or unknown");
}

#[test]
fn connections_that_are_cut_again_and_again_lose_nobody_and_repeat_nobody() {
    let _machine = machine::among_others();
    const PEOPLE: u64 = 500;
    let stage = Stage::open(&["--latency", "50"]);
    stage.documents(RATE, &[broadcast("cut", &people(1, PEOPLE))]);
    let database = block_on(postgres_server::fresh_database());
    let mut run = start(&stage, &database);
    stage.await_requests(20);
    let cut = block_on(async {
        let mut connection = PgConnection::connect(&postgres_server::server()).await.unwrap();
        let (_, name) = database.rsplit_once('/').unwrap();
        let mut cut = 0;
        while run.child.try_wait().unwrap().is_none() {
            let ended: Vec<bool> =
                sqlx::query_scalar("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
                    .bind(name)
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
            cut += ended.len();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        cut
    });
    run.wait().exits(0);
    assert!(cut >= 5, "only {cut} connections were cut");
    assert_eq!(in_state(&everybody(&database), RecipientState::Sent).len(), PEOPLE as usize);
    assert_eq!(stage.accepted().len(), PEOPLE as usize);
}

#[test]
fn a_server_that_cannot_be_reached_is_named_without_its_password() {
    let _machine = machine::among_others();
    let stage = Stage::open(&[]);
    stage.documents(RATE, &[broadcast("nowhere", &people(1, 3))]);
    let finished = start(&stage, "postgres://herald:hunter2@127.0.0.1:1/herald").wait();
    let finished = finished.exits(1).says(&["postgres://herald@127.0.0.1:1/herald", "check that the database runs"]);
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    assert!(stage.requests().is_empty());
}

#[test]
fn two_runs_on_one_server_share_the_rate_of_their_account() {
    let _machine = machine::among_few();
    const PEOPLE: u64 = 300;
    let stage = Stage::open(&["--latency", "20"]);
    let database = block_on(postgres_server::fresh_database());
    let of = |name: &str, first: u64| {
        stage.documents(RATE, &[broadcast(name, &people(first, PEOPLE))]);
        std::fs::copy(stage.path("run.yaml"), stage.path(&format!("{name}.yaml"))).unwrap();
        let mut command = stage.herald(&["run", "-f", &format!("{name}.yaml"), "-o", "json"]);
        // As another user: a flight journal belongs to one process at a time.
        command.env("HERALD_LEDGER", &database).env("XDG_STATE_HOME", stage.path(name));
        Running::spawn(&mut command, None)
    };
    let (one, other) = (of("one", 1), of("other", 10_000));
    one.wait().exits(0);
    other.wait().exits(0);
    assert_eq!(stage.accepted().len(), 2 * PEOPLE as usize);
    let mut times: Vec<u64> = stage.requests().iter().map(|line| line.time_ns).collect();
    times.sort_unstable();
    let in_a_second = times
        .iter()
        .enumerate()
        .map(|(index, start)| times[index..].iter().take_while(|time| **time < start + 1_000_000_000).count());
    // Twice the rate where they did not know of each other; a busy machine bunches some.
    let most = in_a_second.max().unwrap();
    assert!(most < RATE as usize * 3 / 2, "{most} in one second");
}

/// Until a run speaks to the server anew when its connections are dead: an exchange may be under way on one, and others be
/// found dead by the next.
const NOTICED_WITHIN: Duration = Duration::from_secs(40);

#[test]
fn a_server_that_is_replaced_without_a_word_is_asked_anew() {
    let _machine = machine::among_others();
    const PEOPLE: u64 = 600;
    let stage = Stage::open(&["--latency", "20"]);
    stage.documents(RATE, &[broadcast("replaced", &people(1, PEOPLE))]);
    let database = block_on(postgres_server::fresh_database());
    let middle = Middle::before(&database);
    let run = start(&stage, &middle.address);
    stage.await_requests(100);
    middle.forget();
    run.wait().exits(0);
    assert_eq!(in_state(&everybody(&database), RecipientState::Sent).len(), PEOPLE as usize);
    assert_eq!(stage.accepted().len(), PEOPLE as usize);
    let mut times: Vec<u64> = stage.requests().iter().map(|line| line.time_ns).collect();
    times.sort_unstable();
    let pauses = times.windows(2).map(|pair| Duration::from_nanos(pair[1] - pair[0]));
    let pause = pauses.max().unwrap();
    eprintln!("nobody sent for {pause:?}");
    assert!(pause < NOTICED_WITHIN, "nobody sent for {pause:?}");
}

/// Recipients in flight, and those of them whose time has run out, by the server's clock; and those unknown.
async fn standing(connection: &mut PgConnection) -> (i64, i64, i64) {
    let statement = "SELECT count(*) FILTER (WHERE state = $1), \
         count(*) FILTER (WHERE state = $1 AND deadline + $3 < extract(epoch FROM clock_timestamp()) * 1000000000), \
         count(*) FILTER (WHERE state = $2) FROM herald.delivery";
    let query = sqlx::query_as(statement)
        .bind(RecipientState::Inflight.code())
        .bind(RecipientState::Unknown.code())
        .bind(DEADLINE_GRACE.0);
    query.fetch_one(connection).await.unwrap()
}

#[test]
fn a_server_that_was_away_for_longer_than_answers_may_take_makes_nobody_unknown() {
    let _machine = machine::among_others();
    const PEOPLE: u64 = 600;
    let stage = Stage::open(&["--latency", "50"]);
    let channel = stage.channel(RATE).replace("  rate:", "  requestTimeoutSeconds: 1\n  rate:");
    stage.write("run.yaml", format!("{channel}---\n{}", broadcast("away", &people(1, PEOPLE))));
    let database = block_on(postgres_server::fresh_database());
    let middle = Middle::before(&database);
    let mut run = start(&stage, &middle.address);
    stage.await_requests(100);
    // Another process of the same ledger, whose upkeep comes before the run asks again.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let upkeep = runtime.block_on(PostgresLedger::open(&middle.address)).unwrap();
    middle.cut();
    let most_unknown = runtime.block_on(async {
        let mut connection = PgConnection::connect(&database).await.unwrap();
        assert!(upkeep.maintain().await.is_err());
        loop {
            let (in_flight, overdue, _) = standing(&mut connection).await;
            assert!(in_flight > 0, "what is answered now cannot be recorded");
            if overdue == in_flight {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        middle.pass();
        let mut most = 0;
        while run.child.try_wait().unwrap().is_none() {
            upkeep.maintain().await.unwrap();
            most = most.max(standing(&mut connection).await.2);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        most
    });
    run.wait().exits(0);
    assert_eq!(most_unknown, 0, "their answers were there, and came to be recorded before silence was believed");
    assert_eq!(in_state(&everybody(&database), RecipientState::Sent).len(), PEOPLE as usize);
    assert_eq!(stage.accepted().len(), PEOPLE as usize);
}

#[test]
fn results_are_read_while_a_run_is_at_work() {
    let _machine = machine::among_others();
    const PEOPLE: u64 = 500;
    let stage = Stage::open(&["--latency", "50"]);
    stage.documents(RATE / 4, &[broadcast("read", &people(1, PEOPLE))]);
    let database = block_on(postgres_server::fresh_database());
    let mut run = start(&stage, &database);
    stage.await_requests(20);
    let read = |stage: &Stage, outcome: &str| {
        let mut command = stage.herald(&["results", "-f", "run.yaml", "--outcome", outcome]);
        Running::spawn(command.env("HERALD_LEDGER", &database), None).wait().exits(0).stdout
    };
    let all = read(&stage, "sent,pending,unknown,failed,skipped");
    assert_eq!(all.lines().count(), PEOPLE as usize + 1);
    assert!(all.lines().any(|row| row.contains(",Pending,")), "the run had not ended");
    assert!(run.child.try_wait().unwrap().is_none(), "the run is left alone");
    run.wait().exits(0);
    assert_eq!(read(&stage, "Sent").lines().count(), PEOPLE as usize + 1);
}
