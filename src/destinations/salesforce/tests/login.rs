//! What goes to the login host, and what its answers become.

use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use base64::Engine;
use serde_json::{Value, json};

use super::super::tests::{Net, clock, reply, settings};
use super::*;
use crate::problem::Code;

/// A fresh RSA key in PEM form.
fn private_key() -> SecretString {
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der = pair.as_der().unwrap();
    let base64 = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    SecretString::from(format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n"))
}

async fn log_in_with(flow: LoginFlow, net: &Arc<Net>, change: impl FnOnce(&mut Settings)) -> Result<Granted, Outcome> {
    let mut settings = Settings { login: flow, ..settings() };
    change(&mut settings);
    log_in(&Wire::new(net.clone(), clock()), &settings).await
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn password_flow() -> LoginFlow {
    LoginFlow::Password { username: "ada@example.com".into(), password: secret("p<w"), security_token: secret("TOK") }
}

fn app_flow() -> LoginFlow {
    LoginFlow::ClientCredentials { client_id: "app".into(), client_secret: secret("secret") }
}

#[tokio::test]
async fn client_credentials_go_in_the_form() {
    let net = Net::new(|_| None);
    let granted = log_in_with(app_flow(), &net, |_| {}).await.ok().unwrap();
    assert_eq!(granted.token.expose_secret(), "token-1");
    assert_eq!(granted.instance.as_str(), "https://example.my.salesforce.com/");
    let seen = &net.seen("/token")[0];
    assert_eq!(seen.uri, "https://login.salesforce.com/services/oauth2/token");
    assert_eq!(seen.body, "grant_type=client_credentials&client_id=app&client_secret=secret");
    assert_eq!(seen.header("content-type"), "application/x-www-form-urlencoded");
}

#[tokio::test]
async fn a_refresh_token_goes_in_the_form() {
    let net = Net::new(|_| None);
    let flow = |client_secret| LoginFlow::Refresh {
        client_id: "app id".into(),
        client_secret,
        refresh_token: secret("5Aep+/="),
    };
    log_in_with(flow(Some(secret("s&t"))), &net, |_| {}).await.ok().unwrap();
    log_in_with(flow(None), &net, |_| {}).await.ok().unwrap();
    assert_eq!(
        net.seen("/token")[0].body,
        "grant_type=refresh_token&client_id=app+id&client_secret=s%26t&refresh_token=5Aep%2B%2F%3D"
    );
    assert!(!net.seen("/token")[1].body.contains("client_secret"));
}

#[tokio::test]
async fn a_jwt_is_signed_for_the_right_audience_and_three_minutes() {
    let net = Net::new(|_| None);
    let flow = || LoginFlow::Jwt {
        client_id: "app".into(),
        username: "ada@example.com".into(),
        private_key_pem: private_key(),
    };
    log_in_with(flow(), &net, |_| {}).await.ok().unwrap();
    let body = net.seen("/token")[0].body.clone();
    let assertion =
        body.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=").unwrap();
    let parts: Vec<&str> = assertion.split('.').collect();
    let decode = |part: &str| -> Value {
        serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(decode(parts[0])["alg"], "RS256");
    let expected = json!({"iss": "app", "sub": "ada@example.com", "aud": "https://login.salesforce.com",
                          "exp": clock()().as_second() + 180});
    assert_eq!(decode(parts[1]), expected);
    assert!(!parts[2].is_empty());
}

#[test]
fn the_audience_follows_the_login_host_unless_it_is_set() {
    let check = |login_url: &str, set: Option<&str>, expected: &str| {
        let login_url = Url::parse(login_url).unwrap();
        let settings = Settings { login_url, audience: set.map(str::to_owned), ..settings() };
        assert_eq!(audience(&settings), expected);
    };
    let (test, production) = ("https://test.salesforce.com", "https://login.salesforce.com");
    check(production, None, production);
    check("https://example.my.salesforce.com", None, production);
    check(test, None, test);
    check("https://example--box.sandbox.my.salesforce.com", None, test);
    check("http://127.0.0.1:8080", None, production);
    check(test, Some("https://site.example.com"), "https://site.example.com");
}

#[tokio::test]
async fn soap_sends_password_and_token_and_drops_the_api_twin_of_the_host() {
    let check = async |server: &str, expected: &str| {
        let server = server.to_owned();
        let net = Net::new(move |_| {
            super::super::tests::reply_text(
                200,
                &format!(
                    "<e:Envelope><e:Body><loginResponse><result><passwordExpired>false</passwordExpired>\
             <serverUrl>{server}/services/Soap/u/64.0/00D</serverUrl><sessionId>00D!s</sessionId></result>\
             </loginResponse></e:Body></e:Envelope>"
                ),
            )
        });
        let granted = log_in_with(password_flow(), &net, |_| {}).await.ok().unwrap();
        assert_eq!(granted.instance.as_str(), expected);
        assert_eq!(granted.token.expose_secret(), "00D!s");
        let seen = &net.seen("/")[0];
        assert_eq!(seen.path(), "/services/Soap/u/64.0");
        assert_eq!(seen.header("soapaction"), "login");
        assert!(seen.body.contains("<urn:password>p&lt;wTOK</urn:password>"), "{}", seen.body);
    };
    check("https://example-api.my.salesforce.com", "https://example.my.salesforce.com/").await;
    check("https://na1-api.salesforce.com:443", "https://na1.salesforce.com/").await;
    check("http://127.0.0.1:8080", "http://127.0.0.1:8080/").await;
}

#[tokio::test]
async fn soap_never_asks_for_a_version_without_login() {
    for (set, expected) in [(Some(66), "64.0"), (Some(59), "59.0"), (None, "64.0")] {
        let net = Net::new(|_| super::super::tests::reply_text(500, "<a/>"));
        let change = |settings: &mut Settings| settings.api_version = set.map(ApiVersion::new);
        assert!(log_in_with(password_flow(), &net, change).await.is_err());
        assert_eq!(net.seen("/")[0].path(), format!("/services/Soap/u/{expected}"));
    }
}

#[tokio::test]
async fn every_refusal_holds_with_help_and_a_busy_host_is_tried_again() {
    let check = async |flow: LoginFlow, status: u16, body: &str, expected: Result<Code, Code>, help: &str| {
        let body = body.to_owned();
        let net = Net::new(move |_| super::super::tests::reply_text(status, &body));
        let outcome = log_in_with(flow, &net, |_| {}).await.err().unwrap();
        match (&outcome, expected) {
            (Outcome::Hold { problem }, Err(code)) => {
                assert_eq!(problem.code, code);
                assert!(problem.help.contains(help), "{}", problem.help);
            }
            (Outcome::Retry { problem, .. }, Ok(code)) => assert_eq!(problem.code, code),
            _ => panic!("{outcome:?} for {status} {help}"),
        }
    };
    let refused = Err(LOGIN_REFUSED);
    let oauth = |error: &str, text: &str| json!({"error": error, "error_description": text}).to_string();
    check(app_flow(), 400, &oauth("invalid_grant", "request not supported on this domain"), refused, "My Domain").await;
    check(app_flow(), 400, &oauth("invalid_grant", "user hasn't approved this consumer"), refused, "Pre-authorise")
        .await;
    check(app_flow(), 401, &oauth("invalid_client", "invalid client credentials"), refused, "consumer secret").await;
    check(app_flow(), 404, "<html>", refused, "login URL").await;
    check(app_flow(), 302, "", refused, "login URL").await;
    check(app_flow(), 200, "{}", refused, "login URL").await;
    let elsewhere = json!({"access_token": "t", "instance_url": "http://example.com"}).to_string();
    check(app_flow(), 200, &elsewhere, refused, "SF_ALLOW_HTTP=1").await;
    check(app_flow(), 503, "<html>", Ok(REMOTE_BUSY), "").await;
    check(app_flow(), 429, "", Ok(REMOTE_BUSY), "").await;
    check(app_flow(), 500, "", Ok(REMOTE_UNREACHABLE), "").await;
    check(app_flow(), 400, &oauth("unknown_error", "retry your request"), Ok(REMOTE_BUSY), "").await;
    let soap = |code: &str| format!("<e><faultcode>sf:{code}</faultcode><faultstring>{code}: text</faultstring></e>");
    check(password_flow(), 500, &soap("INVALID_LOGIN"), refused, "security token").await;
    check(password_flow(), 500, &soap("UNSUPPORTED_API_VERSION"), refused, "SOAP login").await;
    check(password_flow(), 500, &soap("LOGIN_RATE_EXCEEDED"), Ok(REMOTE_BUSY), "").await;
    check(password_flow(), 503, "<html><body>down</body></html>", Ok(REMOTE_BUSY), "").await;
    let expired = "<e><serverUrl>https://x.my.salesforce.com</serverUrl><sessionId>s</sessionId>\
                   <passwordExpired>true</passwordExpired></e>";
    check(password_flow(), 200, expired, refused, "new password").await;
}

#[tokio::test]
async fn a_refusal_shows_no_address_and_no_secret() {
    let net = Net::new(|_| {
        reply(400, json!({"error": "invalid_grant", "error_description": "ada@example.com: authentication failure"}))
    });
    let outcome = log_in_with(app_flow(), &net, |_| {}).await.err().unwrap();
    let text = format!("{outcome:?}");
    assert!(!text.contains("ada@") && !text.contains("secret\""), "{text}");
}

#[test]
fn a_key_that_is_none_is_told() {
    assert!(read_private_key(&private_key()).is_some());
    assert!(read_private_key(&secret("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")).is_none());
    assert!(read_private_key(&secret("")).is_none());
}

#[test]
fn the_instance_is_an_origin_that_may_have_the_token() {
    let check_with = |allow_http: bool, login: &str, answer: &str, from_soap: bool, expected: Option<&str>| {
        let settings = Settings { login_url: Url::parse(login).expect("a URL"), allow_http, ..settings() };
        let found = instance(answer, from_soap, &settings).ok().map(|url| url.origin().ascii_serialization());
        assert_eq!(found.as_deref(), expected, "{answer}");
    };
    let check = |login: &str, answer: &str, from_soap: bool, expected: Option<&str>| {
        check_with(false, login, answer, from_soap, expected);
    };
    let real = "https://login.salesforce.com";
    check(real, "https://example.my.salesforce.com", false, Some("https://example.my.salesforce.com"));
    check(real, "https://na1-api.salesforce.com/services/Soap/u/64.0/00D", true, Some("https://na1.salesforce.com"));
    check(real, "http://example.my.salesforce.com", false, None);
    check(real, "not a url", false, None);
    let local = "http://127.0.0.1:8080";
    check(local, "http://127.0.0.1:8080", false, Some("http://127.0.0.1:8080"));
    check(local, "https://127.0.0.1:8080/services/Soap/u/64.0/00D", true, Some("http://127.0.0.1:8080"));
    check(local, "https://127.0.0.1:9090", false, Some("https://127.0.0.1:9090"));
    // Behind something that ends TLS, which the answer does not know of: the token does not go out in clear.
    let behind = "https://127.0.0.1:8443";
    check(behind, "http://127.0.0.1:8443", false, Some("https://127.0.0.1:8443"));
    let private = "http://sim:8080";
    check(private, "http://sim:8080", false, None);
    check_with(true, private, "http://sim:8080", false, Some("http://sim:8080"));
    check_with(true, private, "https://sim:8080/services/Soap/u/64.0/00D", true, Some("http://sim:8080"));
    check_with(true, real, "https://example.my.salesforce.com", false, Some("https://example.my.salesforce.com"));
}
