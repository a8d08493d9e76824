//! Requests to the server: address, headers, token, count.
//!
//! Invariant: a token goes to the configured host alone, and to the one that the login named; a refused token is renewed
//! once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::Request;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::answer::{Answer, of_transport};
use super::config::{Auth, HeaderLines, Settings};
use crate::destinations::{Outcome, Usage};
use crate::net::{Transport, TransportError, is_loopback};
use crate::problem::{CONFIG_BAD_VALUE, LOGIN_REFUSED, Problem, REMOTE_BUSY};

/// A token and the address that it is for.
struct Token {
    text: SecretString,
    base_url: Option<Url>,
}

pub struct Client {
    /// Of the destination.
    name: Arc<str>,
    transport: Arc<dyn Transport>,
    settings: Arc<Settings>,
    token: RwLock<Option<Arc<Token>>>,
    /// Held during a login, so that there is one at a time.
    login: Mutex<()>,
    requests: AtomicU64,
}

/// One request, rendered.
pub struct Call<'a> {
    pub method: &'a str,
    /// Below the base address, or a whole URL below it.
    pub path: &'a str,
    pub body: Option<Vec<u8>>,
    /// Besides those of every request.
    pub headers: &'a HeaderLines,
}

impl Client {
    pub fn new(name: &str, transport: Arc<dyn Transport>, settings: Arc<Settings>) -> Client {
        let (token, login) = (RwLock::new(None), Mutex::new(()));
        Client { name: name.into(), transport, settings, token, login, requests: AtomicU64::new(0) }
    }

    pub fn usage(&self) -> Usage {
        Usage { requests: self.requests.load(Ordering::Relaxed), ..Usage::default() }
    }

    /// Sends `call`; with a token that was refused once more with a new one. `Err` in the first place: it was not sent.
    pub async fn send(&self, call: &Call<'_>) -> Result<Result<Answer, TransportError>, Outcome> {
        let token = self.token().await?;
        let first = self.exchange(call, token.as_deref()).await?;
        let refused = first.as_ref().is_ok_and(|answer| answer.status.as_u16() == 401);
        match token.filter(|_| refused && self.logs_in()) {
            None => Ok(first),
            Some(old) => {
                self.forget(&old);
                let fresh = self.token().await?;
                self.exchange(call, fresh.as_deref()).await
            }
        }
    }

    fn logs_in(&self) -> bool {
        matches!(self.settings.section.auth, Auth::Refresh { .. } | Auth::ClientCredentials { .. })
    }

    fn forget(&self, old: &Arc<Token>) {
        let mut held = self.token.write().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, old)) {
            *held = None;
        }
    }

    async fn exchange(
        &self,
        call: &Call<'_>,
        token: Option<&Token>,
    ) -> Result<Result<Answer, TransportError>, Outcome> {
        let base = token.and_then(|token| token.base_url.as_ref()).unwrap_or(&self.settings.base_url);
        let url = format!("{}/{}", base.as_str().trim_end_matches('/'), call.path.trim_start_matches('/'));
        let mut request = Request::builder().method(call.method).uri(&url).header("Accept", "application/json");
        if call.body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        for (name, value) in self.settings.headers.all.iter().chain(call.headers) {
            request = request.header(name, value);
        }
        let (header, prefix) = match &self.settings.section.auth {
            Auth::None => ("", ""),
            Auth::Token { header, prefix, .. } => (header.as_str(), prefix.as_str()),
            Auth::Refresh { prefix, .. } | Auth::ClientCredentials { prefix, .. } => ("Authorization", prefix.as_str()),
        };
        if let Some(token) = token.filter(|_| !header.is_empty()) {
            let value = format!("{prefix}{}", token.text.expose_secret());
            let mut value = http::HeaderValue::from_str(&value).map_err(|_| hold(bad_request("the token")))?;
            value.set_sensitive(true);
            request = request.header(header, value);
        }
        let body = Bytes::from(call.body.clone().unwrap_or_default());
        let request = request.body(body).map_err(|_| hold(bad_request(&format!("{} {}", call.method, call.path))))?;
        Ok(self.raw(request).await.map(|response| self.answer(response)))
    }

    async fn raw(&self, request: Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.transport.send(request, self.settings.timeout).await
    }

    /// The token now held, or a new one; `None` where none is needed.
    async fn token(&self) -> Result<Option<Arc<Token>>, Outcome> {
        if let (Auth::Token { .. }, Some(text)) = (&self.settings.section.auth, &self.settings.auth.token) {
            return Ok(Some(Arc::new(Token { text: text.clone(), base_url: None })));
        }
        if !self.logs_in() {
            return Ok(None);
        }
        let held = || self.token.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = held() {
            return Ok(Some(token));
        }
        let _one = self.login.lock().await;
        if let Some(token) = held() {
            return Ok(Some(token));
        }
        let token = Arc::new(self.log_in().await?);
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(Some(token))
    }

    async fn log_in(&self) -> Result<Token, Outcome> {
        let secret = |text: &Option<SecretString>| {
            text.as_ref().map_or_else(String::new, |text| text.expose_secret().to_owned())
        };
        let secrets = &self.settings.auth;
        let (grant, member) = match &self.settings.section.auth {
            Auth::Refresh { base_url_member, .. } => ("refresh_token", base_url_member.as_ref()),
            Auth::ClientCredentials { .. } => ("client_credentials", None),
            Auth::None | Auth::Token { .. } => return Err(hold(bad_request("a login"))),
        };
        let form = [
            ("grant_type", grant.to_owned()),
            ("client_id", secret(&secrets.client_id)),
            ("client_secret", secret(&secrets.client_secret)),
            ("refresh_token", secret(&secrets.refresh_token)),
            ("scope", secrets.scope.clone()),
        ];
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form.iter().filter(|(_, value)| !value.is_empty()))
            .finish();
        let request = Request::post(&secrets.token_url)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json")
            .body(Bytes::from(body))
            .map_err(|_| hold(bad_request("auth.token_url")))?;
        let response = self.raw(request).await.map_err(|error| of_transport(&error, false))?;
        read_token(&self.answer(response), member)
    }

    fn answer(&self, response: http::Response<Bytes>) -> Answer {
        Answer::of(Arc::clone(&self.name), response)
    }
}

fn read_token(answer: &Answer, base_url_member: Option<&String>) -> Result<Token, Outcome> {
    let code = answer.status.as_u16();
    let text = answer.body().get("access_token").and_then(Value::as_str);
    if let (true, Some(text)) = (answer.status.is_success(), text) {
        let base_url = base_url_member.and_then(|member| answer.body().get(member)).and_then(Value::as_str);
        // The token goes there: over TLS, or on this machine.
        let safe = |url: &Url| url.scheme() == "https" || is_loopback(url);
        let base_url = base_url.and_then(|text| Url::parse(text).ok()).filter(safe);
        return Ok(Token { text: SecretString::from(text.to_owned()), base_url });
    }
    let places = ["/error_description".to_owned(), "/error".to_owned()];
    let what = format!("{} refuses the login: {}", answer.from, answer.words(&places));
    if code == 429 || code >= 500 {
        let problem = Problem::new(REMOTE_BUSY, what, "nothing to do: it is tried again after a pause");
        return Err(Outcome::Retry { after: None, problem, smaller: false });
    }
    let help = "check auth.client_id and the secrets in the destination's table, then run `trunkline retry`";
    Err(hold(Problem::new(LOGIN_REFUSED, what, help)))
}

fn hold(problem: Problem) -> Outcome {
    Outcome::Hold { problem }
}

fn bad_request(what: &str) -> Problem {
    Problem::new(
        CONFIG_BAD_VALUE,
        format!("{what} does not make a request that can be sent"),
        "mend the destination's table; docs/rest.md tells each key",
    )
}
