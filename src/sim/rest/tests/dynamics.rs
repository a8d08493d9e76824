//! Dynamics 365: conditional creates, typed columns, links, filters.

use serde_json::{Value, json};

use super::super::dynamics::Dynamics;
use super::{Desk, meets_faults, with};

const CALLS: &str = "/api/data/v9.2/phonecalls";
const ADA: &str = "00000000-0000-0000-0000-000000000501";
const KEY: &str = "6fa459ea-ee8a-5ca4-894e-db77e160355e";
const NEW: [(&str, &str); 1] = [("if-none-match", "*")];

async fn organisation() -> Desk<Dynamics> {
    let mut desk = Desk::<Dynamics>::open().await;
    desk.api.insert("contacts", json!({ "contactid": ADA, "emailaddress1": "o'hara@example.com", "fullname": "Ada" }));
    let reply = desk.form("/sim-tenant/oauth2/v2.0/token", &token_form(&desk)).await.json();
    let token = reply["access_token"].as_str().expect("a token").to_owned();
    desk.headers = vec![("authorization", format!("Bearer {token}")), ("odata-version", "4.0".to_owned())];
    desk
}

fn token_form(desk: &Desk<Dynamics>) -> String {
    let scope = format!("{}/.default", desk.simulator.url()).replace(':', "%3A").replace('/', "%2F");
    format!("grant_type=client_credentials&client_id=sim-client&client_secret=sim-secret&scope={scope}")
}

fn call() -> Value {
    let contact = format!("/contacts({ADA})");
    json!({
        "subject": "Voice AI call", "description": "Summary", "phonenumber": "+15550100200", "directioncode": false,
        "actualdurationminutes": 2, "actualstart": "2026-01-04T10:00:00Z", "actualend": "2026-01-04T10:02:05Z",
        "scheduledend": "2026-01-04T10:02:05Z", "regardingobjectid_contact@odata.bind": contact,
        "phonecall_activity_parties": [{ "partyid_contact@odata.bind": contact, "participationtypemask": 1 }],
    })
}

#[tokio::test]
async fn a_call_with_an_id_of_the_clients_own_is_made_once() {
    let desk = organisation().await;
    let path = format!("{CALLS}({KEY})");
    let made = desk.send_with("PATCH", &path, &NEW, call()).await;
    assert_eq!(made.status, 204, "{}", made.text);
    assert_eq!(made.header("odata-entityid"), format!("{}{path}", desk.simulator.url()));
    desk.send_with("PATCH", &path, &NEW, call()).await.says(412, "already exists");
    let done = json!({ "statecode": 1, "statuscode": 4 });
    assert_eq!(desk.send_with("PATCH", &path, &[("if-match", "*")], done).await.status, 204);
    let read = desk.get(&format!("{path}?$select=statecode,subject")).await.json();
    assert_eq!(
        (&read["statecode"], &read["subject"], read.get("description")),
        (&json!(1), &json!("Voice AI call"), None)
    );
    let other = path.replace(KEY, ADA);
    desk.send_with("PATCH", &other, &[("if-match", "*")], json!({})).await.says(404, "Does Not Exist");
    let posted = desk.send("POST", CALLS, call()).await;
    assert!(posted.status == 204 && posted.header("odata-entityid").contains("/phonecalls("));
    assert_eq!((desk.api.records("phonecalls").len(), desk.api.counters().of("create")), (2, 2));
    let all = desk.get(&format!("{CALLS}?$filter=activityid%20eq%20{KEY}")).await.json();
    assert_eq!(all["value"][0]["_regardingobjectid_value"], ADA);
}

#[tokio::test]
async fn wrong_columns_are_named() {
    let desk = organisation().await;
    for (name, value, said) in [
        ("subject", json!("REMOVED"), "subject: missing"),
        ("actualdurationminutes", json!(2.5), "actualdurationminutes: cannot convert a number with a fraction"),
        ("actualdurationminutes", json!("2"), "actualdurationminutes"),
        ("directioncode", json!("inbound"), "directioncode: expected true or false"),
        ("actualstart", json!("2026-01-04T10:00:00+00:00Z"), "actualstart"),
        ("description", json!("x".repeat(2_001)), "description: has 2001 characters"),
        ("callkey", json!("a"), "callkey: the property does not exist"),
        ("statecode", json!(1), "statecode: a phone call is open when it is made"),
        ("statuscode", json!(9), "statuscode: 9"),
        ("regardingobjectid_contact@odata.bind", json!(ADA), "regardingobjectid_contact@odata.bind"),
        ("regardingobjectid_contact@odata.bind", json!(format!("/leads({ADA})")), "leads is not contacts"),
        ("phonecall_activity_parties", json!([{}]), "phonecall_activity_parties[0].participationtypemask: missing"),
        ("phonecall_activity_parties", json!([{ "participationtypemask": 1 }]), "[0]: needs one partyid"),
    ] {
        desk.send("POST", CALLS, with(call(), name, value)).await.says(400, said);
    }
    let nobody = json!(format!("/contacts({KEY})"));
    desk.send("POST", CALLS, with(call(), "regardingobjectid_contact@odata.bind", nobody))
        .await
        .says(404, "contacts With Id");
    assert!(desk.api.records("phonecalls").is_empty());
    desk.send("PATCH", &format!("{CALLS}(7)"), call()).await.says(400, "expected a GUID");
}

#[tokio::test]
async fn people_are_found_by_filters() {
    let desk = organisation().await;
    let path = "/api/data/v9.2/contacts?$select=contactid,emailaddress1&$filter=";
    let found = desk.get(&format!("{path}emailaddress1%20eq%20'O''Hara%40example.com'")).await.json();
    assert_eq!(found["value"][0]["contactid"], ADA);
    let found = desk.get(&format!("{path}emailaddress1%20eq%20'nobody%40example.com'")).await.json();
    assert_eq!(found["value"], json!([]));
    desk.get(&format!("{path}emailaddress1%20eq%20'O'Hara'")).await.says(400, "$filter");
    desk.get("/api/data/v9.2/people").await.says(404, "people");
    desk.get("/api/data/v9.2/WhoAmI").await.says(200, "UserId");
}

#[tokio::test]
async fn tokens_are_given_checked_and_expire() {
    let desk = organisation().await;
    let form = token_form(&desk);
    for (from, to, status, said) in [
        ("sim-secret", "other", 401, "AADSTS7000215"),
        ("sim-client", "other", 400, "AADSTS700016"),
        (".default", "all", 400, "invalid_scope"),
        ("client_credentials", "password", 400, "unsupported_grant_type"),
    ] {
        desk.form("/sim-tenant/oauth2/v2.0/token", &form.replacen(from, to, 1)).await.says(status, said);
    }
    desk.form("/other/oauth2/v2.0/token", &form).await.says(400, "AADSTS90002");
    assert_eq!(desk.get(CALLS).await.status, 200);
    desk.pass(3_599);
    let reply = desk.get(CALLS).await;
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer error=\"invalid_token\""));
}

#[tokio::test]
async fn the_version_is_asked_for_and_faults_are_met() {
    let mut desk = organisation().await;
    let headers = desk.headers.clone();
    desk.headers.truncate(1);
    desk.send("POST", CALLS, call()).await.says(400, "OData-Version");
    desk.headers = headers;
    meets_faults(&desk, CALLS, "phonecalls", |_| call()).await;
}
