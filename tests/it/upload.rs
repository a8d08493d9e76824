//! Promise: a directory of transcripts goes to the call-data API once, each call with its own lead, and what does not is
//! told with its reason.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline::sim::call_data_api::Fault;
use trunkline::sim::conversations::Plan;
use trunkline::sim::harness::{Fault as RestFault, Options as RestOptions, Simulator as RestSimulator};
use trunkline::sim::rest::hubspot::HubSpot;

use crate::support::binary::{bare, ended, finish, terminate};
use crate::support::rest_kits::{ForHubSpot, Kit};
use crate::support::upload::{Desk, totals};
use crate::support::wait::until;

/// A transcript with times, of a caller with or without a number.
fn transcript(session: &str, phone: Option<&str>, said: &str) -> String {
    let attributes = phone.map_or_else(|| json!({}), |phone| json!({ "sip.phoneNumber": phone }));
    json!({
        "session_id": session, "start_time": "2025-03-04 10:00:00+00:00", "end_time": "2025-03-04 10:02:05+00:00",
        "items": [{ "type": "message", "role": "user", "content": [said] }],
        "metadata": { "participant_attributes": attributes },
    })
    .to_string()
}

async fn one_call() -> Desk {
    let desk = Desk::new().await;
    desk.put("conversations/one.json", &transcript("s1", Some("+15550100100"), "Hello"));
    desk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_once_and_each_call_with_its_own_lead() {
    let desk = Desk::new().await;
    let truth = desk.plan(&Plan::new(11, 400, 120));
    let first = finish(desk.upload(&[])).await.exits(1);
    let [success, failed, total] = totals(&first);
    let stored = desk.holds(&truth, "the first run") as u64;
    assert_eq!((success, success + failed, total), (stored, 400, 400), "{}", first.stderr);
    first.tells(&format!("400 transcripts; {} of 120 leads paired", truth.paired()));
    first.tells(&format!("{} files beside the transcripts cannot be used", truth.malformed));
    first.tells("leads belong to no call").tells("several calls fit it equally well");
    first.tells("startTime");

    let posts = desk.posts();
    let again = finish(desk.upload(&["--json"])).await.exits(1);
    let answer = again.json();
    let told = ["success", "failed", "total"].map(|name| answer[name].as_u64());
    assert_eq!(told, [success, failed, total].map(Some), "{}", again.stderr);
    assert_eq!(desk.posts(), posts, "nothing is sent twice");
    let pairing = &answer["pairing"];
    assert_eq!(pairing["malformed_leads"], truth.malformed);
    assert_eq!(pairing["paired"].as_u64(), Some(truth.paired() as u64));
    // All that the API refuses has no time anywhere, and the API wants one.
    let failures = answer["failures"].as_array().expect("failures");
    assert_eq!(failures.len() as u64, failed);
    for failure in failures {
        assert!(failure["what"].as_str().is_some_and(|what| what.contains("startTime")), "{failure}");
    }
    assert!(success >= 360, "{success}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_transcript_goes_with_the_lead_that_it_is_given() {
    let desk = Desk::new().await;
    desk.put("session.json", &transcript("s1", None, "Hello"));
    desk.put(
        "lead.json",
        r#"{"name": "Test Person", "email": "person@example.com", "timestamp": "2024-01-01T00:00:00"}"#,
    );
    let arguments = ["upload", "session.json", "--lead", "lead.json", "--caller-phone", "+1 555 010-0199"];
    let ran = desk.run(&arguments).await.exits(0);
    assert_eq!(totals(&ran), [1, 0, 1]);
    let payload = desk.stored().remove("s1").expect("the call").remove(0);
    assert_eq!(payload["lead"]["email"], "person@example.com");
    assert_eq!(
        payload["caller"]["phoneNumber"].as_str().map(|phone| phone.replace([' ', '-'], "")).as_deref(),
        Some("+15550100199")
    );
    assert_eq!(payload["transcription"]["metadata"]["caller_phone_is_default"], true);
    assert_eq!(totals(&desk.run(&arguments).await.exits(0)), [1, 0, 1]);
    assert_eq!(desk.posts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_that_stands_in_is_only_for_callers_without_one() {
    let desk = one_call().await;
    desk.put("conversations/two.json", &transcript("s2", None, "Hello"));
    desk.run(&["upload", "--dir", "conversations", "--caller-phone", "+15550100199"]).await.exits(0);
    let stored = desk.stored();
    let phone = |session: &str| stored[session][0]["callDetails"]["callerNumber"].as_str().map(str::to_owned);
    let marked =
        |session: &str| stored[session][0]["transcription"]["metadata"].get("caller_phone_is_default").is_some();
    assert_eq!((phone("s1").as_deref(), marked("s1")), (Some("+15550100100"), false));
    assert_eq!((phone("s2").as_deref(), marked("s2")), (Some("+15550100199"), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_a_payload_a_line_sends_none_and_remembers_nothing() {
    let desk = one_call().await;
    desk.put("conversations/two.json", &transcript("s2", Some("+15550100101"), "Good morning"));
    let ran = desk.run(&["upload", "--dir", "conversations", "--dry-run"]).await.exits(0);
    let lines: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect();
    assert_eq!(lines.len(), 2, "{}", ran.stdout);
    for line in &lines {
        assert_eq!(line["destination"], "call_data_api");
        assert_eq!(line["call"], line["record"]["callDetails"]["callId"]);
    }
    ran.tells("2 calls would be sent; nothing was sent and nothing was remembered");
    assert_eq!((desk.posts(), desk.path("trunkline.db").exists()), (0, false));
    desk.run(&["upload", "--dir", "conversations"]).await.exits(0);
    let ran = desk.run(&["upload", "--dir", "conversations", "--dry-run"]).await.exits(0);
    assert_eq!(ran.stdout, "", "what is delivered is not shown again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_needs_no_answer_of_the_api_and_says_that_it_had_none() {
    let desk = one_call().await;
    let begun = std::time::Instant::now();
    for address in ["http://127.0.0.1:1", &desk.simulator.url()] {
        desk.api.add_fault(Fault::refuse(503));
        let mut command = desk.command(&["upload", "--dir", "conversations", "--dry-run"]);
        let ran = finish({
            command.env("CRM_BASE_URL", address);
            command
        });
        let ran = ran.await.exits(0);
        assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
        assert!(ran.stdout.contains("\"callDetails\""), "{}", ran.stdout);
        ran.tells("call_data_api could not be asked: TL070").tells("1 call would be sent; nothing was sent");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "it is not waited for");
    assert_eq!((desk.posts(), desk.path("trunkline.db").exists()), (0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_refuses_is_a_dead_letter_with_its_words_until_it_is_retried() {
    let desk = one_call().await;
    desk.api.add_fault(Fault::refuse(400).saying("the campaign is closed").on_method("POST"));
    let ran = desk.run(&["upload", "--dir", "conversations"]).await.exits(1);
    assert_eq!(totals(&ran), [0, 1, 1]);
    ran.tells("dead: file://").tells("session s1").tells("the campaign is closed").tells("help: ");
    desk.run(&["deliveries", "--state", "dead"]).await.exits(0).says("the campaign is closed").says("s1");
    desk.run(&["why", "s1"]).await.exits(0).says("the campaign is closed").says("one.json");

    desk.api.clear_faults();
    let ran = desk.run(&["upload", "--dir", "conversations"]).await.exits(1);
    assert_eq!((totals(&ran), desk.stored().len()), ([0, 1, 1], 0), "a dead letter waits for a person");
    desk.run(&["retry", "s1"]).await.exits(0).says("1 delivered");
    let ran = desk.run(&["upload", "--dir", "conversations"]).await.exits(0);
    assert_eq!((totals(&ran), desk.stored().len()), ([1, 0, 1], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_later_is_told_and_not_sent_again() {
    let desk = one_call().await;
    desk.run(&["upload", "--dir", "conversations"]).await.exits(0);
    desk.put("conversations/one.json", &transcript("s1", Some("+15550100100"), "Hello, and something more"));
    let ran = desk.run(&["upload", "--dir", "conversations"]).await.exits(0);
    ran.tells("1 call has changed since the record was made; call_data_api cannot change one: not updated");
    assert_eq!((totals(&ran), desk.posts()), ([1, 0, 1], 1));
    desk.run(&["why", "s1"]).await.exits(0).says("not updated");
    desk.run(&["verify"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_one_session_are_one_call_and_a_broken_one_fails_alone() {
    let desk = one_call().await;
    desk.put("conversations/one_again.json", &transcript("s1", Some("+15550100100"), "Hello"));
    desk.put("conversations/broken.json", "{\"session_id\": ");
    desk.put("conversations/one.json.uploaded", "not read");
    let ran = desk.run(&["upload", "--dir", "conversations"]).await.exits(1);
    assert_eq!((totals(&ran), desk.posts()), ([1, 1, 2], 1), "{}", ran.stderr);
    ran.tells("quarantined: file://").tells("broken.json").tells("TL0303");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_directory_can_go_to_a_second_destination() {
    let desk = one_call().await;
    let other = format!(
        "[rest.other]\npreset = \"call_data_api\"\nbase_url = \"{}\"\n[rest.other.values]\ncampaign_id = \"{1}\"\n\
         voice_agent_id = \"{1}\"\nclient_id = \"{1}\"\n",
        desk.simulator.url(),
        "64b0c0ffee0000000000000d",
    );
    desk.put("trunkline.toml", &other);
    desk.run(&["upload", "--dir", "conversations"]).await.exits(0);
    for _ in 0..2 {
        let ran = desk.run(&["upload", "--dir", "conversations", "--to", "other"]).await.exits(0);
        assert_eq!(totals(&ran), [1, 0, 1]);
    }
    let campaigns: Vec<Value> = desk.stored()["s1"].iter().map(|payload| payload["campaignId"].clone()).collect();
    assert_eq!(campaigns, ["64b0c0ffee0000000000000a", "64b0c0ffee0000000000000d"]);
}

/// What the transcripts of two folders say, at a CRM that can change a record.
fn said(crm: &RestSimulator<HubSpot>) -> Vec<String> {
    let records = crm.api().records("calls");
    records.iter().map(|record| record["hs_call_body"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_neither_waits_for_nor_delivers_what_is_due_of_another_directory() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let options = RestOptions { settings: ForHubSpot::settings(), ..RestOptions::default() };
    let crm = RestSimulator::start(listener, options).expect("a simulator");
    let desk = Desk::new().await;
    let table = |patience_s: u32| {
        let text = "\"hs_call_body\": {{ call.turns[0].text }}";
        let own = "\"trunkline_call_key\": {{ call.key }}, \"hs_timestamp\": \"2026-11-20T09:00:00Z\"";
        let create = format!("create.body = '{{\"properties\": {{{own}, {text}}}}}'");
        let more = format!("{create}\nupdate.body = '{{\"properties\": {{{text}}}}}'");
        format!("[delivery]\nsettle_s = 1\npatience_s = {patience_s}\n{}", ForHubSpot::config(&crm.url(), &more))
    };
    desk.put("trunkline.toml", &table(2));
    desk.put("b/two.json", &transcript("s2", None, "Hello from b"));
    desk.run(&["upload", "--dir", "b", "--to", "hubspot"]).await.exits(0);
    desk.put("b/two.json", &transcript("s2", None, "Hello again from b"));
    crm.api().add_fault(RestFault::refuse(503).on_method("PATCH"));
    let ran = desk.run(&["upload", "--dir", "b", "--to", "hubspot"]).await;
    assert_eq!(totals(&ran.exits(3)), [0, 1, 1]);

    desk.put("trunkline.toml", &table(40));
    desk.put("a/one.json", &transcript("s1", None, "Hello from a"));
    let begun = std::time::Instant::now();
    let ran = desk.run(&["upload", "--dir", "a", "--to", "hubspot"]).await.exits(0);
    assert_eq!(totals(&ran), [1, 0, 1]);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(said(&crm).len(), 2);

    crm.api().clear_faults();
    desk.run(&["upload", "--dir", "a", "--to", "hubspot"]).await.exits(0);
    assert!(!said(&crm).contains(&"Hello again from b".to_owned()), "{:?}", said(&crm));
    let ran = desk.run(&["upload", "b/two.json", "--to", "hubspot"]).await.exits(0);
    assert_eq!(totals(&ran), [1, 0, 1]);
    assert!(said(&crm).contains(&"Hello again from b".to_owned()), "{:?}", said(&crm));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_in_words() {
    let desk = one_call().await;
    std::fs::create_dir(desk.path("empty")).expect("a writable folder");
    desk.put("lead.json", "{\"name\": ");
    let all = ["upload", "--dir", "conversations"];
    let check = |arguments: &[&str], code: i32, texts: &[&str]| {
        let (command, texts) =
            (desk.command(arguments), texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        async move {
            let ran = finish(command).await.exits(code);
            for text in texts {
                ran.tells(&text);
            }
            assert_eq!(ran.stdout, "");
        }
    };
    check(&["upload"], 2, &["required"]).await;
    check(&["upload", "--dir", "nowhere"], 3, &["there is no folder", "nowhere", "TL0202"]).await;
    check(&["upload", "--dir", "empty"], 3, &["there are no transcripts in empty", ".jsonl"]).await;
    check(&["upload", "conversations"], 2, &["is a folder", "trunkline upload --dir conversations"]).await;
    check(&["upload", "--dir", "conversations/one.json"], 2, &["is a file"]).await;
    check(&["upload", "gone.json"], 3, &["there is no transcript gone.json"]).await;
    let one = "conversations/one.json";
    check(&["upload", one, "--lead", "gone.json"], 3, &["there is no lead gone.json"]).await;
    check(&["upload", one, "--lead", "lead.json"], 3, &["lead.json", "TL0303"]).await;
    check(&[&all, ["--leads", "nowhere"].as_slice()].concat(), 3, &["there is no folder", "nowhere"]).await;
    check(&[&all, ["--lead", "lead.json"].as_slice()].concat(), 2, &["--lead"]).await;
    check(&[&all, ["--caller-phone", "nobody"].as_slice()].concat(), 2, &["--caller-phone is not a phone number"])
        .await;
    check(&[&all, ["--zone", "Nowhere/City"].as_slice()].concat(), 2, &["--zone", "Nowhere/City"]).await;
    check(&[&all, ["--to", "nobody"].as_slice()].concat(), 2, &["[rest.nobody]"]).await;
    assert!(!desk.path("trunkline.db").exists(), "a mistake leaves no ledger behind");

    let mut bare = bare();
    bare.current_dir(desk.folder.path()).args(all).env("CRM_BASE_URL", desk.simulator.url());
    let ran = finish(bare).await.exits(2);
    ran.tells("CRM_CAMPAIGN_ID, CRM_VOICE_AGENT_ID, CRM_CLIENT_ID are not set").tells("[call_data_api]");
    assert_eq!(desk.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_asked_to_stop_ends_soon_and_the_next_one_goes_on() {
    let desk = Desk::new().await;
    let truth = desk.plan(&Plan::new(12, 300, 40));
    desk.api.settings(|settings| settings.traffic.latency_ms = 100);
    let child = desk.upload(&[]).stdout(Stdio::piped()).spawn().expect("the program starts");
    until("it sends", async || desk.posts() > 0).await;
    terminate(&child);
    ended(child).await.exits(1).tells("stopped as asked").says("\"total\":300");
    let before = desk.holds(&truth, "stopped");
    assert!((1..200).contains(&before), "{before}");
    desk.api.settings(|settings| settings.traffic.latency_ms = 0);
    let [success, _, total] = totals(&finish(desk.upload(&[])).await.exits(1));
    assert_eq!((desk.holds(&truth, "went on") as u64, total), (success, 300));
    assert!(success > 200, "{success}");
}
