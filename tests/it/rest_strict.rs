//! Promise: an answer that cannot be read as the table says is never taken for good news, and a mistake in the table holds
//! its destination and refuses no call.

use serde_json::json;
use tempfile::TempDir;

use crate::support::binary::{Ran, bare, finish};
use crate::support::rest_world::told;
use crate::support::session::put;
use crate::support::stub::Stub;
use crate::support::world::DAY;

/// A program beside a CRM that answers as a test says.
pub struct Desk {
    pub folder: TempDir,
    pub crm: Stub,
}

impl Desk {
    /// `answer` gives status and body for `POST /calls`; `table` stands below `[rest.desk]`.
    pub async fn new(table: &str, answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Desk {
        let crm = Stub::start(move |request| {
            let (status, body) = answer(request);
            (axum::http::StatusCode::from_u16(status).expect("a status"), body)
        })
        .await;
        let desk = Desk { folder: tempfile::tempdir().expect("a temporary folder"), crm };
        desk.configure(table);
        std::fs::create_dir(desk.folder.path().join("sessions")).expect("a writable folder");
        desk
    }

    pub fn configure(&self, table: &str) {
        let base_url = &self.crm.endpoint;
        let text =
            format!("[rest.desk]\nbase_url = \"{base_url}/api\"\n{table}\n[delivery]\npatience_s = 1\nsettle_s = 1\n");
        std::fs::write(self.folder.path().join("test.toml"), text).expect("a writable folder");
    }

    pub fn call(&self, id: &str) {
        let document = told(id, "ada@example.com").to_string();
        put(&self.folder.path().join("sessions"), DAY, &format!("{id}.json"), document);
    }

    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = bare();
        command.current_dir(self.folder.path()).args(arguments);
        command.args(["--config", "test.toml", "--store", "calls.db"]);
        finish(command).await
    }

    pub fn source(&self) -> String {
        format!("file://{}/", self.folder.path().join("sessions").display())
    }

    /// Of the session `s1`, as the file `one.json`.
    pub fn transcript(&self) {
        let items = json!([{ "type": "message", "role": "user", "content": "Hello" }]);
        let times = ("2026-11-20T09:00:00Z", "2026-11-20T09:01:00Z");
        let file = json!({ "session_id": "s1", "start_time": times.0, "end_time": times.1, "items": items });
        std::fs::write(self.folder.path().join("one.json"), file.to_string()).expect("a writable folder");
    }

    pub async fn sync(&self) -> Ran {
        let source = self.source();
        let day = DAY.to_string();
        self.run(&["sync", "--source", &source, "--from", &day, "--to", &day]).await
    }

    /// How many records were asked for.
    pub fn posts(&self) -> usize {
        self.crm.requests().iter().filter(|request| request.starts_with("POST /api/calls")).count()
    }
}

pub const CREATE: &str = r#"
[rest.desk.create]
method = "POST"
path = "/calls"
id = ["/id"]
error = ["/error"]
body = '{"ref": {{ call.key }}, "text": {{ (insights or []) | join(" ") }}}'
"#;

fn looked_up(more: &str) -> String {
    format!(
        "doubles = \"look_up_first\"\n{CREATE}[rest.desk.look_up]\nmethod = \"GET\"\npath = \"/calls?ref={{{{ call.key }}}}\"\nkey = [\"/ref\"]\n{more}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_cannot_be_read_holds_and_sends_nothing() {
    let answers = [
        (r#"{"calls": []}"#, "has no `/data`; at its top level stand: calls"),
        ("<html>a login page</html>", "is not JSON; it is a text or a page"),
        (r#"{"data": [{"reference": "x", "id": 7}]}"#, "has an item without `/ref`"),
    ];
    for (body, what) in answers {
        let desk = Desk::new(&looked_up("items = \"/data\""), move |request| match request.starts_with("GET") {
            true => (200, body.to_owned()),
            false => (201, json!({ "id": 7 }).to_string()),
        })
        .await;
        desk.call("s1");
        let ran = desk.sync().await.exits(1);
        ran.says("1 held").tells("TL0509: desk: the answer to look_up (HTTP 200) ").tells(what);
        ran.tells("items_or_absent = true");
        assert_eq!(desk.posts(), 0, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_an_api_leaves_out_where_it_finds_nothing_is_a_setting() {
    let desk = Desk::new(&looked_up("items = \"/data\"\nitems_or_absent = true"), |request| {
        match request.starts_with("GET") {
            true => (200, "{\"total\": 0}".to_owned()),
            false => (201, json!({ "id": 7 }).to_string()),
        }
    })
    .await;
    desk.call("s1");
    desk.sync().await.exits(0).says("1 delivered");
    assert_eq!(desk.posts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_be_asked_first_is_not_sent_to_without_being_asked() {
    let table = looked_up("items = \"/data\"\nprobe = \"/calls?limit=1\"");
    let desk = Desk::new(&table, |request| match request.starts_with("GET") {
        true => (404, String::new()),
        false => (201, json!({ "id": 7 }).to_string()),
    })
    .await;
    desk.call("s1");
    desk.sync().await.exits(1).says("1 held").tells("TL0509: desk is to be asked before each first request");
    assert_eq!(desk.posts(), 0);
    desk.configure(&table.replace("look_up_first", "look_up"));
    desk.sync().await.exits(0).says("1 delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_place_of_people_skips_nobody() {
    let person = "unmatched = \"skip\"\n[rest.desk.person]\nmethod = \"GET\"\npath = \"/people?q={{ call.email }}\"\n";
    for (places, what) in [
        ("items = \"/peopel\"", "the answer to person (HTTP 200) has no `/peopel`; at its top level stand: people"),
        ("items = \"/people\"\nkey = [\"/emial\"]\nkey_is = \"{{ call.email }}\"", "has an item without `/emial`"),
        ("items = \"/people\"\nid = [\"/_id\"]", "has an item without `/_id`"),
    ] {
        let desk = Desk::new(&format!("{person}{places}\n{CREATE}"), |request| match request.starts_with("GET") {
            true => (200, json!({ "people": [{ "id": 1, "email": "ada@example.com" }] }).to_string()),
            false => (201, json!({ "id": 7 }).to_string()),
        })
        .await;
        desk.call("s1");
        desk.sync().await.exits(1).says("1 held").tells("TL0509").tells(what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_with_an_error_in_it_is_a_dead_letter_and_one_without_an_id_is_looked_up() {
    let desk = Desk::new(CREATE, |_| (200, json!({ "id": null, "error": "no quota left" }).to_string())).await;
    desk.call("s1");
    desk.sync().await.exits(1).says("1 dead-lettered (TL0608)");
    desk.run(&["why", "s1"]).await.exits(0).says("no quota left");

    let desk = Desk::new(CREATE, |_| (200, json!({ "id": null }).to_string())).await;
    desk.call("s1");
    desk.sync().await.exits(1).says("1 dead-lettered (TL0702)");
    assert_eq!(desk.posts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nothing_was_ever_delivered_to_holds_and_refuses_no_call() {
    for status in [404, 405] {
        let desk = Desk::new(CREATE, move |_| (status, "no such page".to_owned())).await;
        ["s1", "s2", "s3"].iter().for_each(|id| desk.call(id));
        let ran = desk.sync().await.exits(1);
        ran.says("3 held")
            .tells("TL0508: desk has nothing that takes POST 127.0.0.1/api/calls")
            .tells("method and path");
    }
    // Where others were taken, it is the one record's matter.
    let desk = Desk::new(CREATE, {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => (201, json!({ "id": 7 }).to_string()),
            _ => (404, "no such contact".to_owned()),
        }
    })
    .await;
    desk.call("s1");
    desk.sync().await.exits(0).says("1 delivered");
    desk.call("s2");
    desk.sync().await.exits(1).says("1 dead-lettered (TL0508)");
}

/// What `why` says in the end.
async fn so(desk: &Desk, id: &str) -> String {
    let ran = desk.run(&["why", id]).await.exits(0);
    ran.stdout.lines().find(|line| line.starts_with("  so ")).expect("a conclusion").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_record_does_not_hold_is_not_said_to_be_in_it() {
    let desk = Desk::new(CREATE, |_| (201, json!({ "id": 7 }).to_string())).await;
    desk.call("s1");
    desk.sync().await.exits(0).says("1 delivered");
    assert!(so(&desk, "s1").await.contains("record 7 holds revision 1 of 1"));
    let mut newer = told("s1", "ada@example.com");
    newer["discovered_signals"]["use_case"] = json!("contracts");
    put(&desk.folder.path().join("sessions"), DAY, "newer.json", newer.to_string());
    desk.sync().await.exits(0).says("1 unchanged");
    let so = so(&desk, "s1").await;
    assert!(so.contains("record 7 holds revision 1 at "), "{so}");
    assert!(so.contains("newer content cannot be sent: the destination has no update"), "{so}");
    let rows = desk.run(&["deliveries", "--json"]).await.exits(0).json();
    assert_eq!((&rows[0]["delivered_revision"], &rows[0]["desired_revision"]), (&json!(1), &json!(2)), "{rows:#}");
    desk.sync().await.exits(0).says("nothing new");
    assert_eq!(desk.posts(), 1);
}

/// A CRM that has every call already.
async fn has_all() -> Desk {
    Desk::new(&looked_up(""), |request| match request.split_once("?ref=") {
        Some((_, key)) => (200, json!([{ "ref": key, "id": 7 }]).to_string()),
        None => (500, String::new()),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_record_holds_that_another_ledger_made_is_not_known() {
    let desk = has_all().await;
    desk.call("s1");
    desk.sync().await.exits(0).says("1 unchanged");
    let so = so(&desk, "s1").await;
    assert!(so.contains("record 7 was there already") && so.contains("what it holds is not known"), "{so}");

    let desk = has_all().await;
    desk.transcript();
    let ran = desk.run(&["upload", "--to", "desk", "one.json"]).await.exits(0);
    ran.tells("1 call stands at desk already, which cannot change one; whether with this content is not known");
    assert!(!ran.stderr.contains("since the record was made"), "{}", ran.stderr);
    assert_eq!(desk.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_two_sources_bring_is_told() {
    let desk = Desk::new(CREATE, |_| (201, json!({ "id": 7 }).to_string())).await;
    ["s1", "s2"].iter().for_each(|id| desk.call(id));
    desk.sync().await.exits(0).says("2 delivered");
    desk.transcript();
    let ran = desk.run(&["upload", "--to", "desk", "one.json"]).await.exits(0);
    ran.tells("1 call was sent that has the session id of a call from another source at desk");
    let again = desk.run(&["upload", "--to", "desk", "one.json"]).await.exits(0);
    assert!(!again.stderr.contains("another source"), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_stands_keeps_the_exit_code_at_one() {
    let desk = Desk::new(CREATE, |_| (422, json!({ "error": "no colour" }).to_string())).await;
    desk.call("s1");
    desk.sync().await.exits(1).says("1 dead-lettered (TL0608)");
    let again = desk.sync().await.exits(1);
    again.says("nothing new in 1 file, 1 dead letter of before stands").tells("trunkline retry");
    let source = desk.source();
    // Another day's run is not about it.
    desk.run(&["sync", "--source", &source, "--from", "2026-11-18"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_without_people_has_no_match_rate_and_nobody_in_a_dry_run() {
    let desk = Desk::new(CREATE, |_| (201, json!({ "id": 7 }).to_string())).await;
    desk.call("s1");
    let (source, day) = (desk.source(), DAY.to_string());
    let ran = desk.run(&["sync", "--dry-run", "--source", &source, "--from", &day]).await.exits(0);
    ran.says("create session s1 (no-person)");
    desk.sync().await.exits(0).says("1 delivered");
    let report = desk.run(&["report", "--to", &day, "--days", "1"]).await.exits(0);
    assert!(!report.stdout.contains('%'), "{}", report.stdout);
    let rows = desk.run(&["report", "--to", &day, "--days", "1", "--json"]).await.exits(0).json();
    assert_eq!((&rows[0]["delivered"], &rows[0]["match_rate"]), (&json!(1), &json!(null)), "{rows:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_it_did_not_try_and_what_cannot_be_meant() {
    let desk = Desk::new(CREATE, |_| (201, String::new())).await;
    let source = desk.source();
    let check = async || desk.run(&["check", "--source", &source]).await;
    check().await.says("nothing was sent to it, and its requests for calls and people were not tried");
    desk.configure(&CREATE.replace("{{ call.key }}", "\"{{ call.key }}\""));
    check()
        .await
        .says("FIX  desk")
        .says("create.body is no JSON object for a sample call")
        .says("take quotes around it");
    desk.configure(&CREATE.replace("POST", "PSOT"));
    check().await.says("create.method cannot be `PSOT`");
    desk.configure(&CREATE.replace("error =", "eror ="));
    check().await.exits(2).says("[rest.desk]: there is no setting `create.eror`").says("did you mean `error`?");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_only_uploads_is_asked_for_neither_a_source_nor_salesforce() {
    const ID: &str = "64b0c0ffee0000000000abcd";
    let crm = Stub::start(|_| (axum::http::StatusCode::OK, r#"{"success": true, "data": []}"#)).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let check = async |campaign: &str, base_url: &str| {
        let mut command = bare();
        command.current_dir(folder.path()).args(["check", "--store", "calls.db"]);
        command.envs([("CRM_BASE_URL", base_url), ("CRM_CAMPAIGN_ID", campaign)]);
        command.envs(["CRM_VOICE_AGENT_ID", "CRM_CLIENT_ID"].map(|name| (name, ID)));
        finish(command).await
    };
    let ran = check(ID, &crm.endpoint).await.exits(0);
    ran.says("ok   source").says("upload` needs none").says("ok   call_data_api").says("it answered");
    ran.tells("trunkline upload --dry-run");
    assert!(!ran.stdout.contains("salesforce"), "{}", ran.stdout);
    check("abc", &crm.endpoint).await.exits(0).says("note call_data_api").says("24 hexadecimal digits");
    drop(crm);
    check(ID, "http://127.0.0.1:9").await.exits(1).says("FIX  call_data_api TL0701");
}
