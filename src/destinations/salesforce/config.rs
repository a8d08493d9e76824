//! The checked settings of a Salesforce destination, as a plain struct that somebody else fills from TOML and secrets.
//!
//! Invariant: [`Settings::check`] has passed before anything is sent; field names that reach a query are API names.
//! No type here prints itself: they hold secrets and user names.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;
use secrecy::SecretString;
use url::Url;

use crate::net::is_loopback;
use crate::problem::{CONFIG_BAD_VALUE, Problem};

/// Where logins go unless the settings say otherwise.
pub const LOGIN_URL: &str = "https://login.salesforce.com";
/// The custom field on Activity that holds the call key.
pub const KEY_FIELD: &str = "Call_Key__c";
/// The name that this client gives itself in `Sforce-Call-Options`.
pub const CLIENT_TAG: &str = "Trunkline";
/// The Subject of the Tasks that the script before us made.
pub const ADOPTION_SUBJECT: &str = "Voice AI Call - {date}";
/// The share of the org's daily requests at which we stop by ourselves, in percent.
pub const USAGE_STOP_PERCENT: u8 = 95;

/// How we prove who we are.
pub enum LoginFlow {
    /// OAuth JWT bearer: a certificate instead of a password.
    Jwt { client_id: String, username: String, private_key_pem: SecretString },
    /// OAuth client credentials: the app's own run-as user; only on a My Domain host.
    ClientCredentials { client_id: String, client_secret: SecretString },
    /// OAuth refresh token.
    Refresh { client_id: String, client_secret: Option<SecretString>, refresh_token: SecretString },
    /// SOAP `login()`: user name, password and security token. Salesforce retires it in Summer '27.
    Password { username: String, password: SecretString, security_token: SecretString },
}

/// A Salesforce API version, e.g. `66.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    pub major: u16,
    pub minor: u16,
}

impl ApiVersion {
    pub const fn new(major: u16) -> ApiVersion {
        ApiVersion { major, minor: 0 }
    }

    /// Reads `66.0`, `v66.0` or `66`.
    pub fn parse(text: &str) -> Option<ApiVersion> {
        let text = text.trim().trim_start_matches(['v', 'V']);
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Some(ApiVersion { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What to do when several people carry the same e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeveralRule {
    MostRecentlyModified,
    OldestCreated,
    Skip,
}

/// What to do when nobody carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMatchRule {
    Skip,
    CreateLead,
}

/// Whether and how Tasks of an earlier script are recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    pub enabled: bool,
    /// The Subject that the script gave its Tasks; `{date}` stands for the call's date as `2025-10-29`.
    pub subject: String,
}

/// Deadlines for whole exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub login: Duration,
    pub query: Duration,
    pub write: Duration,
}

/// Everything that a person can set for this destination.
pub struct Settings {
    pub login: LoginFlow,
    /// https; http on this machine, or anywhere if `allow_http`.
    pub login_url: Url,
    /// Whether credentials may go over plain http to another machine: for a stand-in inside a private network.
    pub allow_http: bool,
    /// `None`: the highest that the org offers and this client knows.
    pub api_version: Option<ApiVersion>,
    /// The `aud` of the JWT; `None`: by the login host.
    pub audience: Option<String>,
    pub client_tag: String,
    pub key_field: String,
    /// Decides the calendar date of a call.
    pub time_zone: TimeZone,
    pub several: SeveralRule,
    pub no_match: NoMatchRule,
    pub adoption: Adoption,
    /// Task field to template, laid over [`super::template::DEFAULT_MAPPING`]; an empty template removes a field.
    pub mapping: BTreeMap<String, String>,
    /// Stop by ourselves when the org's daily requests are used up to this share; 100 or more switches it off.
    pub usage_stop_percent: u8,
    pub timeouts: Timeouts,
    /// Whether request bodies over 1 KB are sent gzip-compressed.
    pub gzip: bool,
}

impl Settings {
    /// The defaults around one way to log in.
    pub fn new(login: LoginFlow) -> Settings {
        Settings {
            login,
            login_url: Url::parse(LOGIN_URL).expect("the default login address is a URL"),
            allow_http: false,
            api_version: None,
            audience: None,
            client_tag: CLIENT_TAG.to_owned(),
            key_field: KEY_FIELD.to_owned(),
            time_zone: TimeZone::UTC,
            several: SeveralRule::MostRecentlyModified,
            no_match: NoMatchRule::Skip,
            adoption: Adoption { enabled: true, subject: ADOPTION_SUBJECT.to_owned() },
            mapping: BTreeMap::new(),
            usage_stop_percent: USAGE_STOP_PERCENT,
            timeouts: Timeouts {
                login: Duration::from_secs(30),
                query: Duration::from_secs(120),
                write: Duration::from_secs(120),
            },
            gzip: false,
        }
    }

    /// What cannot be right whatever the org says. The mapping's templates are checked where they are compiled.
    pub fn check(&self) -> Result<(), Problem> {
        check_url(&self.login_url, self.allow_http, "the Salesforce login URL").map_err(|what| bad(what, HELP_HTTP))?;
        if !is_api_name(&self.key_field) {
            return Err(bad(
                format!("the Salesforce key field `{}` is not a field's API name", self.key_field),
                "Give the API name of the custom field on Activity, e.g. Call_Key__c.",
            ));
        }
        let tag_fits = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        if self.client_tag.is_empty() || !self.client_tag.chars().all(tag_fits) {
            return Err(bad(
                "the Salesforce client tag has characters that a header cannot carry".to_owned(),
                "Use letters, digits, dots, hyphens and underscores only.",
            ));
        }
        if self.adoption.enabled && !self.adoption.subject.contains("{date}") {
            return Err(bad(
                "the Subject by which earlier Tasks are recognised has no {date}".to_owned(),
                "Put {date} where the earlier script put the call's date, or switch adoption off.",
            ));
        }
        Ok(())
    }
}

fn bad(what: String, help: &str) -> Problem {
    Problem::new(CONFIG_BAD_VALUE, what, help)
}

/// What to do about an address that is not https.
pub const HELP_HTTP: &str = "Give the org's https address, e.g. https://example.my.salesforce.com; for a simulated org in a \
                             private network set `allow_http = true` under [salesforce] or SF_ALLOW_HTTP=1.";

/// Whether a URL may receive credentials: https anywhere, plain http on this machine, or anywhere if that is allowed.
pub fn check_url(url: &Url, allow_http: bool, name: &str) -> Result<(), String> {
    match url.scheme() {
        "https" if url.host().is_some() => Ok(()),
        "http" if may_be_http(url, allow_http) => Ok(()),
        "http" => Err(format!("{name} is plain http to another machine, over which credentials can be read")),
        scheme => Err(format!("{name} must be https, not {scheme}")),
    }
}

/// Whether plain http to this host is acceptable.
pub fn may_be_http(url: &Url, allow_http: bool) -> bool {
    is_loopback(url) || (allow_http && url.host().is_some())
}

/// Whether `text` can be the API name of a field.
pub fn is_api_name(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    starts_well && text.len() <= 80 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_the_forms_that_people_write() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(ApiVersion::parse(text).map(|v| v.to_string()).as_deref(), expected, "{text}");
        };
        check("66.0", Some("66.0"));
        check(" v62.0 ", Some("62.0"));
        check("59", Some("59.0"));
        check("", None);
        check("latest", None);
        check("66.x", None);
        assert!(ApiVersion::new(100) > ApiVersion::new(66), "compared as numbers");
    }

    #[test]
    fn settings_that_cannot_work_are_told_before_anything_is_sent() {
        let check = |change: fn(&mut Settings), accepted: bool| {
            let mut settings = Settings::new(LoginFlow::ClientCredentials {
                client_id: "id".into(),
                client_secret: SecretString::from("secret"),
            });
            change(&mut settings);
            assert_eq!(settings.check().is_ok(), accepted);
        };
        check(|_| {}, true);
        check(|s| s.login_url = Url::parse("http://127.0.0.1:8080").unwrap(), true);
        check(|s| s.login_url = Url::parse("http://[::1]:8080").unwrap(), true);
        check(|s| s.login_url = Url::parse("http://login.salesforce.com").unwrap(), false);
        check(|s| (s.login_url, s.allow_http) = (Url::parse("http://sim:8080").unwrap(), true), true);
        check(|s| (s.login_url, s.allow_http) = (Url::parse("ftp://sim:8080").unwrap(), true), false);
        check(|s| s.login_url = Url::parse("ftp://login.salesforce.com").unwrap(), false);
        check(|s| s.key_field = "Call_Key__c FROM Task".into(), false);
        check(|s| s.client_tag = "a\nb".into(), false);
        check(|s| s.adoption.subject = "Voice call".into(), false);
        check(|s| s.adoption = Adoption { enabled: false, subject: "Voice call".into() }, true);
    }
}
