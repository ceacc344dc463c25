//! The examples that do different things at different hours, as they are written, at whatever hour it is.

use std::process::Command;
use std::time::Duration;

use herald::simulator::record;
use serde_json::{Value, json};

use super::examples::{PATIENCE, Played, ended, ledger, root, run_at, start_at};
use super::receiver::Receiver;
use super::run_support::Running;

/// Waits until standard error says this, and ends it as a terminal that is closed does.
async fn stopped_at(mut running: Running, said: &str, address: std::net::SocketAddr) -> (i32, Value, Value) {
    tokio::task::block_in_place(|| running.await_said(said));
    running.signal("TERM");
    ended(running, address).await
}

/// Night or Sunday by the clock of a zone: what the comment of examples/quiet-hours.yaml promises, read from a calendar.
fn is_quiet(zone: &str, now: jiff::Timestamp) -> bool {
    let there = now.in_tz(zone).unwrap();
    is_night(zone, now) || there.weekday() == jiff::civil::Weekday::Sunday
}

fn is_night(zone: &str, now: jiff::Timestamp) -> bool {
    !(8..21).contains(&now.in_tz(zone).unwrap().hour())
}

fn now() -> jiff::Timestamp {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    jiff::Timestamp::from_second(since.as_secs() as i64).unwrap()
}

/// Everything changes with the hour, so one that is almost over is waited out.
async fn within_an_hour() -> jiff::Timestamp {
    let left = 3_600 - now().as_second() % 3_600;
    if left < PATIENCE.as_secs() as i64 {
        tokio::time::sleep(Duration::from_secs(left as u64 + 1)).await;
    }
    now()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_quiet_hours_reaches_those_by_whose_clocks_it_is_day_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("record.ndjson");
    let played = Played::start(&["--record", file.to_str().unwrap()]).await;
    let now = within_an_hour().await;
    let people = [("24005550001", "Europe/Berlin"), ("24005550002", "America/New_York"), ("24005550003", "Asia/Tokyo")];
    let awake: Vec<&str> = people.into_iter().filter(|(_, zone)| !is_quiet(zone, now)).map(|(id, _)| id).collect();
    let running = start_at(&folder, played.address, "quiet-hours.yaml", &[]);
    let (code, status, _) = if awake.len() == people.len() {
        ended(running, played.address).await
    } else {
        stopped_at(running, &format!("good-news: {}/3 quiet hours, goes on in", awake.len()), played.address).await
    };
    let mut reached: Vec<String> = record::read(&file).unwrap().iter().map(|line| line.recipient.to_string()).collect();
    reached.sort();
    assert_eq!(reached, awake, "{status}");
    let recipients = &status["recipients"];
    let (sent, waiting) = (awake.len(), people.len() - awake.len());
    assert_eq!((&recipients["sent"], &recipients["pending"]), (&sent.into(), &waiting.into()), "{status}");
    assert_eq!(code, if waiting == 0 { 0 } else { 3 });
    played.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheduled_example_waits_for_its_start_and_waits_on_when_it_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let played = Played::start(&[]).await;
    for _ in 0..2 {
        let running = start_at(&folder, played.address, "scheduled.yaml", &[]);
        let (code, status, counted) = stopped_at(running, "new-year: 0/2 starts in", played.address).await;
        assert_eq!((code, &status["state"]), (3, &"Scheduled".into()), "{status}");
        assert_eq!((&status["recipients"]["pending"], &counted["requests"]), (&2.into(), &0.into()), "{status}");
    }
    played.end().await;
}

/// What has become of the campaign, whose simulator and endpoint were used by nothing else.
async fn the_campaign_is_delivered(
    folder: &tempfile::TempDir,
    (code, status, counted): (i32, Value, Value),
    shop: &Receiver,
) {
    let recipients = &status["recipients"];
    assert_eq!((code, &status["plan"]["excluded"], &recipients["planned"]), (0, &3.into(), &500.into()), "{status}");
    assert_eq!((&recipients["sent"], &recipients["skipped"]), (&498.into(), &2.into()), "{status}");
    assert_eq!(status["reasons"][0], json!({"outcome": "Skipped", "reason": "OptedOut", "count": 2}));
    // A text and a picture each.
    assert_eq!((&counted["recipients_accepted"], &counted["accepted"]), (&498.into(), &996.into()));
    assert_eq!(counted["accepted_twice"], 0);
    assert_eq!(shop.events(), ["BroadcastFinished", "BroadcastStarted"]);
    assert!(shop.told().iter().all(|told| told.is_signed_by("whsec_bm90IGEgc2VjcmV0LCBqdXN0IGFuIGV4YW1wbGU=")));

    let herald = |words: &[&str]| {
        let file = folder.path().join("campaign.yaml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
        command.args(words).args(["-f", file.to_str().unwrap(), "--ledger", &ledger(folder)]).current_dir(root());
        tokio::task::block_in_place(|| Running::spawn(&mut command, None).wait()).exits(0).stdout
    };
    let tagged = herald(&["contacts", "export", "--tag", "summer-2026", "--channel", "acme-page"]);
    assert_eq!(tagged.lines().count(), 1 + 498);
    let page = herald(&["report", "-o", "html"]);
    assert!(page.contains("default/summer-collection") && page.matches("<svg").count() == 5, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_campaign_as_it_is_written_waits_at_night_and_reaches_its_first_part_by_day() {
    let (folder, shop, played) = (tempfile::tempdir().unwrap(), Receiver::start(|_, _| 200), Played::start(&[]).await);
    let night = is_night("Europe/Berlin", within_an_hour().await);
    let endpoint = [("127.0.0.1:8092", shop.url.trim_start_matches("http://"))];
    let running = start_at(&folder, played.address, "campaign.yaml", &endpoint);
    if night {
        let (code, status, counted) = stopped_at(running, "quiet hours, goes on in", played.address).await;
        assert_eq!((code, &status["recipients"]["pending"], &counted["accepted"]), (3, &498.into(), &0.into()));
    } else {
        the_campaign_is_delivered(&folder, ended(running, played.address).await, &shop).await;
    }
    played.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_campaign_goes_on_in_the_morning_with_all_that_has_waited() {
    let (folder, shop, played) = (tempfile::tempdir().unwrap(), Receiver::start(|_, _| 200), Played::start(&[]).await);
    let hour = now().as_second() / 3_600 % 24;
    let quiet = |from: i64, to: i64| {
        format!("{{start: \"{:02}:00\", end: \"{:02}:00\", timeZone: UTC}}", (hour + from) % 24, (hour + to) % 24)
    };
    let shop_address = shop.url.trim_start_matches("http://");
    let written = "{start: \"21:00\", end: \"08:00\", timeZone: Europe/Berlin}";
    let (night, day) = (quiet(23, 10), quiet(8, 16));
    let others = |hours| [("127.0.0.1:8092", shop_address), (written, hours)];
    let running = start_at(&folder, played.address, "campaign.yaml", &others(night.as_str()));
    let (code, status, counted) = stopped_at(running, "quiet hours, goes on in", played.address).await;
    assert_eq!((code, &status["recipients"]["pending"], &counted["accepted"]), (3, &498.into(), &0.into()));
    let ran = run_at(&folder, played.address, "campaign.yaml", &others(day.as_str())).await;
    the_campaign_is_delivered(&folder, ran, &shop).await;
    played.end().await;
}
