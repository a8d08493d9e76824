//! Readiness from what the org describes.

use serde_json::{Value, json};

use super::super::tests::{Net, call, destination_with, reply, task_describe};
use crate::destinations::{Destination, Doubles, Outcome, Person, Readiness};
use crate::problem::{FIELD_MISSING, OBJECT_ACCESS};
use crate::redact::redact;

async fn prepare(change: fn(&mut Value), mapping: &[(&str, &str)]) -> Result<Readiness, Outcome> {
    let net = Net::new(move |seen| {
        let mut describe = task_describe();
        change(&mut describe);
        if seen.path().ends_with("/describe") { reply(200, describe) } else { None }
    });
    let destination = destination_with(&net, |settings| {
        settings.mapping = mapping.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    });
    destination.prepare().await
}

fn without(describe: &mut Value, names: &[&str]) {
    describe["fields"].as_array_mut().unwrap().retain(|field| !names.contains(&field["name"].as_str().unwrap()));
}

fn set(describe: &mut Value, name: &str, property: &str, value: Value) {
    let fields = describe["fields"].as_array_mut().unwrap();
    fields.iter_mut().find(|field| field["name"] == name).unwrap()[property] = value;
}

#[tokio::test]
async fn the_key_field_decides_whether_the_org_guards_against_doubles() {
    let check = async |change: fn(&mut Value), unique: bool, warning: &str| {
        let readiness = prepare(change, &[]).await.unwrap();
        assert_eq!(readiness.doubles == Doubles::Refused, unique, "{warning}");
        let advice = readiness.key_advice.iter().flat_map(|advice| [advice.what.clone(), advice.help.clone()]);
        let told: Vec<String> = advice.chain(readiness.warnings.clone()).collect();
        assert!(told.join("; ").contains(warning), "{told:?}");
        assert_eq!(readiness.key_advice.is_none(), unique, "{told:?}");
    };
    check(|_| {}, true, "").await;
    check(|d| without(d, &["Call_Key__c"]), false, "missing or not visible").await;
    check(|d| set(d, "Call_Key__c", "unique", json!(false)), false, "it is not Unique, so").await;
    check(|d| set(d, "Call_Key__c", "externalId", json!(false)), false, "it is not External ID, so").await;
    check(|d| set(d, "Call_Key__c", "createable", json!(false)), false, "may not write it").await;
    check(|d| set(d, "Call_Key__c", "createable", json!(false)), false, "Set Field-Level Security").await;
    check(|d| set(d, "Call_Key__c", "filterable", json!(false)), false, "cannot be asked for").await;
    check(|d| set(d, "Call_Key__c", "length", json!(40)), true, "make it 100").await;
    check(|d| without(d, &["CallObject"]), true, "CallObject is not visible").await;
}

#[tokio::test]
async fn all_missing_fields_are_told_at_once_with_both_ways_out() {
    let change = |describe: &mut Value| {
        without(describe, &["CallType", "Call_Key__c", "CallObject"]);
        set(describe, "Status", "createable", json!(false));
    };
    let Err(Outcome::Hold { problem }) = prepare(change, &[("Outcome__c", "x"), ("TaskSubtype", "")]).await else {
        panic!("not held")
    };
    assert_eq!(problem.code, FIELD_MISSING);
    for name in ["CallType", "CallObject", "Status", "Outcome__c"] {
        assert!(problem.what.contains(name), "{}", problem.what);
    }
    assert!(problem.what.contains("missing or not visible to the integration user"), "{}", problem.what);
    assert!(problem.help.contains("permission set") && problem.help.contains("out of the mapping"), "{}", problem.help);
}

#[tokio::test]
async fn a_field_that_the_mapping_does_not_write_may_be_missing() {
    let change = |describe: &mut Value| without(describe, &["CallType"]);
    assert!(prepare(change, &[("CallType", "")]).await.is_ok());
}

#[tokio::test]
async fn a_user_that_may_not_create_tasks_holds() {
    let Err(Outcome::Hold { problem }) = prepare(|describe| describe["createable"] = json!(false), &[]).await else {
        panic!("not held")
    };
    assert_eq!(problem.code, OBJECT_ACCESS);
}

#[tokio::test]
async fn what_the_description_does_not_tell_is_no_refusal() {
    let strip = |describe: &mut Value| {
        let told = json!({"name": "Task", "fields": describe["fields"].take()});
        *describe = told;
        for field in describe["fields"].as_array_mut().unwrap() {
            let mut bare = json!({"name": field["name"], "createable": null, "restrictedPicklist": null});
            if field["name"] == "Call_Key__c" {
                bare["unique"] = json!(true);
            }
            *field = bare;
        }
        describe["fields"].as_array_mut().unwrap().push(json!({"label": "of no name"}));
    };
    let readiness = prepare(strip, &[]).await.unwrap();
    assert_eq!(readiness.doubles, Doubles::Refused);
    assert_eq!(readiness.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn types_and_lengths_that_are_not_told_are_the_documented_ones() {
    let net = Net::new(|seen| {
        let mut describe = task_describe();
        for field in describe["fields"].as_array_mut().unwrap() {
            *field = json!({"name": field["name"]});
        }
        describe["fields"].as_array_mut().unwrap().push(json!({"name": "Note__c", "type": "string"}));
        if seen.path().ends_with("/describe") { reply(200, describe) } else { None }
    });
    let long = "x".repeat(40_000);
    let destination = destination_with(&net, |settings| {
        for field in ["Subject", "Description", "Note__c"] {
            settings.mapping.insert(field.into(), long.clone());
        }
    });
    destination.prepare().await.unwrap();
    let mut call = call("rm_1", "x").into_call();
    call.duration_s = Some(12.4);
    let person = Person { object: "Contact".into(), id: "003A".into() };
    let mapped = destination.map(&redact(call), &person).unwrap();
    let length = |name: &str| mapped.create[name].as_str().unwrap().chars().count();
    assert_eq!((length("Subject"), length("Description"), length("Note__c")), (255, 32_000, 40_000));
    assert_eq!(mapped.create["CallDurationInSeconds"], json!(12));
    assert!(!mapped.update.contains_key("TaskSubtype"));
}
