//! Promise: newer wins, and what stands there already is left alone, also when a ledger is lost, restored or doubled.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::civil::Date;
use serde_json::{Map, Value, json};
use trunkline::cli::Context;
use trunkline::destinations::{Match, Record};
use trunkline::engine::{Days, Preview, Quiet, Sketch};
use trunkline::problem::{Problem, SOURCE_UNAVAILABLE};
use trunkline::redact::RedactedCall;
use trunkline::sim::salesforce::{Fault, FaultKind};
use trunkline::sources::{Converted, FetchError, Layout, ObjectSource, RawRef};

use super::support::session::session;
use super::support::world::{DAY, KeyField, World, names_in, text};

const BOTH: [KeyField; 2] = [KeyField::There, KeyField::Missing];
const START: &str = "2026-11-20T01:00:00";

fn copy_ledger(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a writable folder");
    for name in names_in(from).iter().filter(|name| name.starts_with("calls.db")) {
        fs::copy(from.join(name), to.join(name)).expect("a file that can be copied");
    }
}

/// Without what changes with every write.
fn content(task: &Map<String, Value>) -> Map<String, Value> {
    let mut task = task.clone();
    task.retain(|name, _| !["LastModifiedDate", "SystemModstamp"].contains(&name.as_str()));
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_ledger_that_has_an_older_revision_due_does_not_write_it_over_the_newer_one() {
    for key_field in BOTH {
        let world = World::new(key_field).await;
        world.contact("ada@example.com");
        let first = session("rm_1", "ada@example.com", START, 60);
        world.put("one.json", &first);
        world.fault(Fault::new(FaultKind::RequestLimit).on_method("POST").on_path("/sobjects"));
        world.sync().await;
        assert!(world.tasks().is_empty(), "{key_field:?}: the org took nothing yet");
        let backup = world.folder.path().join("backup");
        copy_ledger(world.folder.path(), &backup);

        world.org.clear_faults();
        world.put("one.json", &session("rm_1", "ada@example.com", START, 777));
        world.clock.advance(std::time::Duration::from_secs(600));
        world.sync().await;
        let newer = world.task("rm_1");
        assert_eq!(newer["CallDurationInSeconds"], json!(777), "{key_field:?}");

        world.forget_the_ledger();
        copy_ledger(&backup, world.folder.path());
        world.clock.advance(std::time::Duration::from_secs(600));
        let summary = world.retry().await;
        assert_eq!(content(&world.task("rm_1")), content(&newer), "{key_field:?}");
        assert_eq!(summary.intake.new_revisions, 1, "{key_field:?}: the file was looked at and read again");
        assert_eq!(summary.delivery.waiting, 0, "{key_field:?}: {:?}", summary.delivery);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_ledger_writes_nothing_over_tasks_that_say_what_the_export_says() {
    for key_field in BOTH {
        let world = World::new(key_field).await;
        world.contact("ada@example.com");
        for id in ["rm_1", "rm_2", "rm_3"] {
            world.put(&format!("{id}.json"), &session(id, "ada@example.com", START, 60));
        }
        world.sync().await;
        let edited = text(&world.task("rm_2"), "Id").to_owned();
        world.org.update(&edited, json!({ "Priority": "High" }));
        let before = world.tasks();
        assert_eq!(before.len(), 3);

        world.forget_the_ledger();
        world.clock.advance(std::time::Duration::from_secs(600));
        let summary = world.sync().await;
        assert_eq!(world.tasks(), before, "{key_field:?}: not one Task was touched");
        assert_eq!(summary.delivery.unchanged, 3, "{key_field:?}");

        world.put("rm_3.json", &session("rm_3", "ada@example.com", START, 99));
        world.forget_the_ledger();
        let summary = world.sync().await;
        assert_eq!((summary.delivery.unchanged, summary.delivery.updated), (2, 1), "{key_field:?}");
        assert_eq!(world.task("rm_3")["CallDurationInSeconds"], json!(99), "{key_field:?}");
    }
}

#[derive(Default)]
struct Shown(Mutex<Vec<&'static str>>);

impl Preview for Shown {
    fn record(&self, _: &RedactedCall, _: &Match, sketch: Sketch) {
        self.0.lock().expect("nobody panicked").push(sketch.operation);
    }

    fn person(&self, _: &RedactedCall, _: &Match, _: String, _: Record) {}

    fn skipped(&self, _: &RedactedCall, _: &Match, _: &Problem) {}

    fn refused(&self, _: &RedactedCall, _: &Problem) {}
}

async fn preview(world: &World) -> Vec<&'static str> {
    let context: Context = world.context(world.clock.clone());
    let tell = |failure: trunkline::cli::Failure| -> ! { panic!("{}", failure.problem) };
    let settings = context.settings(Some(world.source())).unwrap_or_else(|failure| tell(failure));
    let store = context.open_store(&world.path("preview.db")).unwrap_or_else(|failure| tell(failure));
    let ends = context.ends(&settings).unwrap_or_else(|failure| tell(failure));
    let shown = Shown::default();
    let run = context.sync_run(&settings, ends, store, Arc::new(Quiet));
    run.run(Days { from: DAY, to: DAY }, Some(&shown)).await.expect("a store that works");
    shown.0.into_inner().expect("nobody panicked")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_with_a_new_ledger_shows_no_new_record_for_what_stands_there() {
    for key_field in BOTH {
        let world = World::new(key_field).await;
        world.contact("ada@example.com");
        world.put("one.json", &session("rm_1", "ada@example.com", START, 60));
        world.put("two.json", &session("rm_2", "ada@example.com", START, 60));
        assert_eq!(preview(&world).await, ["create", "create"], "{key_field:?}");
        fs::remove_file(world.path("preview.db")).expect("the ledger of the preview");
        world.sync().await;
        world.put("two.json", &session("rm_2", "ada@example.com", START, 99));
        assert_eq!(preview(&world).await, ["update"], "{key_field:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_updated_also_after_the_sessions_have_moved() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    world.put("one.json", &session("rm_1", "ada@example.com", START, 60));
    world.sync().await;
    let moved = world.path("moved");
    fs::rename(world.sessions(), &moved).expect("a writable folder");
    crate::support::session::put(&moved, DAY, "one.json", session("rm_1", "ada@example.com", START, 99).to_string());
    world.clock.advance(std::time::Duration::from_secs(600));
    let summary = world.sync_from(&moved).await;
    assert_eq!((summary.delivery.updated, summary.delivery.waiting), (1, 0), "{:?}", summary.delivery);
    assert_eq!(world.task("rm_1")["CallDurationInSeconds"], json!(99));
}

/// A source that can be listed and read, but not looked at.
struct Silent {
    source: Arc<dyn ObjectSource>,
    looks: Arc<AtomicUsize>,
}

#[async_trait]
impl ObjectSource for Silent {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn address(&self) -> &str {
        self.source.address()
    }

    async fn probe(&self) -> Result<(), Problem> {
        self.source.probe().await
    }

    async fn layout(&self) -> Result<Layout, Problem> {
        self.source.layout().await
    }

    fn list(&self, day: Date) -> BoxStream<'_, Result<RawRef, Problem>> {
        self.source.list(day)
    }

    async fn look(&self, _: &str) -> Result<Option<RawRef>, FetchError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Err(FetchError::Source(Problem::new(SOURCE_UNAVAILABLE, "the bucket does not answer", "Wait.")))
    }

    async fn fetch(&self, raw: &RawRef) -> Result<Bytes, FetchError> {
        self.source.fetch(raw).await
    }

    fn convert(&self, raw: &RawRef, bytes: Bytes, inflated_bytes_max: usize) -> Result<Converted, Problem> {
        self.source.convert(raw, bytes, inflated_bytes_max)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_does_not_answer_is_not_asked_for_each_of_many_calls_and_delays_no_new_ones() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    let put = |id: usize, seconds: i64| {
        world.put(&format!("{id}.json"), &session(&format!("rm_{id}"), "ada@example.com", START, seconds));
    };
    (0..200).for_each(|id| put(id, 60));
    world.sync().await;
    // Held updates, whose files the next run does not read again.
    world.fault(Fault::new(FaultKind::RequestLimit).on_method("PATCH").on_path("/sobjects"));
    (0..200).for_each(|id| put(id, 99));
    world.sync().await;
    world.org.clear_faults();
    world.clock.advance(std::time::Duration::from_secs(600));
    put(200, 60);
    let looks = Arc::new(AtomicUsize::new(0));
    let asked = looks.clone();
    let summary = world
        .sync_with(|run| run.reading.source = Arc::new(Silent { source: run.reading.source.clone(), looks: asked }))
        .await;
    assert_eq!((summary.delivery.delivered, summary.delivery.waiting), (1, 200), "{:?}", summary.delivery);
    let looks = looks.load(Ordering::SeqCst);
    assert!(looks < 400, "{looks} looks at a source that does not answer");
    let summary = world.sync().await;
    assert_eq!((summary.delivery.updated, summary.delivery.waiting), (200, 0), "{:?}", summary.delivery);
}
