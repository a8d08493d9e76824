//! What each documented error becomes, for a row and for a whole request.

use super::*;

const KEY_FIELD: &str = "Call_Key__c";

fn fault(code: &str, message: &str, fields: &[&str]) -> Fault {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    Fault { code: code.into(), message: message.into(), fields }
}

fn row(update: bool, rows: usize) -> Row<'static> {
    Row { key_field: KEY_FIELD, key: "sessions-abc", update, rows, shut: true }
}

/// `kind code`, and what else distinguishes the outcome.
fn show(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { remote_id, .. } => format!("delivered {remote_id}"),
        Outcome::Exists { remote_id } => format!("exists {remote_id}"),
        Outcome::Retry { after, problem, smaller } => {
            let after = after.map_or_else(String::new, |after| format!(" after {}", after.as_secs()));
            format!("retry {}{after}{}", problem.code, if *smaller { " smaller" } else { "" })
        }
        Outcome::Rematch { problem } => format!("rematch {}", problem.code),
        Outcome::Reject { problem } => format!("reject {}", problem.code),
        Outcome::Unknown { settled, .. } => format!("unknown{}", if *settled { " settled" } else { "" }),
        Outcome::Hold { problem } => format!("hold {}", problem.code),
    }
}

#[test]
fn every_documented_row_error_has_its_outcome() {
    let check = |code: &str, message: &str, expected: &str| {
        assert_eq!(show(&of_fault(&fault(code, message, &[]), row(false, 1))), expected, "{code} {message}");
    };
    check(
        "UNABLE_TO_LOCK_ROW",
        "unable to obtain exclusive access to this record or 1 records: 001x",
        "retry TL0703 smaller",
    );
    check("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", "hold TL0504");
    check("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.", "retry TL0704 after 5");
    check("SERVER_UNAVAILABLE", "There are no servers available", "unknown settled");
    check("UNKNOWN_EXCEPTION", "An unexpected error occurred.", "unknown settled");
    check("QUERY_TIMEOUT", "", "retry TL0704 smaller");
    check("REQUEST_RUNNING_TOO_LONG", "", "retry TL0704 smaller");
    check("INVALID_SESSION_ID", "Session expired or invalid", "retry TL0704 after 1");
    check("INVALID_AUTH_HEADER", "", "hold TL0501");
    check("API_DISABLED_FOR_ORG", "", "hold TL0502");
    check("API_CURRENTLY_DISABLED", "", "hold TL0502");
    check("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", "reject TL0605");
    check(
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        "insufficient access rights on cross-reference id: x",
        "reject TL0605",
    );
    check("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", "rematch TL0604");
    check("FIELD_INTEGRITY_EXCEPTION", "cannot reference converted lead", "rematch TL0604");
    check("DUPLICATE_VALUE", "Duplicate external id specified: x", "retry TL0607 smaller");
    check("DUPLICATE_EXTERNAL_ID", "", "reject TL0607");
    check("DUPLICATES_DETECTED", "Use one of these records?", "reject TL0607");
    check("ENTITY_IS_DELETED", "entity is deleted", "rematch TL0604");
    check("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", "rematch TL0604");
    check("MALFORMED_ID", "Contact ID: id value of incorrect type: x", "reject TL0604");
    check("FIELD_INTEGRITY_EXCEPTION", "cannot specify whatID with lead whoID", "reject TL0604");
    check("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", "reject TL0602");
    check("STRING_TOO_LONG", "Subject: data value too large: x (max length=255)", "reject TL0608");
    check("INVALID_FIELD", "No such column 'X' on sobject of type Task", "hold TL0503");
    check("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: X.", "hold TL0503");
    check("INVALID_TYPE", "", "hold TL0507");
    check("INVALID_TYPE_ON_FIELD_IN_RECORD", "", "reject TL0608");
    check(
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "Call Type: bad value for restricted picklist field: foo",
        "reject TL0603",
    );
    check("FIELD_CUSTOM_VALIDATION_EXCEPTION", "No!", "reject TL0601");
    check("FIELD_FILTER_VALIDATION_EXCEPTION", "", "reject TL0601");
    check("INVALID_EMAIL_ADDRESS", "Email: invalid email address: x", "reject TL0608");
    check("NUMBER_OUTSIDE_VALID_RANGE", "", "reject TL0608");
    check("INACTIVE_OWNER_OR_USER", "", "reject TL0604");
    check(
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "T: execution of AfterInsert: UNABLE_TO_LOCK_ROW",
        "retry TL0703 smaller",
    );
    check(
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "System.LimitException: Too many SOQL queries: 101",
        "retry TL0606 smaller",
    );
    check(
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "T: System.LimitException: Apex CPU time limit exceeded",
        "retry TL0606 smaller",
    );
    check("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: NullPointerException", "reject TL0606");
    check("CANNOT_EXECUTE_FLOW_TRIGGER", "the process failed", "reject TL0606");
    check("CANNOT_EXECUTE_FLOW_TRIGGER", "Too many SOQL queries: 101", "retry TL0606 smaller");
    check("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded", "hold TL0505");
    check("ALL_OR_NONE_OPERATION_ROLLED_BACK", "", "retry TL0704 smaller");
    check("PROCESSING_HALTED", "", "retry TL0704 smaller");
    check("TXN_SECURITY_NO_ACCESS", "", "reject TL0608");
    check("TXN_SECURITY_RUNTIME_EXCEPTION", "Too many SOQL queries: 101", "retry TL0606 smaller");
    check("TXN_SECURITY_RUNTIME_EXCEPTION", "UNABLE_TO_LOCK_ROW: unable to obtain", "retry TL0703 smaller");
    check("LIMIT_EXCEEDED", "publishing allocation", "retry TL0704 after 60");
    check("NOT_FOUND", "Provided external ID field does not exist or is not accessible: Call_Key__c", "hold TL0503");
    check("NOT_FOUND", "The requested resource does not exist", "rematch TL0604");
    check("SOME_NEW_CODE", "what?", "reject TL0608");
}

#[test]
fn a_field_that_only_one_record_refuses_is_the_records_own_matter() {
    for code in ["INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE"] {
        let fault = fault(code, "Unable to create/update fields: Status. Please check", &[]);
        let alone = Row { shut: false, ..row(true, 1) };
        let Outcome::Reject { problem } = of_fault(&fault, alone) else { panic!("not rejected") };
        assert_eq!(problem.code, p::ROW_ACCESS);
        assert!(problem.what.contains("fields: Status"), "{}", problem.what);
        assert!(
            problem.help.contains("recurring") && problem.help.contains("Field-Level Security"),
            "{}",
            problem.help
        );
        assert_eq!(show(&of_fault(&fault, row(true, 1))), "hold TL0503");
    }
}

#[test]
fn a_trigger_that_throws_is_blamed_on_a_row_only_when_it_stands_alone() {
    let thrown = fault("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: NullPointerException", &[]);
    assert_eq!(show(&of_fault(&thrown, row(false, 2))), "retry TL0606 smaller");
    assert_eq!(show(&of_fault(&thrown, row(false, 1))), "reject TL0606");
}

#[test]
fn what_is_gone_is_told_apart_by_the_fields() {
    let check = |code: &str, update: bool, fields: &[&str], expected: &str| {
        let outcome = of_fault(&fault(code, "entity is deleted", fields), row(update, 3));
        assert_eq!(show(&outcome), expected, "{code} {update} {fields:?}");
    };
    for code in ["ENTITY_IS_DELETED", "NOT_FOUND", "INVALID_CROSS_REFERENCE_KEY"] {
        check(code, true, &[], "reject TL0604");
        check(code, true, &["Id"], "reject TL0604");
        check(code, true, &["WhoId"], "rematch TL0604");
        check(code, false, &[], "rematch TL0604");
        check(code, false, &["WhoId"], "rematch TL0604");
        check(code, false, &["OwnerId"], "reject TL0604");
    }
    let Outcome::Reject { problem } = of_fault(&fault("ENTITY_IS_DELETED", "entity is deleted", &[]), row(true, 1))
    else {
        panic!("not rejected")
    };
    assert!(problem.what.contains("the Task was deleted in the org"), "{}", problem.what);
    assert!(problem.help.contains("trunkline retry --recreate"), "{}", problem.help);
}

#[test]
fn a_duplicate_is_ours_only_if_it_names_our_key() {
    let check = |message: &str, fields: &[&str], expected: &str| {
        assert_eq!(show(&of_fault(&fault("DUPLICATE_VALUE", message, fields), row(false, 9))), expected, "{message}");
    };
    let id = "00Txx000000Qr7ZEAS";
    let ours = format!("duplicate value found: Call_Key__c duplicates value on record with id: {id}");
    check(&ours, &[], "exists 00Txx000000Qr7ZEAS");
    check(&ours.to_lowercase().replace(&id.to_lowercase(), id), &[], "exists 00Txx000000Qr7ZEAS");
    check(
        "duplicate value found: x duplicates value on record with id: 00Txx000000Qr7Z",
        &["Call_Key__c"],
        "exists 00Txx000000Qr7ZEAS",
    );
    check(&format!("duplicates value sessions-abc on record with id: {id}"), &[], "exists 00Txx000000Qr7ZEAS");
    check(&format!("duplicate value found: Other__c duplicates value on record with id: {id}"), &[], "reject TL0607");
    check("duplicate value found: <unknown> duplicates value on record with id: <unknown>", &[], "reject TL0607");
    check("duplicate value found: Call_Key__c duplicates value on record with id: <unknown>", &[], "unknown settled");
}

#[test]
fn of_several_errors_the_one_that_needs_a_person_counts() {
    let lock = fault("UNABLE_TO_LOCK_ROW", "", &[]);
    let refused = fault("FIELD_CUSTOM_VALIDATION_EXCEPTION", "No!", &[]);
    assert_eq!(show(&of_row(&[lock.clone(), refused], row(false, 1))), "reject TL0601");
    assert_eq!(show(&of_row(&[lock], row(false, 1))), "retry TL0703 smaller");
    assert_eq!(show(&of_row(&[], row(false, 1))), "reject TL0608");
}

fn refusal(status: u16, code: &str, message: &str) -> Refusal {
    let faults = if code.is_empty() { Vec::new() } else { vec![fault(code, message, &[])] };
    Refusal { status, faults, duplicates: Vec::new(), retry_after: None }
}

#[test]
fn whole_requests_are_judged_by_code_message_and_effect() {
    let check = |status: u16, code: &str, message: &str, write: &str, read: &str| {
        let refusal = refusal(status, code, message);
        let many = Some(row(false, 200));
        assert_eq!(show(&of_refusal(&refusal, Effect::Write, many)), write, "write: {status} {code} {message}");
        assert_eq!(show(&of_refusal(&refusal, Effect::Read, None)), read, "read: {status} {code} {message}");
    };
    let same = |status: u16, code: &str, message: &str, both: &str| check(status, code, message, both, both);
    check(500, "UNKNOWN_EXCEPTION", "oops", "unknown settled", "retry TL0701");
    check(503, "SERVER_UNAVAILABLE", "no servers", "unknown settled", "retry TL0701");
    check(500, "SOMETHING_ELSE", "oops", "unknown settled", "retry TL0701");
    check(500, "", "", "unknown", "retry TL0701");
    check(502, "", "", "unknown", "retry TL0701");
    check(503, "", "", "unknown", "retry TL0701");
    check(504, "", "", "unknown", "retry TL0701");
    check(500, "QUERY_TIMEOUT", "", "unknown settled", "retry TL0704 smaller");
    check(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "No!", "retry TL0608 smaller", "hold TL0508");
    check(400, "JSON_PARSER_ERROR", "x", "retry TL0608 smaller", "hold TL0508");
    same(500, "UNABLE_TO_LOCK_ROW", "", "retry TL0703 smaller");
    same(400, "UNABLE_TO_LOCK_ROW", "", "retry TL0703 smaller");
    same(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", "hold TL0504");
    same(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.", "retry TL0704 after 5");
    same(400, "EXCEEDED_ID_LIMIT", "record limit reached.", "retry TL0704 smaller");
    same(413, "", "", "retry TL0704 smaller");
    same(414, "", "", "retry TL0704 smaller");
    same(431, "", "", "retry TL0704 smaller");
    same(429, "", "", "retry TL0704");
    same(420, "", "", "retry TL0704");
    same(400, "INVALID_FIELD", "No such column", "hold TL0503");
    same(400, "INVALID_TYPE", "sObject type 'X' is not supported.", "hold TL0507");
    same(400, "MALFORMED_QUERY", "unexpected token", "hold TL0508");
    same(401, "INVALID_AUTH_HEADER", "", "hold TL0501");
    same(403, "API_DISABLED_FOR_ORG", "", "hold TL0502");
    same(403, "INSUFFICIENT_ACCESS", "", "hold TL0507");
    same(403, "STORAGE_LIMIT_EXCEEDED", "", "hold TL0505");
    same(403, "", "", "hold TL0508");
    same(404, "NOT_FOUND", "The requested resource does not exist", "hold TL0506");
    same(404, "", "", "hold TL0506");
    same(405, "METHOD_NOT_ALLOWED", "", "hold TL0508");
    same(405, "", "", "hold TL0508");
    same(410, "UNSUPPORTED_API_VERSION", "", "hold TL0506");
    same(415, "UNSUPPORTED_MEDIA_TYPE", "", "hold TL0508");
    same(302, "", "", "hold TL0508");
    same(400, "", "", "hold TL0508");
    same(400, "SOME_NEW_CODE", "what?", "hold TL0508");
}

#[test]
fn a_lone_record_takes_the_blame_for_its_request() {
    let refusal = refusal(400, "JSON_PARSER_ERROR", "Cannot deserialize");
    assert_eq!(show(&of_refusal(&refusal, Effect::Write, Some(row(false, 1)))), "reject TL0608");
}

#[test]
fn the_pause_that_the_server_asks_for_is_kept() {
    let refusal = Refusal { retry_after: Some(Duration::from_secs(42)), ..refusal(429, "", "") };
    assert_eq!(show(&of_refusal(&refusal, Effect::Write, None)), "retry TL0704 after 42");
}

#[test]
fn texts_hold_no_values_of_the_record_and_no_piece_of_the_query() {
    let check = |code: &str, message: &str, fields: &[&str], hidden: &str, shown: &str| {
        let text = describe(&fault(code, message, fields));
        assert!(!text.contains(hidden), "{text}");
        assert!(text.contains(shown), "{text}");
    };
    check(
        "STRING_TOO_LONG",
        "Subject: data value too large: Ada's secret (max length=255)",
        &["Subject"],
        "Ada",
        "255",
    );
    check("STRING_TOO_LONG", "Call Result: data value too large: Ada (max length=255)", &[], "Ada", "Call Result");
    check("INVALID_EMAIL_ADDRESS", "Email: invalid email address: ada at home", &["Email"], "home", "Email");
    check(
        "INVALID_FIELD",
        "\nWHERE Email IN ('Ada Example') AND Nope\n             ^\nERROR at Row:1:Column:27\nNo such column 'Nope' on entity 'Lead'.",
        &[],
        "Ada",
        "No such column 'Nope'",
    );
    check("FIELD_CUSTOM_VALIDATION_EXCEPTION", "ada@example.com is blocked", &[], "ada@", "is blocked");
}

#[test]
fn short_ids_get_their_checksum() {
    let check = |short: &str, end: &str| assert_eq!(long_id(short.to_owned()), format!("{short}{end}"));
    check("00Dxx0000000001", "EAA");
    check("005xx000000Ab1C", "AAS");
    check("00Txx000000Qr7Z", "EAS");
    assert_eq!(long_id("00Txx000000Qr7ZEAS".to_owned()), "00Txx000000Qr7ZEAS");
}
