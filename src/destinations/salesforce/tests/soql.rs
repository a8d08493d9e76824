//! Quoting, chunking and paging.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::tests::{Net, destination, reply, reply_text};
use super::*;
use crate::destinations::Destination;

/// Reads a quoted literal as the SOQL guide describes it; `None` if it does not end where it should.
fn unquote(literal: &str) -> Option<String> {
    let mut out = String::new();
    let mut characters = literal.strip_prefix('\'')?.chars();
    loop {
        match characters.next()? {
            '\'' => return characters.as_str().is_empty().then_some(out),
            '\\' => out.push(match characters.next()? {
                'n' | 'N' => '\n',
                'r' | 'R' => '\r',
                't' | 'T' => '\t',
                'b' | 'B' => '\u{8}',
                'f' | 'F' => '\u{c}',
                'u' => {
                    let digits: String = characters.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                c @ ('\'' | '"' | '\\') => c,
                _ => return None,
            }),
            c => out.push(c),
        }
    }
}

fn percent_decode(text: &str) -> String {
    let query = format!("q={text}");
    url::form_urlencoded::parse(query.as_bytes()).next().unwrap().1.into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_stands_in_a_value_comes_back_from_its_literal(text in any::<String>()) {
        prop_assert_eq!(unquote(&quote(&text)), Some(text.clone()));
        prop_assert_eq!(percent_decode(&encode(&quote(&text))), quote(&text));
        prop_assert_eq!(encode(&quote(&text)).len(), encoded_len(&quote(&text)));
    }

    #[test]
    fn chunks_hold_every_value_once_and_fit_the_uri(
        values in proptest::collection::vec("[a-z'\\\\@é]{1,80}", 0..900),
        overhead in 50usize..300,
    ) {
        let query = InQuery { before: "SELECT Id FROM Contact WHERE Email", values: &values, after: " AND X", all_rows: false };
        let chunks = query.chunks(overhead);
        let joined: Vec<usize> = chunks.iter().cloned().flatten().collect();
        prop_assert_eq!(joined, (0..values.len()).collect::<Vec<_>>());
        for chunk in chunks {
            prop_assert!(overhead + encode(&query.statement(chunk)).len() <= URI_BYTES_MAX);
        }
    }
}

#[test]
fn quotes_and_controls_are_escaped() {
    let check = |text: &str, expected: &str| assert_eq!(quote(text), expected);
    check("o'hara@example.com", r"'o\'hara@example.com'");
    check("x') OR Id != null --", r"'x\') OR Id != null --'");
    check("a\\", r"'a\\'");
    check("a\nb\u{0}\u{1f}", r"'a\nb\u0000\u001F'");
    check("%_", "'%_'");
    check("", "''");
}

#[tokio::test]
async fn all_pages_are_read() {
    let net = Net::new(|seen| match seen.path().as_str() {
        "/services/data/v66.0/query" => reply(
            200,
            json!({"done": false, "records": [{"Id": "1"}, {"Id": "2"}],
            "nextRecordsUrl": "/services/data/v66.0/query/01gx-2000"}),
        ),
        "/services/data/v66.0/query/01gx-2000" => reply(200, json!({"done": true, "records": [{"Id": "3"}]})),
        _ => None,
    });
    let destination = destination(&net);
    destination.prepare().await.unwrap();
    let mut ids = Vec::new();
    let result =
        destination.client.query("SELECT Id FROM Task", false, &mut |row: Value| ids.push(row["Id"].clone())).await;
    assert!(result.is_ok());
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(net.seen("/query")[0].header("sforce-query-options"), "batchSize=2000");
    assert_eq!(net.seen("/query")[0].query().as_deref(), Some("SELECT Id FROM Task"));
}

#[tokio::test]
async fn a_next_page_that_is_given_as_a_url_on_our_own_host_is_read_from_its_path() {
    for origin in ["https://example.my.salesforce.com", "https://Example.my.salesforce.com:443"] {
        let next = format!("{origin}/services/data/v66.0/query/01gx-2000?a=b");
        let net = Net::new(move |seen| match seen.path().as_str() {
            "/services/data/v66.0/query" => reply(200, json!({"done": false, "records": [], "nextRecordsUrl": next})),
            "/services/data/v66.0/query/01gx-2000" => reply(200, json!({"done": true, "records": [{"Id": "3"}]})),
            _ => None,
        });
        let destination = destination(&net);
        destination.prepare().await.unwrap();
        let mut rows = 0;
        let result = destination.client.query("SELECT Id FROM Task", false, &mut |_: Value| rows += 1).await;
        assert!(result.is_ok());
        assert_eq!(rows, 1);
        let seen = net.seen("/query/");
        assert_eq!(seen[0].uri, "https://example.my.salesforce.com/services/data/v66.0/query/01gx-2000?a=b");
    }
}

#[tokio::test]
async fn a_next_page_elsewhere_or_nowhere_is_not_followed() {
    let elsewhere = [
        json!("https://elsewhere.example.com/services/data/v66.0/query/01gx-2000"),
        json!("https://example.my.salesforce.com:8443/services/data/v66.0/query/01gx-2000"),
        json!("https://example.my.salesforce.com/elsewhere"),
        json!("https://example.my.salesforce.com@elsewhere.example.com/services/x"),
        json!("//elsewhere.example.com/services/x"),
        Value::Null,
    ];
    for next in elsewhere {
        let net = Net::new(move |seen| {
            let page = json!({"done": false, "records": [], "nextRecordsUrl": next});
            if seen.path().contains("/query") { reply(200, page) } else { None }
        });
        let destination = destination(&net);
        let result = destination.client.query("SELECT Id FROM Task", false, &mut |_: Value| {}).await;
        assert!(matches!(result, Err(Failure::Decided(Outcome::Retry { .. }))));
        assert_eq!(net.seen("/query").len(), 1);
    }
}

#[tokio::test]
async fn long_lists_go_in_several_requests_that_fit_a_few_at_a_time() {
    let net = Net::new(|_| None);
    let destination = destination(&net);
    destination.prepare().await.unwrap();
    let values: Vec<String> = (0..3000).map(|n| format!("person.number.{n}+tag'@example.com")).collect();
    let query = InQuery { before: "SELECT Id FROM Contact WHERE Email", values: &values, after: "", all_rows: false };
    destination.client.query_in(&query, &mut |_: Value| {}).await.unwrap();
    let seen = net.seen("/query");
    assert!(seen.len() > 5);
    assert!(seen.iter().all(|one| one.uri.len() <= URI_BYTES_MAX));
    let asked: usize = seen.iter().map(|one| one.query().unwrap().matches("@example.com").count()).sum();
    assert_eq!(asked, 3000);
}

#[tokio::test]
async fn a_chunk_that_is_too_much_is_halved_until_it_passes() {
    for refuse in
        [|| reply_text(414, ""), || reply(400, json!([{"errorCode": "QUERY_TOO_COMPLICATED", "message": "x"}]))]
    {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let net = Net::new(move |seen| {
            let values = seen.query()?.matches('@').count();
            if values > 3 {
                return refuse();
            }
            counter.fetch_add(values, Ordering::Relaxed);
            None
        });
        let destination = destination(&net);
        let values: Vec<String> = (0..10).map(|n| format!("{n}@example.com")).collect();
        let query =
            InQuery { before: "SELECT Id FROM Contact WHERE Email", values: &values, after: "", all_rows: false };
        destination.client.query_in(&query, &mut |_: Value| {}).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 10);
    }
}
