//! What answers mean: each kind of answer and the outcome that follows.

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn send(text: &str) -> Send {
    toml::from_str(&format!("method = \"POST\"\npath = \"/calls\"\nbody = \"{{}}\"\n{text}")).expect("a request")
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Answer::of("crm".into(), response.body(Bytes::copy_from_slice(body.as_bytes())).expect("an answer"))
}

fn written(answer: Answer, request: &str, created: bool) -> Outcome {
    let send = send(request);
    of_write(Ok(answer), &Written { send: &send, created, own_id: "own", place: "POST crm/calls" }, NOW)
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { remote_id, created } => {
            format!("delivered {remote_id}{}", if *created { "" } else { " changed" })
        }
        Outcome::Exists { remote_id } => format!("exists {remote_id}"),
        Outcome::Retry { after, problem, .. } => format!("retry {} {:?}", problem.code, after.map(|a| a.as_secs())),
        Outcome::Reject { problem } => format!("reject {}", problem.code),
        Outcome::Unknown { problem, settled } => format!("unknown {} settled {settled}", problem.code),
        Outcome::Hold { problem } => format!("hold {}", problem.code),
        Outcome::Rematch { .. } => "rematch".to_owned(),
    }
}

#[track_caller]
fn check(request: &str, status: u16, body: &str, expected: &str) {
    let outcome = written(answer(status, &[], body), request, true);
    assert_eq!(told(&outcome), expected, "{status} {body}");
}

#[test]
fn a_status_says_what_came_of_a_write() {
    for status in [200, 201, 202, 204] {
        check("", status, "", "delivered own");
    }
    for status in [404, 405] {
        check("", status, r#"{"message": "no"}"#, "reject TL0508");
        assert_eq!(told(&written(answer(status, &[], ""), "", false)), "reject TL0608", "{status}: of one record");
    }
    for status in [400, 409, 410, 412, 413, 415, 422] {
        check("", status, r#"{"message": "no"}"#, "reject TL0608");
    }
    for status in [300, 301, 302, 304, 307, 308] {
        check("", status, "", "hold TL0508");
        assert_eq!(told(&written(answer(status, &[], ""), "", false)), "hold TL0508", "{status}: of a change");
    }
    check("", 303, "", "unknown TL0702 settled false");
    assert_eq!(told(&written(answer(303, &[], ""), "", false)), "hold TL0508", "it was to be changed, not made");
    for status in [401, 403] {
        check("", status, "", "hold TL0501");
    }
    for status in [425, 429] {
        check("", status, "", "retry TL0704 None");
    }
    for status in [408, 500, 501, 502, 503, 504, 520, 524] {
        check("", status, "<html>", "unknown TL0702 settled false");
    }
}

#[test]
fn the_body_of_a_success_can_say_that_it_is_none() {
    let says = "ok = { pointer = \"/data/0/status\", is = \"success\" }\nid = [\"/data/0/details/id\"]";
    check(says, 201, r#"{"data":[{"status":"success","details":{"id":"7"}}]}"#, "delivered 7");
    check(says, 201, r#"{"data":[{"status":"error"}]}"#, "reject TL0608");
    // It may have been written: that is not the same as refused.
    for body in ["", "<html>", "{}", r#"{"data":[]}"#, r#"{"data":[{"status":null}]}"#] {
        check(says, 200, body, "unknown TL0702 settled false");
    }
    let absent = "ok = { pointer = \"/success\", is = \"true\", or_absent = true }";
    check(absent, 200, "", "delivered own");
    check(absent, 200, r#"{"success": true}"#, "delivered own");
    check(absent, 200, r#"{"success": "no"}"#, "reject TL0608");
    for body in ["<html><body>Please log in</body></html>", "upstream is starting", "OK"] {
        check(absent, 200, body, "unknown TL0702 settled false");
    }
    for body in [r#"{"success": false}"#, r#"{"ok": false, "error": "quota"}"#] {
        check("", 200, body, "reject TL0608");
    }
    check("", 200, r#"{"success": null}"#, "delivered own");
}

#[test]
fn a_page_says_nothing_of_a_record() {
    for page in ["<html>", "\n<!DOCTYPE html>\n<html>", "<HTML lang=\"en\">"] {
        check("", 200, page, "unknown TL0702 settled false");
        let changed = written(answer(200, &[], page), "", false);
        assert_eq!(told(&changed), "unknown TL0702 settled false", "{page}");
    }
    check("", 200, "OK", "delivered own");
    check("", 200, "<ok/>", "delivered own");
}

#[test]
fn the_id_stands_where_the_request_says() {
    let places = "id = [\"/data/id\", \"header:OData-EntityId\", \"/id\"]";
    check(places, 200, r#"{"data": {"id": 41}, "id": "no"}"#, "delivered 41");
    check(places, 200, r#"{"data": {"id": ""}, "id": "x"}"#, "delivered x");
    check("", 200, r#"{"id": 9}"#, "delivered own");
    let header = [("odata-entityid", "https://org.example/api/data/v9.2/phonecalls(0b-1)")];
    let outcome = written(answer(204, &header, ""), places, false);
    assert_eq!(told(&outcome), "delivered 0b-1 changed");
}

#[test]
fn a_success_without_the_id_or_with_an_error_is_not_taken_for_delivered() {
    let table = "id = [\"/result/id\"]\nerror = [\"/error\"]";
    check(table, 200, r#"{"result": {"id": 7}, "error": null}"#, "delivered 7");
    for empty in ["false", "0", "\"\"", "\" \"", "[]", "{}"] {
        check(table, 200, &format!("{{\"result\": {{\"id\": 7}}, \"error\": {empty}}}"), "delivered 7");
    }
    for error in ["\"no quota\"", "{\"code\": 5}", "[\"no quota\"]", "true", "5"] {
        check(table, 200, &format!("{{\"result\": null, \"error\": {error}}}"), "reject TL0608");
        check("error = [\"/error\"]", 200, &format!("{{\"error\": {error}}}"), "reject TL0608");
    }
    for body in ["", "{}", "<html>", r#"{"result": null}"#, r#"{"result": {"id": {"deep": 1}}}"#] {
        check(table, 200, body, "unknown TL0702 settled false");
        if body != "<html>" {
            assert_eq!(
                told(&written(answer(200, &[], body), table, false)),
                "delivered own changed",
                "its id is known"
            );
        }
    }
    // It was made: a retry of a dead letter would make it twice.
    check(table, 200, r#"{"result": {"id": 7}, "error": "no quota"}"#, "unknown TL0702 settled false");
    check("error = [\"/message\"]", 201, r#"{"message": "created"}"#, "unknown TL0702 settled false");
    let failed = written(answer(200, &[], r#"{"error": "no quota"}"#), table, false);
    assert_eq!(told(&failed), "reject TL0608");
    // What `ok` says decides alone.
    let ok = format!("{table}\nok = {{ pointer = \"/done\", is = \"true\" }}");
    check(&ok, 200, r#"{"done": true, "error": "a remark"}"#, "delivered own");
}

#[test]
fn an_answer_can_say_that_the_record_is_there() {
    check("exists = { status = [409, 412] }", 412, "", "exists own");
    check("exists = { status = [409], id = [\"/id\"] }", 409, r#"{"id": "9"}"#, "exists 9");
    let says = "exists = { says = { pointer = \"/data/0/code\", is = \"DUPLICATE\" }, id = [\"/data/0/id\"] }";
    for status in [200, 202, 400] {
        check(says, status, r#"{"data":[{"code":"DUPLICATE","id":"5"}]}"#, "exists 5");
    }
    check(says, 400, r#"{"data":[{"code":"INVALID"}]}"#, "reject TL0608");
    check(says, 400, "", "reject TL0608");
}

#[test]
fn a_pause_that_is_asked_for_is_kept() {
    let outcome = written(answer(429, &[("retry-after", "7")], ""), "", true);
    assert_eq!(told(&outcome), "retry TL0704 Some(7)");
}

#[test]
fn a_request_that_never_left_had_no_effect() {
    let not_sent = || TransportError::NotSent { host: "crm".into(), cause: "refused".into() };
    let unanswered = || TransportError::Unanswered { host: "crm".into(), cause: "reset".into() };
    assert_eq!(told(&of_transport(&not_sent(), true)), "retry TL0701 None");
    assert_eq!(told(&of_transport(&unanswered(), true)), "unknown TL0702 settled false");
    assert_eq!(told(&of_transport(&unanswered(), false)), "retry TL0701 None");
}

#[test]
fn a_question_is_asked_again_or_holds_but_never_refuses_a_call() {
    let check = |status: u16, expected: &str| {
        assert_eq!(told(&of_question(&answer(status, &[], ""), &[], NOW)), expected, "{status}");
    };
    for status in [408, 425, 429, 500, 503] {
        check(status, "retry TL0704 None");
    }
    for status in [401, 403] {
        check(status, "hold TL0501");
    }
    for status in [301, 400, 404, 405, 422] {
        check(status, "hold TL0508");
    }
}

#[test]
fn the_servers_words_are_told_without_anybodys_address() {
    let places = ["/error/message".to_owned(), "/message".to_owned()];
    let words = |body: &str| answer(400, &[], body).words(&places);
    assert_eq!(words(r#"{"error": {"message": "bad\n colour"}}"#), "HTTP 400: bad colour");
    assert_eq!(words(r#"{"message": "no"}"#), "HTTP 400: no");
    assert_eq!(words("plain words"), "HTTP 400: plain words");
    assert_eq!(words(""), "HTTP 400");
    let masked = words(r#"{"message": "ada@example.com is taken, call +1 555 010 0200"}"#);
    assert!(!masked.contains("ada@example.com") && !masked.contains("0200"), "{masked}");
}
