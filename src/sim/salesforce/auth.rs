//! Logging in: the OAuth token endpoint with its four flows, and the sessions that logins open.
//!
//! Error values and texts are those of the token endpoint, which has an error shape of its own.

use std::collections::{HashMap, VecDeque};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::counters::count;
use super::org::{Org, State};

const TOKEN_CHARACTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Open sessions and recent logins.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    expiry: HashMap<String, Timestamp>,
    logins: VecDeque<Timestamp>,
}

impl Sessions {
    fn open(&mut self, org_id: &str, now: Timestamp, minutes: u64, random: &mut StdRng) -> String {
        let secret: String =
            (0..96).map(|_| char::from(TOKEN_CHARACTERS[random.random_range(0..TOKEN_CHARACTERS.len())])).collect();
        let token = format!("{}!{secret}", org_id.get(..15).unwrap_or(org_id));
        self.expiry.insert(token.clone(), expiry(now, minutes));
        token
    }

    /// Whether the session is alive; using it keeps it so.
    pub(super) fn use_session(&mut self, token: &str, now: Timestamp, minutes: u64) -> bool {
        match self.expiry.get_mut(token) {
            Some(until) if *until > now => {
                *until = expiry(now, minutes);
                true
            }
            Some(_) => {
                self.expiry.remove(token);
                false
            }
            None => false,
        }
    }

    pub(super) fn end(&mut self, token: &str) {
        self.expiry.remove(token);
    }

    pub(super) fn end_all(&mut self) {
        self.expiry.clear();
    }

    /// Counts a login of the last hour; false if there were too many.
    fn count_login(&mut self, now: Timestamp, max: u64) -> bool {
        let hour_ago = now.checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN);
        while self.logins.front().is_some_and(|login| *login <= hour_ago) {
            self.logins.pop_front();
        }
        if self.logins.len() as u64 >= max {
            return false;
        }
        self.logins.push_back(now);
        true
    }
}

fn expiry(now: Timestamp, minutes: u64) -> Timestamp {
    let idle = SignedDuration::from_mins(i64::try_from(minutes).unwrap_or(i64::MAX / 60));
    now.checked_add(idle).unwrap_or(Timestamp::MAX)
}

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoginRefusal {
    Credentials,
    RateExceeded,
}

/// Opens a session if the hour's logins are not used up and nobody revoked the user.
pub(super) fn open_session(state: &mut State) -> Result<String, LoginRefusal> {
    if state.settings.login_revoked {
        return Err(LoginRefusal::Credentials);
    }
    if !state.sessions.count_login(state.now, state.settings.logins_per_hour_max) {
        return Err(LoginRefusal::RateExceeded);
    }
    let (now, minutes) = (state.now, state.settings.session_minutes);
    Ok(state.sessions.open(&state.org_id, now, minutes, &mut state.random))
}

/// An error of the token endpoint.
struct TokenError(&'static str, &'static str);

const AUTHENTICATION_FAILURE: TokenError = TokenError("invalid_grant", "authentication failure");
const CLIENT_UNKNOWN: TokenError = TokenError("invalid_client_id", "client identifier invalid");
const SECRET_WRONG: TokenError = TokenError("invalid_client", "invalid client credentials");
const ASSERTION_INVALID: TokenError = TokenError("invalid_grant", "invalid assertion");

/// What the token endpoint reads of a request.
pub(super) struct TokenRequest<'a> {
    pub(super) form: HashMap<String, String>,
    pub(super) authorization: Option<&'a str>,
    pub(super) host: &'a str,
    pub(super) base_url: &'a str,
}

impl TokenRequest<'_> {
    fn value(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }

    /// Client id and secret, from HTTP Basic or from the form.
    fn client(&self) -> (String, String) {
        let basic = self.authorization.and_then(|header| header.strip_prefix("Basic "));
        let decoded = basic.and_then(|text| BASE64_STANDARD.decode(text.trim()).ok());
        let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((id, secret)) => (id.to_owned(), secret.to_owned()),
            None => (self.value("client_id").to_owned(), self.value("client_secret").to_owned()),
        }
    }
}

/// Answers `POST /services/oauth2/token` with a status and a body.
pub(super) fn token(org: &Org, request: &TokenRequest<'_>) -> (u16, Value) {
    let mut state = org.lock();
    let (kind, verdict) = match request.value("grant_type") {
        JWT_GRANT => ("login_jwt", check_jwt(org, &state, request)),
        "client_credentials" => ("login_client_credentials", check_client_credentials(org, &state, request)),
        "refresh_token" => ("login_refresh", check_refresh(org, request)),
        "password" => ("login_password", check_password(org, &state, request)),
        _ => ("login_unknown", Err(TokenError("unsupported_grant_type", "grant type not supported"))),
    };
    count(&mut state.counters.calls, kind);
    let opened = verdict.and_then(|()| {
        open_session(&mut state).map_err(|refusal| match refusal {
            LoginRefusal::Credentials if kind == "login_refresh" => {
                TokenError("invalid_grant", "expired access/refresh token")
            }
            LoginRefusal::Credentials => AUTHENTICATION_FAILURE,
            LoginRefusal::RateExceeded => TokenError("invalid_grant", "login rate exceeded"),
        })
    });
    match opened {
        Ok(access_token) => {
            let body = json!({
                "access_token": access_token,
                "instance_url": request.base_url,
                "id": format!("https://login.salesforce.com/id/{}/{}", state.org_id, state.user_id),
                "token_type": "Bearer",
                "scope": "api",
                "issued_at": state.now.as_millisecond().to_string(),
                "signature": "c2ltdWxhdGVkIHNpZ25hdHVyZQ==",
            });
            (200, body)
        }
        Err(TokenError(error, description)) => {
            count(&mut state.counters.calls, "login_failed");
            (400, json!({ "error": error, "error_description": description }))
        }
    }
}

fn check_client(org: &Org, request: &TokenRequest<'_>) -> Result<(), TokenError> {
    let (id, secret) = request.client();
    let credentials = &org.shared().credentials;
    match (id == credentials.client_id, secret == credentials.client_secret) {
        (true, true) => Ok(()),
        (true, false) => Err(SECRET_WRONG),
        (false, _) => Err(CLIENT_UNKNOWN),
    }
}

fn check_client_credentials(org: &Org, state: &State, request: &TokenRequest<'_>) -> Result<(), TokenError> {
    if matches!(request.host, "login.salesforce.com" | "test.salesforce.com") {
        return Err(TokenError("invalid_grant", "request not supported on this domain"));
    }
    check_client(org, request)?;
    if state.settings.client_credentials_user {
        Ok(())
    } else {
        Err(TokenError("invalid_grant", "no client credentials user enabled"))
    }
}

fn check_refresh(org: &Org, request: &TokenRequest<'_>) -> Result<(), TokenError> {
    check_client(org, request)?;
    if request.value("refresh_token") == org.shared().credentials.refresh_token {
        Ok(())
    } else {
        Err(TokenError("invalid_grant", "expired access/refresh token"))
    }
}

fn check_password(org: &Org, state: &State, request: &TokenRequest<'_>) -> Result<(), TokenError> {
    check_client(org, request)?;
    let is_known = org.shared().credentials.match_password(request.value("username"), request.value("password"));
    if is_known && state.settings.password_flow_enabled { Ok(()) } else { Err(AUTHENTICATION_FAILURE) }
}

fn check_jwt(org: &Org, state: &State, request: &TokenRequest<'_>) -> Result<(), TokenError> {
    let assertion = request.value("assertion");
    let (signed, signature) = assertion.rsplit_once('.').ok_or(ASSERTION_INVALID)?;
    let (header, payload) = signed.split_once('.').ok_or(ASSERTION_INVALID)?;
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok();
    let parse = |part: &str| decode(part).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let (header, claims) = (parse(header).ok_or(ASSERTION_INVALID)?, parse(payload).ok_or(ASSERTION_INVALID)?);
    if header["alg"] != "RS256" {
        return Err(ASSERTION_INVALID);
    }
    let credentials = &org.shared().credentials;
    if claims["iss"] != credentials.client_id.as_str() {
        return Err(CLIENT_UNKNOWN);
    }
    if let Some(verify) = &org.shared().jwt_verifier {
        let signature = decode(signature).ok_or(ASSERTION_INVALID)?;
        if !verify(signed.as_bytes(), &signature) {
            return Err(ASSERTION_INVALID);
        }
    }
    if !is_audience(&claims["aud"], request) {
        return Err(TokenError("invalid_grant", "audience is invalid"));
    }
    let expiry = match &claims["exp"] {
        Value::String(text) => text.parse::<f64>().ok(),
        number => number.as_f64(),
    };
    if expiry.is_none_or(|expiry| expiry <= state.now.as_second() as f64) {
        return Err(TokenError("invalid_grant", "expired authorization code"));
    }
    if claims["sub"] != credentials.username.as_str() || !state.settings.jwt_approved {
        return Err(TokenError("invalid_grant", "user hasn't approved this consumer"));
    }
    Ok(())
}

fn is_audience(audience: &Value, request: &TokenRequest<'_>) -> bool {
    let audience = audience.as_str().unwrap_or_default().trim_end_matches('/');
    let hosted = audience.strip_prefix("https://").or_else(|| audience.strip_prefix("http://"));
    matches!(audience, "https://login.salesforce.com" | "https://test.salesforce.com") || hosted == Some(request.host)
}
