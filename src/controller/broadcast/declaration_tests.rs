use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::controller::broadcast::Declared;
use crate::controller::fake_cluster::FakeCluster;
use crate::delivery::gate::Closed;
use crate::delivery::time::Timestamp;
use crate::ledger::SenderLedger;
use crate::ledger::clock::ManualClock;
use crate::ledger::declaration::Told;
use crate::ledger::exchange::LEASE;
use crate::ledger::plan::MAX_DEAD_PLANNERS;
use crate::ledger::sqlite::SqliteLedger;

const PATH: &str = "/apis/herald.dev/v1alpha1/namespaces/marketing/broadcastmessages/sale";

struct World {
    clock: Arc<ManualClock>,
    ledger: SqliteLedger,
    cluster: FakeCluster,
    client: Client,
    departed: Departed,
    remembered: Remembered,
}

impl World {
    async fn new() -> World {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let ledger = SqliteLedger::in_memory(clock.clone()).await.unwrap();
        let cluster = FakeCluster::default();
        let client = cluster.client();
        World { clock, ledger, cluster, client, departed: Departed::default(), remembered: Remembered::default() }
    }

    /// The object as it stands in the cluster.
    fn stands(&self, object: &Value) {
        self.cluster.put(PATH, object.clone());
    }

    /// Declares the object as a cache has it.
    async fn declare(&self, object: &Value) -> Declared {
        self.declare_by(object, &[channel()]).await
    }

    async fn declare_by(&self, object: &Value, channels: &[MessageChannel]) -> Declared {
        let declarer = Declarer {
            ledger: &self.ledger,
            client: &self.client,
            departed: &self.departed,
            remembered: &self.remembered,
        };
        let object = serde_json::from_value(object.clone()).unwrap();
        declarer.declare(&object, wanted(&object, channels)).await.unwrap()
    }

    /// What the ledger holds after a look.
    async fn told(&self, object: &Value) -> Told {
        match self.declare(object).await {
            Declared::Known { snapshot, .. } => snapshot.told,
            Declared::Refused { reason, message } => panic!("{reason}: {message}"),
        }
    }

    /// Of everything that is declared.
    async fn revision(&self) -> i64 {
        let mut sum = 0;
        for owner in self.ledger.owners().await.unwrap() {
            sum += self.ledger.snapshot(owner.broadcast).await.unwrap().revision;
        }
        sum
    }

    async fn closed(&self, object: &Value) -> Option<Closed> {
        self.closed_by(object, &[channel()]).await
    }

    async fn closed_by(&self, object: &Value, channels: &[MessageChannel]) -> Option<Closed> {
        match self.declare_by(object, channels).await {
            Declared::Known { snapshot, .. } => snapshot.closed,
            Declared::Refused { reason, message } => panic!("{reason}: {message}"),
        }
    }

    async fn refused_by(&self, object: &Value, channels: &[MessageChannel]) -> &'static str {
        match self.declare_by(object, channels).await {
            Declared::Known { snapshot, .. } => panic!("it is declared: {:?}", snapshot.closed),
            Declared::Refused { reason, .. } => reason,
        }
    }

    /// One over whose plan senders have died.
    async fn with_one_that_failed() -> (World, Value) {
        let world = World::new().await;
        let object = object("one", None, 0);
        world.stands(&object);
        world.closed(&object).await;
        let id = world.ledger.find("one").await.unwrap().unwrap();
        for _ in 0..MAX_DEAD_PLANNERS {
            world.clock.advance(LEASE);
            world.ledger.begin_plan(id).await.unwrap();
        }
        world.clock.advance(LEASE);
        assert!(matches!(world.ledger.begin_plan(id).await, Err(LedgerError::PlanFailed)));
        assert_eq!(world.closed(&object).await, Some(Closed::Failed));
        (world, object)
    }
}

/// The object after an edit of its text.
fn edited(object: &Value, text: &str) -> Value {
    let mut object = object.clone();
    object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
    object["spec"]["content"]["text"] = json!(text);
    object
}

fn channel() -> MessageChannel {
    channel_with("page", json!({}))
}

/// One of the same account, with other members beside.
fn channel_with(name: &str, members: Value) -> MessageChannel {
    let mut spec = json!({"messenger": {"pageID": "1"}, "credentialsSecretRef": {"name": "page"}});
    spec.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "MessageChannel",
        "metadata": {"name": name, "namespace": "marketing"}, "spec": spec,
    }))
    .unwrap()
}

fn object(uid: &str, approved: Option<&str>, revision: i64) -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
        "metadata": {
            "name": "sale", "namespace": "marketing", "uid": uid, "generation": 1,
            "annotations": approved.map_or(json!({}), |value| json!({"herald.dev/approved": value})),
        },
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
        "status": {"idempotencyKey": "sale", "ledgerRevision": revision},
    })
}

#[tokio::test]
async fn a_status_that_tells_of_more_than_the_ledger_holds_closes_the_gate() {
    let world = World::new().await;
    let lost = object("one", None, 40);
    world.stands(&lost);
    assert_eq!(world.closed(&lost).await, Some(Closed::LedgerRegressed));
}

#[tokio::test]
async fn a_ledger_that_loses_commits_while_the_operator_runs_is_noticed_without_any_status() {
    let world = World::new().await;
    let unwritten = object("one", None, 0);
    world.stands(&unwritten);
    assert_eq!(world.closed(&unwritten).await, Some(Closed::NotPlanned));
    world.remembered.change("one", |kept| kept.declared.as_mut().unwrap().revision += 40);
    assert_eq!(world.closed(&unwritten).await, Some(Closed::LedgerRegressed));
}

#[tokio::test]
async fn only_an_approval_that_stands_in_the_cluster_counts() {
    let world = World::new().await;
    let (bare, approved) = (object("one", None, 40), object("one", Some("today"), 40));
    world.stands(&bare);
    world.closed(&bare).await;
    assert_eq!(world.closed(&approved).await, Some(Closed::LedgerRegressed), "taken away: only a cache has it");
    world.stands(&approved);
    assert_eq!(world.closed(&approved).await, Some(Closed::NotPlanned), "the lost plan is made anew");
}

#[tokio::test]
async fn an_operator_that_still_sees_a_deleted_object_opens_nothing() {
    let world = World::new().await;
    let (old, new) = (object("old", None, 0), object("new", None, 0));
    world.stands(&old);
    world.closed(&old).await;
    world.stands(&new);
    assert_eq!(world.closed(&new).await, Some(Closed::NotPlanned), "its owner is gone, as the cluster says");
    let other = World { remembered: Remembered::default(), departed: Departed::default(), ..world };
    assert!(matches!(other.declare(&old).await, Declared::Refused { reason: "OwnerGone", .. }));
    let id = other.ledger.find("new").await.unwrap().unwrap();
    assert_eq!(other.ledger.snapshot(id).await.unwrap().closed, Some(Closed::NotPlanned));
}

#[tokio::test]
async fn what_a_former_leader_tells_late_of_the_channel_is_corrected_at_the_next_look() {
    for old in [
        json!({"rate": {"messages": 7, "periodSeconds": 1}}),
        json!({"requestTimeoutSeconds": 7}),
        json!({"credentialsSecretRef": {"name": "replaced"}}),
        json!({"messenger": {"pageID": "2"}}),
    ] {
        let world = World::new().await;
        let sale = object("one", None, 0);
        world.stands(&sale);
        let told = world.told(&sale).await;
        let late =
            wanted(&serde_json::from_value(sale.clone()).unwrap(), &[channel_with("page", old.clone())]).unwrap();
        let overwritten = world.ledger.declare(&late).await.unwrap().told;
        assert_ne!(overwritten, told, "{old}");
        assert_eq!(world.told(&sale).await, told, "{old}");
        let revision = world.revision().await;
        world.told(&sale).await;
        assert_eq!(world.revision().await, revision, "{old}: what stands is not told again");
    }
}

#[tokio::test]
async fn channels_that_write_the_rate_of_their_account_each_in_its_way_do_not_correct_each_other() {
    let world = World::new().await;
    let channels = [
        channel_with("page", json!({"rate": {"messages": 10, "periodSeconds": 1}})),
        channel_with("other", json!({"rate": {"messages": 100, "periodSeconds": 10}})),
    ];
    let (sale, mut other) = (object("one", None, 0), object("two", None, 0));
    other["metadata"]["name"] = json!("other");
    other["spec"]["channelRef"]["name"] = json!("other");
    other["spec"]["content"]["text"] = json!("Hello");
    let mut revisions = Vec::new();
    for _ in 0..3 {
        for object in [&sale, &other] {
            assert!(matches!(world.declare_by(object, &channels).await, Declared::Known { .. }));
        }
        revisions.push(world.revision().await);
    }
    assert_eq!(revisions[1..], [revisions[0], revisions[0]]);
}

#[tokio::test]
async fn a_time_zone_that_does_not_exist_is_refused_with_its_field() {
    let world = World::new().await;
    let mut object = object("one", None, 0);
    let quiet = json!({"start": "21:00", "end": "08:00", "timeZone": "Mars/Olympus"});
    object["spec"]["schedule"] = json!({"quietHours": [quiet]});
    world.stands(&object);
    let Declared::Refused { reason, message } = world.declare(&object).await else { panic!("it is declared") };
    assert_eq!(reason, "QuietHoursInvalid");
    assert!(message.starts_with("spec.schedule.quietHours[0].timeZone: "), "{message}");
}

#[test]
fn every_channel_of_the_account_says_who_gets_nothing_and_no_other() {
    let list = |name: &str| json!({"suppression": {"sources": [{"name": name, "configMapKeyRef": {"name": "lists", "key": "ids.csv"}}]}});
    let mut elsewhere = channel_with("elsewhere", list("theirs"));
    elsewhere.spec.messenger.as_mut().unwrap().page_id = "2".to_owned();
    let channels = [channel_with("second", list("two")), elsewhere, channel_with("page", list("one"))];
    let object = serde_json::from_value(object("uid-1", None, 0)).unwrap();
    let named = |channels: &[MessageChannel]| {
        let lists = wanted(&object, channels).unwrap().orders.unwrap().suppression;
        let one = |list: SuppressionList| (list.channel.clone(), list.field(), list.source.name);
        lists.into_iter().map(one).collect::<Vec<_>>()
    };
    let field = "spec.suppression.sources[0]";
    let expected = [("page", field, "one"), ("second", field, "two")];
    let expected = expected.map(|(channel, field, name)| (channel.to_owned(), field.to_owned(), name.to_owned()));
    assert_eq!(named(&channels), expected);
    let mut turned = channels.to_vec();
    turned.reverse();
    assert_eq!(named(&turned), expected, "in whatever order a cache gives them");
}

#[tokio::test]
async fn one_that_has_failed_stays_so_while_nobody_edits_it() {
    let (world, object) = World::with_one_that_failed().await;
    for channels in [vec![], vec![channel()], vec![]] {
        assert_eq!(world.closed_by(&object, &channels).await, Some(Closed::Failed), "{}", channels.len());
    }
}

#[tokio::test]
async fn an_edit_of_one_that_has_failed_shows_its_own_refusal_and_one_that_is_taken_begins_anew() {
    let (world, object) = World::with_one_that_failed().await;
    let broken = edited(&object, "Hi {{");
    for _ in 0..2 {
        assert_eq!(world.refused_by(&broken, &[channel()]).await, TEMPLATE_INVALID);
    }
    let mended = edited(&broken, "Hi");
    assert_eq!(world.refused_by(&mended, &[]).await, CHANNEL_NOT_FOUND);
    assert_eq!(world.closed(&mended).await, Some(Closed::NotPlanned), "the channel is there again");
}

#[tokio::test]
async fn what_was_refused_for_its_channel_alone_begins_anew_as_well() {
    let (world, object) = World::with_one_that_failed().await;
    let same = edited(&object, "Hi");
    assert_eq!(world.refused_by(&same, &[]).await, CHANNEL_NOT_FOUND);
    assert_eq!(world.closed(&same).await, Some(Closed::NotPlanned));
}

#[tokio::test]
async fn a_cancel_of_one_that_has_failed_holds_though_its_edit_is_refused() {
    let (world, object) = World::with_one_that_failed().await;
    let mut broken = edited(&object, "Hi {{");
    broken["spec"]["cancel"] = json!(true);
    assert_eq!(world.closed(&broken).await, Some(Closed::Cancelled));
    let mut mended = edited(&broken, "Hi");
    mended["spec"]["cancel"] = json!(false);
    assert_eq!(world.closed(&mended).await, Some(Closed::Cancelled), "it is latched");
}
