//! Sessions, limits, batches and holds, as the engine meets them.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;

use super::net::{Net, reply, reply_text, task_describe};
use super::*;
use crate::destinations::{Destination, Doubles, Outcome, Person};
use crate::net::TransportError;
use crate::problem as p;

fn code_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Retry { problem, .. }
        | Outcome::Rematch { problem }
        | Outcome::Reject { problem }
        | Outcome::Unknown { problem, .. }
        | Outcome::Hold { problem } => problem.code.0,
        Outcome::Delivered { .. } => "delivered",
        Outcome::Exists { .. } => "exists",
    }
}

#[tokio::test]
async fn preparing_twice_asks_the_org_once() {
    let net = Net::new(|_| None);
    let destination = destination(&net);
    for _ in 0..2 {
        let readiness = destination.prepare().await.unwrap();
        assert_eq!(readiness.doubles, Doubles::Refused);
        assert_eq!(readiness.warnings, Vec::<String>::new());
    }
    assert_eq!(net.seen("/").len(), 3, "login, versions, describe");
    assert_eq!(net.seen("/describe")[0].path(), "/services/data/v66.0/sobjects/Task/describe");
    assert_eq!(net.seen("/describe")[0].header("authorization"), "Bearer token-1");
    assert_eq!(net.seen("/describe")[0].header("sforce-call-options"), "client=Trunkline");
    assert_eq!(destination.usage().requests, 3);
    assert_eq!(destination.link("00T1").as_deref(), Some("https://example.my.salesforce.com/00T1"));
}

#[tokio::test]
async fn sixty_four_expired_answers_lead_to_one_login() {
    let mut logins = 0;
    let net = Net::new(move |seen| {
        if seen.path().ends_with("/token") {
            logins += 1;
            let token = format!("token-{logins}");
            return reply(200, json!({"access_token": token, "instance_url": "https://example.my.salesforce.com"}));
        }
        let expired = seen.header("authorization") == "Bearer token-1" && seen.path().ends_with("/composite/sobjects");
        if expired {
            reply(401, json!([{"errorCode": "INVALID_SESSION_ID", "message": "Session expired"}]))
        } else {
            None
        }
    });
    let destination = Arc::new(destination(&net));
    destination.prepare().await.unwrap();

    let ids: Vec<String> = (0..64).map(|n| format!("s{n}")).collect();
    let outcomes = join_all(ids.iter().map(|id| {
        let destination = destination.clone();
        let writes = vec![create(id)];
        async move { destination.write(&writes).await }
    }))
    .await;

    assert!(outcomes.iter().flatten().all(|outcome| matches!(outcome, Outcome::Delivered { created: true, .. })));
    assert_eq!(net.seen("/token").len(), 2, "one for the start, one for all the expired answers");
    assert_eq!(net.seen("/composite").len(), 128);
}

#[tokio::test]
async fn those_who_wait_for_a_refused_login_do_not_repeat_it() {
    let net = Net::new(|seen| {
        let refused = json!({"error": "invalid_grant", "error_description": "authentication failure"});
        if seen.path().ends_with("/token") { reply(400, refused) } else { None }
    });
    let destination = destination(&net);
    let session = || destination.client.connect();
    for result in join_all((0..64).map(|_| session())).await {
        assert_eq!(code_of(&result.unwrap_err()), p::LOGIN_REFUSED.0);
    }
    assert_eq!(net.seen("/token").len(), 1);
    assert!(destination.client.connect().await.is_err());
    assert_eq!(net.seen("/token").len(), 2, "asked again later, it tries again");
}

#[tokio::test]
async fn a_fresh_session_that_is_refused_too_is_tried_again_later() {
    let refusals = [(401, json!([{"errorCode": "INVALID_SESSION_ID", "message": "x"}])), (401, json!("nothing known"))];
    for (status, refusal) in refusals {
        let mut left = 2;
        let net = Net::new(move |seen| {
            let refuse = seen.path().contains("/composite") && left > 0;
            left -= i32::from(refuse);
            if refuse { reply(status, refusal.clone()) } else { None }
        });
        let destination = destination(&net);
        let outcomes = destination.write(&[create("a")]).await;
        assert!(matches!(outcomes[0], Outcome::Retry { smaller: false, .. }), "{outcomes:?}");
        assert_eq!(code_of(&outcomes[0]), p::LOGIN_REFUSED.0);
        assert_eq!(net.seen("/composite").len(), 2);
        assert_eq!(net.seen("/token").len(), 2);
        assert_eq!(code_of(&destination.write(&[create("a")]).await[0]), "delivered");
    }
}

#[tokio::test]
async fn a_refusal_for_want_of_permission_holds_at_once_whatever_its_status() {
    for code in ["API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "INSUFFICIENT_ACCESS"] {
        for status in [401, 403] {
            let net = Net::new(move |seen| {
                let refuse = seen.path().contains("/composite");
                if refuse { reply(status, json!([{"errorCode": code, "message": "x"}])) } else { None }
            });
            let outcomes = destination(&net).write(&[create("a")]).await;
            assert!(matches!(outcomes[0], Outcome::Hold { .. }), "{code} {status}");
            assert_eq!(net.seen("/token").len(), 1);
        }
    }
}

#[tokio::test]
async fn rows_are_judged_one_by_one_in_their_order() {
    let net = Net::new(|seen| {
        if !seen.path().ends_with("/composite/sobjects") {
            return None;
        }
        reply(
            200,
            json!([
                {"id": "00Txx000000Qr7ZEAS", "success": true, "errors": []},
                {"success": false, "errors": [{"statusCode": "DUPLICATE_VALUE", "fields": [],
                    "message": "duplicate value found: Call_Key__c duplicates value on record with id: 00Txx000000Qr7YEAS"}]},
                {"success": false, "errors": [{"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "No!", "fields": []}]},
                {"success": false, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain", "fields": []}]},
            ]),
        )
    });
    let destination = destination(&net);
    let outcomes = destination.write(&[create("a"), create("b"), create("c"), create("d")]).await;
    assert_eq!(outcomes[0], Outcome::Delivered { remote_id: "00Txx000000Qr7ZEAS".into(), created: true });
    assert_eq!(outcomes[1], Outcome::Exists { remote_id: "00Txx000000Qr7YEAS".into() });
    assert_eq!(code_of(&outcomes[2]), p::ROW_VALIDATION.0);
    assert!(matches!(outcomes[3], Outcome::Retry { smaller: true, .. }));
    let sent = net.seen("/composite")[0].json();
    assert_eq!(sent["allOrNone"], json!(false));
    assert_eq!(sent["records"][0]["attributes"], json!({"type": "Task"}));
    assert_eq!(sent["records"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn updates_go_by_id_and_large_bodies_are_compressed() {
    let net = Net::new(|_| None);
    let destination = destination_with(&net, |settings| settings.gzip = true);
    let writes: Vec<Write> = (0..50).map(|n| update(&format!("s{n}"), &format!("00T{n:015}"))).collect();
    let outcomes = destination.write(&writes).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered { created: false, .. })));
    let seen = &net.seen("/composite")[0];
    assert_eq!((seen.method.as_str(), seen.header("content-encoding")), ("PATCH", "gzip"));
    assert_eq!(seen.json()["records"][7]["id"], json!("00T000000000000007"));
    destination.write(&writes[..1]).await;
    assert_eq!(net.seen("/composite")[1].header("content-encoding"), "");
}

#[tokio::test]
async fn an_update_that_names_nothing_gone_is_looked_into() {
    let net = Net::new(|seen| {
        if let Some(query) = seen.query() {
            assert!(query.contains("FROM Task WHERE Id IN ('00T1AAAAAAAAAAA','00T2AAAAAAAAAAA')"), "{query}");
            return reply(200, json!({"done": true, "records": [{"Id": "00T1AAAAAAAAAAAQQQ"}]}));
        }
        let gone = json!({"statusCode": "ENTITY_IS_DELETED", "message": "entity is deleted", "fields": []});
        let row = json!({"success": false, "errors": [gone]});
        if seen.path().contains("/composite") { reply(200, json!([row, row])) } else { None }
    });
    let outcomes = destination(&net).write(&[update("a", "00T1AAAAAAAAAAA"), update("b", "00T2AAAAAAAAAAA")]).await;
    assert!(matches!(outcomes[0], Outcome::Rematch { .. }), "{:?}", outcomes[0]);
    assert!(matches!(outcomes[1], Outcome::Reject { .. }), "{:?}", outcomes[1]);
}

#[tokio::test]
async fn a_host_that_does_not_understand_gzip_gets_plain_text_from_then_on() {
    let refuse = || reply(400, json!([{"errorCode": "JSON_PARSER_ERROR", "message": "Unexpected character"}]));
    let net = Net::new(move |seen| if seen.header("content-encoding") == "gzip" { refuse() } else { None });
    let destination = destination_with(&net, |settings| settings.gzip = true);
    let writes: Vec<Write> = (0..50).map(|n| create(&format!("s{n}"))).collect();
    for _ in 0..2 {
        assert!(destination.write(&writes).await.iter().all(|outcome| code_of(outcome) == "delivered"));
    }
    assert_eq!(net.seen("/composite").len(), 3);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_records_leaves_all_unknown_but_settled() {
    for body in ["[]", "{}", "<html>", r#"[{"id":"00T","success":true},{"id":"00T","success":true}]"#] {
        let net = Net::new(|seen| if seen.path().contains("/composite") { reply_text(200, body) } else { None });
        let outcomes = destination(&net).write(&[create("a")]).await;
        assert!(matches!(outcomes[0], Outcome::Unknown { settled: true, .. }), "{body}");
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_write_is_unknown_and_a_lost_connection_is_not() {
    let check = async |error: TransportError, unknown: bool| {
        let net = Net::new(move |seen| seen.path().contains("/composite").then(|| Err(error.clone())));
        let outcomes = destination(&net).write(&[create("a"), create("b")]).await;
        assert_eq!(outcomes.len(), 2);
        for outcome in outcomes {
            assert_eq!(matches!(outcome, Outcome::Unknown { settled: false, .. }), unknown);
            assert_eq!(matches!(outcome, Outcome::Retry { .. }), !unknown);
        }
    };
    check(TransportError::Unanswered { host: "h".into(), cause: "cut".into() }, true).await;
    check(TransportError::NotSent { host: "h".into(), cause: "refused".into() }, false).await;
}

#[tokio::test]
async fn we_stop_before_the_daily_allowance_is_gone_and_start_again_when_it_is_free() {
    let used = Arc::new(std::sync::atomic::AtomicU64::new(95));
    let shared = used.clone();
    let net = Net::new(move |seen| {
        seen.path().ends_with("/describe").then(|| {
            let info = format!("api-usage={}/100", shared.load(std::sync::atomic::Ordering::Relaxed));
            let response = http::Response::builder().header("Sforce-Limit-Info", info);
            Ok(response.body(bytes::Bytes::from(task_describe().to_string())).unwrap())
        })
    });
    let destination = destination(&net);
    let outcomes = destination.write(&[create("a")]).await;
    let Outcome::Hold { problem } = &outcomes[0] else { panic!("not held") };
    assert_eq!(problem.code, p::API_LIMIT);
    assert!(problem.what.contains("95 of the org's 100"), "{}", problem.what);
    assert!(net.seen("/composite").is_empty());
    used.store(10, std::sync::atomic::Ordering::Relaxed);
    destination.prepare().await.unwrap();
    assert_eq!(code_of(&destination.write(&[create("a")]).await[0]), "delivered");
    assert_eq!(destination.usage().remote_used, Some(10));
}

#[tokio::test]
async fn a_hold_makes_the_next_preparation_ask_again() {
    let mut calls = 0;
    let net = Net::new(move |seen| {
        if !seen.path().contains("/composite") {
            return None;
        }
        calls += 1;
        let message = "No such column 'Outcome__c' on sobject of type Task";
        if calls == 1 { reply(400, json!([{"errorCode": "INVALID_FIELD", "message": message}])) } else { None }
    });
    let destination = destination(&net);
    let outcomes = destination.write(&[create("a"), create("b")]).await;
    let Outcome::Hold { problem } = &outcomes[1] else { panic!("not held") };
    assert_eq!(problem.code, p::FIELD_MISSING);
    assert!(problem.what.contains("missing or not visible to the integration user"));
    assert!(problem.what.contains("Outcome__c"));
    destination.prepare().await.unwrap();
    assert_eq!(net.seen("/describe").len(), 2);
    assert_eq!(code_of(&destination.write(&[create("a")]).await[0]), "delivered");
}

#[tokio::test]
async fn an_org_that_does_not_tell_its_versions_gets_a_safe_one() {
    let net = Net::new(|seen| if seen.path() == "/services/data/" { reply_text(404, "gone") } else { None });
    destination(&net).prepare().await.unwrap();
    assert_eq!(net.seen("/describe")[0].path(), "/services/data/v62.0/sobjects/Task/describe");
}

#[tokio::test]
async fn without_a_reachable_login_host_it_is_tried_again() {
    let net = Net::new(|_| Some(Err(TransportError::NotSent { host: "h".into(), cause: "refused".into() })));
    let outcome = destination(&net).prepare().await.unwrap_err();
    assert!(matches!(outcome, Outcome::Retry { .. }));
    assert_eq!(code_of(&outcome), p::REMOTE_UNREACHABLE.0);
}

#[tokio::test]
async fn a_version_that_the_org_does_not_offer_holds() {
    let net = Net::new(|seen| {
        let gone = json!([{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]);
        if seen.path().ends_with("/describe") { reply(404, gone) } else { None }
    });
    let outcome = destination_with(&net, |s| s.api_version = super::super::config::ApiVersion::parse("99.0"));
    assert_eq!(code_of(&outcome.prepare().await.unwrap_err()), p::API_VERSION.0);
}

#[tokio::test]
async fn one_record_that_refuses_a_field_does_not_hold_its_neighbours() {
    let net = Net::new(|seen| {
        let refused = json!({"statusCode": "INVALID_FIELD_FOR_INSERT_UPDATE", "fields": ["Subject"],
                             "message": "Unable to create/update fields: Subject. Please check the security settings"});
        let rows =
            if seen.path().contains("/composite") { seen.json()["records"].as_array()?.len() } else { return None };
        let bad = |index: usize| rows == 1 || index == 1 || rows == 4;
        let row = |index| match bad(index) {
            true => json!({"success": false, "errors": [refused]}),
            false => json!({"id": format!("00T{}", index + 1), "success": true}),
        };
        reply(200, (0..rows).map(row).collect())
    });
    let destination = destination(&net);
    let outcomes = destination.write(&[update("a", "00T1"), update("b", "00T2"), update("c", "00T3")]).await;
    assert_eq!(outcomes.iter().map(code_of).collect::<Vec<_>>(), ["delivered", p::ROW_ACCESS.0, "delivered"]);
    assert_eq!(code_of(&destination.write(&[update("b", "00T2")]).await[0]), p::ROW_ACCESS.0);
    let all: Vec<Write> = ["a", "b", "c", "d"].map(|id| update(id, "00T1")).into();
    let outcomes = destination.write(&all).await;
    assert!(outcomes.iter().all(|outcome| code_of(outcome) == p::FIELD_MISSING.0), "{outcomes:?}");
}

#[tokio::test]
async fn a_double_whose_holder_is_not_told_is_looked_up_by_its_key() {
    let stamped = |id: &str| {
        let mut write = create(id);
        write.record.insert("Call_Key__c".into(), write.key.as_str().into());
        write
    };
    let key = stamped("a").key.as_str().to_owned();
    let net = Net::new(move |seen| {
        if let Some(query) = seen.query() {
            assert!(query.starts_with("SELECT Id, Call_Key__c FROM Task WHERE Call_Key__c IN ('"), "{query}");
            assert!(seen.path().ends_with("/queryAll") && query.ends_with(" AND IsDeleted = false"), "{query}");
            return reply(200, json!({"done": true, "records": [{"Id": "00T7", "Call_Key__c": key}]}));
        }
        let double = |holder: &str| {
            let message = format!("duplicate value found: {holder} duplicates value on record with id: <unknown>");
            json!({"success": false, "errors": [{"statusCode": "DUPLICATE_VALUE", "message": message}]})
        };
        let rows =
            json!([double("Call_Key__c"), double("Call_Key__c"), double("<unknown>"), {"id": "00T1", "success": true}]);
        if seen.path().contains("/composite") { reply(200, rows) } else { None }
    });
    let writes = [stamped("a"), stamped("b"), stamped("a"), stamped("d")];
    let outcomes = destination(&net).write(&writes).await;
    assert_eq!(outcomes[0], Outcome::Exists { remote_id: "00T7".into() });
    assert!(matches!(outcomes[1], Outcome::Retry { smaller: true, .. }), "{:?}", outcomes[1]);
    assert_eq!(outcomes[2], Outcome::Exists { remote_id: "00T7".into() });
    assert_eq!(code_of(&outcomes[3]), "delivered");
    assert_eq!(net.seen("/query").len(), 1);
}

#[tokio::test]
async fn a_length_that_only_a_refusal_tells_is_kept_to_from_then_on() {
    let net = Net::new(|seen| {
        if !seen.path().contains("/composite") {
            return None;
        }
        let record = seen.json()["records"][0].clone();
        let message = "Subject: data value too large: x (max length=12)";
        let error = json!({"statusCode": "STRING_TOO_LONG", "message": message, "fields": ["Subject"]});
        let fits = record["Subject"].as_str()?.chars().count() <= 12;
        if fits { None } else { reply(200, json!([{"success": false, "errors": [error]}])) }
    });
    let destination = destination(&net);
    let (call, person) = (call("rm_1", "x"), Person { object: "Contact".into(), id: "003A".into() });
    let write = || Write { record: destination.map(&call, &person).unwrap().create, ..create("rm_1") };
    let first = destination.write(&[write()]).await;
    assert!(matches!(first[0], Outcome::Retry { smaller: true, .. }), "{first:?}");
    assert_eq!(code_of(&destination.write(&[write()]).await[0]), "delivered");
}
