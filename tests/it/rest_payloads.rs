//! Promise: transcripts become the payloads that the call-data API is documented to take, in both generations, the same on
//! every try; `tests/fixtures/call_data_api` shows them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use trunkline::sim::call_data_api::{CallDataApi, Generation};
use trunkline::sources::conversations::{Conversations, Settings};

use crate::support::rest_kits::{ForCallData, Kit};
use crate::support::rest_world::{RestWorld, told};

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"))
}

/// The transcripts, leads, metadata and egress files of the fixtures.
fn conversations() -> Arc<Conversations> {
    let root = fixtures().join("conversations");
    let mut settings = Settings::new(root.join("conversations"));
    settings.leads = Some(root.join("leads"));
    settings.metadata = Some(root.join("call_metadata"));
    settings.egress = Some(root.join("egress"));
    Arc::new(Conversations::open(settings).unwrap_or_else(|problem| panic!("{problem}")))
}

async fn uploaded(generation: Generation, more: &str) -> (RestWorld<CallDataApi>, Vec<Value>) {
    let world = ForCallData::world_with(more).await;
    world.api().settings(|settings| settings.generation = generation);
    world.sync_from(Some(conversations())).await;
    let mut calls = world.api().calls();
    calls.sort_by_key(|call| call["callDetails"]["startTime"].to_string());
    (world, calls)
}

fn is_as_shown(name: &str, calls: &[Value]) {
    let path = fixtures().join("call_data_api").join(name);
    let shown = fs::read_to_string(&path).unwrap_or_default();
    let real = serde_json::to_string_pretty(calls).expect("JSON") + "\n";
    if shown != real {
        let beside = path.with_extension("json.new");
        fs::write(&beside, real).expect("a writable folder");
        panic!("{} is not what is sent now; {} is", path.display(), beside.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_of_the_second_generation_are_as_shown() {
    let (world, calls) = uploaded(Generation::V2, "").await;
    for row in world.deliveries().await {
        let cause = row.problem.map(|problem| problem.what).unwrap_or_default();
        assert!(row.state == "delivered", "{}: {} {cause}", row.source_id, row.state);
    }
    is_as_shown("second_generation.json", &calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_of_the_first_generation_are_as_shown() {
    let (_, calls) = uploaded(Generation::V1, "generation = 1").await;
    is_as_shown("first_generation.json", &calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_what_user_and_assistant_said_and_leads_are_on_their_own_calls() {
    let (_, calls) = uploaded(Generation::V2, "").await;
    assert!(calls.len() >= 3, "{}", calls.len());
    for call in &calls {
        let transcription = &call["transcription"];
        let items = transcription["conversation_items"].as_array().expect("items");
        assert_eq!(transcription["total_items"], json!(items.len()));
        assert!(items.iter().all(|item| item["role"] == "user" || item["role"] == "assistant"), "{items:?}");
        let has_lead = call["lead"].as_object().is_some_and(|lead| !lead.is_empty());
        assert!(transcription["lead_generated"] == true || !has_lead, "{call}");
    }
    let of = |start: &str| calls.iter().find(|call| call["callDetails"]["startTime"] == start).expect("a call");
    assert_eq!(of("2025-03-04T10:00:00Z")["lead"]["email"], "t@example.com");
    assert_eq!(of("2025-03-04T10:00:00Z")["lead"]["phone"], "+15550100200");
    assert_eq!(of("2025-03-04T14:00:00Z")["lead"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_a_ledger_sends_the_same_ids_and_contents() {
    let (world, first) = uploaded(Generation::V2, "").await;
    world.forget_the_ledger();
    world.api().clear();
    world.sync_from(Some(conversations())).await;
    let mut second = world.api().calls();
    second.sort_by_key(|call| call["callDetails"]["startTime"].to_string());
    assert_eq!(first, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_phone_number_stands_in_and_says_so() {
    let world = ForCallData::world_with("default_caller_phone = \"+15550100999\"").await;
    let mut unknown = told("s1", "ada@example.com");
    unknown["caller_phone"] = json!("anonymous");
    world.put("a.json", &unknown);
    world.put("b.json", &told("s2", "ada@example.com"));
    world.sync().await;
    for call in world.api().calls() {
        let is_default = call["caller"]["phoneNumber"] == "+15550100999";
        assert_eq!(call["callDetails"]["callerNumber"], call["caller"]["phoneNumber"]);
        let expected = if is_default { json!({ "caller_phone_is_default": true }) } else { json!({}) };
        assert_eq!(call["transcription"]["metadata"], expected);
        assert!(is_default || call["caller"]["phoneNumber"] == "+15550100200", "{call}");
    }
    assert_eq!(world.api().calls().len(), 2);
}

/// What users of the Python uploader have set already.
#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_the_python_uploader_are_enough() {
    let mut world = ForCallData::world().await;
    let url = world.simulator.url();
    world.configure("");
    world.api().settings(|settings| settings.token = Some("sim-secret".to_owned()));
    world.environment = [
        ("CRM_BASE_URL", url.as_str()),
        ("CRM_CAMPAIGN_ID", "64b0c0ffee00000000000001"),
        ("CRM_VOICE_AGENT_ID", "64b0c0ffee00000000000002"),
        ("CRM_CLIENT_ID", "64b0c0ffee00000000000003"),
        ("CRM_DEFAULT_CALLER_PHONE", "+15550100999"),
        ("CRM_API_TOKEN", "sim-secret"),
        ("CRM_AUTO_UPLOAD", "true"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    world.put("a.json", &told("s1", "ada@example.com"));
    assert_eq!(world.sync().await.delivery.delivered, 1);
    let call = world.api().calls().remove(0);
    assert_eq!(
        [&call["campaignId"], &call["voiceAgentId"], &call["client"]],
        ["64b0c0ffee00000000000001", "64b0c0ffee00000000000002", "64b0c0ffee00000000000003"]
    );
}
