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
    found(&answer, &Question { name: "look_up", ask: &ask, is: "K1", keyless, is_of_one: !keyless }).map_err(
        |problem| {
            assert_eq!(problem.code, ANSWER_UNREADABLE);
            problem.what
        },
    )
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
    assert_eq!(read(LIST, r#"{"data": [{"ref": "K2", "id": 2}]}"#, true), Ok(Vec::new()), "somebody else");
    check(LIST, r#"{"data": [{"ref": "k1", "id": 1}, {"id": 3}]}"#, &["1"]);
    check("", r#"{"id": "7"}"#, &["7"]);
    check("", "[]", &[]);
}

#[test]
fn a_list_of_other_calls_does_not_say_that_one_is_not_there() {
    let others = r#"{"data": [{"ref": "K2", "id": 2}, {"ref": "K3", "id": 3}]}"#;
    refused(LIST, others, &["names 2 records of other calls and not the one that was asked for"]);
    refused(LIST, r#"{"data": [{"ref": "K2", "id": 2}]}"#, &["names a record of another call"]);
    // Where the table says that it lists others, a page that was not cut does.
    check(&format!("{LIST}\npage_max = 3"), others, &[]);
    refused(&format!("{LIST}\npage_max = 2"), others, &["may stand behind them"]);
    check(LIST, r#"{"data": [{"ref": "K2", "id": 2}, {"ref": "K1", "id": 1}]}"#, &["1"]);
}

#[test]
fn an_answer_that_says_that_it_failed_is_none() {
    let absent = format!("{LIST}\nitems_or_absent = true");
    for body in [
        r#"{"success": false, "data": []}"#,
        r#"{"ok": false, "data": []}"#,
        r#"{"error": {"code": 5}}"#,
        r#"{"errors": ["no index"], "data": null}"#,
        r#"{"data": [], "error": "timed out"}"#,
    ] {
        refused(LIST, body, &["says that it failed"]);
        refused(&absent, body, &["says that it failed"]);
    }
    for body in [r#"{"success": true, "data": []}"#, r#"{"error": null, "errors": [], "data": []}"#] {
        check(LIST, body, &[]);
    }
}

#[test]
fn a_status_that_says_nothing_is_there_counts_with_json_or_nothing_beside_it() {
    let none = |body: &str| {
        let response = http::Response::builder().status(404).body(Bytes::copy_from_slice(body.as_bytes()));
        let answer = Answer::of("crm".into(), response.expect("an answer"));
        let ask = ask(LIST);
        super::none(&answer, &Question { name: "look_up", ask: &ask, is: "K1", keyless: false, is_of_one: true })
            .map_err(|problem| problem.code)
    };
    for body in ["", r#"{"message": "not found"}"#, r#"{"success": false}"#] {
        assert_eq!(none(body), Ok(Vec::new()), "{body}");
    }
    for body in ["<html>404</html>", "default backend - 404", "404 page not found"] {
        assert_eq!(none(body), Err(ANSWER_UNREADABLE), "{body}");
    }
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
