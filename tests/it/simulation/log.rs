//! What a process commits that follows one whose sync failed.

use std::rc::Rc;

use jiff::tz::TimeZone;
use trunkline::proof::{self, Hooks, Protection, Step};
use trunkline::store::sqlite::SqliteStore;
use trunkline::store::{DeliveryFilter, IntakeStore, ReadStore};

use super::disk::{self, Blow};
use crate::store::{CRM, item, open};

/// Puts stores on the simulated disk, and does nothing else.
struct OnDisk;

impl Hooks for OnDisk {
    fn reached(&self, _: &'static str, _: Step) {}

    fn is_off(&self, _: Protection) -> bool {
        false
    }

    fn yields(&self) -> u32 {
        0
    }

    fn vfs(&self) -> Option<&'static str> {
        Some(disk::names()[0])
    }
}

/// Whether the call was acknowledged.
async fn takes(store: &SqliteStore, id: &str) -> bool {
    store.ingest("sessions", &[CRM.to_owned()], &TimeZone::UTC, vec![item(id, 100, 1.0, 1)], 0).await.is_ok()
}

#[tokio::test]
async fn what_is_committed_after_a_sync_that_failed_survives_a_loss_of_power() {
    const RUNS: u64 = 200;
    let (mut lost, mut failed) = (Vec::new(), 0);
    for seed in 0..RUNS {
        disk::format(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let _entered = proof::enter(Rc::new(OnDisk));
        disk::with(|disk| disk.begin(0));
        let store = open(folder.path(), "first");
        assert!(takes(&store, "before").await);
        // One of the next steps fails: a write, or the sync behind it.
        disk::with(|disk| disk.blow = Some((disk.steps() + 1 + seed, 0, Blow::Error)));
        for number in 0..20 {
            if !takes(&store, &format!("during {number}")).await {
                failed += 1;
                break;
            }
        }
        // As a process that is killed: nothing is tidied up.
        disk::with(|disk| disk.kill(0));
        drop(store);
        disk::with(|disk| disk.begin(0));
        let store = open(folder.path(), "second");
        assert!(takes(&store, "after").await);
        disk::with(|disk| disk.lose_power());
        drop(store);
        disk::with(|disk| disk.begin(0));
        let rows = open(folder.path(), "third").deliveries(&DeliveryFilter::default()).await.expect("a whole ledger");
        if ["before", "after"].iter().any(|id| !rows.iter().any(|row| row.source_id == *id)) {
            lost.push(seed);
        }
    }
    assert!(failed > RUNS / 2, "{failed} of {RUNS} processes met the error");
    assert_eq!(lost, [0; 0], "seeds that lost what was acknowledged");
}
