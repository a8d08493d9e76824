//! Readiness from what the org describes.

use serde_json::{Value, json};

use super::super::tests::{Net, destination_with, reply, task_describe};
use crate::destinations::{Destination, Doubles, Outcome, Readiness};
use crate::problem::{FIELD_MISSING, OBJECT_ACCESS};

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
