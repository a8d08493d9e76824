//! What says that nothing is there, and what cannot be read.

use bytes::Bytes;

use super::*;

fn ask(text: &str) -> Ask {
    toml::from_str(&format!("method = \"GET\"\npath = \"/calls\"\n{text}")).expect("a question")
}

fn read(table: &str, body: &str, keyless: bool) -> Result<Vec<String>, String> {
    let response = http::Response::builder().status(200).body(Bytes::copy_from_slice(body.as_bytes()));
    let answer = Answer::of("crm".into(), response.expect("an answer"));
    let ask = ask(table);
    found(&answer, &Question { name: "look_up", ask: &ask, is: "K1", keyless }).map_err(|problem| {
        assert_eq!(problem.code, ANSWER_UNREADABLE);
        problem.what
    })
}

#[track_caller]
fn check(table: &str, body: &str, expected: &[&str]) {
    assert_eq!(read(table, body, false), Ok(expected.iter().map(|id| (*id).to_owned()).collect()), "{body}");
}

#[track_caller]
fn refused(table: &str, body: &str, parts: &[&str]) {
    let what = read(table, body, false).expect_err("an answer that cannot be read");
    for part in parts {
        assert!(what.contains(part), "`{part}` is not in: {what}");
    }
}

const LIST: &str = "items = \"/data\"\nkey = [\"/ref\"]";

#[test]
fn an_empty_list_alone_says_that_nothing_is_there() {
    check(LIST, r#"{"data": []}"#, &[]);
    check(LIST, r#"{"data": [{"ref": "K2", "id": 2}]}"#, &[]);
    check(LIST, r#"{"data": [{"ref": "k1", "id": 1}, {"id": 3}]}"#, &["1"]);
    check("", r#"{"id": "7"}"#, &["7"]);
    check("", "[]", &[]);
}

#[test]
fn an_answer_of_another_form_is_told_by_its_names_and_never_by_its_values() {
    let body = r#"{"results": [{"ref": "K1", "id": 1}], "total": 41}"#;
    refused(LIST, body, &["has no `/data`", "crm", "look_up", "HTTP 200", "at its top level stand: results, total"]);
    assert!(!read(LIST, body, false).expect_err("unreadable").contains("41"));
    refused(LIST, r#"{"data": null}"#, &["has null at `/data`"]);
    refused(LIST, "<html>login</html>", &["is not JSON", "a text or a page"]);
    refused(LIST, "", &["is not JSON", "it is empty"]);
    refused(LIST, "[1, 2]", &["has no `/data`", "a list of 2"]);
    refused(LIST, r#"{"data": [{"reference": "K1", "id": 1}]}"#, &["an item without `/ref`", "stand: data"]);
    refused(LIST, r#"{"data": [{"ref": "K2", "id": 1}, {"id": 3}]}"#, &["an item without `/ref`"]);
    refused(LIST, r#"{"data": [{"ref": "K1", "_id": 1}]}"#, &["an item without `/id`"]);
    refused(LIST, r#"{"data": "none"}"#, &["an item without `/ref`"]);
    refused("", r#"{"results": []}"#, &["an item without `/id`", "results"]);
    refused(LIST, r#"{"ada@example.com": 1}"#, &["top level"]);
    assert!(!read(LIST, r#"{"ada@example.com": 1}"#, false).expect_err("unreadable").contains("ada@"));
}

#[test]
fn a_list_that_is_left_out_where_nothing_is_found_has_to_be_told() {
    let absent = format!("{LIST}\nitems_or_absent = true");
    for body in ["{}", r#"{"data": null}"#, r#"{"total": 0}"#, "", "null"] {
        check(&absent, body, &[]);
    }
    refused(&absent, "<html>", &["is not JSON"]);
    refused(&absent, r#"{"data": [{"id": 1}]}"#, &["an item without `/ref`"]);
}

#[test]
fn somebody_without_an_address_is_passed_over_where_others_have_one() {
    assert_eq!(read(LIST, r#"{"data": [{"id": 3}]}"#, true), Ok(Vec::new()));
}
