//! Promise: whatever the org or the network does to a request, no call is lost, doubled or put on the wrong person.

use std::sync::Arc;
use std::time::Duration;

use trunkline::clock::SystemClock;
use trunkline::engine::{Days, RunSummary};
use trunkline::sim::salesforce::{Fault, FaultKind};
use trunkline::sim::sessions::{Plan, write_rewrites};

use crate::support::network::{LateNetwork, Loss};
use crate::support::oracle::Oracle;
use crate::support::session::session;
use crate::support::world::{DAY, KeyField, Seeded, World};

const BOTH: [KeyField; 2] = [KeyField::There, KeyField::Missing];
/// Nightly runs that may be needed until everything is there.
const RUNS_MAX: usize = 8;

fn plan(seed: u64) -> Plan {
    Plan { rewritten_of_1000: 500, ..Plan::new(seed, DAY, 60) }
}

/// Runs until nothing waits, as the nights pass.
async fn sync_to_the_end(world: &World) -> RunSummary {
    for _ in 0..RUNS_MAX {
        let summary = world.sync().await;
        if summary.delivery.waiting == 0 && summary.intake.stopped.is_none() {
            return summary;
        }
        world.clock.advance(Duration::from_secs(24 * 3600));
    }
    panic!("after {RUNS_MAX} nights calls still wait");
}

/// A first delivery and then updates of half of it, both under the faults that `add` puts in.
async fn under(key_field: KeyField, seed: u64, what: &str, add: impl Fn(&World)) -> World {
    let world = World::new(key_field).await;
    let plan = plan(seed);
    let seeded: Seeded = world.plan(&plan);
    add(&world);
    sync_to_the_end(&world).await;
    Oracle::of(&world, key_field, &plan, &seeded).holds_after(&format!("{what}, {key_field:?}, seed {seed}, creating"));
    world.org.clear_faults();
    write_rewrites(&world.sessions(), &plan).expect("a writable folder");
    add(&world);
    sync_to_the_end(&world).await;
    let oracle = Oracle::of(&world, key_field, &plan, &seeded).expect(plan.rewrites(), &seeded);
    oracle.holds_after(&format!("{what}, {key_field:?}, seed {seed}, updating"));
    world
}

async fn writes_meet(kinds: &[FaultKind]) {
    for kind in kinds {
        for (key_field, seed) in BOTH.into_iter().zip(100..) {
            println!("{} with the key field {key_field:?}, seed {seed}", kind.name());
            let times = if matches!(kind, FaultKind::LockRow | FaultKind::FailRow) { 40 } else { 2 };
            let world = under(key_field, seed, kind.name(), |world| {
                world.fault(Fault::new(*kind).times(times).on_path("/composite/sobjects").delay_ms(20));
            })
            .await;
            let met = world.met(*kind);
            // A slow answer is waited for, so each phase may have only one.
            assert!(met > times || (*kind == FaultKind::Slow && met == 2), "{} was met {met} times only", kind.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_took_effect_but_got_no_answer_is_not_repeated() {
    writes_meet(&[FaultKind::DropAfterCommit, FaultKind::TruncateBody, FaultKind::HangAfterCommit]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_took_effect_but_was_answered_with_a_server_error_is_not_repeated() {
    use FaultKind::{BadGatewayAfterCommit, ServerErrorAfterCommit, UnavailableAfterCommit};
    writes_meet(&[UnavailableAfterCommit, BadGatewayAfterCommit, ServerErrorAfterCommit]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_failed_before_it_took_effect_is_made_again() {
    use FaultKind::{BadGatewayBeforeCommit, DropBeforeCommit, ServerErrorBeforeCommit, UnavailableBeforeCommit};
    writes_meet(&[DropBeforeCommit, UnavailableBeforeCommit, BadGatewayBeforeCommit, ServerErrorBeforeCommit]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_lost_sessions_delay_a_write_and_nothing_else() {
    use FaultKind::{ConcurrentLimit, ExpireSession, RequestLimit, Slow};
    writes_meet(&[RequestLimit, ConcurrentLimit, ExpireSession, Slow]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_fail_for_a_moment_do_not_take_their_neighbours_with_them() {
    writes_meet(&[FaultKind::LockRow, FaultKind::FailRow]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_expires_between_any_two_requests_is_renewed() {
    for key_field in BOTH {
        let world = under(key_field, 31, "sessions expire", |world| {
            world.fault(Fault::new(FaultKind::ExpireSession).probability(0.5).times(6));
        })
        .await;
        assert!(world.met(FaultKind::ExpireSession) >= 4, "sessions expired too rarely");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_all_faults_at_once_loses_and_doubles_nothing() {
    use FaultKind::*;
    let kinds = [
        DropBeforeCommit,
        DropAfterCommit,
        UnavailableBeforeCommit,
        UnavailableAfterCommit,
        BadGatewayBeforeCommit,
        BadGatewayAfterCommit,
        ServerErrorBeforeCommit,
        ServerErrorAfterCommit,
        ConcurrentLimit,
        ExpireSession,
        TruncateBody,
        LockRow,
        FailRow,
    ];
    let mut met = vec![0; kinds.len()];
    for seed in 0..5 {
        for key_field in BOTH {
            println!("seed {seed}, key field {key_field:?}");
            let world = under(key_field, seed, "storm", |world| {
                for kind in kinds {
                    world.fault(Fault::new(kind).probability(0.15).times(3));
                }
            })
            .await;
            kinds.iter().zip(&mut met).for_each(|(kind, met)| *met += world.met(*kind));
        }
    }
    for (kind, met) in kinds.iter().zip(met) {
        assert!(met > 3, "{} was met {met} times only", kind.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_revisions_with_unknown_outcome_the_newer_is_what_stays() {
    for key_field in BOTH {
        // No patience: a run ends with the first outcome that it does not know.
        let world = World::new(key_field).await.configure("[delivery]\npatience_s = 0");
        let plan = Plan { rewritten_of_1000: 1000, ..Plan::new(77, DAY, 30) };
        let seeded = world.plan(&plan);
        world.fault(Fault::new(FaultKind::DropAfterCommit).times(1).on_path("/composite/sobjects"));
        assert!(world.sync().await.delivery.waiting > 0);
        write_rewrites(&world.sessions(), &plan).expect("a writable folder");
        world.clock.advance(Duration::from_secs(3600));
        world.fault(Fault::new(FaultKind::UnavailableBeforeCommit).times(1).on_path("/composite/sobjects"));
        world.sync().await;
        assert_eq!((world.met(FaultKind::DropAfterCommit), world.met(FaultKind::UnavailableBeforeCommit)), (1, 1));
        world.clock.advance(Duration::from_secs(3600));
        sync_to_the_end(&world).await;
        Oracle::new(&world, key_field).expect(plan.rewrites(), &seeded).holds_after(&format!("{key_field:?}"));
    }
}

/// 450 calls of one person: three requests, one after the other.
async fn three_requests(world: &World) {
    world.contact("ada@example.com");
    for index in 0..450 {
        world.put(
            &format!("{index}.json"),
            &session(&format!("s{index}"), "ada@example.com", "2026-11-20T09:00:00", 60),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_field_a_write_that_is_cut_off_and_arrives_late_is_waited_for() {
    for lost_write in [1, 3] {
        let world = World::new(KeyField::Missing).await.configure("[delivery]\nrequests_in_flight = 1");
        three_requests(&world).await;
        let late = Duration::from_secs(29);
        let network = Arc::new(LateNetwork::new(world.clock.clone(), Loss::Cut, lost_write, late));
        world.sync_over(network.clone()).await;
        network.deliver_late(true).await;
        assert_eq!(world.tasks().len(), 450, "write {lost_write} was lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_field_a_write_of_a_killed_process_that_arrives_late_is_waited_for() {
    for lost_write in [1, 3] {
        let world = Arc::new(World::new(KeyField::Missing).await.configure("[delivery]\nrequests_in_flight = 1"));
        three_requests(&world).await;
        let late = Duration::from_secs(29);
        let network = Arc::new(LateNetwork::new(world.clock.clone(), Loss::Silence, lost_write, late));
        let (runs, over) = (world.clone(), network.clone());
        let first = tokio::spawn(async move { runs.sync_over(over).await });
        network.lost.notified().await;
        first.abort();
        assert!(first.await.is_err_and(|error| error.is_cancelled()), "the first process was to be killed");
        world.sync_over(network.clone()).await;
        network.deliver_late(true).await;
        assert_eq!(world.tasks().len(), 450, "write {lost_write} was lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_that_is_made_late_is_waited_for_and_not_made_twice() {
    for loss in [Loss::Cut, Loss::Silence] {
        let world = Arc::new(World::new(KeyField::There).await.configure("[salesforce]\nno_match = \"create_lead\""));
        for id in ["one", "two"] {
            world.put(&format!("{id}.json"), &session(id, "new@example.com", "2026-11-20T09:00:00", 60));
        }
        let network = Arc::new(LateNetwork::new(world.clock.clone(), loss, 1, Duration::from_secs(29)));
        if loss == Loss::Silence {
            let (runs, over) = (world.clone(), network.clone());
            let first = tokio::spawn(async move { runs.sync_over(over).await });
            network.lost.notified().await;
            first.abort();
            assert!(first.await.is_err_and(|error| error.is_cancelled()), "the first process was to be killed");
        }
        world.sync_over(network.clone()).await;
        network.deliver_late(true).await;
        assert_eq!(world.org.records("Lead").len(), 1, "{loss:?}");
        assert_eq!(world.tasks().len(), 2, "{loss:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_org_on_a_real_clock_gets_each_call_once() {
    for key_field in BOTH {
        let world = World::new(key_field).await.configure("[delivery]\nsettle_s = 1");
        let plan = plan(5);
        let seeded = world.plan(&plan);
        world.set(|settings| settings.latency_ms = 20);
        world.fault(Fault::new(FaultKind::SlowCommit).probability(0.3).times(4).delay_ms(150));
        world.fault(Fault::new(FaultKind::HangAfterCommit).times(1).on_path("/composite/sobjects").delay_ms(100));
        let days = Days { from: DAY, to: DAY };
        let summary = world.sync_as(Arc::new(SystemClock), days).await;
        assert_eq!(summary.delivery.waiting, 0, "{:?}", summary.delivery);
        assert_eq!(world.met(FaultKind::HangAfterCommit), 1);
        Oracle::of(&world, key_field, &plan, &seeded).holds_after(&format!("{key_field:?}"));
    }
}
