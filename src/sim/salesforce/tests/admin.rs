//! The administrator's door and the page.

use serde_json::{Value, json};

use super::super::{Fault, FaultKind};
use super::Desk;

#[tokio::test]
async fn the_administrator_seeds_looks_switches_and_resets() {
    let desk = Desk::open().await;
    let rows = json!([
        { "LastName": "A", "LastModifiedDate": "2025-05-01T10:00:00Z" },
        { "LastName": "B", "Company": "C", "IsConverted": true },
    ]);
    let contact = desk.send("POST", "/sim/records/Contact", rows[0].clone()).await.json();
    let lead = desk.send("POST", "/sim/records/lead", json!([rows[1]])).await.json();
    assert!(lead["ids"][0].as_str().is_some_and(|id| id.starts_with("00Q")), "{lead}");
    let state = desk.get("/sim/state").await.json();
    assert_eq!(state["Contact"][0]["LastModifiedDate"], "2025-05-01T10:00:00.000+0000");
    assert_eq!(state["Lead"][0]["IsConverted"], true);
    let path = format!("/sim/records/{}", contact["ids"][0].as_str().expect("an id"));
    assert_eq!(desk.send("PATCH", &path, json!({ "Email": "a@example.com" })).await.status, 200);
    assert_eq!(desk.get("/sim/state?object=Contact").await.json()["Contact"][0]["Email"], "a@example.com");

    let settings = desk.send("PUT", "/sim/settings", json!({ "latency_ms": 1, "key_field": null })).await.json();
    assert_eq!((settings["latency_ms"].as_u64(), &settings["key_field"]), (Some(1), &Value::Null));
    for (path, body, named) in [
        ("/sim/settings", json!({ "latency": 1 }), "latency"),
        ("/sim/settings", json!({ "key_field": { "nam": "x" } }), "nam"),
    ] {
        let reply = desk.send("PUT", path, body).await;
        assert!(reply.status == 400 && reply.text.contains(&format!("`{named}`")), "{}", reply.text);
    }
    for (path, body) in [
        ("/sim/faults", json!({ "kind": "slow", "delay": 5 })),
        ("/sim/faults", json!({ "kind": "nope" })),
        ("/sim/records/Nope", json!({})),
        ("/sim/records/Contact", json!({ "Nope": 1 })),
    ] {
        assert_eq!(desk.send("POST", path, body.clone()).await.status, 400, "{body}");
    }
    let fault =
        json!({ "kind": "slow", "delay_ms": 1, "probability": 0.5, "count": 3, "path": "query", "method": "GET" });
    assert_eq!(desk.send("POST", "/sim/faults", fault).await.status, 200);
    let listed = desk.get("/sim/faults").await.json();
    let same: Vec<Fault> = serde_json::from_value(listed).expect("faults");
    assert_eq!(
        same,
        [Fault::new(FaultKind::Slow).delay_ms(1).probability(0.5).times(3).on_path("query").on_method("GET")]
    );
    assert_eq!(desk.send("DELETE", "/sim/faults", Value::Null).await.status, 204);
    assert_eq!(desk.get("/sim/faults").await.json(), json!([]));

    desk.get("sobjects").await;
    assert_eq!(desk.get("/sim/counters").await.json()["calls"]["describe_global"], 1);
    desk.send("POST", "/sim/counters/reset", Value::Null).await;
    assert_eq!(desk.get("/sim/counters").await.json()["api_calls"], 0);
    assert_eq!(desk.send("POST", "/sim/sessions/expire", Value::Null).await.status, 204);
    assert_eq!(desk.get("sobjects").await.status, 401);
    assert_eq!(desk.send("DELETE", "/sim/records", Value::Null).await.status, 204);
    assert_eq!(desk.get("/sim/state").await.json()["Contact"], json!([]));
}

#[tokio::test]
async fn the_page_shows_people_with_their_calls_and_no_markup_of_theirs() {
    let desk = Desk::open().await;
    let org = desk.org();
    let account = org.insert("Account", json!({ "Name": "A&B <i>" }));
    let contact =
        org.insert("Contact", json!({ "LastName": "<script>alert(1)</script>{{people}}", "AccountId": account }));
    org.insert(
        "Task",
        json!({ "WhoId": contact, "Subject": "\"><img src=x>", "Description": "a\n  b </div>", "CallType": "Inbound" }),
    );
    org.insert("Task", json!({ "Subject": "Nobody's" }));
    let page = read_root(&desk).await;
    let policy = page.headers["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'nonce-") && !policy.contains("unsafe"), "{policy}");
    for shown in [
        "&lt;script&gt;alert(1)&lt;/script&gt;{{people}}",
        "A&amp;B &lt;i&gt;",
        "&quot;&gt;&lt;img src=x&gt;",
        "a\n  b &lt;/div&gt;",
        "Nobody&#39;s",
        r#"id="unmatched""#,
    ] {
        assert!(page.text.contains(shown), "{shown}");
    }
    assert!(!page.text.contains("<script>alert") && !page.text.contains("<img"));
    assert!(!org.page_html().contains("{{nonce}}"));
}

#[tokio::test]
async fn the_page_stays_small_with_many_tasks() {
    let desk = Desk::open().await;
    for number in 0..10_000 {
        desk.org().insert("Task", json!({ "Subject": format!("call {number}"), "Description": "x".repeat(500) }));
    }
    let page = read_root(&desk).await;
    assert!(page.text.len() < 1_000_000, "{} bytes", page.text.len());
    assert!(page.text.contains("Showing the newest 500 of 10,000 tasks"));
}

async fn read_root(desk: &Desk) -> super::Reply {
    super::read(desk.client.get(desk.simulator.url())).await.expect("a page")
}
