//! Whole days of the real engine in one thread, out of a seed: the same seed is the same day, to the last request.

mod bucket;
mod day;
mod disk;
mod oracle;
mod run;
mod world;

use run::{Plan, Report, run};

#[test]
fn one_seed() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let calls: usize = std::env::var("CALLS").ok().and_then(|seed| seed.parse().ok()).unwrap_or(200);
    let began = std::time::Instant::now();
    let report = run(&Plan::of(seed, calls));
    println!("took {:?}", began.elapsed());
    tell(&report);
    let again = run(&Plan::of(seed, calls));
    println!("{:x} {:x}", report.hash, again.hash);
    assert!(report.wrong.is_empty());
}

fn tell(report: &Report) {
    println!("classes {:?}\n{:?}\n{:?}\n{:?}", report.classes, report.figures, report.disk, report.ends);
    for wrong in report.wrong.iter().take(20) {
        println!("{wrong:?}");
    }
}
