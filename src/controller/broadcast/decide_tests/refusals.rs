use super::world::World;
use crate::controller::broadcast::memory::{Made, Unmade};
use crate::controller::broadcast::{Action, NAME_TAKEN};

fn refuses(kind: Made, reason: &'static str, message: &str) -> Option<Unmade> {
    Some(Unmade { kind, name: String::new(), reason, message: message.to_owned(), is_refused: true })
}

fn quota() -> Option<Unmade> {
    refuses(Made::Job, "ApiForbidden", "failed to create a Job: jobs.batch is forbidden: exceeded quota")
}

fn told(world: &World) -> Option<String> {
    world.stall().map(|(reason, message)| format!("{reason}: {message}"))
}

/// Looks as often as is asked for, for so many seconds; returns how often a refused step was tried.
fn pass(world: &mut World, seconds: i64) -> usize {
    let before = world.not_made;
    let end = world.now + crate::delivery::time::Span::from_secs(seconds);
    while world.now < end {
        let again = world.look().look_again.as_secs().max(1);
        world.wait(i64::try_from(again).unwrap());
    }
    world.not_made - before
}

#[test]
fn a_job_that_the_api_server_refuses_is_told_with_its_words_and_tried_again_with_growing_waits() {
    let mut world = World::planned(10, 10);
    world.refuses = quota();
    let tried = pass(&mut world, 3_600);
    assert!((8..=24).contains(&tried), "tried {tried} times in an hour");
    let words = "no sender of Job sale-9f3a-1 starts: failed to create a Job: jobs.batch is forbidden: exceeded quota";
    assert_eq!(told(&world), Some(format!("SenderNotStarting: {words}")));

    world.refuses = None;
    pass(&mut world, 300);
    world.look();
    assert_eq!((world.jobs.len(), told(&world)), (1, None));
}

#[test]
fn after_an_edit_a_refused_job_is_tried_at_once() {
    let mut world = World::planned(10, 10);
    world.refuses = quota();
    pass(&mut world, 1_000);
    world.refuses = None;
    world.look();
    assert_eq!(world.jobs.len(), 0, "its time has not come");
    world.channel.as_mut().unwrap().metadata.generation = Some(2);
    world.look();
    assert_eq!(world.jobs.len(), 1);
}

#[test]
fn a_job_that_is_not_wanted_any_more_is_no_stall() {
    let mut world = World::planned(10, 10);
    world.refuses = quota();
    pass(&mut world, 10);
    world.snapshot.gate.suspended = true;
    world.look();
    assert_eq!(told(&world), None);
}

#[test]
fn an_operator_that_starts_anew_says_of_a_refused_job_what_was_said_before() {
    let mut world = World::planned(10, 10);
    world.refuses = quota();
    pass(&mut world, 10);
    world.memory = Default::default();
    let decision = world.decide();
    assert_eq!(decision.status, None);
    assert!(super::world::creates_job(&decision), "it is tried");
}

#[test]
fn a_taken_name_of_a_batch_is_told_while_sending_goes_on() {
    let mut world = World::planned(20, 10);
    let words = "failed to create the MessageBatch sale-00000: one of that name belongs to somebody else";
    world.refuses = refuses(Made::Batch, NAME_TAKEN, words);
    world.look();
    assert_eq!((world.not_made, world.jobs.len()), (2, 1), "each name is its own");
    world.wait(1);
    let decision = world.look();
    assert_eq!(told(&world), Some(format!("NameTaken: {words}")));
    assert!(decision.actions.iter().all(|action| matches!(action, Action::CreateBatch(_))), "the wave stays");
    world.pod("Running", Default::default());
    world.send(20);
    world.look();
    assert_eq!(told(&world), None, "it has ended");
}

#[test]
fn of_batches_that_a_quota_refuses_one_finds_out_for_all() {
    let mut world = World::planned(1_000, 10);
    world.snapshot.gate.suspended = true;
    world.refuses = refuses(Made::Batch, "ApiForbidden", "exceeded quota");
    world.look();
    let first = world.not_made;
    let tried = pass(&mut world, 3_600);
    assert!(tried <= 24, "tried {tried} times in an hour after {first}");
    assert!(told(&world).is_some_and(|told| told.starts_with("BatchRefused: MessageBatch sale-00000 is missing: ")));
    world.refuses = None;
    pass(&mut world, 600);
    assert_eq!((world.objects.len(), told(&world)), (100, None));
}

#[test]
fn what_may_pass_by_itself_is_tried_again_with_growing_waits_and_not_told() {
    let mut world = World::planned(10, 10);
    world.refuses = Some(Unmade { is_refused: false, ..quota().unwrap() });
    let tried = pass(&mut world, 3_600);
    assert!((8..=24).contains(&tried), "tried {tried} times in an hour");
    assert_eq!(told(&world), None);
}
