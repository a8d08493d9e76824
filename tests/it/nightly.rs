//! Promise: a nightly sync puts every call on the right person's record once, at a few requests, and again changes
//! nothing.

use std::time::Duration;

use jiff::civil::date;
use trunkline::engine::Days;
use trunkline::sim::sessions::{Plan, write_rewrites};

use crate::support::oracle::Oracle;
use crate::support::session::{age, put, session};
use crate::support::world::{DAY, KeyField, World, names_in, text, write_calls};

async fn a_day_is_delivered(key_field: KeyField, seed: u64) {
    println!("seed {seed}, key field {key_field:?}");
    let world = World::new(key_field).await;
    let plan = Plan::new(seed, DAY, 2000);
    let seeded = world.plan(&plan);
    let oracle = Oracle::of(&world, key_field, &plan, &seeded);
    assert!(oracle.deliverable() > 1500, "the day has too few calls to deliver");

    let first = world.sync().await;
    oracle.holds();
    let counters = world.org.counters();
    let created = counters.created["Task"];
    assert_eq!((first.delivery.delivered, created), (oracle.deliverable() as u64, oracle.deliverable() as u64));
    let per_call = counters.api_calls as f64 / created as f64;
    println!("{} requests for {created} Tasks: {per_call:.4} a call", counters.api_calls);
    assert!(per_call <= 0.03, "{per_call} requests a call: {:?}", counters.calls);

    world.org.reset_counters();
    let second = world.sync().await;
    oracle.holds();
    assert_eq!(write_calls(&world.org.counters()), 0, "{:?}", world.org.counters().calls);
    assert_eq!((second.delivery.delivered, second.delivery.updated, second.intake.files_known), (0, 0, 2000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_2000_calls_is_delivered_exactly_and_a_second_run_sends_no_write() {
    a_day_is_delivered(KeyField::There, 20_261_120).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_delivered_as_exactly_and_as_cheaply_without_the_key_field() {
    a_day_is_delivered(KeyField::Missing, 20_261_121).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_gets_the_date_that_it_has_in_the_configured_zone() {
    for zone in ["America/Los_Angeles", "Pacific/Auckland", "UTC"] {
        let world = World::new(KeyField::There).await.configure(&format!("time_zone = \"{zone}\""));
        let plan = Plan::new(3, DAY, 150);
        let seeded = world.plan(&plan);
        world.sync().await;
        Oracle::of(&world, KeyField::There, &plan, &seeded).in_zone(zone).holds_after(zone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_day_of_a_clock_change_and_a_call_over_midnight_get_the_date_of_their_start() {
    let world = World::new(KeyField::There).await.configure("time_zone = \"America/New_York\"");
    world.contact("ada@example.com");
    // New York leaves summer time on 1 November 2026 at 06:00Z: the hour from 01:00 is there twice.
    let cases = [
        ("before_midnight", "2026-11-01T03:59:59", "2026-10-31"),
        ("first_hour", "2026-11-01T05:30:00", "2026-11-01"),
        ("second_hour", "2026-11-01T06:30:00", "2026-11-01"),
        ("over_midnight", "2026-11-02T04:59:00", "2026-11-01"),
        ("next_day", "2026-11-02T05:00:00", "2026-11-02"),
        ("with_offset", "2026-11-02T00:30:00-04:00", "2026-11-01"),
    ];
    for (id, start, _) in cases {
        let mut document = session(id, "ada@example.com", "2026-11-01T00:00:00", 600);
        document["start_time"] = start.into();
        document.as_object_mut().expect("an object").remove("end_time");
        put(&world.sessions(), date(2026, 11, 1), &format!("{id}.json"), document.to_string());
    }
    world.sync_days(Days { from: date(2026, 11, 1), to: date(2026, 11, 1) }).await;
    for (id, start, expected) in cases {
        let task = world.task(id);
        assert_eq!(text(&task, "ActivityDate"), expected, "{id} at {start}");
        assert_eq!(text(&task, "Subject"), format!("Voice AI Call - {expected}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_again_with_more_in_it_updates_its_one_task() {
    for key_field in [KeyField::There, KeyField::Missing] {
        let world = World::new(key_field).await;
        let plan = Plan { rewritten_of_1000: 300, ..Plan::new(5, DAY, 200) };
        let seeded = world.plan(&plan);
        world.sync().await;
        let before = world.tasks().len();
        write_rewrites(&world.sessions(), &plan).expect("a writable folder");
        let summary = world.sync().await;
        let oracle = Oracle::of(&world, key_field, &plan, &seeded).expect(plan.rewrites(), &seeded);
        oracle.holds();
        assert!(summary.delivery.updated > 20, "too few were written again: {:?}", summary.delivery);
        assert_eq!(world.tasks().len(), before);
        world.org.reset_counters();
        world.sync().await;
        assert_eq!(write_calls(&world.org.counters()), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_evidence_that_arrives_later_changes_nothing() {
    let world = World::new(KeyField::There).await;
    let plan = Plan { rewritten_of_1000: 1000, ..Plan::new(9, DAY, 60) };
    let seeded = world.people(&plan.people());
    write_rewrites(&world.sessions(), &plan).expect("a writable folder");
    world.sync().await;
    let oracle = Oracle::new(&world, KeyField::There).expect(plan.rewrites(), &seeded);
    oracle.holds_after("the newer evidence alone");
    for old in plan.sessions() {
        let path = put(&world.sessions(), DAY, &format!("late_{}", old.file_name), &old.bytes);
        age(&path, Duration::from_secs(3600));
    }
    world.org.reset_counters();
    world.sync().await;
    oracle.holds_after("after the older evidence");
    assert_eq!(write_calls(&world.org.counters()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_in_two_files_becomes_one_task() {
    let world = World::new(KeyField::Missing).await;
    world.contact("ada@example.com");
    let document = session("twice", "ada@example.com", "2026-11-20T09:00:00", 60);
    world.put("twice.json", &document);
    world.put("again.json", &document);
    put(&world.sessions(), DAY.tomorrow().expect("a day"), "next_folder.json", document.to_string());
    world.sync_days(Days { from: DAY, to: DAY.tomorrow().expect("a day") }).await;
    world.sync().await;
    assert_eq!(world.tasks().len(), 1);
    world.task("twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_caller_is_added_to_the_crm_later_is_delivered_by_the_next_sync_of_its_day() {
    let world = World::new(KeyField::There).await;
    world.put("s.json", &session("late_caller", "new@example.com", "2026-11-20T09:00:00", 60));
    let first = world.sync().await;
    assert_eq!((first.delivery.delivered, first.delivery.skipped.values().sum::<u64>()), (0, 1));
    let contact = world.contact("new@example.com");
    world.sync().await;
    assert_eq!(text(&world.task("late_caller"), "WhoId"), contact);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_csv_holds_the_calls_of_the_asked_days_that_have_no_person_and_no_others() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    let days = [DAY.yesterday().expect("a day"), DAY];
    for day in days {
        for (name, email) in [("known", "ada@example.com"), ("nobody", "=cmd@example.com"), ("silent", "")] {
            let id = format!("{name}_{day}");
            let document = session(&id, email, &format!("{day}T09:00:00"), 60);
            put(&world.sessions(), day, &format!("{id}.json"), document.to_string());
        }
    }
    let source = world.source();
    let csv = world.path("unmatched.csv");
    for day in days {
        let day = day.to_string();
        let csv = csv.display().to_string();
        world.run(&["sync", "--source", &source, "--from", &day, "--unmatched-csv", &csv]).await.exits(0);
    }
    let mut rows: Vec<String> = std::fs::read_to_string(&csv).expect("the CSV").lines().map(str::to_owned).collect();
    assert_eq!(rows.remove(0), "\u{feff}session_id,call_date,email,name,reason,candidates");
    rows.sort();
    assert_eq!(
        rows,
        [
            "nobody_2026-11-20,2026-11-20,'=cmd@example.com,,nobody has this address,",
            "silent_2026-11-20,2026-11-20,,,no address,",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_sends_nothing_and_leaves_no_trace() {
    let world = World::new(KeyField::There).await;
    let plan = Plan::new(13, DAY, 40);
    world.plan(&plan);
    let fresh = names_in(world.folder.path());
    let ran = world.run_sync(&["--dry-run"]).await.exits(0);
    ran.says("create session").says("Voice AI Call - 2026-11-20").tells("dry run: nothing was sent");
    assert_eq!(names_in(world.folder.path()), fresh);

    world.sync().await;
    write_rewrites(&world.sessions(), &Plan { rewritten_of_1000: 1000, ..plan.clone() }).expect("a writable folder");
    world.org.reset_counters();
    let (names, tasks) = (names_in(world.folder.path()), world.tasks());
    let ledger = std::fs::read(world.store_path()).expect("the ledger");
    world.run_sync(&["--dry-run"]).await.exits(0).says("update session");
    let json = world.run_sync(&["--dry-run", "--json"]).await.exits(0).json();
    assert_eq!(json["records"].as_array().map(Vec::len), Some(40));
    assert_eq!(write_calls(&world.org.counters()), 0);
    assert_eq!(names_in(world.folder.path()), names);
    assert!(std::fs::read(world.store_path()).expect("the ledger") == ledger, "the ledger changed");
    assert_eq!(world.tasks(), tasks);
}
