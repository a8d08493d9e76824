//! Promise: each ready REST destination takes a call in exactly the documented form, on the right person, once.

use serde_json::{Value, json};
use trunkline::sim::call_data_api::{LookUp, PostAnswer};
use trunkline::sim::harness::Fault;

use crate::support::rest_kits::{CAMPAIGN, ForCallData, ForDynamics, ForHubSpot, ForPipedrive, ForZoho, Kit};
use crate::support::rest_world::{RestWorld, told};
use crate::support::session::session;

const SUMMARY: &str = "Use Case: sales_proposals\nTeam Size: 12";

/// One call of somebody the CRM knows and one of a stranger; returns the two records and the id of the one who is known.
async fn two_calls<K: Kit>() -> (Value, Value, String) {
    let world = K::world().await;
    let known = K::person(&world.api(), "ada@example.com");
    K::person(&world.api(), "grace@example.com");
    world.put("a.json", &told("s-known", "Ada@example.com"));
    let mut stranger = told("s-stranger", "nobody@example.com");
    stranger["end_time"] = json!("2026-11-20T10:02:05");
    stranger["start_time"] = json!("2026-11-20T10:00:00");
    world.put("b.json", &stranger);
    let summary = world.sync().await;
    assert_eq!(summary.delivery.delivered, 2, "{}: {}", K::NAME, why_not(&world).await);
    let calls = K::calls(&world);
    assert_eq!(calls.len(), 2, "{}", K::NAME);
    let by = |id: &str| {
        let key = trunkline::model::CallKey::from_source("sessions", id).as_str().to_owned();
        let is = |call: &&Value| call.to_string().contains(&key);
        calls.iter().find(is).cloned()
    };
    // An id that is made from the key does not show it; the order of the calls tells them apart then.
    let known_call = by("s-known").unwrap_or_else(|| calls[0].clone());
    let other = calls.iter().find(|call| **call != known_call).cloned().expect("the other one");
    writes_nothing_more::<K>(&world).await;
    (known_call, other, known)
}

async fn why_not<R: trunkline::sim::harness::Remote>(world: &RestWorld<R>) -> String {
    let rows = world.deliveries().await;
    rows.iter().map(|row| format!("{} {:?}\n", row.state, row.problem)).collect()
}

async fn writes_nothing_more<K: Kit>(world: &RestWorld<K::Remote>) {
    world.api().reset_counters();
    let summary = world.sync().await;
    let operations = world.api().counters().operations;
    let writes: Vec<_> =
        operations.keys().filter(|name| ["create", "update", "stor"].iter().any(|word| name.contains(word))).collect();
    assert!(writes.is_empty(), "{}: a second run writes: {operations:?}", K::NAME);
    assert_eq!(summary.delivery.delivered, 0);
}

/// `record` without its id.
fn plain(mut record: Value, id: &str) -> Value {
    record.as_object_mut().expect("a record").remove(id).expect("an id");
    record
}

fn key(id: &str) -> String {
    trunkline::model::CallKey::from_source("sessions", id).as_str().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_hubspot_has_the_documented_properties() {
    let (known, stranger, contact) = two_calls::<ForHubSpot>().await;
    assert_eq!(
        plain(known, "id"),
        json!({
            "trunkline_call_key": key("s-known"), "hs_timestamp": "2026-11-20T09:00:00Z",
            "hs_call_title": "Voice AI call", "hs_call_body": SUMMARY, "hs_call_direction": "INBOUND",
            "hs_call_status": "COMPLETED", "hs_call_duration": "125000", "hs_call_from_number": "+15550100200",
        })
    );
    assert_eq!(stranger["trunkline_call_key"], key("s-stranger"));
    let world = ForHubSpot::world().await;
    let id = ForHubSpot::person(&world.api(), "ada@example.com");
    world.put("a.json", &told("s-known", "ada@example.com"));
    world.sync().await;
    let ties = world.api().records("associations");
    let call = world.api().records("records")[0]["id"].clone();
    assert_eq!(ties, [json!({ "call": call, "to": "contacts", "id": id })]);
    assert!(!contact.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_pipedrive_has_the_documented_fields() {
    let (known, stranger, person) = two_calls::<ForPipedrive>().await;
    let mut known = plain(known, "id");
    known.as_object_mut().expect("a record").remove("add_time");
    assert_eq!(
        known,
        json!({
            "subject": "Voice AI call", "outcome": "connected", "start_time": "2026-11-20 09:00:00",
            "end_time": "2026-11-20 09:02:05", "duration": "125", "from_phone_number": "+15550100200",
            "to_phone_number": "+15550100900", "person_id": person.parse::<u64>().expect("a number"),
            "note": format!("{SUMMARY}\nCall {}", key("s-known")),
        })
    );
    assert_eq!(stranger.get("person_id"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_zoho_has_the_documented_fields() {
    let (known, stranger, contact) = two_calls::<ForZoho>().await;
    assert_eq!(
        plain(known, "id"),
        json!({
            "Trunkline_Call_Key": key("s-known"), "Subject": "Voice AI call", "Call_Type": "Inbound",
            "Call_Start_Time": "2026-11-20T09:00:00+00:00", "Call_Duration": "02:05", "Description": SUMMARY,
            "Who_Id": { "id": contact },
        })
    );
    assert_eq!(stranger.get("Who_Id"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_dynamics_has_the_documented_columns() {
    let (one, other, contact) = two_calls::<ForDynamics>().await;
    let (known, stranger) = if one["actualstart"] == "2026-11-20T09:00:00Z" { (one, other) } else { (other, one) };
    let bound = format!("/contacts({contact})");
    assert_eq!(
        plain(known, "activityid"),
        json!({
            "subject": "Voice AI call", "description": SUMMARY, "phonenumber": "+15550100200", "directioncode": false,
            "actualdurationminutes": 2, "actualstart": "2026-11-20T09:00:00Z", "actualend": "2026-11-20T09:02:05Z",
            "scheduledend": "2026-11-20T09:02:05Z", "statecode": 0, "statuscode": 1,
            "regardingobjectid_contact@odata.bind": bound,
            "phonecall_activity_parties": [{ "partyid_contact@odata.bind": bound, "participationtypemask": 1 }],
        })
    );
    assert_eq!(stranger.get("regardingobjectid_contact@odata.bind"), None);
    assert_eq!(stranger.get("phonecall_activity_parties"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_the_call_data_api_has_its_details_and_its_transcript() {
    let (known, _, _) = two_calls::<ForCallData>().await;
    assert_eq!(known["campaignId"], CAMPAIGN);
    assert_eq!(
        known["callDetails"],
        json!({
            "callId": key("s-known"), "direction": "inbound", "startTime": "2026-11-20T09:00:00Z",
            "endTime": "2026-11-20T09:02:05Z", "duration": 125, "status": "completed", "callerNumber": "+15550100200",
            "recordingUrl": null, "recordingDuration": null, "recordingSize": null,
        })
    );
    assert_eq!(known["caller"], json!({ "phoneNumber": "+15550100200" }));
    let item = json!({ "role": "user", "content": "Hello", "source": "unknown", "transcript_confidence": null });
    assert_eq!(known["transcription"]["conversation_items"], json!([item]));
    assert_eq!(known["lead"], json!({}));
}

/// An answer of success alone does not count where the body says otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_says_it_failed_is_a_dead_letter() {
    let world = ForCallData::world().await;
    world.api().settings(|settings| settings.post_answer = PostAnswer::SuccessFalse);
    world.put("a.json", &told("s1", "ada@example.com"));
    let summary = world.sync_to_the_end().await;
    assert_eq!((summary.delivery.delivered, summary.delivery.dead.get("TL0608")), (0, Some(&1)));
    for answer in [PostAnswer::Empty, PostAnswer::Text] {
        world.api().settings(|settings| settings.post_answer = answer);
        world.put(&format!("{answer:?}.json"), &told(&format!("s-{answer:?}"), "ada@example.com"));
        assert_eq!(world.sync_to_the_end().await.delivery.delivered, 1, "{answer:?}");
    }
}

async fn refusal_stops_only_its_own_call<K: Kit>() {
    for status in [400, 422] {
        let world = K::world().await;
        for number in 0..3 {
            let start = format!("2026-11-20T1{number}:00:00");
            world.put(&format!("{number}.json"), &session(&format!("s{number}"), "ada@example.com", &start, 60));
        }
        world.api().add_fault(K::on_create(Fault::refuse(status).saying("the wrong colour").times(1)));
        let summary = world.sync_to_the_end().await;
        assert_eq!((summary.delivery.dead.get("TL0608"), K::calls(&world).len()), (Some(&1), 2), "{}", K::NAME);
        let rows = world.deliveries().await;
        let row = rows.iter().find(|row| row.state == "dead").expect("one");
        let dead = row.problem.as_ref().expect("a reason");
        assert!(dead.what.contains("the wrong colour"), "{}: {}", K::NAME, dead.what);
        assert!(dead.what.starts_with(&format!("{} refuses the record", row.destination)), "{}", dead.what);
        world.retry().await;
        assert_eq!(K::identities(&world).len(), 3, "{}: a retry delivers it", K::NAME);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_is_a_dead_letter_with_the_servers_words_and_its_neighbours_arrive() {
    refusal_stops_only_its_own_call::<ForHubSpot>().await;
    refusal_stops_only_its_own_call::<ForPipedrive>().await;
    refusal_stops_only_its_own_call::<ForZoho>().await;
    refusal_stops_only_its_own_call::<ForDynamics>().await;
    refusal_stops_only_its_own_call::<ForCallData>().await;
}

async fn refused_credentials_hold<K: Kit>() {
    for status in [401, 403] {
        let world = K::world().await;
        for number in 0..3 {
            world.put(&format!("{number}.json"), &told(&format!("s{number}"), "ada@example.com"));
        }
        world.api().add_fault(K::on_create(Fault::refuse(status)));
        let summary = world.sync().await;
        let hold = summary.delivery.hold.expect("a hold");
        assert_eq!((hold.code.0, summary.delivery.waiting), ("TL0501", 3), "{} {status}", K::NAME);
        let name = &world.deliveries().await[0].destination;
        assert!(hold.what.starts_with(&format!("{name} refuses the credentials")), "{}", hold.what);
        world.api().clear_faults();
        assert_eq!(world.sync_to_the_end().await.delivery.delivered, 3, "{} {status}", K::NAME);
        assert_eq!(K::calls(&world).len(), 3, "{} {status}", K::NAME);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_hold_everything_until_they_are_mended() {
    refused_credentials_hold::<ForHubSpot>().await;
    refused_credentials_hold::<ForPipedrive>().await;
    refused_credentials_hold::<ForZoho>().await;
    refused_credentials_hold::<ForDynamics>().await;
    refused_credentials_hold::<ForCallData>().await;
}

async fn a_lost_ledger_doubles_nothing<K: Kit>(more: &str) {
    let world = K::world_with(more).await;
    K::person(&world.api(), "ada@example.com");
    for number in 0..3 {
        world.put(&format!("{number}.json"), &told(&format!("s{number}"), "ada@example.com"));
    }
    world.sync_to_the_end().await;
    let before = K::identities(&world);
    world.forget_the_ledger();
    let summary = world.sync_to_the_end().await;
    assert_eq!(K::identities(&world), before, "{}: {}", K::NAME, why_not(&world).await);
    assert!(before.len() == 3 && summary.delivery.dead.is_empty(), "{}", K::NAME);
    writes_nothing_more::<K>(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_ledger_doubles_nothing_where_the_api_refuses_or_is_asked_first() {
    a_lost_ledger_doubles_nothing::<ForHubSpot>("").await;
    a_lost_ledger_doubles_nothing::<ForZoho>("").await;
    a_lost_ledger_doubles_nothing::<ForDynamics>("").await;
    a_lost_ledger_doubles_nothing::<ForCallData>("look_up_first = true").await;
}

async fn a_newer_session_changes_the_record<K: Kit>(field: &str) {
    let world = K::world().await;
    world.put("a.json", &told("s1", "ada@example.com"));
    world.sync().await;
    let mut newer = told("s1", "ada@example.com");
    newer["discovered_signals"]["use_case"] = json!("contracts");
    world.put("a2.json", &newer);
    let summary = world.sync_to_the_end().await;
    let calls = K::calls(&world);
    assert_eq!((summary.delivery.updated, calls.len()), (1, 1), "{}: {}", K::NAME, why_not(&world).await);
    assert!(calls[0][field].as_str().is_some_and(|text| text.contains("contracts")), "{}: {calls:?}", K::NAME);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_learnt_later_changes_the_record_where_the_api_lets_it() {
    a_newer_session_changes_the_record::<ForHubSpot>("hs_call_body").await;
    a_newer_session_changes_the_record::<ForZoho>("Description").await;
    a_newer_session_changes_the_record::<ForDynamics>("description").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_callers_odd_address_holds_nobody_up() {
    let world = ForZoho::world().await;
    ForZoho::person(&world.api(), "ada@example.com");
    world.put("a.json", &told("s1", "ada@example.com"));
    world.put("b.json", &session("s2", "no address at all", "2026-11-20T10:00:00", 60));
    world.put("c.json", &session("s3", "o'hara+x&y?100%@example.com", "2026-11-20T11:00:00", 60));
    let summary = world.sync_to_the_end().await;
    assert_eq!(summary.delivery.delivered, 3, "{}", why_not(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_person_are_skipped_where_that_is_wanted() {
    let world = ForHubSpot::world_with("unmatched = \"skip\"").await;
    world.put("a.json", &told("s1", "nobody@example.com"));
    let summary = world.sync().await;
    assert_eq!((summary.delivery.delivered, summary.delivery.skipped.get("TL0402")), (0, Some(&1)));
    assert!(ForHubSpot::calls(&world).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_data_api_without_look_ups_says_so_and_takes_every_call_all_the_same() {
    for look_up in [LookUp::NotFound, LookUp::MethodNotAllowed] {
        let world = ForCallData::world().await;
        world.api().settings(|settings| settings.look_up = look_up);
        world.put("a.json", &told("s1", "ada@example.com"));
        assert_eq!(world.sync().await.delivery.delivered, 1, "{look_up:?}");
    }
}

/// A page can be that of a server without look-ups, or of a gateway for a while: only a person knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_data_api_that_answers_a_page_to_look_ups_is_used_once_somebody_says_that_it_offers_none() {
    let world = ForCallData::world().await;
    world.api().settings(|settings| settings.look_up = LookUp::HtmlPage);
    world.put("a.json", &told("s1", "ada@example.com"));
    let hold = world.sync().await.delivery.hold.expect("a hold");
    assert!(hold.code.0 == "TL0509" && hold.help.contains("look_up = false"), "{hold:?}");
    assert!(ForCallData::calls(&world).is_empty());
    world.configure(&ForCallData::config(&world.simulator.url(), "look_up = false"));
    assert_eq!(world.sync().await.delivery.delivered, 1);
}
