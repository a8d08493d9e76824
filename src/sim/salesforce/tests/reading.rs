//! Describe, limits, composites, and the encodings of the wire.

use std::io::Write;

use serde_json::{Value, json};

use super::{Desk, read, task};

const FIELD_KEYS: &str = "aggregatable autoNumber byteLength calculated calculatedFormula cascadeDelete caseSensitive \
    compoundFieldName controllerName createable custom defaultValue defaultValueFormula defaultedOnCreate dependentPicklist \
    deprecatedAndHidden digits displayLocationInDecimal encrypted externalId extraTypeInfo filterable filteredLookupInfo \
    groupable highScaleNumber htmlFormatted idLookup inlineHelpText label length mask maskType name nameField namePointing \
    nillable permissionable picklistValues polymorphicForeignKey precision queryByDistance referenceTargetField referenceTo \
    relationshipName relationshipOrder restrictedDelete restrictedPicklist scale searchPrefilterable soapType sortable type \
    unique updateable writeRequiresMasterRead";

#[tokio::test]
async fn describe_has_every_key_and_hides_what_field_level_security_hides() {
    let desk = Desk::open().await;
    desk.org().settings(|settings| {
        settings.hidden_fields.insert("Task.Type".to_owned());
    });
    let task = desk.get("sobjects/TASK/describe").await.json();
    assert_eq!((task["name"].as_str(), task["keyPrefix"].as_str()), (Some("Task"), Some("00T")));
    let fields = task["fields"].as_array().expect("fields");
    for field in fields {
        let missing: Vec<&str> = FIELD_KEYS.split_whitespace().filter(|key| field.get(key).is_none()).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", field["name"]);
    }
    let field = |name: &str| fields.iter().find(|field| field["name"] == name);
    assert!(field("Type").is_none());
    // Name, and then: create, update, filter, sort, group, restricted.
    for (name, expected) in [
        ("Description", [true, true, false, false, false, false]),
        ("TaskSubtype", [true, false, true, true, true, true]),
        ("CallType", [true, true, true, true, true, true]),
        ("Subject", [true, true, true, true, false, false]),
        ("AccountId", [false, false, true, true, true, false]),
        ("CompletedDateTime", [false, false, true, true, false, false]),
    ] {
        let field = field(name).expect("a field");
        let flags = ["createable", "updateable", "filterable", "sortable", "groupable", "restrictedPicklist"];
        assert_eq!(flags.map(|flag| field[flag] == true), expected, "{name}");
    }
    let key = field("Call_Key__c").expect("the key");
    let flags = ["externalId", "unique", "createable", "idLookup", "custom"];
    assert!(flags.iter().all(|flag| key[*flag] == true) && key["length"] == 100 && key["caseSensitive"] == false);
    let global = desk.get("sobjects/").await.json();
    assert_eq!((global["encoding"].as_str(), global["maxBatchSize"].as_u64()), (Some("UTF-8"), Some(200)));
    assert_eq!(desk.get("sobjects/Lead").await.json()["objectDescribe"]["keyPrefix"], "00Q");
    let statuses = desk.column("SELECT ApiName FROM TaskStatus WHERE IsClosed = true", "ApiName").await;
    assert_eq!(statuses, ["Completed"]);
}

#[tokio::test]
async fn bodies_travel_compressed_in_both_directions() {
    let desk = Desk::open().await;
    let rows: Vec<Value> = (0..50).map(|n| task(json!({ "Call_Key__c": n.to_string(), "Subject": "x" }))).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(json!({ "records": rows }).to_string().as_bytes()).expect("compressed");
    let request = desk.request("PATCH", "composite/sobjects/Task/Call_Key__c").header("content-encoding", "gzip");
    let reply = read(request.body(encoder.finish().expect("compressed"))).await.expect("an answer");
    assert_eq!((reply.status, reply.json().as_array().map(Vec::len)), (200, Some(50)));
    let plain = reqwest::Client::builder().no_proxy().no_gzip().build().expect("a client");
    let url = format!("{}/services/data/v66.0/sobjects", desk.simulator.url());
    let request = plain.get(url).header("authorization", format!("Bearer {}", desk.token));
    let answer = request.header("accept-encoding", "gzip").send().await.expect("an answer");
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let broken = desk.request("POST", "sobjects/Task").header("content-encoding", "gzip").body("{}");
    assert_eq!(read(broken).await.expect("an answer").status, 400);
}

#[tokio::test]
async fn composites_answer_each_call_and_resolve_references() {
    let desk = Desk::open().await;
    desk.org().insert("Contact", json!({ "LastName": "Ada" }));
    let body = json!({ "compositeRequest": [
        { "method": "GET", "referenceId": "who", "url": "/services/data/v66.0/query?q=SELECT+Id+FROM+Contact" },
        { "method": "POST", "referenceId": "call", "url": "/services/data/v66.0/sobjects/Task",
            "body": { "Subject": "x", "WhoId": "@{who.records[0].Id}" } },
        { "method": "GET", "referenceId": "bad", "url": "/services/data/v66.0/sobjects/Nope" },
        { "method": "GET", "referenceId": "halted", "url": "/services/data/v66.0/sobjects/Task/@{bad.id}" },
    ] });
    let answer = desk.send("POST", "composite", body).await.json();
    let statuses: Vec<_> = (0..4).map(|n| answer["compositeResponse"][n]["httpStatusCode"].as_u64()).collect();
    assert_eq!(statuses, [Some(200), Some(201), Some(404), Some(400)]);
    assert_eq!(answer["compositeResponse"][3]["body"][0]["errorCode"], "PROCESSING_HALTED");
    assert_eq!(desk.column("SELECT Who.Name, Subject FROM Task WHERE Who.Name = 'Ada'", "Subject").await, ["x"]);
    let batch =
        json!({ "batchRequests": [{ "method": "GET", "url": "v66.0/limits" }, { "method": "GET", "url": "v66.0/x" }] });
    let answer = desk.send("POST", "composite/batch", batch).await.json();
    assert_eq!((answer["hasErrors"].as_bool(), answer["results"][1]["statusCode"].as_u64()), (Some(true), Some(404)));
}

#[tokio::test]
async fn several_records_are_read_by_id() {
    let desk = Desk::open().await;
    let id = desk.org().insert("Contact", json!({ "LastName": "Ada" }));
    let path = format!("composite/sobjects/Contact?ids={id},003xx000000zzzzAAA&fields=LastName");
    let answer = desk.get(&path).await.json();
    assert_eq!((answer[0]["LastName"].as_str(), &answer[1]), (Some("Ada"), &Value::Null));
}
