//! The flows, their refusals, and sessions that end.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::{Credentials, Options};
use super::{Desk, NOON, read};

fn assertion(claims: Value) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let jwt = format!("{}.{}.{}", part(json!({ "alg": "RS256" })), part(claims), BASE64_URL_SAFE_NO_PAD.encode("good"));
    format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={jwt}")
}

fn claims(change: Value) -> Value {
    let mut claims = json!({
        "iss": "sim-client", "sub": "integration@example.com", "aud": "https://login.salesforce.com", "exp": NOON + 180,
    });
    for (name, value) in change.as_object().expect("changes") {
        claims[name] = value.clone();
    }
    claims
}

#[tokio::test]
async fn every_flow_lets_the_right_credentials_in() {
    let desk = Desk::open().await;
    let host = desk.simulator.url().replace("http://", "https://");
    for form in [
        assertion(claims(json!({}))),
        assertion(claims(json!({ "exp": (NOON + 180).to_string(), "aud": "https://test.salesforce.com" }))),
        assertion(claims(json!({ "aud": host }))),
        "grant_type=refresh_token&client_id=sim-client&client_secret=sim-secret&refresh_token=sim-refresh".to_owned(),
        "grant_type=password&client_id=sim-client&client_secret=sim-secret&username=integration%40example.com&password=\
         sim-passwordsim-token"
            .to_owned(),
    ] {
        let reply = desk.token(&form).await;
        assert_eq!(reply.status, 200, "{form}: {}", reply.text);
        let body = reply.json();
        assert_eq!(body["instance_url"], desk.simulator.url().as_str());
        assert!(body["id"].as_str().is_some_and(|id| id.contains("/id/00D") && id.contains("/005")), "{body}");
        assert_eq!(reply.headers["cache-control"], "no-store");
    }
    let url = format!("{}/services/oauth2/token", desk.simulator.url());
    let basic = desk.client.post(url).header("authorization", "Basic c2ltLWNsaWVudDpzaW0tc2VjcmV0");
    let reply = read(basic.body("grant_type=client_credentials")).await.expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn every_flow_refuses_in_the_words_of_the_token_endpoint() {
    let desk = Desk::open().await;
    let table = [
        (assertion(claims(json!({ "sub": "other@example.com" }))), "user hasn't approved this consumer"),
        (assertion(claims(json!({ "aud": "https://example.com" }))), "audience is invalid"),
        (assertion(claims(json!({ "iss": "other" }))), "client identifier invalid"),
        (assertion(claims(json!({ "exp": NOON }))), "expired authorization code"),
        (
            "grant_type=refresh_token&client_id=sim-client&client_secret=sim-secret&refresh_token=x".to_owned(),
            "expired access/refresh token",
        ),
        ("grant_type=client_credentials&client_id=sim-client&client_secret=x".to_owned(), "invalid client credentials"),
        (
            "grant_type=password&client_id=sim-client&client_secret=sim-secret&username=x&password=y".to_owned(),
            "authentication failure",
        ),
        ("grant_type=other".to_owned(), "grant type not supported"),
    ];
    for (form, description) in table {
        let reply = desk.token(&form).await;
        assert_eq!((reply.status, reply.json()["error_description"].as_str()), (400, Some(description)), "{form}");
    }
    desk.org().settings(|settings| settings.client_credentials_user = false);
    let reply = desk.token("grant_type=client_credentials&client_id=sim-client&client_secret=sim-secret").await;
    assert_eq!(
        reply.json(),
        json!({ "error": "invalid_grant", "error_description": "no client credentials user enabled" })
    );
}

#[tokio::test]
async fn a_verifier_decides_about_signatures() {
    let verifier = |signed: &[u8], signature: &[u8]| signed.contains(&b'.') && signature == b"best";
    let desk = Desk::with(Options { jwt_verifier: Some(std::sync::Arc::new(verifier)), ..Options::default() }).await;
    let reply = desk.token(&assertion(claims(json!({})))).await;
    assert_eq!((reply.status, reply.json()["error_description"].as_str()), (400, Some("invalid assertion")));
}

fn envelope(password: &str) -> String {
    format!(
        "<se:Envelope xmlns:se=\"http://schemas.xmlsoap.org/soap/envelope/\"><se:Header/><se:Body><login \
         xmlns=\"urn:partner.soap.sforce.com\"><username>integration@example.com</username><password>{password}</password>\
         </login></se:Body></se:Envelope>"
    )
}

#[tokio::test]
async fn soap_login_opens_a_session_and_refuses_with_a_fault() {
    let credentials = Credentials { password: "a&b<c".to_owned(), ..Credentials::default() };
    let mut desk = Desk::with(Options { credentials, ..Options::default() }).await;
    let login = async |desk: &Desk, version: &str, password: &str| {
        desk.send_text("POST", &format!("/services/Soap/u/{version}"), envelope(password)).await
    };
    let reply = login(&desk, "64.0", "a&amp;b&lt;csim-token").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let between = |name: &str| reply.text.split(&format!("<{name}>")).nth(1)?.split('<').next().map(str::to_owned);
    assert_eq!(between("passwordExpired").as_deref(), Some("false"));
    assert_eq!(between("serverUrl"), Some(format!("{}/services/Soap/u/64.0/00Dxx0000000001", desk.simulator.url())));
    desk.token = between("sessionId").expect("a session");
    assert_eq!(desk.get("sobjects").await.status, 200);

    let refused = login(&desk, "64.0", "wrong").await;
    assert_eq!(refused.status, 500);
    assert!(refused.text.contains("<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>"), "{}", refused.text);
    let too_new = login(&desk, "65.0", "a&amp;b&lt;csim-token").await;
    assert!(too_new.text.contains("<sf:exceptionCode>UNSUPPORTED_API_VERSION</sf:exceptionCode>"), "{}", too_new.text);
    desk.org().settings(|settings| settings.soap_login_enabled = false);
    assert_eq!(login(&desk, "64.0", "a&amp;b&lt;csim-token").await.status, 500);
}

#[tokio::test]
async fn a_session_ends_after_idle_time_but_not_while_it_is_used() {
    let mut desk = Desk::open().await;
    for _ in 0..3 {
        desk.pass(100 * 60);
        assert_eq!(desk.get("sobjects").await.status, 200);
    }
    desk.pass(121 * 60);
    let reply = desk.get("sobjects").await;
    assert_eq!(reply.text, r#"[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]"#);
    assert_eq!(reply.status, 401);
    desk.log_in().await;
    assert_eq!(desk.get("sobjects").await.status, 200);
}

#[tokio::test]
async fn revoking_the_user_ends_sessions_and_logins() {
    let desk = Desk::open().await;
    desk.org().settings(|settings| settings.login_revoked = true);
    assert_eq!(desk.get("sobjects").await.status, 401);
    let reply = desk.token(&assertion(claims(json!({})))).await;
    assert_eq!((reply.status, reply.json()["error"].as_str()), (400, Some("invalid_grant")));
}

#[tokio::test]
async fn more_logins_than_an_hour_allows_are_refused_until_it_has_passed() {
    let mut desk = Desk::open().await;
    desk.org().settings(|settings| settings.logins_per_hour_max = 3);
    desk.log_in().await;
    desk.log_in().await;
    let form = "grant_type=client_credentials&client_id=sim-client&client_secret=sim-secret";
    assert_eq!(desk.token(form).await.status, 400);
    let soap = desk.send_text("POST", "/services/Soap/u/64.0", envelope("sim-passwordsim-token")).await;
    assert!(soap.text.contains("LOGIN_RATE_EXCEEDED"), "{}", soap.text);
    desk.pass(3_601);
    desk.log_in().await;
    assert_eq!(desk.org().counters().calls_of("login_client_credentials"), 5);
}

#[tokio::test]
async fn versions_are_listed_without_a_session_and_retired_ones_are_gone() {
    let mut desk = Desk::open().await;
    desk.token = "none".to_owned();
    let versions = desk.get("/services/data/").await.json();
    let newest = versions.as_array().and_then(|versions| versions.last().cloned()).expect("versions");
    assert_eq!(newest, json!({ "label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0" }));
    assert_eq!(versions[0]["version"], "31.0");
    desk.log_in().await;
    assert_eq!(desk.get("/services/data/v30.0/sobjects").await.problem().0, 410);
    assert_eq!(desk.get("/services/data/v31.0/sobjects").await.status, 200);
    assert_eq!(desk.get("/services/data/v99.0/sobjects").await.status, 404);
}
