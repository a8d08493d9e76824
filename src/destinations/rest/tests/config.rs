//! Tables that cannot be meant, what is left out of a body, and values that stay one value in an address.

use super::*;
use crate::model::Call;
use crate::redact::redact;

const MINIMAL: &str = r#"
base_url = "https://crm.example"
[create]
method = "POST"
path = "/calls"
body = "{}"
"#;

fn refused(table: &str) -> String {
    match rest("crm", table) {
        Ok(_) => panic!("taken: {table}"),
        Err(problem) => format!("{} {problem} {}", problem.code, problem.help),
    }
}

#[test]
fn a_table_that_cannot_be_meant_is_refused_with_what_to_do() {
    let check = |table: &str, parts: &[&str]| {
        let text = refused(table);
        for part in parts {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    };
    check("preset = \"hubspto\"", &["TL0103", "[rest.crm]", "`hubspto`", "did you mean `hubspot`?"]);
    check("preset = \"saturn\"", &["TL0103", "there are: call_data_api, hubspot"]);
    check("preset = \"call_data_api\"", &["TL0104", "base_url is not set"]);
    check("preset = \"hubspot\"\ncolour = 1", &["TL0102", "[rest.crm]: there is no setting `colour`"]);
    check("preset = \"hubspot\"\nauth.colour = \"x\"", &["TL0102", "there is no setting `auth.colour`"]);
    check("preset = \"hubspot\"\n[create]\nverb = \"POST\"", &["TL0102", "there is no setting `create.verb`"]);
    check("preset = \"hubspot\"\nvalues.key_property = \"\"", &["TL0104", "values.key_property is not set"]);
    check("preset = \"hubspot\"\nbase_url = \"http://crm.example\"", &["TL0103", "plain http", "allow_http = true"]);
    check("preset = \"hubspot\"\nbase_url = \"crm\"", &["TL0103", "base_url is not a URL"]);
    check("preset = \"hubspot\"\nbase_url = \"ftp://crm.example\"", &["TL0103", "not a web address"]);
    check("preset = \"hubspot\"\ntimeout_s = 0", &["timeout_s cannot be 0", "1 to 600"]);
    check("preset = \"hubspot\"\nrequests_in_flight = 65", &["requests_in_flight cannot be 65"]);
    check("preset = \"hubspot\"\ndoubles = \"perhaps\"", &["TL0103", "unknown variant `perhaps`"]);
    check("preset = \"zoho\"\nauth.refresh_token = \"\"", &["TL0104", "auth.refresh_token is not set"]);
    check("preset = \"zoho\"\nauth.token_url = \"http://crm.example/token\"", &["auth.token_url", "plain http"]);
    check("base_url = \"https://crm.example\"", &["missing field `create`"]);
    check(&format!("doubles = \"refused\"\n{MINIMAL}"), &["TL0104", "create.exists does not say", "status = [409]"]);
    let nothing = "exists = { id = [\"/id\"] }";
    check(&format!("doubles = \"refused\"\n{MINIMAL}{nothing}"), &["TL0104", "create.exists does not say"]);
    check(&format!("doubles = \"look_up_first\"\n{MINIMAL}"), &["TL0104", "there is no look_up"]);
    for body in ["{\"to\": \"{{ call.email }}\"}", "\"{{ call.email }}\"", "[1]", "text", "{\"a\": }"] {
        let parts = ["TL0103", "[rest.crm]: create.body is no JSON object", "quotes around it"];
        check(&MINIMAL.replace("\"{}\"", &format!("'{body}'")), &parts);
    }
    let one = "{\"a\": {% if call.phone %}{{ call.phone }}{% endif %}}";
    check(&MINIMAL.replace("\"{}\"", &format!("'{one}'")), &["of which only the session id is known"]);
    check(&MINIMAL.replace("POST", "PSOT"), &["TL0103", "create.method cannot be `PSOT`", "did you mean `POST`?"]);
    check(&MINIMAL.replace("POST", "post"), &["TL0103", "did you mean `POST`?"]);
    check(&format!("{MINIMAL}id = [\"result.id\"]"), &["TL0103", "create.id is `result.id`", "`/result/id`"]);
    check(&format!("{MINIMAL}error = [\"error\"]"), &["create.error is `error`", "`/error`"]);
    check(&format!("{MINIMAL}ok = {{ pointer = \"ok\", is = \"1\" }}"), &["create.ok.pointer is `ok`"]);
    let says = "exists = { says = { pointer = \"code\", is = \"1\" } }";
    check(&format!("{MINIMAL}{says}"), &["create.exists.says.pointer is `code`"]);
    let ask = |more: &str| format!("{MINIMAL}[look_up]\nmethod = \"GET\"\npath = \"/calls\"\n{more}");
    check(&ask("items = \"data\""), &["[rest.crm]: look_up.items is `data`", "`/data`"]);
    check(&ask("key = [\"ref\"]"), &["look_up.key is `ref`"]);
    check(&ask("id = [\"header:Location\"]"), &["look_up.id is `header:Location`"]);
    check(&ask("id = []"), &["look_up.id names no place"]);
    check(&MINIMAL.replace("\"{}\"", "'{\"a\": {{ call.emial }}}'"), &["call.emial", "Did you mean `call.email`?"]);
    check(&MINIMAL.replace("\"{}\"", "'{\"a\": {{ values.colour }}}'"), &["values.colour"]);
    check(&MINIMAL.replace("\"{}\"", "'{{ call.key | colour }}'"), &["TL0103", "colour"]);
    check(&MINIMAL.replace("/calls", "/calls/{{ call.key"), &["TL0103", "[rest.crm]", "create.path"]);
}

#[test]
fn http_is_taken_on_this_machine_and_where_it_is_allowed() {
    for fine in ["http://127.0.0.1:8080", "http://localhost:1", "http://crm.internal\"\nallow_http = true #"] {
        let table = MINIMAL.replace("https://crm.example", fine);
        assert!(rest("crm", &table).is_ok(), "{fine}");
    }
}

#[test]
fn a_table_goes_over_its_ready_configuration_key_by_key() {
    let own =
        "preset = \"dynamics\"\nbase_url = \"https://org.example/\"\nvalues.tenant = \"t1\"\nvalues.subject = \"Call\"";
    let own: toml::Table = own.parse().expect("TOML");
    let section = tables::section("crm", own).expect("a table");
    assert_eq!((section.values["subject"].as_str(), section.create.method.as_str()), ("Call", "PATCH"));
    let settings = Settings::of("crm", section, &|_, text| Ok(SecretString::from(text.to_owned()))).expect("complete");
    assert_eq!(settings.auth.token_url, "https://login.microsoftonline.com/t1/oauth2/v2.0/token");
    assert_eq!(settings.auth.scope, "https://org.example/.default");
}

fn body(template: &str, keep_nulls: bool) -> String {
    let table = MINIMAL.replace("\"{}\"", &format!("'{template}'"));
    let rest =
        rest("crm", &format!("keep_nulls = {keep_nulls}\n{table}")).unwrap_or_else(|problem| panic!("{problem}"));
    let mapped = rest.map(&redact(Call::new("sessions", "s1")), &no_person()).expect("a record");
    Value::Object(mapped.create).to_string()
}

#[test]
fn what_is_absent_is_left_out_and_what_is_empty_stays() {
    let check = |template: &str, expected: &str| assert_eq!(body(template, false), expected, "{template}");
    check(r#"{"a": {{ call.email }}, "b": 1}"#, r#"{"b":1}"#);
    check(r#"{"a": {"b": {"c": null}}, "d": {}}"#, r#"{"d":{}}"#);
    check(r#"{"a": [null, 1, {"b": null}], "c": [null], "d": []}"#, r#"{"a":[1],"d":[]}"#);
    check(r#"{"a": "", "b": false, "c": 0}"#, r#"{"a":"","b":false,"c":0}"#);
    assert_eq!(body(r#"{"a": null, "b": [null], "c": {{ call.email }}}"#, true), r#"{"a":null,"b":[null],"c":null}"#);
}

#[test]
fn a_body_that_is_no_json_for_one_call_refuses_it_without_its_words() {
    let body = "{\"a\": {% if call.name == \"Ada\" %}Ada{% else %}1{% endif %}}";
    let rest =
        rest("crm", &MINIMAL.replace("\"{}\"", &format!("'{body}'"))).unwrap_or_else(|problem| panic!("{problem}"));
    let mut call = Call::new("sessions", "s1");
    call.caller.name = Some("Ada".to_owned());
    let problem = rest.map(&redact(call), &no_person()).expect_err("no record");
    assert!(problem.what.contains("create.body") && !problem.what.contains("Ada"), "{problem}");
}

#[test]
fn a_value_in_an_address_stays_one_value() {
    let ask = "[person]\nmethod = \"GET\"\npath = \"/find/{{ call.email }}/x?q={{ call.email }}&fields=email\"\n";
    let rest = rest("crm", &format!("{MINIMAL}{ask}")).unwrap_or_else(|problem| panic!("{problem}"));
    for email in
        ["o'hara+x@example.com", "a&b=c@example.com", "a?b#c@example.com", "100%@example.com", "a b/ü@example.com"]
    {
        let mut call = Call::new("sessions", "s1");
        call.caller.email = Some(email.to_owned());
        let path = rest.requests.person(&redact(call), None).expect("a question").expect("of somebody").path;
        let url = url::Url::parse(&format!("https://crm.example{path}")).expect("a URL");
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs, [("q".to_owned(), email.to_owned()), ("fields".to_owned(), "email".to_owned())], "{path}");
        assert_eq!((url.path_segments().expect("segments").count(), url.fragment()), (3, None), "{path}");
    }
}

#[test]
fn nobody_is_asked_for_by_what_is_no_address() {
    let ask = "[person]\nmethod = \"GET\"\npath = \"/find?q={{ call.email or call.phone }}\"\n";
    let rest = rest("crm", &format!("{MINIMAL}{ask}")).unwrap_or_else(|problem| panic!("{problem}"));
    let check = |email: &str, phone: &str, expected: Option<&str>| {
        let mut call = Call::new("sessions", "s1");
        (call.caller.email, call.caller.phone) = (Some(email.to_owned()), Some(phone.to_owned()));
        let question = rest.requests.person(&redact(call), None).expect("a template");
        assert_eq!(question.map(|put| put.path).as_deref(), expected, "{email} {phone}");
    };
    check("unknown", "anonymous", None);
    check("@example.com", "", None);
    check("unknown", "+1 (555) 010-0200", Some("/find?q=%2B15550100200"));
    check(" ada@example.com ", "", Some("/find?q=ada%40example.com"));
}
