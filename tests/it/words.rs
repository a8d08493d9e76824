//! Promise: what the program says is what it does, in words that a person can act on.

use std::collections::BTreeSet;
use std::io::Read;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use jiff::civil::Date;
use serde_json::{Value, json};
use trunkline::clock::Clock;
use trunkline::net::{HttpTransport, Transport, TransportError};
use trunkline::sim::salesforce::ValidationRule;

use crate::support::binary::{bare, finish, wait};
use crate::support::network::{LateNetwork, Loss};
use crate::support::session::{self, age, session};
use crate::support::world::{DAY, KeyField, World, names_in, text};

/// A day with one call, of Ada, whom the org knows.
async fn one_call_in(key_field: KeyField) -> World {
    let world = World::new(key_field).await;
    world.contact("ada@example.com");
    world.put("one.json", &session("one", "ada@example.com", "2026-11-20T09:00:00", 60));
    world
}

async fn one_call() -> World {
    one_call_in(KeyField::There).await
}

/// A Task that an earlier script made for a session of the day.
fn earlier_task(world: &World, session_id: &str) -> String {
    let description = format!("Voice AI Call Summary\nSession ID: {session_id}");
    let task =
        json!({ "Subject": format!("Voice AI Call - {DAY}"), "Status": "Completed", "Description": description });
    world.org.insert("Task", task)
}

/// The command with an org that does not answer: nothing listens on port 1.
fn unreachable(mut command: Command) -> Command {
    command.env("SF_LOGIN_URL", "http://127.0.0.1:1");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_an_earlier_task_as_adopted_with_its_stamp_and_nothing_else() {
    let world = one_call().await;
    let task = earlier_task(&world, "one");
    let shown = world.run_sync(&["--dry-run", "--json"]).await.exits(0).json();
    let fields: Vec<&str> =
        shown["records"][0]["record"].as_object().expect("a record").keys().map(String::as_str).collect();
    assert_eq!(
        (shown["records"][0]["operation"].as_str(), fields),
        (Some("adopt"), vec!["CallObject", "Call_Key__c"]),
        "{shown}"
    );

    world.run_sync(&[]).await.exits(0).says("1 adopted");
    assert_eq!(world.task("one")["Id"], task.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_delivery_tells_the_reason_of_the_hold_and_not_what_it_met_before() {
    let world = World::new(KeyField::There).await;
    world.put("one.json", &session("one", "ada@example.com", "2026-11-20T09:00:00", 60));
    world.run_sync(&[]).await.exits(0).says("1 without a match");
    world.set(|settings| settings.hidden_fields = ["Task.CallType".to_owned()].into());
    world.run_sync(&[]).await.exits(1).says("1 held");

    for filter in [["--state", "held"], ["--reason", "TL0503"]] {
        let listed = world.run(&[&["deliveries"], &filter[..]].concat()).await.exits(0);
        assert!(listed.says("TL0503").stdout.contains("CallType"), "{}", listed.stdout);
    }
    let why = world.run(&["why", "one"]).await.exits(0);
    why.says("why      TL0503").says("Field-Level Security");
    assert!(!why.stdout.contains("TL0402"), "{}", why.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_made_due_again_has_no_reason_from_before() {
    let world = World::new(KeyField::There).await.configure("[delivery]\npatience_s = 0");
    world.put("one.json", &session("one", "ada@example.com", "2026-11-20T09:00:00", 60));
    world.run_sync(&[]).await.exits(0).says("1 without a match");
    finish(unreachable(world.command(&["retry", "one"]))).await.exits(3);
    let due = world.run(&["deliveries", "--state", "due"]).await.exits(0);
    assert!(!due.says("one").stdout.contains("TL0402"), "{}", due.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_does_not_exist_is_told_before_any_call_meets_it() {
    let world = one_call().await.configure("[salesforce.task]\nSubject = \"{{ date | nosuchfilter }}\"");
    let ran = world.run_sync(&[]).await.exits(2);
    ran.tells("error TL0103: the mapping of Subject").tells("nosuchfilter").tells("docs/mapping.md");
    world.run(&["check"]).await.exits(1).says("FIX  salesforce    TL0103").says("nosuchfilter");
    assert!(world.tasks().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn why_says_that_a_person_must_look_at_a_dead_letter_and_what_was_in_the_way() {
    let world = one_call().await;
    let rule =
        ValidationRule { field: "Subject".to_owned(), contains: "Voice".to_owned(), ..ValidationRule::default() };
    world.set(|settings| settings.validation_rules = vec![rule]);
    world.run_sync(&[]).await.exits(1);
    let why = world.run(&["why", "one"]).await.exits(0);
    why.says("so       a person must look: the record was refused; mend the cause, then `trunkline retry`");
    why.says("why      TL0601");

    let world = one_call().await;
    world.set(|settings| settings.key_field.as_mut().expect("an org with the field").length = 20);
    world.run_sync(&[]).await.exits(1);
    let why = world.run(&["why", "one"]).await.exits(0);
    why.says("so       a person must look: no record could be made of it; mend the cause, then `trunkline retry`");
    why.says("why      TL0609");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_tells_a_second_writing_on_request_from_an_update_by_a_later_revision() {
    let world = one_call().await;
    world.run_sync(&[]).await.exits(0);
    world.run(&["why", "one"]).await.says(": written once");
    // What stands there with the same content is not written again.
    world.run(&["retry", "one", "--recreate"]).await.exits(0).says("1 unchanged");
    world.run(&["why", "one"]).await.says(": written once");
    world.org.update(text(&world.task("one"), "Id"), json!({ "Subject": "Renamed" }));
    world.run(&["retry", "one", "--recreate"]).await.exits(0).says("1 updated");
    world.run(&["why", "one"]).await.says("holds revision 1 of 1").says(": written, then written again on request");

    let changed = world.put("one.json", &session("one", "ada@example.com", "2026-11-20T09:00:00", 90));
    age(&changed, Duration::ZERO);
    world.run_sync(&[]).await.exits(0).says("1 updated");
    world.run(&["why", "one"]).await.says("holds revision 2 of 2").says(": written, then updated by later revisions");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_says_that_an_answer_was_lost_when_a_process_was_killed_before_it_came() {
    let world = Arc::new(one_call_in(KeyField::Missing).await);
    let network = Arc::new(LateNetwork::new(world.clock.clone(), Loss::Silence, 1, Duration::ZERO));
    let (runs, over) = (world.clone(), network.clone());
    let killed = tokio::spawn(async move { runs.sync_over(over).await });
    network.lost.notified().await;
    killed.abort();
    assert!(killed.await.is_err_and(|error| error.is_cancelled()), "the process was to be killed");
    network.deliver_late(true).await;

    world.run_sync(&[]).await.exits(0).says("1 delivered");
    let why = world.run(&["why", "one"]).await.exits(0);
    why.says(": written once; the answer was lost, and the record was found afterwards; its content was not compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_lead_that_would_be_made_once_for_each_caller() {
    let world = World::new(KeyField::There).await.configure("[salesforce]\nno_match = \"create_lead\"");
    world.put("one.json", &session("one", "new@example.com", "2026-11-20T09:00:00", 60));
    world.put("two.json", &session("two", "New@Example.com", "2026-11-20T10:00:00", 60));
    let shown = world.run_sync(&["--dry-run"]).await.exits(0);
    shown.says("create lead session one").says("this lead is made").says("Email: new@example.com");
    shown.says("create session two").says("goes on the lead of an earlier call");
    shown.says("\nwould create 2, make 1 lead\n");
    assert!(!shown.stdout.contains("skip"), "{}", shown.stdout);
    assert!(world.org.records("Lead").is_empty());

    world.run_sync(&[]).await.exits(0).says("2 delivered");
    assert_eq!(world.org.records("Lead").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_the_list_of_calls_without_a_person_too() {
    let world = one_call().await;
    world.put("two.json", &session("two", "new@example.com", "2026-11-20T10:00:00", 60));
    world.run_sync(&["--dry-run", "--unmatched-csv", "z.csv"]).await.exits(0).tells("is in z.csv");
    let rows = std::fs::read_to_string(world.path("z.csv")).expect("the list");
    assert_eq!(rows.lines().nth(1), Some("two,2026-11-20,new@example.com,,nobody has this address,"), "{rows}");
    assert_eq!(rows.lines().count(), 2, "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_is_wrong_with_the_key_field_and_how_to_mend_it() {
    let world = one_call().await;
    let source = world.source();
    let check = async || world.run(&["check", "--source", &source]).await.exits(0);
    check().await.says("ok   key field     External ID and Unique");
    world.set(|settings| settings.key_field.as_mut().expect("an org with the field").unique = false);
    let told = check().await;
    told.says("note key field     Call_Key__c is there, but it is not Unique").says("tick External ID and Unique");
    assert_eq!(told.stdout.matches("Call_Key__c is").count(), 1, "{}", told.stdout);
    world.run_sync(&[]).await.exits(0).tells("warning: Call_Key__c is there, but it is not Unique");

    world.set(|settings| settings.key_field = None);
    check().await.says("note key field     Call_Key__c is missing or not visible").says("deploy the package");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_with_nothing_to_do_says_so_and_why() {
    let world = one_call().await;
    world.run_sync(&[]).await.exits(0);
    let idle = world.run(&["retry"]).await.exits(0);
    assert_eq!(idle.stdout, "nothing is due\n");
    let named = world.run(&["retry", "one"]).await.exits(0);
    named.tells("one is delivered already, as record 00T").tells("trunkline retry one --recreate");
    assert_eq!(named.stdout, "nothing is due\n");
    world.run(&["retry", "--quarantine", "--source", &world.source()]).await.exits(0).says("no file is in quarantine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_has_ended_leaves_the_ledger_as_one_file() {
    let world = one_call().await;
    world.run_sync(&["--unmatched-csv", "z.csv"]).await.exits(0);
    for command in
        [&["why", "one"][..], &["retry"], &["report"], &["check"], &["sync", "--dry-run", "--source", &world.source()]]
    {
        world.run(command).await;
        let left: Vec<String> =
            names_in(world.folder.path()).into_iter().filter(|name| name.contains("calls")).collect();
        assert_eq!(left, ["calls.db"], "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_leaves_ends_nothing_and_is_told_nothing() {
    let world = one_call().await;
    world.run_sync(&[]).await.exits(0);
    for arguments in [&["why", "one", "--json"][..], &["why", "one"], &["calls"], &["explain"], &["report"]] {
        let mut child = world.command(arguments).spawn().expect("the program starts");
        drop(child.stdout.take());
        let mut words = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut words).expect("text");
        assert_eq!((wait(child).await, words.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_people_of_invented_sessions_go_into_the_org_as_they_are_written() {
    let world = World::new(KeyField::There).await;
    let (folder, day) = (world.sessions().display().to_string(), DAY.to_string());
    world.run(&["sim", "sessions", "--dir", &folder, "--date", &day, "--calls", "60"]).await.exits(0);
    let written = std::fs::read(world.sessions().join("people.json")).expect("the people");
    let people: Value = serde_json::from_slice(&written).expect("JSON");
    let network = HttpTransport::new().expect("a client");
    for object in ["Contact", "Lead"] {
        let url = format!("{}/sim/records/{object}", world.simulator.url());
        let request = Request::post(url).body(people[object].to_string().into()).expect("a request");
        let answer = network.send(request, Duration::from_secs(10)).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{object}: {}", String::from_utf8_lossy(answer.body()));
    }
    let contacts: Vec<Value> = world.org.records("Contact").iter().map(|contact| contact["Id"].clone()).collect();
    let converted: Vec<Value> =
        world.org.records("Lead").iter().filter_map(|lead| lead.get("ConvertedContactId").cloned()).collect();
    assert!(!converted.is_empty() && converted.iter().all(|id| contacts.contains(id)), "{converted:?}");
    world.run_sync(&[]).await.exits(0);
    assert!(world.tasks().len() > 40, "{}", world.tasks().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_days_are_read_without_reckoning_with_dates() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    let source = world.source();
    let put = |day: Date, id: &str| {
        let document = session(id, "ada@example.com", "2026-11-20T09:00:00", 60);
        session::put(&world.sessions(), day, &format!("{id}.json"), document.to_string());
    };
    for (back, id) in ["last", "before", "too_early"].into_iter().enumerate() {
        put(DAY.saturating_sub(jiff::Span::new().days(back as i64)), id);
    }
    let day = DAY.to_string();
    world.run(&["sync", "--source", &source, "--days", "2", "--to", &day]).await.exits(0).says("2 delivered");
    assert!(world.tasks_of("too_early").is_empty());

    // Without an end it is yesterday.
    let today = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    put(today.yesterday().expect("a day before"), "yesterday");
    world.run(&["sync", "--source", &source, "--days", "1"]).await.exits(0);
    world.task("yesterday");
    for wrong in [&["--days", "2", "--from", "2026-11-20"], &["--days", "0"][..]] {
        world.run(&[&["sync", "--source", &source], wrong].concat()).await.exits(2).tells("--days");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_told_as_one() {
    let world = one_call().await;
    world.put("two.json", &session("two", "new@example.com", "2026-11-20T10:00:00", 60));
    let rule =
        ValidationRule { field: "Subject".to_owned(), contains: "Voice".to_owned(), ..ValidationRule::default() };
    world.set(|settings| settings.validation_rules = vec![rule]);
    let ran = world.run_sync(&["--unmatched-csv", "z.csv"]).await.exits(1);
    ran.tells("2 calls are due").tells("1 call without a person is in z.csv").tells("1 dead letter TL0601:");
    world.run(&["retry"]).await.exits(1).tells("1 delivery is due again").tells("1 call is due");
    world.run(&["why", "one"]).await.says(", 1 turn, 0 actions, ");

    let world = one_call().await;
    world.set(|settings| settings.hidden_fields = ["Task.CallType".to_owned()].into());
    world.run_sync(&[]).await.exits(1).tells("1 call waits for this");
    world.set(|settings| settings.hidden_fields.clear());
    world.run_sync(&[]).await.exits(0).says("1 delivered");
    world.run_sync(&[]).await.exits(0).says("nothing new in 1 file\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_lists_its_next_steps_in_columns_and_says_when_it_made_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = async || {
        let mut command = bare();
        command.current_dir(folder.path()).arg("demo");
        finish(command).await.exits(0)
    };
    let first = demo().await;
    let abouts = ["which of two", "why a call", "the file", "the day", "again:", "your own"];
    let columns: BTreeSet<Option<usize>> = abouts
        .iter()
        .map(|about| {
            first.stderr.lines().filter(|line| line.starts_with("  trunkline")).find_map(|line| line.find(about))
        })
        .collect();
    assert!(columns.len() == 1 && !columns.contains(&None), "{columns:?}\n{}", first.stderr);
    first.says("7 delivered, 1 adopted");
    demo().await.says("\n0 records written: every call with a person was delivered before; 1 without a match");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_notes_a_secret_that_stands_in_the_file_and_does_not_repeat_it() {
    let noted = async |text: &str| {
        let world = one_call().await.configure(text);
        world.run(&["check", "--source", &world.source()]).await.exits(0).stdout
    };
    let plain = noted("[salesforce]\npassword = \"hunter2\"\nclient_secret = \"sim-secret\"").await;
    let line = plain.lines().find(|line| line.starts_with("note secrets")).expect("a note");
    assert!(line.ends_with("the secret of salesforce.password, salesforce.client_secret"), "{line}");
    assert!(plain.contains("env:NAME") && !plain.contains("hunter2"), "{plain}");
    let world = one_call().await.configure(
        "[rest.desk]\nauth = { kind = \"token\", token = \"hunter2\" }\nheaders = { X-Api-Key = \"hunter3\" }",
    );
    let told = world.run(&["check", "--source", &world.source()]).await.exits(1).stdout;
    let line = told.lines().find(|line| line.starts_with("note secrets")).expect("a note");
    assert!(line.ends_with("the secret of rest.desk.auth.token, rest.desk.headers.X-Api-Key"), "{line}");
    assert!(!told.contains("hunter"), "{told}");
    let referred =
        noted("[salesforce]\npassword = \"env:SF_CLIENT_SECRET\"\nclient_secret = \"env:SF_CLIENT_SECRET\"").await;
    assert!(!referred.contains("secrets"), "{referred}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_org_that_cannot_be_reached_ends_the_run_with_one_error() {
    let world = one_call().await.configure("[delivery]\npatience_s = 1");
    for further in [&[][..], &["--dry-run"]] {
        let ran = finish(unreachable(world.sync_command(further))).await.exits(3);
        ran.tells("error TL0701: no connection to 127.0.0.1:1: Connection refused").tells("; given up after ");
        ran.tells("help: Check the network");
        assert_eq!(ran.stderr.matches("127.0.0.1:1").count(), 1, "{}", ran.stderr);
    }
}

/// A network without a way out.
struct Nowhere;

#[async_trait]
impl Transport for Nowhere {
    async fn send(&self, _: Request<Bytes>, _: Duration) -> Result<http::Response<Bytes>, TransportError> {
        Err(TransportError::NotSent { host: "org".to_owned(), cause: "no route".to_owned() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_org_that_cannot_be_reached_is_waited_for_no_longer_than_the_patience() {
    let world = one_call().await;
    let began = world.clock.now();
    let summary = world.sync_over(Arc::new(Nowhere)).await;
    let waited = world.clock.now().duration_since(began);
    assert!(waited.as_secs() > 90 && waited.as_secs() <= 180, "{waited}");
    let gave_up = summary.delivery.gave_up.expect("a reason");
    assert_eq!((gave_up.code.0, summary.delivery.waiting), ("TL0701", 1), "{gave_up}");
}
