//! What befalls a machine and the systems around it, each kind as often as the mix of faults says.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::time::sleep;
use trunkline::sim::call_data_api;
use trunkline::sim::salesforce::{Fault, FaultKind};

use super::disk::{self, Blow};
use super::machine::{Machine, SERVE};
use super::oracle;
use super::world::{API, Class, Ill, SLOTS, World};

pub fn hear_blows(world: &Arc<World>) {
    let world = Arc::clone(world);
    let told = move |process: usize, blow: Blow| match blow {
        Blow::Kill => {
            world.count(|figures| figures.kills_within_step += 1);
            world.bells[process].notify_one();
        }
        _ => world.bells.iter().for_each(tokio::sync::Notify::notify_one),
    };
    disk::with(|disk| disk.told = Some(Box::new(told)));
}

/// What the remote systems do by themselves, each with the chance of the fault mix.
pub fn ill_remotes(world: &World) {
    if world.has(Class::DiskErrors) {
        disk::with(|disk| disk.ills.error = 0.0001);
    }
    if world.has(Class::Crm) {
        for (kind, chance) in [
            (FaultKind::UnavailableBeforeCommit, 0.01),
            (FaultKind::UnavailableAfterCommit, 0.01),
            (FaultKind::ConcurrentLimit, 0.02),
            (FaultKind::ServerErrorAfterCommit, 0.005),
            (FaultKind::BadGatewayAfterCommit, 0.005),
            (FaultKind::DropAfterCommit, 0.01),
            (FaultKind::TruncateBody, 0.005),
            (FaultKind::ExpireSession, 0.005),
        ] {
            world.org.add_fault(Fault::new(kind).probability(chance));
        }
        for (kind, status, chance) in [
            (call_data_api::FaultKind::StatusBeforeCommit, 429, 0.02),
            (call_data_api::FaultKind::StatusBeforeCommit, 503, 0.02),
            (call_data_api::FaultKind::StatusAfterCommit, 504, 0.02),
            (call_data_api::FaultKind::DropAfterCommit, 0, 0.02),
        ] {
            let mut fault = call_data_api::Fault::new(kind).probability(chance);
            fault.status = if status == 0 { fault.status } else { status };
            world.api.add_fault(fault);
        }
    }
    if world.has(Class::Rows) {
        world.org.add_fault(Fault::new(FaultKind::LockRow).probability(0.01));
        let refused = Fault::new(FaultKind::FailRow).failing_with("FIELD_CUSTOM_VALIDATION_EXCEPTION", "not today");
        world.org.add_fault(refused.probability(0.002));
    }
}

/// From here on nothing goes wrong any more.
pub fn calm(world: &World) {
    world.log(|| "[w] * the faults end".to_owned());
    world.quiet();
    world.org.clear_faults();
    world.api.clear_faults();
    disk::with(|disk| {
        disk.ills = disk::Ills::default();
        disk.blow = None;
    });
}

pub async fn power(machine: Rc<Machine>, witness: oracle::Shared) {
    if !machine.world.has(Class::PowerLoss) {
        return;
    }
    loop {
        sleep(machine.world.gap(Duration::from_secs(3600))).await;
        machine.world.count(|figures| figures.power_losses += 1);
        machine.world.log(|| "[w] * the power goes".to_owned());
        if machine.world.chance(|random| random.random_bool(0.5)) {
            // In the middle of what is written next.
            let after = machine.world.chance(|random| random.random_range(1..40));
            disk::with(|disk| disk.blow = Some((disk.steps() + after, SERVE, Blow::PowerLoss)));
        } else {
            witness.borrow_mut().look(&machine.path());
            disk::with(disk::Disk::lose_power);
            machine.world.bells.iter().for_each(tokio::sync::Notify::notify_one);
        }
    }
}

pub async fn pauses(machine: Rc<Machine>) {
    if !machine.world.has(Class::Pauses) {
        return;
    }
    loop {
        sleep(machine.world.gap(Duration::from_secs(1800))).await;
        let (slot, seconds) =
            machine.world.chance(|random| (random.random_range(0..SLOTS), random.random_range(1..900)));
        machine.world.pause(slot, Duration::from_secs(seconds));
    }
}

pub async fn clock_steps(machine: Rc<Machine>) {
    if !machine.world.has(Class::ClockSteps) {
        return;
    }
    const HOUR: i64 = 3_600_000;
    loop {
        sleep(machine.world.gap(Duration::from_secs(2 * 3600))).await;
        let by =
            machine.world.chance(|random| [0, HOUR, -HOUR, 24 * HOUR, -24 * HOUR, 90_000][random.random_range(0..6)]);
        machine.world.step_clock(by);
    }
}

pub async fn disk_full(machine: Rc<Machine>) {
    if !machine.world.has(Class::DiskFull) {
        return;
    }
    sleep(machine.world.gap(Duration::from_secs(6 * 3600))).await;
    machine.world.log(|| "[w] * the disk is full".to_owned());
    disk::with(|disk| disk.ills.full = true);
    sleep(machine.world.gap(Duration::from_secs(1800))).await;
    machine.world.log(|| "[w] * the disk has room again".to_owned());
    disk::with(|disk| disk.ills.full = false);
}

/// The call-data API is down for hours.
pub async fn outages(machine: Rc<Machine>) {
    if !machine.world.has(Class::Outage) {
        return;
    }
    sleep(machine.world.gap(Duration::from_secs(4 * 3600))).await;
    machine.world.log(|| "[w] * the call-data API is down".to_owned());
    machine.world.fall_ill(Some((API, Ill::Down)));
    sleep(Duration::from_secs(2 * 3600)).await;
    machine.world.log(|| "[w] * the call-data API is up".to_owned());
    machine.world.fall_ill(None);
}
