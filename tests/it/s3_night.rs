//! The nightly sync from a real S3 API: a day of 2,500 sessions, and whatever a bucket can do to a night.

use std::process::Command;

use trunkline::sim::sessions::Plan;

use crate::support::binary::{Ran, finish};
use crate::support::moto::Moto;
use crate::support::oracle::Oracle;
use crate::support::stub::Stub;
use crate::support::world::{DAY, KeyField, World, text, write_calls};

const BUCKET: &str = "voice-agent";

/// A sync of the day from a bucket, with this S3 environment.
fn night(world: &World, s3: impl IntoIterator<Item = (String, String)>, further: &[&str]) -> Command {
    let source = format!("s3://{BUCKET}/sessions/");
    let day = DAY.to_string();
    let mut command = world.command(&["sync", "--source", &source, "--from", &day]);
    command.args(further).envs(s3);
    command
}

/// The environment of a stub that speaks for S3.
fn at(endpoint: &str) -> Vec<(String, String)> {
    [("AWS_ENDPOINT_URL_S3", endpoint), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

fn error_page(status: u16, code: &str, more: &str) -> (axum::http::StatusCode, String) {
    let status = axum::http::StatusCode::from_u16(status).expect("a status");
    (status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>told</Message>{more}</Error>"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_2500_sessions_in_a_bucket_becomes_exactly_the_right_tasks_and_a_second_night_writes_nothing() {
    let moto = Moto::start().await;
    moto.create_bucket(BUCKET).await;
    let world = World::on_a_real_clock(Default::default()).await;
    let plan = Plan::new(2_500, DAY, 2_500);
    let seeded = world.people(&plan.people());
    for session in plan.sessions() {
        moto.put(BUCKET, &format!("sessions/{}{}", plan.day_folder(), session.file_name), &session.bytes).await;
    }

    let first = finish(night(&world, moto.environment(), &["--json"])).await.exits(0);
    let oracle = Oracle::of(&world, KeyField::There, &plan, &seeded);
    oracle.holds();
    assert_eq!(first.json()["intake"]["files"], 2_500);
    assert_eq!(first.json()["delivery"]["delivered"], oracle.deliverable());

    world.org.reset_counters();
    let second = finish(night(&world, moto.environment(), &["--json"])).await.exits(0);
    assert_eq!(second.json()["intake"]["files_known"], 2_500);
    assert_eq!(write_calls(&world.org.counters()), 0, "a second night writes nothing");
    oracle.holds();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_written_again_in_the_bucket_updates_its_one_task() {
    let moto = Moto::start().await;
    moto.create_bucket(BUCKET).await;
    let world = World::on_a_real_clock(Default::default()).await;
    let mut plan = Plan::new(3, DAY, 60);
    plan.rewritten_of_1000 = 500;
    let seeded = world.people(&plan.people());
    let key = |name: &str| format!("sessions/{}{name}", plan.day_folder());
    for session in plan.sessions() {
        moto.put(BUCKET, &key(&session.file_name), &session.bytes).await;
    }
    finish(night(&world, moto.environment(), &[])).await.exits(0);
    for session in plan.rewrites() {
        moto.put(BUCKET, &key(&session.file_name), &session.bytes).await;
    }
    let ran = finish(night(&world, moto.environment(), &["--json"])).await.exits(0);
    assert!(ran.json()["delivery"]["updated"].as_u64() > Some(5), "{}", ran.stdout);
    Oracle::of(&world, KeyField::There, &plan, &seeded).expect(plan.rewrites(), &seeded).holds();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_a_missing_bucket_and_a_wrong_region_end_the_run_with_what_to_do() {
    let world = World::on_a_real_clock(Default::default()).await;
    world.contact("ada@example.com");
    let moto = Moto::start().await;
    let check = |ran: Ran, code: &str, part: &str| {
        let ran = ran.exits(3);
        ran.tells(code).tells(part).tells("help:");
        assert!(!ran.stderr.contains("Signature="), "{}", ran.stderr);
    };
    check(finish(night(&world, moto.environment(), &[])).await, "TL0202", BUCKET);

    moto.create_bucket(BUCKET).await;
    moto.require_credentials(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}"#,
    )
    .await;
    check(finish(night(&world, moto.environment(), &[])).await, "TL0201", BUCKET);

    let elsewhere = Stub::start(|_| {
        let page = error_page(301, "PermanentRedirect", "<Endpoint>voice-agent.s3-us-west-2.amazonaws.com</Endpoint>");
        (page.0, [("x-amz-bucket-region", "us-west-2")], page.1)
    })
    .await;
    check(finish(night(&world, at(&elsewhere.endpoint), &[])).await, "TL0203", "us-west-2");
    assert!(world.tasks().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_asks_to_slow_down_is_asked_again_and_a_file_that_vanishes_is_told() {
    let world = World::on_a_real_clock(Default::default()).await;
    let ada = world.contact("ada@example.com");
    let listing = move |names: &[&str]| {
        let folder = format!("sessions/year={:04}/month={:02}/day={:02}/", DAY.year(), DAY.month(), DAY.day());
        let contents: String = names
            .iter()
            .map(|name| {
                format!(
                    "<Contents><Key>{folder}{name}</Key><LastModified>2026-11-20T22:00:00.000Z</LastModified>\
                     <ETag>&quot;{name}&quot;</ETag><Size>200</Size></Contents>"
                )
            })
            .collect();
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        )
    };
    let slow = std::sync::atomic::AtomicU32::new(0);
    let stub = Stub::start(move |request| {
        use axum::http::StatusCode;
        if slow.fetch_add(1, std::sync::atomic::Ordering::SeqCst).is_multiple_of(3) {
            error_page(503, "SlowDown", "")
        } else if request.contains("list-type=2") {
            (StatusCode::OK, listing(&["rm_gone.json", "rm_here.json"]))
        } else if request.contains("rm_here") {
            let session = r#"{"session_id":"rm_here","user_email":"ada@example.com","duration_seconds":61}"#;
            (StatusCode::OK, session.to_owned())
        } else {
            error_page(404, "NoSuchKey", "")
        }
    })
    .await;
    let ran = finish(night(&world, at(&stub.endpoint), &[])).await.exits(1);
    ran.says("1 delivered, 1 file in quarantine").tells("TL0205").tells("rm_gone.json");
    assert_eq!(text(&world.task("rm_here"), "WhoId"), ada);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_only_says_slow_down_ends_the_run_and_the_next_night_makes_up_for_it() {
    let world = World::on_a_real_clock(Default::default()).await;
    let busy = Stub::start(|_| error_page(503, "SlowDown", "")).await;
    let ran = finish(night(&world, at(&busy.endpoint), &[])).await.exits(3);
    ran.tells("TL0204").tells("SlowDown");

    let moto = Moto::start().await;
    moto.create_bucket(BUCKET).await;
    let plan = Plan::new(5, DAY, 20);
    let seeded = world.people(&plan.people());
    for session in plan.sessions() {
        moto.put(BUCKET, &format!("sessions/{}{}", plan.day_folder(), session.file_name), &session.bytes).await;
    }
    finish(night(&world, moto.environment(), &[])).await.exits(0);
    Oracle::of(&world, KeyField::There, &plan, &seeded).holds();
}
