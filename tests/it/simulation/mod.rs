//! Whole days of the real engine in one thread, out of a seed: the same seed is the same day, to the last request.
//!
//! `scripts/simulate` runs many of them; a seed that fails is told with the shortest list of fault classes that still
//! makes it fail, and with the account of the call that went wrong.

mod bucket;
mod day;
mod disk;
mod log;
mod machine;
mod oracle;
mod run;
mod troubles;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use disk::Blow;
use run::{Plan, Report, Strike, run};
use trunkline::proof::Protection;
use world::{Class, Ill, Loss};

/// What `scripts/simulate` asks for, by environment.
struct Asked {
    first: u64,
    seeds: u64,
    calls: usize,
    twice: bool,
    minutes: Option<u64>,
}

impl Asked {
    fn read() -> Asked {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        Asked {
            first: number("TRUNKLINE_SEED").unwrap_or(1),
            seeds: number("TRUNKLINE_SEEDS").unwrap_or(12),
            calls: number("TRUNKLINE_CALLS").unwrap_or(100) as usize,
            twice: std::env::var("TRUNKLINE_ONCE").is_err(),
            minutes: number("TRUNKLINE_MINUTES"),
        }
    }
}

#[test]
fn days_of_many_seeds_hold() {
    let asked = Asked::read();
    let began = Instant::now();
    let is_over = || asked.minutes.is_some_and(|minutes| began.elapsed() > Duration::from_secs(60 * minutes));
    let next = AtomicU64::new(asked.first);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut failed = Vec::new();
    let mut total = Total::default();
    std::thread::scope(|scope| {
        let work = || {
            let (mut failed, mut total) = (Vec::new(), Total::default());
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= asked.first + asked.seeds || is_over() {
                    return (failed, total);
                }
                let done = seed - asked.first;
                if done > 0 && done.is_multiple_of((asked.seeds / 10).max(10)) {
                    eprintln!("{done} of {} days begun, {} s", asked.seeds, began.elapsed().as_secs());
                }
                let plan = Plan::of(seed, asked.calls);
                let report = run(&plan);
                total.add(&report);
                if !report.wrong.is_empty() {
                    failed.push(told(&plan, &report));
                } else if asked.twice {
                    let again = run(&plan);
                    if again.hash != report.hash {
                        failed.push(format!("seed {seed}: two runs differ: {}", first_difference(&plan)));
                    }
                }
            }
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for handle in handles {
            let (more, counted) = handle.join().expect("a run panicked");
            failed.extend(more);
            total.merge(counted);
        }
    });
    let took = began.elapsed();
    println!("{}", total.sentence(&asked, took));
    // What never happened was not tried.
    let missing: Vec<_> =
        total.figures.iter().filter(|(name, count)| **count == 0 && !MAY_BE_NONE.contains(name)).collect();
    assert!(total.runs < 10 || missing.is_empty(), "never happened: {missing:?}");
    assert!(failed.is_empty(), "{} of {} seeds failed\n\n{}", failed.len(), total.runs, failed.join("\n\n"));
}

/// How many steps are left out between two that are struck: none where somebody has the time.
fn stride() -> u64 {
    std::env::var("TRUNKLINE_STRIDE").ok().and_then(|text| text.parse().ok()).unwrap_or(7)
}

/// Runs a night once with each strike and once more the next seed, with and without the key in the org.
fn each_strike(strikes: impl Fn((u64, u64)) -> Vec<Strike>) {
    let (mut failed, mut runs, mut errors) = (Vec::new(), 0, BTreeMap::<_, u64>::new());
    for has_key in [true, false] {
        let plan = Plan { classes: Some(Vec::new()), has_key: Some(has_key), ..Plan::of(1, 12) };
        let places = run(&Plan { strike: Some(Strike::None), ..plan.clone() }).places;
        assert!(places.0 > 50 && places.1 > 10, "{places:?}");
        for strike in strikes(places) {
            let plan = Plan { strike: Some(strike), ..plan.clone() };
            let report = run(&plan);
            runs += 1;
            report.disk.errors.iter().for_each(|(what, count)| *errors.entry(*what).or_default() += count);
            if !report.wrong.is_empty() {
                failed.push(format!("{strike:?}, key field {has_key}: {}", told(&plan, &report)));
            }
        }
    }
    println!("{runs} nights; {errors:?}");
    assert!(failed.is_empty(), "{} of {runs} nights failed\n\n{}", failed.len(), failed.join("\n\n"));
}

#[test]
fn a_strike_at_each_step_of_the_disk_loses_and_doubles_nothing() {
    let blows = [Blow::Kill, Blow::PowerLoss, Blow::Error, Blow::Full];
    each_strike(|(steps, _)| {
        let each = |(number, blow)| (number..steps).step_by(stride() as usize).map(move |at| Strike::Disk(at, blow));
        (1..).zip(blows).flat_map(each).collect()
    });
}

#[test]
fn a_strike_at_each_request_loses_and_doubles_nothing() {
    each_strike(|(_, requests)| {
        let each = |at| Loss::ALL.into_iter().map(move |loss| Strike::Request(at, loss));
        (1..=requests).step_by(stride().div_ceil(3) as usize).flat_map(each).collect()
    });
}

/// With a protection switched off, the day of some seed must go wrong; with it, none of them does.
fn notices(off: Protection, classes: &[Class], has_key: bool) {
    const SEEDS: u64 = 24;
    let plan = |seed, off| Plan { classes: Some(classes.to_vec()), has_key: Some(has_key), off, ..Plan::of(seed, 60) };
    let bites = (1..=SEEDS).find_map(|seed| {
        let report = run(&plan(seed, Some(off)));
        report.wrong.first().cloned().map(|wrong| (seed, wrong))
    });
    let Some((seed, wrong)) = bites else { panic!("{SEEDS} days without {off:?} went well: nothing here notices it") };
    println!("without {off:?}, seed {seed}: {:?}: {}", wrong.session, wrong.what);
    let with_it = run(&plan(seed, None)).wrong;
    assert!(with_it.is_empty(), "seed {seed} goes wrong with it, too: {with_it:?}");
}

#[test]
fn without_syncs_a_loss_of_power_is_noticed() {
    notices(Protection::Fsync, &[Class::PowerLoss], true);
}

#[test]
fn without_the_look_up_a_lost_answer_is_noticed() {
    notices(Protection::LookUp, &[Class::Network, Class::Crm], false);
}

#[test]
fn without_outcomes_by_row_a_refused_row_is_noticed() {
    notices(Protection::RowResults, &[Class::Rows], true);
}

/// I7: however useless the one remote system is, nothing comes later to the other one.
#[test]
fn a_remote_system_that_is_ill_delays_no_other() {
    for (well, other) in [(world::ORG, world::API), (world::API, world::ORG)] {
        let p99 = |ill: Option<Ill>| {
            let ill = ill.map(|ill| (other, ill));
            let plan = Plan { classes: Some(Vec::new()), has_key: Some(true), ill, ..Plan::of(1, 400) };
            let report = run(&plan);
            assert!(report.wrong.is_empty(), "{}", told(&plan, &report));
            // Its illness is felt, and only then.
            let late = report.world.waits(other).iter().filter(|wait| wait.as_secs() > 3600).count();
            assert_eq!(late > 200, ill.is_some(), "{late} calls came late to {other}: {ill:?}");
            let waits = report.world.waits(well);
            assert!(waits.len() > 300, "{} calls came to {well}", waits.len());
            waits[waits.len() * 99 / 100]
        };
        let usual = p99(None);
        for ill in Ill::ALL {
            let beside = p99(Some(ill));
            println!("{well}: p99 {usual:?}; with {other} {ill:?} {beside:?}");
            assert!(beside <= usual.mul_f64(1.2), "{well} with {other} {ill:?}: p99 {beside:?}, not {usual:?}");
        }
    }
}

/// Somebody mends the cause and asks again, so that nothing is left.
const NONE_IN_THE_END: &str = "dead letters at the end";
/// Rare in a busy process: alone in hand at three deaths.
const CONDEMNED: &str = "innocent calls and files put aside until asked for";
const MAY_BE_NONE: [&str; 2] = [NONE_IN_THE_END, CONDEMNED];

/// Sums over all runs.
#[derive(Default)]
struct Total {
    runs: u64,
    figures: BTreeMap<&'static str, u64>,
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        let (world, disk, ends) = (&report.figures, &report.disk, &report.ends);
        for (name, count) in [
            ("requests", world.requests),
            ("requests lost before they had an effect", world.lost_before),
            ("answers lost after the effect", world.lost_after + world.cut_after_commit),
            ("requests that arrived more than 10 s late", world.late),
            ("kills", world.kills),
            ("deaths with something in hand", world.died_with_something),
            ("kills within a step of the disk", world.kills_within_step),
            ("power losses", world.power_losses),
            ("unsynced writes lost", disk.writes_lost),
            ("torn writes", disk.writes_torn),
            ("errors of the disk", disk.errors.values().sum()),
            ("writes refused by a full disk", disk.refused_full),
            ("pauses", world.pauses),
            ("steps of the clock", world.clock_steps),
            ("second processes", world.second_runs),
            ("stops by SIGTERM", world.terms),
            ("deliveries", ends.delivered as u64),
            ("updates", ends.updated as u64),
            ("calls skipped by rule", ends.skipped as u64),
            (NONE_IN_THE_END, ends.dead as u64),
            (CONDEMNED, ends.condemned as u64),
            ("files in quarantine", ends.quarantined as u64),
            ("outcomes unknown at first", ends.unknown_attempts as u64),
        ] {
            *self.figures.entry(name).or_default() += count;
        }
        for (what, count) in &disk.errors {
            *self.figures.entry(what).or_default() += count;
        }
    }

    fn merge(&mut self, other: Total) {
        self.runs += other.runs;
        for (name, count) in other.figures {
            *self.figures.entry(name).or_default() += count;
        }
    }

    fn sentence(&self, asked: &Asked, took: Duration) -> String {
        let mut text = format!(
            "{} days of {} calls from seed {}, {} s, {:.1} days a second",
            self.runs,
            asked.calls,
            asked.first,
            took.as_secs(),
            self.runs as f64 * if asked.twice { 2.0 } else { 1.0 } / took.as_secs_f64()
        );
        for (name, count) in &self.figures {
            _ = write!(text, "\n  {count:>9}  {name}");
        }
        text
    }
}

/// A failure as a person can work with it: the fewest classes of faults that still make it fail, and the account of the
/// first call that went wrong.
fn told(plan: &Plan, report: &Report) -> String {
    let mut classes = report.classes.clone();
    let fails = |classes: &[Class]| {
        let report = run(&Plan { classes: Some(classes.to_vec()), ..plan.clone() });
        (!report.wrong.is_empty()).then_some(report)
    };
    for class in Class::ALL {
        let fewer: Vec<Class> = classes.iter().copied().filter(|other| *other != class).collect();
        if fewer.len() < classes.len() && fails(&fewer).is_some() {
            classes = fewer;
        }
    }
    let last = run(&Plan { classes: Some(classes.clone()), keeps_lines: true, ..plan.clone() });
    let mut text = format!("seed {} ({} calls): fails with {classes:?}", plan.seed, plan.calls);
    for wrong in last.wrong.iter().take(5) {
        _ = write!(text, "\n  {}: {}", wrong.session.as_deref().unwrap_or("the run"), wrong.what);
    }
    let session = last.wrong.iter().find_map(|wrong| wrong.session.clone());
    let account = last.world.account(session.as_deref().unwrap_or("[w]"));
    for line in account.iter().take(80) {
        _ = write!(text, "\n    {line}");
    }
    text
}

/// Where two runs of one plan part.
fn first_difference(plan: &Plan) -> String {
    let plan = Plan { keeps_lines: true, ..plan.clone() };
    let (one, other) = (run(&plan).world.lines(), run(&plan).world.lines());
    let at = one.iter().zip(&other).position(|(one, other)| one != other);
    match at {
        Some(at) => format!("line {at}\n  {}\n  {}\n  {}", one[at.saturating_sub(1)], one[at], other[at]),
        None => "not at a line".to_owned(),
    }
}
