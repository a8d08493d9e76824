//! Promise: whatever a REST API or the network does to a request, no call is lost or doubled; where nobody can be asked
//! whether it arrived, a person is.

use std::time::Duration;

use trunkline::sim::call_data_api::LookUp;
use trunkline::sim::harness::{Fault, FaultKind, Remote};

use crate::support::rest_kits::{ForCallData, ForDynamics, ForHubSpot, ForPipedrive, ForZoho, Kit};
use crate::support::rest_world::{RestWorld, told};

/// What is certain to have had no effect and says so.
fn refusals() -> Vec<(&'static str, Fault)> {
    vec![
        ("429", Fault::refuse(429)),
        ("429 with a pause", Fault::refuse(429).retry_after(7)),
        ("425", Fault::refuse(425)),
        ("401 once", Fault::refuse(401)),
    ]
}

/// What leaves open whether it had an effect.
fn losses() -> Vec<(&'static str, Fault)> {
    vec![
        ("drop before", Fault::new(FaultKind::DropBeforeCommit)),
        ("drop after", Fault::new(FaultKind::DropAfterCommit)),
        ("500 before", Fault::refuse(500)),
        ("502 before", Fault::refuse(502)),
        ("503 before", Fault::refuse(503)),
        ("408 before", Fault::refuse(408)),
        ("500 after", Fault::commit_then(500)),
        ("502 after", Fault::commit_then(502)),
        ("503 after", Fault::commit_then(503)),
        ("504 after", Fault::commit_then(504)),
    ]
}

const CALLS: usize = 3;

fn put_calls<R: Remote>(world: &RestWorld<R>) {
    for number in 0..CALLS {
        world.put(&format!("{number}.json"), &told(&format!("s{number}"), "ada@example.com"));
    }
}

async fn ends_with_one_each<K: Kit>(world: &RestWorld<K::Remote>, what: &str) {
    let summary = world.sync_to_the_end().await;
    let mut once = K::identities(world);
    once.dedup();
    let place = format!("{}, {what}", K::NAME);
    assert_eq!((K::calls(world).len(), once.len()), (CALLS, CALLS), "{place}");
    assert!(summary.delivery.dead.is_empty(), "{place}: {:?}", summary.delivery.dead);
    let met: u64 = world.api().counters().faults.values().sum();
    assert_eq!(met, 1, "{place}: the fault was met {met} times");
    let rows = world.deliveries().await;
    assert!(rows.iter().all(|row| row.state == "delivered"), "{place}");
}

async fn is_delivered_once_after<K: Kit>(faults: Vec<(&'static str, Fault)>) {
    for (what, fault) in faults {
        let world = K::world().await;
        K::person(&world.api(), "ada@example.com");
        put_calls(&world);
        world.api().add_fault(K::on_create(fault.times(1)));
        ends_with_one_each::<K>(&world, what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_refused_for_the_moment_is_sent_again() {
    is_delivered_once_after::<ForHubSpot>(refusals()).await;
    is_delivered_once_after::<ForPipedrive>(refusals()).await;
    is_delivered_once_after::<ForZoho>(refusals()).await;
    is_delivered_once_after::<ForDynamics>(refusals()).await;
    is_delivered_once_after::<ForCallData>(refusals()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_leaves_one_record_where_the_api_refuses_doubles_or_can_be_asked() {
    is_delivered_once_after::<ForHubSpot>(losses()).await;
    is_delivered_once_after::<ForZoho>(losses()).await;
    is_delivered_once_after::<ForDynamics>(losses()).await;
    is_delivered_once_after::<ForCallData>(losses()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_is_no_answer() {
    let half = || vec![("half an answer", Fault::new(FaultKind::TruncateBody))];
    is_delivered_once_after::<ForHubSpot>(half()).await;
    is_delivered_once_after::<ForZoho>(half()).await;
    is_delivered_once_after::<ForCallData>(half()).await;
}

/// Committed, but the client had given up.
async fn silence_leaves_one<K: Kit>() {
    let world = K::world_with("timeout_s = 1").await;
    put_calls(&world);
    world.api().add_fault(K::on_create(Fault::new(FaultKind::HoldAfterCommit).times(1)));
    ends_with_one_each::<K>(&world, "silence").await;
    world.api().release();
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_after_the_record_was_made_leaves_one_record() {
    tokio::join!(
        silence_leaves_one::<ForHubSpot>(),
        silence_leaves_one::<ForZoho>(),
        silence_leaves_one::<ForDynamics>(),
        silence_leaves_one::<ForCallData>(),
    );
}

/// The first request takes effect when the second was long answered.
async fn a_late_double_is_refused<K: Kit>() {
    let world = K::world_with("timeout_s = 1").await;
    put_calls(&world);
    world.api().add_fault(K::on_create(Fault::new(FaultKind::HoldBeforeCommit).times(1)));
    ends_with_one_each::<K>(&world, "late").await;
    let before = world.api().counters().requests;
    world.api().release();
    // The late request is answered before the next one is.
    while world.api().counters().requests <= before {
        world.clock.advance(Duration::from_secs(60));
        world.put("more.json", &told("more", "ada@example.com"));
        world.sync().await;
    }
    assert_eq!(K::calls(&world).len(), CALLS + 1, "{}", K::NAME);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_effect_after_it_was_repeated_is_refused_by_the_api() {
    tokio::join!(a_late_double_is_refused::<ForHubSpot>(), a_late_double_is_refused::<ForZoho>());
    a_late_double_is_refused::<ForDynamics>().await;
}

/// Nobody can tell whether it arrived, so a person is asked; with `resend` it is sent again.
async fn asks_a_person<K: Kit>(prepare: impl Fn(&RestWorld<K::Remote>)) {
    for (what, fault) in losses() {
        let place = format!("{}, {what}", K::NAME);
        let arrived = usize::from(what.contains("after"));
        let world = K::world().await;
        prepare(&world);
        put_calls(&world);
        world.api().add_fault(K::on_create(fault.clone().times(1)));
        let summary = world.sync_to_the_end().await;
        assert_eq!(summary.delivery.dead.get("TL0702"), Some(&1), "{place}: {:?}", summary.delivery);
        assert_eq!(K::calls(&world).len(), CALLS - 1 + arrived, "{place}");
        let rows = world.deliveries().await;
        let row = rows.iter().find(|row| row.state == "dead").expect("one");
        let dead = row.problem.as_ref().expect("a reason");
        let asked = format!("{} cannot be asked whether it arrived", row.destination);
        assert!(dead.what.contains(&asked), "{place}: {}", dead.what);
        assert_eq!(world.sync_to_the_end().await.delivery.delivered, 0, "{place}: a dead letter waits");

        let world = K::world_with("lost_answer = \"resend\"").await;
        prepare(&world);
        put_calls(&world);
        world.api().add_fault(K::on_create(fault.times(1)));
        let summary = world.sync_to_the_end().await;
        assert!(summary.delivery.dead.is_empty(), "{place}: {:?}", summary.delivery);
        assert_eq!(K::calls(&world).len(), CALLS + arrived, "{place}: sent again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_be_asked_a_lost_answer_is_a_dead_letter_or_is_sent_again_as_configured() {
    asks_a_person::<ForPipedrive>(|_| ()).await;
    asks_a_person::<ForCallData>(|world| world.api().settings(|settings| settings.look_up = LookUp::NotFound)).await;
}

/// One of two dead letters may stand in the CRM; what is learnt later of both calls brings only the other one there.
async fn newer_evidence_doubles_nothing<K: Kit>(prepare: impl Fn(&RestWorld<K::Remote>)) {
    let world = K::world().await;
    prepare(&world);
    for (id, fault) in [("lost", Fault::new(FaultKind::DropAfterCommit)), ("refused", Fault::refuse(400))] {
        world.put(&format!("{id}.json"), &told(id, "ada@example.com"));
        world.api().add_fault(K::on_create(fault.times(1)));
        world.sync_to_the_end().await;
    }
    let dead = async || {
        let rows = world.deliveries().await;
        let dead = rows.into_iter().filter(|row| row.state == "dead").map(|row| (row.source_id, row.problem));
        dead.map(|(id, problem)| (id, problem.expect("a reason").code)).collect::<Vec<_>>()
    };
    assert_eq!((dead().await.len(), K::calls(&world).len()), (2, 1), "{}", K::NAME);
    for (number, use_case) in ["contracts", "renewals"].into_iter().enumerate() {
        for id in ["lost", "refused"] {
            let mut newer = told(id, "ada@example.com");
            newer["discovered_signals"]["use_case"] = use_case.into();
            world.put(&format!("{id}{number}.json"), &newer);
        }
        world.sync_to_the_end().await;
        assert_eq!(dead().await, [("lost".to_owned(), "TL0702".to_owned())], "{}", K::NAME);
        assert_eq!(K::calls(&world).len(), 2, "{}: the refused one was sent, the lost one was not", K::NAME);
    }
    world.retry().await;
    assert_eq!((dead().await.len(), K::calls(&world).len()), (0, 3), "{}: a person said so", K::NAME);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_revision_sends_no_dead_letter_of_which_nobody_can_tell_whether_it_arrived() {
    newer_evidence_doubles_nothing::<ForPipedrive>(|_| ()).await;
    newer_evidence_doubles_nothing::<ForCallData>(|world| {
        world.api().settings(|settings| settings.look_up = LookUp::NotFound);
    })
    .await;
}

/// What docs/rest.md says of servers that store a call and answer that they did not.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_stored_and_refused_is_doubled_by_a_retry_unless_it_is_looked_up_first() {
    for (more, expected) in [("", 2), ("look_up_first = true", 1)] {
        let world = ForCallData::world_with(more).await;
        world.put("a.json", &told("s1", "ada@example.com"));
        world.api().add_fault(ForCallData::on_create(Fault::commit_then(400).times(1)));
        let summary = world.sync_to_the_end().await;
        assert_eq!((summary.delivery.dead.get("TL0608"), ForCallData::calls(&world).len()), (Some(&1), 1), "{more}");
        world.retry().await;
        assert_eq!(ForCallData::calls(&world).len(), expected, "{more}");
        assert!(world.deliveries().await.iter().all(|row| row.state == "delivered"), "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_lags_behind_is_waited_for() {
    for fault in [Fault::commit_then(500), Fault::commit_then(503), Fault::new(FaultKind::DropAfterCommit)] {
        let world = ForCallData::world().await;
        world.api().settings(|settings| settings.look_up_lag_s = 25);
        put_calls(&world);
        world.api().add_fault(ForCallData::on_create(fault.times(1)));
        ends_with_one_each::<ForCallData>(&world, "a look-up that lags").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_a_person_retries_is_sent() {
    let world = ForPipedrive::world().await;
    put_calls(&world);
    world.api().add_fault(ForPipedrive::on_create(Fault::new(FaultKind::DropBeforeCommit).times(1)));
    world.sync_to_the_end().await;
    assert_eq!(ForPipedrive::calls(&world).len(), CALLS - 1);
    world.retry().await;
    assert_eq!(ForPipedrive::identities(&world).len(), CALLS);
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_questions_delays_and_nothing_else() {
    let faults = [Fault::refuse(503), Fault::refuse(429), Fault::new(FaultKind::DropBeforeCommit)];
    for fault in faults {
        let world = ForHubSpot::world().await;
        put_calls(&world);
        world.api().add_fault(fault.clone().on_path("/contacts/search").times(1));
        ends_with_one_each::<ForHubSpot>(&world, "a question").await;
        let world = ForCallData::world_with("look_up_first = true").await;
        put_calls(&world);
        world.api().add_fault(fault.on_method("GET").times(1));
        ends_with_one_each::<ForCallData>(&world, "a look-up").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_all_losses_at_once_loses_and_doubles_nothing() {
    for _ in 0..3 {
        let world = ForZoho::world().await;
        put_calls(&world);
        for (_, fault) in losses().into_iter().chain(refusals()) {
            world.api().add_fault(fault.probability(0.2).times(2));
        }
        world.sync_to_the_end().await;
        assert_eq!(ForZoho::identities(&world).len(), CALLS);
    }
}

/// Whether a record still stands is asked before it is made anew, also by those that else are asked after a lost answer alone.
async fn is_recreated_once<K: Kit>() {
    let world = K::world().await;
    put_calls(&world);
    world.sync_to_the_end().await;
    let before = K::identities(&world);
    assert_eq!(before.len(), CALLS, "{}", K::NAME);
    world.recreate().await;
    assert_eq!(K::identities(&world), before, "{}: what stands there is not doubled", K::NAME);
    assert!(world.deliveries().await.iter().all(|row| row.state == "delivered"), "{}", K::NAME);
    world.api().clear();
    world.recreate().await;
    assert_eq!(K::identities(&world), before, "{}: what was deleted is made again", K::NAME);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_to_be_made_anew_is_looked_for_first() {
    is_recreated_once::<ForCallData>().await;
    is_recreated_once::<ForHubSpot>().await;
    is_recreated_once::<ForZoho>().await;
    is_recreated_once::<ForDynamics>().await;
}

/// One that was only found there, and cannot be changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_stood_there_before_is_looked_for_as_well() {
    let world = ForCallData::world_with("look_up_first = true").await;
    put_calls(&world);
    world.sync_to_the_end().await;
    world.forget_the_ledger();
    world.sync_to_the_end().await;
    world.configure(&ForCallData::config(&world.simulator.url(), ""));
    world.recreate().await;
    assert_eq!(ForCallData::calls(&world).len(), CALLS);
}
