//! Big orgs: look-ups go through indexes. Bounds are wide, for debug builds on busy machines; a scan would miss them by far.

use std::time::{Duration, Instant};

use serde_json::json;

use super::super::Options;
use super::super::org::Org;
use super::super::soql;

#[test]
fn a_large_org_is_searched_by_index() {
    let org = Org::new(Options::default()).expect("an org");
    for number in 0..20_000 {
        org.insert("Contact", json!({ "LastName": "C", "Email": format!("person{number}@example.com") }));
    }
    let list: Vec<String> = (0..400).map(|number| format!("'PERSON{}@example.com'", number * 50)).collect();
    let statement = format!("SELECT Id FROM Contact WHERE Email IN ({}) AND IsDeleted = false", list.join(","));
    let started = Instant::now();
    let state = org.lock();
    let found = soql::plan(&state, &statement).map(|plan| soql::run(&state, &plan, false).len());
    assert_eq!(found.ok(), Some(400));
    assert!(started.elapsed() < Duration::from_millis(250), "{:?}", started.elapsed());
}
