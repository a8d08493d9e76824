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

    pub async fn sync(&self) -> Ran {
        let source = format!("file://{}/", self.folder.path().join("sessions").display());
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
