//! Single and collection writes: what is stored, what is derived, and every refusal in its words.

use serde_json::{Value, json};

use super::super::{DuplicateRule, Trigger, ValidationRule};
use super::{Desk, row_error, task};

#[tokio::test]
async fn a_task_is_stored_trimmed_with_its_derived_fields() {
    let desk = Desk::open().await;
    let org = desk.org();
    let account = org.insert("Account", json!({ "Name": "Acme" }));
    let contact = org.insert("Contact", json!({ "LastName": "Example", "AccountId": account }));
    let body = json!({
        "subject": "  Call ", "WHOID": contact.get(..15), "Status": "Completed", "calltype": "inbound", "CallObject": "  ",
        "Description": "\n first\n  second \n", "CallDurationInSeconds": "61", "ActivityDate": "2026-01-15",
    });
    let reply = desk.send("POST", "sobjects/task/", body).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let id = reply.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(reply.headers["location"], format!("/services/data/v66.0/sobjects/Task/{id}"));
    assert_eq!(reply.headers["sforce-limit-info"], "api-usage=1/100000");
    assert_eq!(reply.headers["content-type"], "application/json;charset=UTF-8");
    let record = desk.get(&format!("sobjects/Task/{id}")).await.json();
    let table = [
        ("Subject", json!("Call")),
        ("WhoId", json!(contact)),
        ("AccountId", json!(account)),
        ("CallType", json!("Inbound")),
        ("CallObject", Value::Null),
        ("Description", json!("first\n  second")),
        ("CallDurationInSeconds", json!(61)),
        ("IsClosed", json!(true)),
        ("IsDeleted", json!(false)),
        ("Priority", json!("Normal")),
        ("TaskSubtype", json!("Task")),
        ("CompletedDateTime", json!("2026-01-15T12:00:00.000+0000")),
        ("CreatedDate", json!("2026-01-15T12:00:00.000+0000")),
    ];
    for (field, expected) in table {
        assert_eq!(record[field], expected, "{field}");
    }
    desk.pass(60);
    let update = json!({ "Status": "Complete", "Subject": null });
    assert_eq!(desk.send("PATCH", &format!("sobjects/Task/{id}"), update).await.status, 204);
    let record =
        desk.get(&format!("sobjects/Task/{id}?fields=IsClosed,completeddatetime,Subject,LastModifiedDate")).await;
    let expected = json!({
        "attributes": { "type": "Task", "url": format!("/services/data/v66.0/sobjects/Task/{id}") },
        "IsClosed": false, "CompletedDateTime": null, "Subject": null,
        "LastModifiedDate": "2026-01-15T12:01:00.000+0000",
    });
    assert_eq!(record.json(), expected);
}

#[tokio::test]
async fn a_bad_row_is_refused_in_the_documented_words_and_its_neighbours_are_not() {
    let desk = Desk::open().await;
    let org = desk.org();
    let account = org.insert("Account", json!({ "Name": "Acme" }));
    let lead = org.insert("Lead", json!({ "LastName": "L", "Company": "C" }));
    let converted = org.insert("Lead", json!({ "LastName": "L", "Company": "C", "IsConverted": true }));
    let gone = org.insert("Contact", json!({ "LastName": "Gone" }));
    desk.send("DELETE", &format!("sobjects/Contact/{gone}"), Value::Null).await;
    let long = "é".repeat(256);
    let rows = [
        (task(json!({ "Subject": "fine" })), "", String::new()),
        (
            task(json!({ "Subject": long })),
            "STRING_TOO_LONG",
            format!("Subject: data value too large: {long} (max length=255)"),
        ),
        (
            task(json!({ "WhoId": lead, "WhatId": account })),
            "FIELD_INTEGRITY_EXCEPTION",
            "cannot specify whatID with lead whoID".to_owned(),
        ),
        (
            task(json!({ "WhoId": account })),
            "FIELD_INTEGRITY_EXCEPTION",
            format!("Name ID: id value of incorrect type: {account}"),
        ),
        (task(json!({ "WhoId": converted })), "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead".to_owned()),
        (task(json!({ "WhoId": gone })), "ENTITY_IS_DELETED", "entity is deleted".to_owned()),
        (
            task(json!({ "WhoId": "003xx000000zzzzAAA" })),
            "INVALID_CROSS_REFERENCE_KEY",
            "invalid cross reference id".to_owned(),
        ),
        (task(json!({ "WhoId": "nonsense" })), "MALFORMED_ID", "Name ID: id value of incorrect type: nonsense".to_owned()),
        (
            task(json!({ "CallType": "foo" })),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "Call Type: bad value for restricted picklist field: foo".to_owned(),
        ),
        (
            task(json!({ "IsClosed": true })),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "Unable to create/update fields: IsClosed. Please check the security settings of this field and verify that it \
             is read/write for your profile or permission set."
                .to_owned(),
        ),
        (
            json!({ "attributes": { "type": "Contact" }, "FirstName": "x" }),
            "REQUIRED_FIELD_MISSING",
            "Required fields are missing: [LastName]".to_owned(),
        ),
        (
            json!({ "attributes": { "type": "Contact" }, "LastName": "x", "Email": "a b@c" }),
            "INVALID_EMAIL_ADDRESS",
            "Email: invalid email address: a b@c".to_owned(),
        ),
        (task(json!({ "Subject": "fine too" })), "", String::new()),
    ];
    let records: Vec<&Value> = rows.iter().map(|(row, _, _)| row).collect();
    let reply = desk.send("POST", "composite/sobjects", json!({ "allOrNone": false, "records": records })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    for (answer, (row, code, message)) in reply.json().as_array().expect("rows").iter().zip(&rows) {
        assert_eq!(answer["success"].as_bool(), Some(code.is_empty()), "{row}");
        assert_eq!(row_error(answer), (*code, message.as_str()), "{row}");
    }
    assert_eq!(org.records("Task").len(), 2);
    assert_eq!(org.counters().created.get("Task"), Some(&2));
    assert_eq!(org.counters().rows_refused.get("STRING_TOO_LONG"), Some(&1));
}

#[tokio::test]
async fn all_or_none_takes_the_good_rows_back() {
    let desk = Desk::open().await;
    let rows = json!([task(json!({ "Subject": "a", "Call_Key__c": "1" })), task(json!({ "CallType": "foo" }))]);
    let reply = desk.send("POST", "composite/sobjects", json!({ "allOrNone": true, "records": rows })).await.json();
    let message = "Record rolled back because not all records were valid and the request was using AllOrNone header";
    assert_eq!(row_error(&reply[0]), ("ALL_OR_NONE_OPERATION_ROLLED_BACK", message));
    assert_eq!(row_error(&reply[1]).0, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST");
    assert!(desk.org().records("Task").is_empty() && desk.org().counters().created.is_empty());
    let again = json!([task(json!({ "Subject": "a", "Call_Key__c": "1" }))]);
    assert_eq!(desk.upsert(again).await[0]["created"], true, "the index forgot the row as well");
}

#[tokio::test]
async fn requests_that_are_wrong_as_a_whole_are_refused_as_a_whole() {
    let desk = Desk::open().await;
    desk.org().settings(|settings| {
        settings.hidden_fields.insert("Task.Type".to_owned());
    });
    let many = vec![task(json!({ "Subject": "x" })); 201];
    let mixed: Vec<Value> = (0..12)
        .map(|n| json!({ "attributes": { "type": if n % 2 == 0 { "Task" } else { "Contact" } }, "LastName": "x" }))
        .collect();
    let table = [
        (
            "POST",
            "composite/sobjects",
            json!({ "records": many }),
            400,
            "EXCEEDED_ID_LIMIT",
            "record limit reached. cannot submit more than 200 records into this call",
        ),
        (
            "POST",
            "composite/sobjects",
            json!({ "records": mixed }),
            400,
            "LIMIT_EXCEEDED",
            "Cannot have more than 10 chunks",
        ),
        (
            "POST",
            "composite/sobjects",
            json!({ "records": [task(json!({ "Subject": "ok" })), task(json!({ "Nope__c": 1 }))] }),
            400,
            "INVALID_FIELD",
            "No such column 'Nope__c' on sobject of type Task",
        ),
        (
            "POST",
            "sobjects/Task",
            json!({ "Type": "Call" }),
            400,
            "INVALID_FIELD",
            "No such column 'Type' on sobject of type Task",
        ),
        (
            "POST",
            "sobjects/Task",
            json!({ "ActivityDate": "soon" }),
            400,
            "JSON_PARSER_ERROR",
            "VALUE_STRING value soon",
        ),
        ("POST", "sobjects/Task", json!([1]), 400, "JSON_PARSER_ERROR", ""),
        ("POST", "sobjects/Nope", json!({}), 404, "NOT_FOUND", "The requested resource does not exist"),
        ("PUT", "sobjects/Task", json!({}), 405, "METHOD_NOT_ALLOWED", "HTTP Method 'PUT' not allowed"),
        ("PATCH", "sobjects/Task/00Txx000000zzzzEAA", json!({}), 404, "INVALID_CROSS_REFERENCE_KEY", ""),
        ("GET", "sobjects/Task/00Txx000000zzzzEAA", Value::Null, 404, "NOT_FOUND", ""),
        (
            "PATCH",
            "composite/sobjects/Task/Nope__c",
            json!({ "records": [] }),
            404,
            "NOT_FOUND",
            "Provided external ID field does not exist or is not accessible: Nope__c",
        ),
    ];
    for (method, path, body, status, code, message) in table {
        let reply = desk.send(method, path, body).await;
        let (got_status, got_code, got_message) = reply.problem();
        assert_eq!((got_status, got_code.as_str()), (status, code), "{method} {path}: {}", reply.text);
        assert!(got_message.contains(message), "{method} {path}: {got_message}");
    }
    assert!(desk.org().records("Task").is_empty());
}

#[tokio::test]
async fn a_broken_body_fails_its_request_and_an_unknown_field_only_its_row_if_so_set() {
    let desk = Desk::open().await;
    let reply = desk.send_text("POST", "sobjects/Task", "{".to_owned()).await;
    assert_eq!((reply.status, reply.problem().1.as_str()), (400, "JSON_PARSER_ERROR"));
    desk.org().settings(|settings| settings.unknown_field_fails_request = false);
    let rows = json!({ "records": [task(json!({ "Subject": "ok" })), task(json!({ "Nope__c": 1 }))] });
    let reply = desk.send("POST", "composite/sobjects", rows).await.json();
    assert_eq!((reply[0]["success"].as_bool(), row_error(&reply[1]).0), (Some(true), "INVALID_FIELD"));
}

#[tokio::test]
async fn the_subtype_of_a_task_cannot_be_changed() {
    let desk = Desk::open().await;
    let row = || json!([task(json!({ "Call_Key__c": "k", "TaskSubtype": "Call" }))]);
    assert_eq!(desk.upsert(row()).await[0]["created"], true);
    let again = desk.upsert(row()).await;
    assert_eq!(row_error(&again[0]).0, "INVALID_FIELD_FOR_INSERT_UPDATE");
    desk.org().settings(|settings| settings.task_subtype_update_refused = false);
    assert_eq!(desk.upsert(row()).await[0]["success"], true);
}

#[tokio::test]
async fn the_administrators_rules_and_triggers_refuse_rows_or_chunks() {
    let desk = Desk::open().await;
    let field = || "Subject".to_owned();
    desk.org().settings(|settings| {
        let (contains, message) = ("rude".to_owned(), "Be polite.".to_owned());
        settings.validation_rules =
            vec![ValidationRule { field: field(), contains, message, ..ValidationRule::default() }];
        let (contains, message) = ("bug".to_owned(), "CallTrigger: null".to_owned());
        settings.triggers = vec![Trigger { field: field(), contains, message, ..Trigger::default() }];
    });
    let rows = |subjects: [&str; 3]| {
        let rows = subjects.map(|subject| task(json!({ "Subject": subject, "Call_Key__c": subject })));
        Value::from(rows.to_vec())
    };
    let answer = desk.upsert(rows(["polite", "a rude one", "a bug"])).await;
    assert_eq!(answer[0]["success"], true);
    assert_eq!(row_error(&answer[1]), ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Be polite."));
    assert_eq!(row_error(&answer[2]), ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CallTrigger: null"));
    desk.org().settings(|settings| settings.triggers[0].whole_chunk = true);
    let answer = desk.upsert(rows(["polite", "calm", "a bug"])).await;
    assert!(answer.iter().all(|row| row_error(row).0 == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"), "{answer:?}");
    desk.org().settings(|settings| {
        settings.read_only_objects.insert("task".to_owned());
    });
    assert_eq!(row_error(&desk.upsert(rows(["a", "b", "c"])).await[0]).0, "INSUFFICIENT_ACCESS_OR_READONLY");
    desk.org().settings(|settings| {
        settings.read_only_objects.clear();
        settings.storage_full = true;
    });
    assert_eq!(row_error(&desk.upsert(rows(["a", "b", "c"])).await[0]).0, "STORAGE_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn a_duplicate_rule_names_the_lead_that_exists() {
    let desk = Desk::open().await;
    desk.org().settings(|settings| settings.lead_duplicate_rule = Some(DuplicateRule::default()));
    let lead = desk.org().insert("Lead", json!({ "LastName": "L", "Company": "C", "Email": "l@example.com" }));
    let body = || json!({ "LastName": "L", "Company": "C", "Email": "L@example.com" });
    let reply = desk.send("POST", "sobjects/Lead", body()).await;
    assert_eq!(reply.problem(), (400, "DUPLICATES_DETECTED".to_owned(), "Use one of these records?".to_owned()));
    let result = &reply.json()[0]["duplicateResut"];
    assert_eq!(result["allowSave"], true);
    assert_eq!(result["matchResults"][0]["matchRecords"][0]["record"]["Id"], lead.as_str());
    let request = desk.request("POST", "sobjects/Lead").header("Sforce-Duplicate-Rule-Header", "allowSave=true; x=y");
    assert_eq!(super::read(request.body(body().to_string())).await.expect("an answer").status, 201);
}

#[tokio::test]
async fn a_deleted_record_is_only_seen_by_query_all() {
    let desk = Desk::open().await;
    let id = desk.org().insert("Task", json!({ "Subject": "x", "Call_Key__c": "k" }));
    assert_eq!(
        desk.send("DELETE", &format!("composite/sobjects?ids={id}"), Value::Null).await.json()[0]["success"],
        true
    );
    let again = desk.send("DELETE", &format!("sobjects/Task/{id}"), Value::Null).await;
    assert_eq!(again.problem(), (404, "ENTITY_IS_DELETED".to_owned(), "entity is deleted".to_owned()));
    assert!(desk.column("SELECT Id FROM Task", "Id").await.is_empty());
    let all = desk.get("queryAll/?q=SELECT+Id,IsDeleted+FROM+Task").await.json();
    assert_eq!(all["records"][0]["IsDeleted"], true);
    desk.org().settings(|settings| settings.recycled_blocks_unique = true);
    let answer = desk.upsert(json!([task(json!({ "Call_Key__c": "k" }))])).await;
    assert_eq!(row_error(&answer[0]).0, "DUPLICATE_VALUE");
    desk.org().settings(|settings| settings.recycled_blocks_unique = false);
    assert_eq!(desk.upsert(json!([task(json!({ "Call_Key__c": "k" }))])).await[0]["created"], true);
}

#[tokio::test]
async fn archived_tasks_are_hidden_from_query_but_not_from_upserts() {
    let desk = Desk::open().await;
    for (key, day, status) in
        [("old", "2025-01-15", "Completed"), ("open", "2020-01-01", "Not Started"), ("new", "2025-01-16", "Completed")]
    {
        desk.upsert(json!([task(json!({ "Call_Key__c": key, "ActivityDate": day, "Status": status }))])).await;
    }
    let seen = "SELECT Call_Key__c FROM Task ORDER BY Call_Key__c";
    assert_eq!(desk.column(seen, "Call_Key__c").await.len(), 3, "the job has not run yet");
    assert_eq!(desk.org().archive(), 1);
    assert_eq!(desk.column(seen, "Call_Key__c").await, ["new", "open"]);
    let all = desk.get("queryAll?q=SELECT+Call_Key__c+FROM+Task+WHERE+IsArchived=true").await.json();
    assert_eq!(all["records"][0]["Call_Key__c"], "old");
    assert_eq!(desk.upsert(json!([task(json!({ "Call_Key__c": "old", "Subject": "x" }))])).await[0]["created"], false);
    desk.org().settings(|settings| settings.upsert_finds_archived = false);
    let answer = desk.upsert(json!([task(json!({ "Call_Key__c": "old", "Subject": "y" }))])).await;
    assert_eq!(row_error(&answer[0]).0, "DUPLICATE_VALUE", "the unique index still holds the key");
    desk.org().settings(|settings| settings.archive_immediately = true);
    desk.upsert(json!([task(json!({ "Call_Key__c": "older", "ActivityDate": "2024-01-01", "Status": "Completed" }))]))
        .await;
    assert_eq!(desk.column(seen, "Call_Key__c").await, ["new", "open"]);
}

#[tokio::test]
async fn the_assignment_rule_takes_new_leads_unless_told_not_to() {
    let desk = Desk::open().await;
    let user = desk.org().insert("User", json!({ "LastName": "Queue", "Username": "queue@example.com" }));
    desk.org().settings(|settings| settings.assignment_owner = Some(user.clone()));
    let body = json!({ "LastName": "L", "Company": "C" });
    assert_eq!(desk.send("POST", "sobjects/Lead", body.clone()).await.status, 201);
    let request = desk.request("POST", "sobjects/Lead").header("Sforce-Auto-Assign", "FALSE");
    assert_eq!(super::read(request.body(body.to_string())).await.expect("an answer").status, 201);
    let owners = desk.column("SELECT OwnerId FROM Lead", "OwnerId").await;
    assert!(owners[0] == user && owners[1] != user, "{owners:?}");
}
