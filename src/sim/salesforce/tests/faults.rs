//! Faults must do exactly what they say: committed or not, and a connection that really ends.

use serde_json::json;

use super::super::{Fault, FaultKind, Options, Settings};
use super::{Desk, row_error, task};

#[tokio::test]
async fn each_fault_leaves_the_org_as_its_name_says() {
    use FaultKind::*;
    // Kind, status (0: no complete answer), error code, whether the row is there afterwards.
    let table = [
        (DropBeforeCommit, 0, "", false),
        (DropAfterCommit, 0, "", true),
        (HangAfterCommit, 0, "", true),
        (TruncateBody, 0, "", true),
        (UnavailableBeforeCommit, 503, "SERVER_UNAVAILABLE", false),
        (UnavailableAfterCommit, 503, "SERVER_UNAVAILABLE", true),
        (ServerErrorBeforeCommit, 500, "UNKNOWN_EXCEPTION", false),
        (ServerErrorAfterCommit, 500, "UNKNOWN_EXCEPTION", true),
        (BadGatewayBeforeCommit, 502, "", false),
        (BadGatewayAfterCommit, 502, "", true),
        (RequestLimit, 403, "REQUEST_LIMIT_EXCEEDED", false),
        (ConcurrentLimit, 403, "REQUEST_LIMIT_EXCEEDED", false),
        (ExpireSession, 401, "INVALID_SESSION_ID", false),
        (Slow, 201, "", true),
        (SlowCommit, 201, "", true),
    ];
    for (kind, status, code, is_committed) in table {
        let desk = Desk::open().await;
        let org = desk.org();
        org.add_fault(Fault::new(kind).times(1).on_method("POST").delay_ms(5));
        assert_eq!(desk.get("sobjects").await.status, 200, "{kind:?} is for POST only");
        let reply = desk.try_send("POST", "sobjects/Task", &json!({ "Subject": "x" })).await;
        match &reply {
            Ok(reply) if reply.status == 502 => assert!(reply.text.starts_with("<html>"), "{kind:?}"),
            Ok(reply) if status != 201 => assert_eq!(reply.problem().1, code, "{kind:?}"),
            _ => {}
        }
        assert_eq!(reply.map_or(0, |reply| reply.status), status, "{kind:?}");
        assert_eq!(org.records("Task").len(), usize::from(is_committed), "{kind:?}");
        assert_eq!(org.counters().faults_of(kind), 1, "{kind:?}");
        let expected = if kind == ExpireSession { 401 } else { 201 };
        assert_eq!(desk.send("POST", "sobjects/Task", json!({})).await.status, expected, "{kind:?} is used up");
    }
}

#[tokio::test]
async fn a_dropped_connection_ends_without_a_byte() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let desk = Desk::open().await;
    desk.org().add_fault(Fault::new(FaultKind::DropAfterCommit));
    let address = desk.simulator.url().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(&address).await.expect("a connection");
    let head = format!(
        "POST /services/data/v66.0/sobjects/Task HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        desk.token
    );
    stream.write_all(format!("{head}7\r\n{{\"Subje\r\n8\r\nct\":\"x\"}}\r\n0\r\n\r\n").as_bytes()).await.expect("sent");
    let mut received = Vec::new();
    let end = stream.read_to_end(&mut received).await;
    assert!(received.is_empty(), "{}", String::from_utf8_lossy(&received));
    assert!(end.is_ok() || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    assert_eq!(desk.org().records("Task")[0]["Subject"], "x", "the chunked body was read and committed");
}

#[tokio::test]
async fn a_slow_commit_happens_even_if_the_client_has_left() {
    let desk = Desk::open().await;
    let org = desk.org();
    org.add_fault(Fault::new(FaultKind::SlowCommit).delay_ms(20));
    let body = json!({});
    let request = desk.try_send("POST", "sobjects/Task", &body);
    tokio::select! {
        _ = request => panic!("the client was to leave first"),
        () = super::until(|| org.counters().faults_of(FaultKind::SlowCommit) == 1) => {}
    }
    assert!(org.records("Task").is_empty());
    super::until(|| org.records("Task").len() == 1).await;
}

#[tokio::test]
async fn row_faults_fail_single_rows_and_a_seed_repeats_them() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let desk = Desk::with(Options { seed, ..Options::default() }).await;
        desk.org().add_fault(Fault::new(FaultKind::LockRow).probability(0.2));
        let failing = Fault::new(FaultKind::FailRow).probability(0.2);
        desk.org().add_fault(failing.failing_with("UNKNOWN_EXCEPTION", "boom"));
        let rows: Vec<_> = (0..100).map(|n| task(json!({ "Call_Key__c": n.to_string() }))).collect();
        let answer = desk.upsert(json!(rows)).await;
        let codes: Vec<String> = answer.iter().map(|row| row_error(row).0.to_owned()).collect();
        let created = codes.iter().filter(|code| code.is_empty()).count();
        assert_eq!(desk.org().records("Task").len(), created);
        assert!(codes.contains(&"UNABLE_TO_LOCK_ROW".to_owned()) && codes.contains(&"UNKNOWN_EXCEPTION".to_owned()));
        runs.push(codes);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn a_fault_on_a_path_meets_logins_too_and_can_let_some_through_first() {
    let mut desk = Desk::open().await;
    desk.org().add_fault(Fault::new(FaultKind::UnavailableBeforeCommit).on_path("/oauth2/").after(1).times(1));
    desk.log_in().await;
    let form = "grant_type=client_credentials&client_id=sim-client&client_secret=sim-secret";
    assert_eq!(desk.token(form).await.status, 503);
    desk.log_in().await;
}

#[tokio::test]
async fn the_daily_allocation_runs_out_and_frees_itself_after_a_day() {
    let settings = Settings { api_requests_max: 2, session_minutes: 10_000, ..Settings::default() };
    let desk = Desk::with(Options { settings, ..Options::default() }).await;
    assert_eq!(desk.get("sobjects").await.status, 200);
    assert_eq!(desk.get("sobjects").await.headers["sforce-limit-info"], "api-usage=2/2");
    let reply = desk.get("sobjects").await;
    let text = "TotalRequests Limit exceeded.".to_owned();
    assert_eq!(reply.problem(), (403, "REQUEST_LIMIT_EXCEEDED".to_owned(), text));
    let limits = desk.get("limits").await.json();
    assert_eq!(limits["DailyApiRequests"], json!({ "Max": 2, "Remaining": 0 }));
    desk.pass(24 * 3_600);
    assert_eq!(desk.get("sobjects").await.status, 200);
}

#[tokio::test]
async fn too_many_requests_at_once_are_refused_in_words_of_their_own() {
    let settings = Settings { latency_ms: 60_000, concurrent_requests_max: Some(1), ..Settings::default() };
    let desk =
        Desk::with(Options { settings: Settings { latency_ms: 0, ..settings.clone() }, ..Options::default() }).await;
    let org = desk.org();
    org.settings(|current| *current = settings);
    let nothing = serde_json::Value::Null;
    let first = desk.try_send("GET", "sobjects", &nothing);
    let second = async {
        super::until(|| org.counters().calls_of("describe_global") == 1).await;
        org.settings(|settings| settings.latency_ms = 0);
        desk.get("sobjects").await
    };
    tokio::select! {
        _ = first => panic!("the first request was to be still in flight"),
        reply = second => assert_eq!(reply.problem().2, "ConcurrentPerOrgLongTxn Limit exceeded."),
    }
}
