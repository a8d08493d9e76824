//! Making a person of a caller.

use serde_json::json;

use super::super::tests::{Net, call, destination_with, reply};
use super::*;
use crate::destinations::salesforce::config::NoMatchRule;
use crate::destinations::{CreatesPeople, Destination};
use crate::model::Action;

fn lead_for(email: &str, booked: Option<&str>, name: Option<&str>) -> Option<Record> {
    let mut call = call("s1", email).into_call();
    call.caller.name = name.map(str::to_owned);
    call.actions = vec![Action { customer_name: booked.map(str::to_owned), ..Action::default() }];
    lead_of(&call)
}

#[test]
fn a_lead_is_named_after_the_booking_the_caller_or_the_address() {
    let check = |email: &str, booked: Option<&str>, name: Option<&str>, expected: [&str; 3]| {
        let lead = lead_for(email, booked, name).unwrap();
        let text = |field: &str| lead.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        assert_eq!([text("FirstName"), text("LastName"), text("Company")], expected, "{email}");
        assert_eq!((text("Email").as_str(), text("LeadSource").as_str()), (email.trim(), "Voice AI"));
    };
    check(
        "ada@Engines.example",
        Some(" Ada  Byron Lovelace "),
        Some("X"),
        ["Ada  Byron", "Lovelace", "engines.example"],
    );
    check("ada@gmail.com", None, Some("Lovelace"), ["", "Lovelace", "Unknown"]);
    check("ada.l@yahoo.co.uk", None, None, ["", "ada.l", "Unknown"]);
    check("nonsense", None, None, ["", "nonsense", "Unknown"]);
    check("@example.com", None, None, ["", "Unknown", "example.com"]);
    assert!(lead_for("  ", None, None).is_none());
    let long = lead_for("a@example.com", Some(&format!("{} {}", "f".repeat(50), "l".repeat(90))), None).unwrap();
    assert_eq!((long["FirstName"].as_str().unwrap().len(), long["LastName"].as_str().unwrap().len()), (40, 80));
}

async fn create_with(status: u16, body: Value) -> (Result<Person, Outcome>, std::sync::Arc<Net>) {
    let net = Net::new(move |seen| if seen.path().ends_with("/Lead") { reply(status, body.clone()) } else { None });
    let destination = destination_with(&net, |settings| settings.no_match = NoMatchRule::CreateLead);
    assert!(destination.people().is_some());
    (destination.create_person(&call("s1", "ada@example.com")).await, net)
}

#[tokio::test]
async fn a_new_lead_is_made_without_the_assignment_rule() {
    let (outcome, net) = create_with(201, json!({"id": "00QA", "success": true, "errors": []})).await;
    assert_eq!(outcome, Ok(Person { object: "Lead".into(), id: "00QA".into() }));
    assert_eq!(net.seen("/Lead")[0].header("sforce-auto-assign"), "FALSE");
}

#[tokio::test]
async fn a_duplicate_rule_names_the_person() {
    for key in ["duplicateResut", "duplicateResult"] {
        let matches = |object: &str, id: &str| json!({"entityType": object, "matchRecords": [{"record": {"Id": id}}]});
        let body = json!([{"errorCode": "DUPLICATES_DETECTED", "message": "Use one of these records?",
            key: {"allowSave": false, "matchResults": [matches("Lead", "00QB"), matches("Contact", "003B")]}}]);
        let (outcome, _) = create_with(400, body).await;
        assert_eq!(outcome, Ok(Person { object: "Contact".into(), id: "003B".into() }));
    }
    let (outcome, _) = create_with(400, json!([{"errorCode": "DUPLICATES_DETECTED", "message": "x"}])).await;
    assert!(matches!(outcome, Err(Outcome::Reject { .. })));
}

#[tokio::test]
async fn a_lost_answer_is_unknown() {
    let (outcome, _) = create_with(502, json!(null)).await;
    assert!(matches!(outcome, Err(Outcome::Unknown { settled: false, .. })));
    let (outcome, _) = create_with(201, json!([])).await;
    assert!(matches!(outcome, Err(Outcome::Unknown { settled: true, .. })));
}
