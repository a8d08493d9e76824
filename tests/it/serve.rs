//! Promise: a process that runs all day delivers calls as they end, tells how it does, drains when it is asked to stop,
//! and one destination that is held or down delays no other.

use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use trunkline::clock::Clock;
use trunkline::engine::{Condition, Pace, Quiet, Schedule, Serving};
use trunkline::sim::harness::{Options as RestOptions, Simulator as RestSimulator};
use trunkline::sim::rest::hubspot::{self, CustomProperty, HubSpot};
use trunkline::sim::salesforce::{Fault, FaultKind};
use trunkline::store::{DeliveryFilter, DeliveryStore, RawFilter, ReadStore};

use crate::support::binary::terminate;
use crate::support::clock::HandClock;
use crate::support::served::{QUICK, Served};
use crate::support::session::{put, session};
use crate::support::wait::until;
use crate::support::world::{DAY, KeyField, World, text};

/// A call as the simulated HubSpot takes it, with nothing that other tests are about.
const CREATE: &str = r#"
auth = { kind = "token", token = "pat-sim" }
create = { method = "POST", path = "/crm/v3/objects/calls", id = ["/id"], body = """
{ "properties": { "trunkline_call_key": {{ call.key }}, "hs_timestamp": "2026-11-20T09:00:00Z" } }
""" }
"#;

/// Puts a session of today, which is a day that is watched.
fn put_today(world: &World, id: &str, email: &str) {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let document = session(id, email, &format!("{today}T00:00:10"), 60);
    put(&world.sessions(), today, &format!("{id}.json"), document.to_string());
}

async fn hubspot() -> RestSimulator<HubSpot> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let key = CustomProperty { name: "trunkline_call_key".to_owned(), is_unique: true };
    let settings = hubspot::Settings { custom_properties: vec![key], ..hubspot::Settings::default() };
    RestSimulator::start(listener, RestOptions { settings, ..RestOptions::default() }).expect("a simulator")
}

/// How many deliveries of the ledger stand in this state.
async fn standing(world: &World, state: &str) -> usize {
    let context = world.context(world.clock.clone());
    let store = context.open_store_to_read(&world.store_path()).unwrap_or_else(|failure| panic!("{}", failure.problem));
    let filter = DeliveryFilter { states: vec![state.to_owned()], ..DeliveryFilter::default() };
    store.deliveries(&filter).await.expect("a store that works").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_becomes_a_task_while_it_serves_and_it_stops_in_order() {
    let world = World::new(KeyField::There).await.configure(QUICK);
    let ada = world.contact("ada@example.com");
    let served = Served::start(&world);
    served.is_ready().await;
    assert_eq!(served.get("/healthz").await, (200, "{\"alive\":true}\n".to_owned()));
    put_today(&world, "one", "ada@example.com");
    put_today(&world, "two", "nobody@example.com");
    until("the Task is there", async || !world.tasks().is_empty()).await;
    assert_eq!(text(&world.task("one"), "WhoId"), ada);

    let outcome = |outcome: &str, code: &str| {
        format!("trunkline_delivery_outcomes_total{{destination=\"salesforce\",outcome=\"{outcome}\",code=\"{code}\"}}")
    };
    let delivered = outcome("delivered", "");
    let skipped = outcome("skipped", "TL0402");
    until("both are counted", async || {
        served.figure(&delivered).await == Some(1.0) && served.figure(&skipped).await == Some(1.0)
    })
    .await;
    let labels = "{source=\"sessions\",result=\"new\"}";
    until("the reading is counted", async || {
        served.figure(&format!("trunkline_calls_read_total{labels}")).await == Some(2.0)
    })
    .await;
    for (name, expected) in [
        ("trunkline_deliveries{destination=\"salesforce\",state=\"due\"}", 0.0),
        ("trunkline_deliveries{destination=\"salesforce\",state=\"delivered\"}", 1.0),
        ("trunkline_delivery_latency_seconds_count{destination=\"salesforce\"}", 1.0),
        ("trunkline_destination_usable{destination=\"salesforce\"}", 1.0),
        ("trunkline_oldest_dead_letter_age_seconds{destination=\"salesforce\"}", 0.0),
        ("trunkline_oldest_waiting_age_seconds{destination=\"salesforce\"}", 0.0),
        ("trunkline_quarantined_files", 0.0),
        ("trunkline_build_info{version=\"0.1.0\"}", 1.0),
    ] {
        assert_eq!(served.figure(name).await, Some(expected), "{name}");
    }
    assert!(served.figure("trunkline_requests_total{destination=\"salesforce\"}").await > Some(2.0));
    assert!(served.figure("trunkline_last_poll_timestamp_seconds{source=\"sessions\"}").await > Some(1.7e9));
    let door = served.client.post(format!("{}/hooks/any", served.base)).body("{}").send().await.expect("an answer");
    assert_eq!(door.status().as_u16(), 404);

    assert_eq!(served.terminate().await, Some(0));
    assert_eq!(standing(&world, "leased").await, 0);
    assert_eq!(world.tasks().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_writes_leaves_nothing_leased_and_a_kill_doubles_nothing() {
    let world = World::new(KeyField::There).await.configure(&format!("{QUICK}[delivery]\nrequests_in_flight = 1\n"));
    world.set(|settings| settings.latency_ms = 60);
    for number in 0..450 {
        world.contact(&format!("caller{number}@example.com"));
        put_today(&world, &format!("call{number}"), &format!("caller{number}@example.com"));
    }
    let served = Served::start(&world);
    until("some are written", async || !world.tasks().is_empty()).await;
    assert_eq!(served.terminate().await, Some(0));
    assert_eq!(standing(&world, "leased").await, 0);
    let before = world.tasks().len();

    let mut killed = Served::start(&world);
    until("more are written", async || world.tasks().len() > before || before == 450).await;
    killed.child().kill().expect("a child to kill");
    drop(killed);
    world.set(|settings| settings.latency_ms = 0);
    let served = Served::start(&world);
    until("all are written", async || standing(&world, "delivered").await == 450).await;
    assert_eq!(world.tasks().len(), 450);
    assert_eq!(served.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_destination_delays_no_other_is_named_and_goes_on_once_it_is_mended() {
    let crm = hubspot().await;
    let rest = format!("[rest.hubspot]\nbase_url = \"{}\"\n{CREATE}", crm.url());
    let world = World::new(KeyField::There).await.configure(&format!("{QUICK}{rest}"));
    let ada = world.contact("ada@example.com");
    crm.api().insert("contacts", json!({ "email": "ada@example.com" }));
    world.set(|settings| _ = settings.hidden_fields.insert("Task.CallDurationInSeconds".to_owned()));
    let served = Served::start(&world);
    until("the held one is named", async || {
        let (status, answer) = served.ready().await;
        let troubles = answer["troubles"].as_array().expect("a list").clone();
        status == 503
            && troubles == [json!({ "part": "destination", "name": "salesforce", "state": "held", "code": "TL0503" })]
    })
    .await;
    put_today(&world, "one", "ada@example.com");
    until("the other has the call", async || crm.api().records("calls").len() == 1).await;
    assert!(world.tasks().is_empty());
    let held = "trunkline_deliveries{destination=\"salesforce\",state=\"held\"}";
    until("it is counted as held", async || served.figure(held).await == Some(1.0)).await;
    let waits = "trunkline_oldest_waiting_age_seconds{destination=\"salesforce\"}";
    until("its age is told", async || served.figure(waits).await > Some(0.0)).await;
    assert_eq!(served.figure("trunkline_destination_usable{destination=\"salesforce\"}").await, Some(0.0));
    assert_eq!(served.figure("trunkline_destination_usable{destination=\"hubspot\"}").await, Some(1.0));

    world.set(|settings| settings.hidden_fields.clear());
    until("the Task is there", async || world.tasks().len() == 1).await;
    assert_eq!(text(&world.task("one"), "WhoId"), ada);
    served.is_ready().await;
    assert_eq!(served.figure(held).await, Some(0.0));
    assert_eq!(crm.api().records("calls").len(), 1);
    assert_eq!(served.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_down_is_named_and_goes_on_once_it_is_back() {
    let world = World::new(KeyField::There).await.configure(QUICK);
    world.contact("ada@example.com");
    world.fault(Fault::new(FaultKind::UnavailableBeforeCommit));
    let served = Served::start(&world);
    put_today(&world, "one", "ada@example.com");
    until("it is named", async || {
        let (status, answer) = served.ready().await;
        status == 503 && answer["troubles"][0]["name"] == "salesforce" && answer["troubles"][0]["state"] == "failing"
    })
    .await;
    world.org.clear_faults();
    until("the Task is there", async || world.tasks().len() == 1).await;
    served.is_ready().await;
}

const REQUESTS: &str = "trunkline_requests_total{destination=\"hubspot\"}";

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_refuses_connections_is_never_called_usable_until_it_answers() {
    let crm = hubspot().await;
    let at = crm.url().parse::<url::Url>().expect("an address").port().expect("a port");
    drop(crm);
    let rest = format!("[rest.hubspot]\nbase_url = \"http://127.0.0.1:{at}\"\n{CREATE}");
    let world = World::new(KeyField::There).await.configure(&format!("{QUICK}{rest}"));
    let served = Served::start(&world);
    put_today(&world, "one", "ada@example.com");
    let failing = async || served.ready().await.1["troubles"].to_string().contains("failing");
    until("it is named", failing).await;
    let tried = served.figure(REQUESTS).await.expect("the figure is there");
    // More than one round, of which some find nothing due yet; no look in between may call it usable.
    until("it was tried twice more", async || {
        let now = served.figure(REQUESTS).await;
        assert!(failing().await, "nothing was answered yet");
        now >= Some(tried + 2.0)
    })
    .await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", at)).await.expect("the same port");
    let app = axum::Router::new().fallback(async || (axum::http::StatusCode::CREATED, "{\"id\": 7}"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    served.is_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_not_there_is_named_until_it_comes_back() {
    let world = World::new(KeyField::There).await.configure(QUICK);
    std::fs::remove_dir(world.sessions()).expect("an empty folder");
    let served = Served::start(&world);
    until("the source is named", async || {
        let (status, answer) = served.ready().await;
        status == 503 && answer["troubles"][0]["code"] == "TL0202" && answer["troubles"][0]["part"] == "source"
    })
    .await;
    assert_eq!(served.get("/healthz").await.0, 200);
    std::fs::create_dir(world.sessions()).expect("a writable folder");
    served.is_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_sync_delivers_the_day_before_and_a_missed_one_is_caught_up() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    // Two days before the first night: no poll sees it, the schedule does.
    let old = DAY.yesterday().expect("a day");
    put(
        &world.sessions(),
        old,
        "old.json",
        session("old", "ada@example.com", &format!("{old}T09:00:00"), 60).to_string(),
    );
    let clock = Arc::new(HandClock::at("2026-11-21T02:59:00Z"));
    let (run, stop) = in_process(&world, &clock, 2, None).await;
    assert!(world.tasks().is_empty());
    clock.advance(Duration::from_secs(61));
    until("the Task is there", async || world.tasks().len() == 1).await;
    stop.ask();
    run.await.expect("no panic").expect("a store that works");

    // Down over two nights: one run, at the start.
    let lost = DAY;
    put(
        &world.sessions(),
        lost,
        "new.json",
        session("new", "ada@example.com", &format!("{lost}T09:00:00"), 60).to_string(),
    );
    let clock = Arc::new(HandClock::at("2026-11-23T01:00:00Z"));
    let (run, stop) = in_process(&world, &clock, 3, Some(SignedDuration::from_hours(-48))).await;
    until("the second Task is there", async || world.tasks().len() == 2).await;
    stop.ask();
    run.await.expect("no panic").expect("a store that works");
    assert_eq!(text(&world.task("new"), "ActivityDate"), lost.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_a_clock_kept_that_was_ahead_is_kept_again() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    let day = DAY.yesterday().expect("a day");
    let document = session("old", "ada@example.com", &format!("{day}T09:00:00"), 60);
    put(&world.sessions(), day, "old.json", document.to_string());
    let clock = Arc::new(HandClock::at("2026-11-21T02:59:00Z"));
    let (run, stop) = in_process(&world, &clock, 2, Some(SignedDuration::from_hours(24 * 365))).await;
    clock.advance(Duration::from_secs(61));
    until("the Task is there", async || world.tasks().len() == 1).await;
    stop.ask();
    run.await.expect("no panic").expect("a store that works");
}

#[cfg(feature = "proof")]
#[tokio::test(flavor = "multi_thread")]
async fn no_call_waits_for_the_time_of_a_clock_that_was_set_back() {
    const DAY_MS: i64 = 86_400_000;
    let world = World::new(KeyField::There).await.configure(QUICK);
    world.contact("ada@example.com");
    let clock = world.path("clock");
    std::fs::write(&clock, DAY_MS.to_string()).expect("a writable folder");
    world.fault(Fault::new(FaultKind::UnavailableBeforeCommit).on_path("/composite/sobjects"));
    put_today(&world, "one", "ada@example.com");
    let mut command = world.command(&["serve", "--source", &world.source()]);
    command.env("TRUNKLINE_PROOF", format!("clock={}", clock.display())).stderr(std::process::Stdio::inherit());
    let served = Served::spawn(command);
    let waits_until = || {
        let ledger = rusqlite::Connection::open(world.store_path()).expect("a ledger");
        ledger.query_row("SELECT coalesce(max(next_at), 0) FROM delivery WHERE state = 'due'", (), |row| row.get(0))
    };
    let half_a_day_on = jiff::Timestamp::now().as_millisecond() + DAY_MS / 2;
    until("it waits for a time of tomorrow", async || waits_until().is_ok_and(|at: i64| at > half_a_day_on)).await;
    world.org.clear_faults();
    std::fs::write(&clock, "0").expect("a writable folder");
    until("it is delivered today", async || world.tasks().len() == 1).await;
    assert_eq!(served.terminate().await, Some(0));
}

fn tell<T>(failure: trunkline::cli::Failure) -> T {
    panic!("{}", failure.problem)
}

type Run = tokio::task::JoinHandle<Result<(), trunkline::store::StoreError>>;

/// All loops in this process, with a schedule at three that was kept so long after now before.
async fn in_process(
    world: &World,
    clock: &Arc<HandClock>,
    days: u16,
    kept: Option<SignedDuration>,
) -> (Run, trunkline::engine::Stop) {
    let context = world.context(clock.clone());
    let settings = context.settings(Some(world.source())).unwrap_or_else(tell);
    let store = context.open_store(&settings.store_path).unwrap_or_else(tell);
    let ends = context.ends(&settings).unwrap_or_else(tell);
    let readings = vec![trunkline::cli::reading(&settings, ends.source, &ends.routes)];
    let engine = context.engine(store.clone(), Arc::new(Quiet));
    let pace = Pace {
        poll: Duration::from_secs(86_400 * 30),
        hold_retry: Duration::from_secs(300),
        zone: settings.time_zone.clone(),
        catch_up: true,
    };
    let schedule = Schedule { at: "03:00".parse().expect("a time"), days };
    let stop = context.stop.clone();
    if let Some(kept) = kept {
        let label = schedule.label();
        let at_ms = clock.now_ms() + i64::try_from(kept.as_millis()).expect("a span of days");
        let id = store.begin_run(&label, at_ms).await.expect("a store that works");
        store.end_run(id, "{}", at_ms).await.expect("a store that works");
        assert_eq!(store.last_run(&label, true).await.expect("a store that works"), Some(at_ms));
    }
    let serving = Serving::begin(engine, readings, ends.routes, vec![schedule], pace).await;
    let serving = Arc::new(serving.expect("a store that works"));
    let run = tokio::spawn(Arc::clone(&serving).run());
    until("the destination was asked", async || serving.board().routes()[0].condition == Condition::Usable).await;
    (run, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_told_with_the_next_step() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let world = World::new(KeyField::There).await;
    let source = world.source();
    let ran = world.run(&["serve", "--source", &source, "--listen", &address]).await.exits(2);
    ran.tells(&format!("{address} cannot be listened on")).tells("name another with --listen or serve.listen");
    assert!(!world.store_path().exists(), "a mistake in the settings leaves no ledger behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn transcripts_of_a_folder_are_delivered_as_they_come() {
    let config = format!("{QUICK}[serve.conversations]\ndir = \"conversations\"\nleads = \"leads\"\n");
    let world = World::new(KeyField::There).await.configure(&config);
    world.contact("ada@example.com");
    for name in ["conversations", "leads"] {
        std::fs::create_dir(world.path(name)).expect("a writable folder");
    }
    let served = Served::start(&world);
    served.is_ready().await;
    let transcript = json!({ "session_id": "room-1", "items": [
        { "type": "message", "role": "user", "content": ["Hello, my address is ada@example.com"] },
    ]});
    std::fs::write(
        world.path("conversations/transcript_session_2026-11-20T10-00-00.000000.json"),
        transcript.to_string(),
    )
    .expect("a writable folder");
    until("it is read", async || {
        served.figure("trunkline_calls_read_total{source=\"conversations\",result=\"new\"}").await == Some(1.0)
    })
    .await;
    assert_eq!(served.terminate().await, Some(0));
}

/// When the one quarantined file was read last.
async fn quarantined_at(world: &World) -> Option<i64> {
    let context = world.context(world.clock.clone());
    let store = context.open_store_to_read(&world.store_path()).unwrap_or_else(|failure| panic!("{}", failure.problem));
    let filter = RawFilter { state: Some("quarantined"), ..RawFilter::default() };
    store.raws(&filter).await.expect("a store that works").first().map(|row| row.seen_at_ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_file_is_read_again_when_it_changes_or_somebody_asks_and_not_at_each_poll() {
    let world = World::new(KeyField::There).await.configure(QUICK);
    world.contact("ada@example.com");
    let served = Served::start(&world);
    served.is_ready().await;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    put(&world.sessions(), today, "one.json", "{ half a");
    until("it is quarantined", async || quarantined_at(&world).await.is_some()).await;
    let first = quarantined_at(&world).await;
    served.looks_twice().await;
    assert_eq!(quarantined_at(&world).await, first, "polls leave it alone");
    world.run(&["retry", "--quarantine", "--source", &world.source()]).await.exits(1);
    let asked = quarantined_at(&world).await;
    assert!(asked > first, "somebody asked");
    assert_eq!(served.terminate().await, Some(0));

    let served = Served::start(&world);
    until("the next start reads it", async || quarantined_at(&world).await > asked).await;
    put_today(&world, "one", "ada@example.com");
    until("the mended file is a Task", async || world.tasks().len() == 1).await;
    assert_eq!(quarantined_at(&world).await, None);
    assert_eq!(served.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let world = World::new(KeyField::There).await.configure(QUICK);
    world.contact("ada@example.com");
    world.set(|settings| settings.latency_ms = 4000);
    put_today(&world, "one", "ada@example.com");
    let mut served = Served::spawn(world.command(&["serve", "--source", &world.source()]));
    until("the org is asked", async || !world.org.counters().calls.is_empty()).await;
    let mut words = BufReader::new(served.child().stderr.take().expect("piped")).lines().map_while(Result::ok);
    terminate(served.child());
    // The second is heard also when it comes as soon as the first is answered; the org takes 4 s for its own answer.
    assert!(words.any(|line| line.contains("again stops at once")), "the first is answered");
    terminate(served.child());
    assert_eq!(served.ended().await.code, Some(130));
}
