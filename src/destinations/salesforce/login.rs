//! The four ways to log in; each ends in a token and the host that it is for.
//!
//! Invariant: credentials leave this file only in a request body to the login host; a refusal holds the destination,
//! because trying a wrong password again locks the user out. When to log in is decided in `session`.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use url::form_urlencoded::Serializer;

use super::config::{ApiVersion, HELP_HTTP, LoginFlow, Settings, check_url, may_be_http};
use super::login_help;
use super::outcome::{self, Effect, hold};
use super::refusal::Refusal;
use super::soap::{self, LoginAnswer};
use super::wire::Wire;
use crate::destinations::Outcome;
use crate::problem::{LOGIN_REFUSED, Problem, REMOTE_BUSY, REMOTE_UNREACHABLE, scrub};

/// The last API version that has the SOAP login.
const SOAP_VERSION_MAX: ApiVersion = ApiVersion::new(64);
/// How long a JWT is valid, in seconds.
const JWT_VALID_S: i64 = 180;
/// How long to keep away after Salesforce says that we log in too often.
const LOGIN_RATE_PAUSE: Duration = Duration::from_secs(600);

/// What a login gives: the token and the origin that takes it.
pub struct Granted {
    pub token: SecretString,
    pub instance: Url,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    instance_url: String,
}

/// Logs in the way the settings say.
pub async fn log_in(wire: &Wire, settings: &Settings) -> Result<Granted, Outcome> {
    match &settings.login {
        LoginFlow::Password { username, password, security_token } => {
            log_in_by_soap(wire, settings, username, password, security_token).await
        }
        _ => log_in_by_oauth(wire, settings).await,
    }
}

async fn log_in_by_oauth(wire: &Wire, settings: &Settings) -> Result<Granted, Outcome> {
    let request = token_request(settings, wire.now().as_second())?;
    let sent = wire.send(request, settings.timeouts.login).await;
    let response = sent.map_err(|error| outcome::of_transport(&error, Effect::Read))?;
    if !response.status().is_success() {
        return Err(of_refused_token(&Refusal::read(&response, wire.now())));
    }
    let answer: TokenAnswer = serde_json::from_slice(response.body())
        .map_err(|_| refused("the login answer has no access_token and instance_url", login_help::NOT_SALESFORCE))?;
    Ok(Granted {
        token: SecretString::from(answer.access_token),
        instance: instance(&answer.instance_url, false, settings)?,
    })
}

fn token_request(settings: &Settings, now_s: i64) -> Result<http::Request<Bytes>, Outcome> {
    let request = http::Request::post(endpoint(settings, "/services/oauth2/token"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json");
    let mut form = Serializer::new(String::new());
    match &settings.login {
        LoginFlow::Jwt { client_id, username, private_key_pem } => {
            let assertion = sign(settings, client_id, username, private_key_pem, now_s)?;
            form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
            form.append_pair("assertion", &assertion);
        }
        LoginFlow::ClientCredentials { client_id, client_secret } => {
            form.append_pair("grant_type", "client_credentials").append_pair("client_id", client_id);
            form.append_pair("client_secret", client_secret.expose_secret());
        }
        LoginFlow::Refresh { client_id, client_secret, refresh_token } => {
            form.append_pair("grant_type", "refresh_token").append_pair("client_id", client_id);
            if let Some(secret) = client_secret {
                form.append_pair("client_secret", secret.expose_secret());
            }
            form.append_pair("refresh_token", refresh_token.expose_secret());
        }
        LoginFlow::Password { .. } => {}
    }
    request.body(Bytes::from(form.finish())).map_err(|_| unfit_credentials())
}

async fn log_in_by_soap(
    wire: &Wire,
    settings: &Settings,
    username: &str,
    password: &SecretString,
    security_token: &SecretString,
) -> Result<Granted, Outcome> {
    let version = settings.api_version.unwrap_or(SOAP_VERSION_MAX).min(SOAP_VERSION_MAX);
    let request = http::Request::post(endpoint(settings, &format!("/services/Soap/u/{version}")))
        .header(CONTENT_TYPE, "text/xml; charset=UTF-8")
        .header("SOAPAction", "login")
        .body(Bytes::from(soap::login_envelope(username, password, security_token, &settings.client_tag)))
        .map_err(|_| unfit_credentials())?;
    let sent = wire.send(request, settings.timeouts.login).await;
    let response = sent.map_err(|error| outcome::of_transport(&error, Effect::Read))?;
    match soap::read_login(response.body()) {
        LoginAnswer::Session { password_expired: true, .. } => {
            Err(refused("the integration user's password has expired", login_help::PASSWORD_EXPIRED))
        }
        LoginAnswer::Session { session_id, server_url, .. } => {
            Ok(Granted { token: session_id, instance: instance(&server_url, true, settings)? })
        }
        LoginAnswer::Fault { code, message } => Err(of_login_error(&code, &message)),
        LoginAnswer::Unreadable => Err(of_refused_token(&Refusal::read(&response, wire.now()))),
    }
}

fn endpoint(settings: &Settings, path: &str) -> String {
    format!("{}{path}", settings.login_url.origin().ascii_serialization())
}

/// Reads the private key, so that a bad one is told at start.
pub fn read_private_key(pem: &SecretString) -> Option<EncodingKey> {
    EncodingKey::from_rsa_pem(pem.expose_secret().trim().as_bytes()).ok()
}

fn sign(
    settings: &Settings,
    client_id: &str,
    username: &str,
    pem: &SecretString,
    now_s: i64,
) -> Result<String, Outcome> {
    let claims = Claims { iss: client_id, sub: username, aud: &audience(settings), exp: now_s + JWT_VALID_S };
    let key = read_private_key(pem).ok_or_else(unfit_credentials)?;
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).map_err(|_| unfit_credentials())
}

/// The `aud` claim: as set, or by whether the login host is a sandbox's.
pub fn audience(settings: &Settings) -> String {
    if let Some(audience) = &settings.audience {
        return audience.clone();
    }
    let host = settings.login_url.host_str().unwrap_or_default();
    let sandbox = host.starts_with("test.") || host.contains(".sandbox.");
    if sandbox { "https://test.salesforce.com" } else { "https://login.salesforce.com" }.to_owned()
}

/// The origin that data calls go to. SOAP's `serverUrl` may name the host's `-api` twin, which REST does not use. A
/// stand-in that was logged in to over http may still name itself with https, as the service does.
fn instance(text: &str, from_soap: bool, settings: &Settings) -> Result<Url, Outcome> {
    let (login_url, allow_http) = (&settings.login_url, settings.allow_http);
    let unfit = || refused("the login answer names no usable instance URL", login_help::NOT_SALESFORCE);
    let mut url = Url::parse(text.trim()).map_err(|_| unfit())?;
    let is_login_host = url.host() == login_url.host() && url.port() == login_url.port();
    // The same host is reached in the same way: what ends TLS in front of it knows nothing of the address in its answer.
    if is_login_host && (login_url.scheme() == "https" || may_be_http(login_url, allow_http)) {
        url.set_scheme(login_url.scheme()).map_err(|()| unfit())?;
    }
    let help = if url.scheme() == "http" { HELP_HTTP } else { login_help::NOT_SALESFORCE };
    check_url(&url, allow_http, "the instance URL of the login answer").map_err(|what| refused(&what, help))?;
    if from_soap && let Some((first, rest)) = url.domain().and_then(|domain| domain.split_once('.')) {
        let plain = format!("{}.{rest}", first.strip_suffix("-api").unwrap_or(first));
        url.set_host(Some(&plain)).map_err(|_| unfit())?;
    }
    Url::parse(&url.origin().ascii_serialization()).map_err(|_| unfit())
}

fn of_refused_token(refusal: &Refusal) -> Outcome {
    if let Some(fault) = refusal.faults.first().filter(|_| refusal.status < 500 && refusal.status != 429) {
        return of_login_error(&fault.code, &fault.message);
    }
    match refusal.status {
        429 | 503 => Outcome::Retry {
            after: refusal.retry_after,
            problem: Problem::new(REMOTE_BUSY, format!("the login host is busy ({})", refusal.text()), ""),
            smaller: false,
        },
        500.. => Outcome::Retry {
            after: refusal.retry_after,
            problem: Problem::new(
                REMOTE_UNREACHABLE,
                format!("the login host fails ({})", refusal.text()),
                "Nothing to do at first; if it lasts, look at status.salesforce.com.",
            ),
            smaller: false,
        },
        _ => refused(&format!("the login host answers {}", refusal.text()), login_help::NOT_SALESFORCE),
    }
}

fn of_login_error(code: &str, message: &str) -> Outcome {
    let text = format!("{} ({})", scrub(message), scrub(code));
    let says = |part: &str| message.to_lowercase().contains(part) || code.to_lowercase().contains(part);
    if says("login_rate_exceeded") || says("login rate exceeded") || says("rate_limit_exceeded") {
        let problem = Problem::new(REMOTE_BUSY, format!("too many logins: {text}"), login_help::LOGIN_RATE);
        return Outcome::Retry { after: Some(LOGIN_RATE_PAUSE), problem, smaller: false };
    }
    if says("retry your request") || says("server_unavailable") || says("temporarily_unavailable") {
        return Outcome::Retry { after: None, problem: Problem::new(REMOTE_BUSY, text, ""), smaller: false };
    }
    refused(&text, login_help::find(code, message))
}

fn refused(what: &str, help: &str) -> Outcome {
    hold(Problem::new(LOGIN_REFUSED, format!("Salesforce refuses the login: {what}"), help))
}

fn unfit_credentials() -> Outcome {
    refused("the configured credentials cannot be used", login_help::PRIVATE_KEY)
}

#[cfg(test)]
#[path = "tests/login.rs"]
mod tests;
