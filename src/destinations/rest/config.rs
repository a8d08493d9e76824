//! What a REST destination is told: requests as templates, and how to read the answers.
//!
//! A ready configuration (a preset) is a TOML file beside this one in the same form as a user's own table, which is laid
//! over it key by key. Invariant: [`Settings::of`] has checked everything that can be checked without the network.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::check;
use crate::net::is_loopback;
use crate::problem::{CONFIG_BAD_VALUE, CONFIG_CONTRADICTION, CONFIG_UNKNOWN_KEY, Problem, nearest};

/// The ready configurations, by name.
pub const PRESETS: &[(&str, &str)] = &[
    ("call_data_api", include_str!("presets/call_data_api.toml")),
    ("hubspot", include_str!("presets/hubspot.toml")),
    ("pipedrive", include_str!("presets/pipedrive.toml")),
    ("zoho", include_str!("presets/zoho.toml")),
    ("dynamics", include_str!("presets/dynamics.toml")),
];

/// Tables that `false` takes out of a ready configuration.
const OPTIONAL: &[&str] = &["person", "look_up", "update"];

/// Unless the claims that it is for last longer.
const ROUND_DEFAULT: Duration = Duration::from_secs(100);
/// Longest wait for an answer, in seconds.
const TIMEOUT_S_MAX: u32 = 600;
/// Most requests at once.
const REQUESTS_IN_FLIGHT_MAX: u16 = 64;

/// The keys of a destination's table.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    pub preset: Option<String>,
    /// One sentence for people.
    pub about: Option<String>,
    pub base_url: Option<String>,
    /// Plain http to a host that is not this machine.
    #[serde(default)]
    pub allow_http: bool,
    #[serde(default = "timeout_s")]
    pub timeout_s: u32,
    /// Requests at once.
    #[serde(default = "requests_in_flight")]
    pub requests_in_flight: u16,
    /// Whether nulls and empty lists in a rendered body are sent; otherwise they are left out.
    #[serde(default)]
    pub keep_nulls: bool,
    #[serde(default)]
    pub auth: Auth,
    /// Sent with every request; values may be references, as secrets are.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Texts for the templates, as `values.NAME`.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// Those of `values` that must not be empty.
    #[serde(default)]
    pub required: Vec<String>,
    pub person: Option<Ask>,
    /// What to do with a call whose person is not found: `deliver` or `skip`.
    #[serde(default)]
    pub unmatched: Unmatched,
    pub create: Send,
    pub update: Option<Send>,
    pub look_up: Option<Ask>,
    #[serde(default)]
    pub doubles: DoublesRule,
    /// What follows when nobody can be asked whether a lost request arrived.
    #[serde(default)]
    pub lost_answer: LostAnswer,
}

fn timeout_s() -> u32 {
    30
}

fn requests_in_flight() -> u16 {
    16
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    #[default]
    Deliver,
    Skip,
}

/// What the remote does with a second record of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoublesRule {
    /// It refuses it: see `exists` of the request.
    Refused,
    /// It is asked before a lost request is sent again.
    #[default]
    LookUp,
    /// It is asked before every first request too.
    LookUpFirst,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostAnswer {
    /// The call becomes a dead letter; a person looks, and retries it if it is missing.
    #[default]
    Ask,
    /// It is sent again, which can double it.
    Resend,
}

/// How the requests prove who sends them. Secrets and `client_id` may be references: `env:NAME` or `file:PATH`. In
/// `token_url` and `scope`, `{base_url}` and `{values.NAME}` stand for what is set.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
pub enum Auth {
    #[default]
    None,
    /// A fixed token in a header: `Authorization: Bearer TOKEN` unless set otherwise. Without a token nothing is sent.
    Token {
        token: Option<String>,
        #[serde(default = "authorization")]
        header: String,
        #[serde(default = "bearer")]
        prefix: String,
    },
    /// OAuth 2 with a refresh token.
    Refresh {
        token_url: String,
        client_id: String,
        client_secret: Option<String>,
        refresh_token: String,
        #[serde(default = "bearer")]
        prefix: String,
        /// Member of the token's answer that holds the address for all further requests.
        base_url_member: Option<String>,
    },
    /// OAuth 2 client credentials.
    ClientCredentials {
        token_url: String,
        client_id: String,
        client_secret: String,
        scope: Option<String>,
        #[serde(default = "bearer")]
        prefix: String,
    },
}

fn authorization() -> String {
    "Authorization".to_owned()
}

fn bearer() -> String {
    "Bearer ".to_owned()
}

/// A request that makes or changes a record.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    pub method: String,
    /// Below `base_url`; a template with `call.key`, `remote_id` and `values`.
    pub path: String,
    /// A JSON template.
    pub body: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What a 2xx answer must say besides to count as success.
    pub ok: Option<Says>,
    /// Where the record's id stands in the answer, the first that is there; or `header:NAME`.
    #[serde(default)]
    pub id: Vec<String>,
    /// How the answer tells that there is a record of this call already.
    pub exists: Option<Exists>,
    /// Where a refusal's text stands; otherwise the whole body is shown.
    #[serde(default)]
    pub error: Vec<String>,
}

/// A place in an answer and what stands there.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Says {
    /// A JSON pointer: `/data/0/status`.
    pub pointer: String,
    /// What must stand there, as text.
    pub is: String,
    /// Whether an answer without that place is fine, if it is JSON or has no text.
    #[serde(default)]
    pub or_absent: bool,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exists {
    /// Statuses that say so by themselves.
    #[serde(default)]
    pub status: Vec<u16>,
    /// Or what the body says.
    pub says: Option<Says>,
    /// Where the id of the record stands that is there; or `key`: the record's id is made from the call.
    #[serde(default)]
    pub id: Vec<String>,
}

/// A question: who is this, or is there a record of this call.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    pub method: String,
    /// A template that sees the whole call.
    pub path: String,
    pub body: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The list of what was found; the answer itself where empty.
    #[serde(default)]
    pub items: String,
    /// Whether an answer without that list, or with null in its place, says that nothing is there.
    #[serde(default)]
    pub items_or_absent: bool,
    /// Where an item says which call it is of (a look-up) or whose it is (a person). An item that says another is ignored.
    #[serde(default)]
    pub key: Vec<String>,
    /// A template for what has to stand there.
    #[serde(default = "call_key")]
    pub key_is: String,
    /// Where the item's id stands.
    #[serde(default = "plain_id")]
    pub id: Vec<String>,
    /// Statuses that mean: nothing there.
    #[serde(default)]
    pub none: Vec<u16>,
    /// Of a look-up that lists other calls too: how many items a page holds at most. A page with fewer, none of which is of
    /// the call, says that it is not there; without this none but an empty list does.
    pub page_max: Option<usize>,
    /// What kind of record a person is, for `why` and the templates.
    #[serde(default)]
    pub object: String,
    /// A question that shows whether this can be asked at all: asked once before anything is sent.
    pub probe: Option<String>,
}

fn call_key() -> String {
    "{{ call.key }}".to_owned()
}

fn plain_id() -> Vec<String> {
    vec!["/id".to_owned()]
}

/// A destination's table, checked.
pub struct Settings {
    pub section: Section,
    pub base_url: Url,
    pub auth: AuthSecrets,
    pub headers: Headers,
    pub timeout: Duration,
    /// How long questions are begun for the calls of one window: what was asked is to be used while the claim lasts.
    pub round: Duration,
}

/// Names and values, resolved. A value may be a secret: each is marked as one, so that nothing prints it.
pub type HeaderLines = Vec<(HeaderName, HeaderValue)>;

/// The headers of all requests, and those of each kind besides.
#[derive(Default)]
pub struct Headers {
    pub all: HeaderLines,
    pub person: HeaderLines,
    pub look_up: HeaderLines,
    pub create: HeaderLines,
    pub update: HeaderLines,
}

/// What `auth` refers to, resolved.
#[derive(Default)]
pub struct AuthSecrets {
    pub token_url: String,
    pub scope: String,
    pub client_id: Option<SecretString>,
    pub token: Option<SecretString>,
    pub client_secret: Option<SecretString>,
    pub refresh_token: Option<SecretString>,
}

/// Why a table cannot be read, and where in it that stands.
#[derive(Debug)]
pub struct Misread {
    pub problem: Problem,
    /// The keys that lead there, from the table's own on.
    pub keys: Vec<String>,
    /// Something is missing, which is told when the table is used.
    pub is_incomplete: bool,
}

impl From<Misread> for Problem {
    fn from(misread: Misread) -> Problem {
        misread.problem
    }
}

/// Lays `own` over the preset that it names.
pub fn section(name: &str, own: toml::Table) -> Result<Section, Misread> {
    let mut table = match own.get("preset").and_then(toml::Value::as_str) {
        None => toml::Table::new(),
        Some(preset) => {
            let Some((_, text)) = PRESETS.iter().find(|(known, _)| *known == preset) else {
                let names = PRESETS.iter().map(|(known, _)| *known);
                let all = names.clone().collect::<Vec<_>>().join(", ");
                let help = match nearest(preset, names) {
                    Some(near) => format!("did you mean `{near}`? There are: {all}"),
                    None => format!("there are: {all}"),
                };
                let problem = bad(format!("[rest.{name}]: there is no ready configuration `{preset}`"), &help);
                return Err(Misread { problem, keys: vec!["preset".to_owned()], is_incomplete: false });
            };
            text.parse::<toml::Table>().unwrap_or_else(|error| panic!("the ready configuration {preset}: {error}"))
        }
    };
    lay_over(&mut table, own);
    for key in OPTIONAL {
        if table.get(*key) == Some(&toml::Value::Boolean(false)) {
            table.remove(*key);
        }
    }
    Section::deserialize(toml::Value::Table(table)).map_err(|error| misread(name, &error))
}

fn misread(name: &str, error: &toml::de::Error) -> Misread {
    let message = error.message().replace('\n', " ");
    // The path to the value stands in the whole text alone.
    let shown = error.to_string();
    let path = shown.rsplit_once("in `").and_then(|(_, rest)| rest.trim_end().strip_suffix('`')).unwrap_or_default();
    let mut keys: Vec<String> = path.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let help = match quoted.split_first() {
        Some((word, known)) if message.starts_with("unknown ") => match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", known.join(", ")),
        },
        _ => "mend the table; docs/rest.md tells each key".to_owned(),
    };
    let problem = match quoted.first() {
        Some(key) if message.starts_with("unknown field") => {
            keys.push((*key).to_owned());
            let what = format!("[rest.{name}]: there is no setting `{}`", keys.join("."));
            Problem::new(CONFIG_UNKNOWN_KEY, what, help)
        }
        _ if keys.is_empty() => bad(format!("[rest.{name}]: {message}"), &help),
        _ => bad(format!("[rest.{name}]: {}: {message}", keys.join(".")), &help),
    };
    Misread { problem, keys, is_incomplete: message.starts_with("missing field") }
}

fn lay_over(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

impl Settings {
    /// Checks `section`; `resolve` follows references to secrets.
    pub fn of(
        name: &str,
        section: Section,
        resolve: &dyn Fn(&str, &str) -> Result<SecretString, Problem>,
    ) -> Result<Settings, Problem> {
        let place = format!("[rest.{name}]");
        check::check(&place, &section)?;
        let Some(text) = section.base_url.as_deref().filter(|text| !text.trim().is_empty()) else {
            return Err(missing(&place, "base_url"));
        };
        let base_url = address(&place, "base_url", text, section.allow_http)?;
        for value in &section.required {
            if section.values.get(value).is_none_or(|text| text.trim().is_empty()) {
                return Err(missing(&place, &format!("values.{value}")));
            }
        }
        let secret = |key: &str, text: &Option<String>| match text.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => resolve(&format!("rest.{name}.auth.{key}"), text).map(Some),
            None => Ok(None),
        };
        let needed = |key: &str, text: &str| {
            let text = text.to_owned();
            secret(key, &Some(text))?.map(Some).ok_or_else(|| missing(&place, &format!("auth.{key}")))
        };
        let mut auth = AuthSecrets::default();
        match &section.auth {
            Auth::None => {}
            Auth::Token { token, .. } => auth.token = secret("token", token)?,
            Auth::Refresh { token_url, client_id, client_secret, refresh_token, .. } => {
                auth.token_url = section.filled(token_url);
                auth.client_id = needed("client_id", client_id)?;
                auth.client_secret = secret("client_secret", client_secret)?;
                auth.refresh_token = needed("refresh_token", refresh_token)?;
            }
            Auth::ClientCredentials { token_url, client_id, client_secret, scope, .. } => {
                auth.token_url = section.filled(token_url);
                auth.client_id = needed("client_id", client_id)?;
                auth.client_secret = needed("client_secret", client_secret)?;
                auth.scope = section.filled(scope.as_deref().unwrap_or_default());
            }
        }
        if !auth.token_url.is_empty() {
            address(&place, "auth.token_url", &auth.token_url, section.allow_http)?;
        }
        if section.timeout_s == 0 || section.timeout_s > TIMEOUT_S_MAX {
            return Err(bad(format!("{place}: timeout_s cannot be {}", section.timeout_s), "give 1 to 600 seconds"));
        }
        if section.requests_in_flight == 0 || section.requests_in_flight > REQUESTS_IN_FLIGHT_MAX {
            return Err(bad(
                format!("{place}: requests_in_flight cannot be {}", section.requests_in_flight),
                "give 1 to 64",
            ));
        }
        let lines = |key: &str, told: Option<&BTreeMap<String, String>>| header_lines(name, key, told, resolve);
        let headers = Headers {
            all: lines("headers", Some(&section.headers))?,
            person: lines("person.headers", section.person.as_ref().map(|ask| &ask.headers))?,
            look_up: lines("look_up.headers", section.look_up.as_ref().map(|ask| &ask.headers))?,
            create: lines("create.headers", Some(&section.create.headers))?,
            update: lines("update.headers", section.update.as_ref().map(|send| &send.headers))?,
        };
        let timeout = Duration::from_secs(section.timeout_s.into());
        Ok(Settings { section, base_url, auth, headers, timeout, round: ROUND_DEFAULT })
    }
}

impl Settings {
    /// "POST crm.example.com/api/calls": without what stands behind a question mark, which can be a secret.
    pub fn place(&self, method: &str, path: &str) -> String {
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
        let host = self.base_url.host_str().unwrap_or_default();
        format!("{method} {host}{}/{path}", self.base_url.path().trim_end_matches('/'))
    }
}

impl Section {
    fn filled(&self, text: &str) -> String {
        let base_url = self.base_url.as_deref().unwrap_or_default().trim_end_matches('/');
        let with_base = text.replace("{base_url}", base_url);
        self.values.iter().fold(with_base, |text, (name, value)| text.replace(&format!("{{values.{name}}}"), value))
    }
}

fn header_lines(
    name: &str,
    key: &str,
    told: Option<&BTreeMap<String, String>>,
    resolve: &dyn Fn(&str, &str) -> Result<SecretString, Problem>,
) -> Result<HeaderLines, Problem> {
    let each = told.into_iter().flatten().map(|(header, value)| {
        let place = format!("rest.{name}.{key}.{header}");
        // The value itself is never told: it may be a secret.
        let unfit = || bad(format!("{place} is no header that can be sent"), "mend its name or its value");
        let resolved = resolve(&place, value)?;
        let mut value = HeaderValue::from_str(resolved.expose_secret()).map_err(|_| unfit())?;
        value.set_sensitive(true);
        Ok((HeaderName::try_from(header).map_err(|_| unfit())?, value))
    });
    each.collect()
}

fn address(place: &str, key: &str, text: &str, allow_http: bool) -> Result<Url, Problem> {
    let url = Url::parse(text).map_err(|error| bad(format!("{place}: {key} is not a URL: {error}"), "https://..."))?;
    let plain = url.scheme() == "http";
    if url.host_str().is_none() || !(plain || url.scheme() == "https") {
        return Err(bad(format!("{place}: {key} is not a web address"), "https://..."));
    }
    if plain && !allow_http && !is_loopback(&url) {
        return Err(bad(
            format!("{place}: {key} is plain http: what callers said would be open to everybody on the way"),
            "use https, or set allow_http = true for a private network",
        ));
    }
    Ok(url)
}

fn missing(place: &str, key: &str) -> Problem {
    Problem::new(CONFIG_CONTRADICTION, format!("{place}: {key} is not set"), "set it; docs/rest.md tells each key")
}

fn bad(what: String, help: &str) -> Problem {
    Problem::new(CONFIG_BAD_VALUE, what, help)
}
