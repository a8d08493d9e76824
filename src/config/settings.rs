//! Checked settings, built from flags, environment and file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use secrecy::SecretString;
use url::Url;

use super::file::SalesforceSection;
use super::{ConfigFile, RestInput, ServeSettings, is_plain, resolve};
use crate::destinations::salesforce::config::{self as salesforce, LoginFlow, NoMatchRule, SeveralRule};
use crate::engine::{DispatchLimits, IntakeLimits, Order};
use crate::problem::{CONFIG_BAD_VALUE, CONFIG_CONTRADICTION, Problem, SECRET_MISSING};
use crate::sources::object_store;

/// The environment, passed in.
pub type Environment = BTreeMap<String, String>;

/// What flags set.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub source: Option<String>,
    pub store: Option<PathBuf>,
    pub time_zone: Option<String>,
}

/// Everything a command needs, checked.
pub struct Settings {
    pub store_path: PathBuf,
    pub time_zone: TimeZone,
    /// `None` if no address is set: commands that only read the store need none.
    pub source: Option<object_store::Settings>,
    pub salesforce: SalesforceInput,
    pub rest: RestInput,
    pub intake: IntakeLimits,
    pub dispatch: DispatchLimits,
    pub serve: ServeSettings,
    pub environment: Environment,
}

/// The Salesforce settings are built late: commands that do not log in work without any.
pub struct SalesforceInput {
    section: SalesforceSection,
    time_zone: TimeZone,
}

impl SalesforceInput {
    /// Whether the file says anything of Salesforce.
    pub fn is_set(&self) -> bool {
        self.section != SalesforceSection::default()
    }
}

/// Default ledger.
const STORE_PATH: &str = "trunkline.db";
/// Files read at once, unless set.
const FETCHES: u16 = 16;

/// Builds and checks everything but the Salesforce login.
pub fn settings(file: ConfigFile, environment: Environment, flags: Overrides) -> Result<Settings, Problem> {
    let zone_name = flags.time_zone.or_else(|| env(&environment, "TRUNKLINE_TIME_ZONE")).or(file.time_zone);
    let time_zone = zone("time_zone", zone_name.as_deref())?;
    let store_path = flags
        .store
        .or_else(|| env(&environment, "TRUNKLINE_STORE").map(PathBuf::from))
        .or(file.store.path.map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(STORE_PATH));
    let inflated_mb_max = file.source.inflated_mb_max.unwrap_or(64);
    let inflated_bytes_max = between("source.inflated_mb_max", inflated_mb_max, 1, 1024)? as usize * 1024 * 1024;
    let fetches = between("source.fetches", file.source.fetches.unwrap_or(FETCHES), 1, 256)?;
    let source_zone = zone("source.time_zone", file.source.time_zone.as_deref())?;
    let address = flags.source.or_else(|| env(&environment, "TRUNKLINE_SOURCE")).or(file.source.address);
    let source = match address {
        None => None,
        Some(address) => {
            if address.contains("/year=") {
                return Err(bad(
                    format!("the source's address {address} ends inside the folders by day"),
                    "end it above the year=YYYY folders, e.g. s3://bucket/sessions/; --from and --to choose the days",
                ));
            }
            let mut source = object_store::Settings::new(address);
            source.region = file.source.region;
            source.endpoint = file.source.endpoint;
            source.profile = file.source.profile;
            source.allow_http = file.source.allow_http.unwrap_or(false);
            source.time_zone = source_zone.clone();
            source.inflated_bytes_max = inflated_bytes_max;
            Some(source)
        }
    };
    let delivery = file.delivery;
    let default = DispatchLimits::default();
    let dispatch = DispatchLimits {
        lanes: usize::from(between("delivery.requests_in_flight", delivery.requests_in_flight.unwrap_or(5), 1, 25)?),
        order: choice(
            "delivery.order",
            delivery.order.as_deref(),
            default.order,
            &[("oldest_first", Order::OldestFirst), ("newest_first", Order::NewestFirst)],
        )?,
        patience: delivery.patience_s.map_or(default.patience, |s| Duration::from_secs(s.into())),
        settle: delivery.settle_s.map_or(default.settle, |s| Duration::from_secs(s.into())),
        attempts_max: between("delivery.attempts_max", delivery.attempts_max.unwrap_or(default.attempts_max), 1, 1000)?,
        ..default
    };
    Ok(Settings {
        store_path,
        salesforce: SalesforceInput { section: file.salesforce, time_zone: time_zone.clone() },
        rest: RestInput { tables: file.rest, call_data: file.call_data_api },
        time_zone,
        source,
        intake: IntakeLimits { fetches: usize::from(fetches), inflated_bytes_max },
        dispatch,
        serve: ServeSettings::of(file.serve, source_zone, inflated_bytes_max)?,
        environment,
    })
}

impl Settings {
    /// The source, or what to do to have one.
    pub fn source(&self) -> Result<&object_store::Settings, Problem> {
        self.source.as_ref().ok_or_else(|| {
            Problem::new(
                CONFIG_CONTRADICTION,
                "no source is set",
                "say where the session exports are: --source s3://bucket/sessions/ or --source file:///folder/, or set \
                 source.address in trunkline.toml",
            )
        })
    }

    /// The settings whose secret stands in the file itself, instead of a reference to it.
    pub fn plain_secrets(&self) -> Vec<String> {
        let section = &self.salesforce.section;
        let secrets = [
            ("salesforce.password", &section.password),
            ("salesforce.security_token", &section.security_token),
            ("salesforce.client_secret", &section.client_secret),
            ("salesforce.refresh_token", &section.refresh_token),
            ("call_data_api.token", &self.rest.call_data.token),
        ];
        let plain = secrets.into_iter().filter(|(_, value)| value.as_deref().is_some_and(is_plain));
        plain.map(|(name, _)| name.to_owned()).chain(self.rest.plain_secrets()).collect()
    }

    /// The Salesforce destination's settings, or what is missing for a login.
    pub fn salesforce(&self) -> Result<salesforce::Settings, Problem> {
        let section = &self.salesforce.section;
        let read = Reader { section, environment: &self.environment };
        let mut settings = salesforce::Settings::new(read.login()?);
        if let Some(text) = read.text("SF_LOGIN_URL", &section.login_url) {
            let text = if text.contains("://") { text } else { format!("https://{text}") };
            settings.login_url = Url::parse(&text).map_err(|error| {
                bad(format!("the Salesforce login URL is not a URL: {error}"), "e.g. https://example.my.salesforce.com")
            })?;
        }
        settings.allow_http = read.switch("SF_ALLOW_HTTP", section.allow_http)?.unwrap_or(false);
        settings.audience = read.text("SF_AUDIENCE", &section.audience);
        if let Some(text) = read.text("SF_API_VERSION", &section.api_version) {
            let version = salesforce::ApiVersion::parse(&text)
                .ok_or_else(|| bad(format!("`{text}` is not an API version"), "e.g. 66.0"))?;
            settings.api_version = Some(version);
        }
        if let Some(field) = &section.key_field {
            settings.key_field.clone_from(field);
        }
        settings.time_zone = self.salesforce.time_zone.clone();
        let several = section.several_matches.as_deref();
        settings.several = choice(
            "salesforce.several_matches",
            several,
            SeveralRule::MostRecentlyModified,
            &[
                ("most_recently_modified", SeveralRule::MostRecentlyModified),
                ("oldest_created", SeveralRule::OldestCreated),
                ("skip", SeveralRule::Skip),
            ],
        )?;
        settings.no_match = choice(
            "salesforce.no_match",
            section.no_match.as_deref(),
            NoMatchRule::Skip,
            &[("skip", NoMatchRule::Skip), ("create_lead", NoMatchRule::CreateLead)],
        )?;
        settings.adoption.enabled = section.adopt_earlier_tasks.unwrap_or(true);
        if let Some(subject) = &section.adopt_subject {
            settings.adoption.subject.clone_from(subject);
        }
        if let Some(percent) = section.api_usage_percent_max {
            settings.usage_stop_percent = between("salesforce.api_usage_percent_max", percent, 1, 100)?;
        }
        settings.gzip = section.gzip.unwrap_or(settings.gzip);
        settings.mapping = section.task.clone();
        settings.check()?;
        Ok(settings)
    }
}

struct Reader<'a> {
    section: &'a SalesforceSection,
    environment: &'a Environment,
}

impl Reader<'_> {
    /// The variable, else the key, followed if it is a reference. Blank counts as not set.
    fn text(&self, variable: &str, key: &Option<String>) -> Option<String> {
        env(self.environment, variable).or_else(|| key.clone()).filter(|text| !text.trim().is_empty())
    }

    /// The variable, else the key.
    fn switch(&self, variable: &str, key: Option<bool>) -> Result<Option<bool>, Problem> {
        let Some(text) = env(self.environment, variable) else { return Ok(key) };
        match text.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" => Ok(Some(true)),
            "0" | "false" | "no" => Ok(Some(false)),
            _ => Err(bad(format!("{variable} is neither on nor off"), "set it to 1 or 0, or leave it out")),
        }
    }

    fn secret(&self, variable: &str, name: &str, key: &Option<String>) -> Result<Option<SecretString>, Problem> {
        match env(self.environment, variable) {
            Some(text) => Ok(Some(SecretString::from(text))),
            None => {
                let key = key.as_deref().filter(|text| !text.is_empty());
                key.map(|value| resolve(name, value, self.environment)).transpose()
            }
        }
    }

    /// Like a secret, but not secret: an id or a user name, which may be written as a reference too.
    fn name(&self, variable: &str, name: &str, key: &Option<String>) -> Result<Option<String>, Problem> {
        use secrecy::ExposeSecret;
        Ok(self.secret(variable, name, key)?.map(|text| text.expose_secret().trim().to_owned()))
    }

    fn login(&self) -> Result<LoginFlow, Problem> {
        let section = self.section;
        let wanted = env(self.environment, "SF_LOGIN").or_else(|| section.login.clone()).unwrap_or("auto".to_owned());
        let known = ["auto", "jwt", "refresh", "client_credentials", "password"];
        if !known.contains(&wanted.as_str()) {
            return Err(bad(
                format!("salesforce.login cannot be `{wanted}`"),
                &format!("one of: {}", known.join(", ")),
            ));
        }
        let client_id = self.name("SF_CLIENT_ID", "salesforce.client_id", &section.client_id)?;
        let client_secret = self.secret("SF_CLIENT_SECRET", "salesforce.client_secret", &section.client_secret)?;
        let username = self.name("SF_USERNAME", "salesforce.username", &section.username)?;
        let password = self.secret("SF_PASSWORD", "salesforce.password", &section.password)?;
        let token = self.secret("SF_SECURITY_TOKEN", "salesforce.security_token", &section.security_token)?;
        let refresh = self.secret("SF_REFRESH_TOKEN", "salesforce.refresh_token", &section.refresh_token)?;
        let key_file = self.text("SF_PRIVATE_KEY_FILE", &section.private_key_file);
        let takes = |flow: &str| wanted == "auto" || wanted == flow;
        if let (true, Some(client_id), Some(username), Some(path)) = (takes("jwt"), &client_id, &username, &key_file) {
            let private_key_pem = resolve("salesforce.private_key_file", &format!("file:{path}"), self.environment)?;
            return Ok(LoginFlow::Jwt { client_id: client_id.clone(), username: username.clone(), private_key_pem });
        }
        if let (true, Some(client_id), Some(refresh_token)) = (takes("refresh"), &client_id, refresh) {
            return Ok(LoginFlow::Refresh { client_id: client_id.clone(), client_secret, refresh_token });
        }
        // login.salesforce.com and test.salesforce.com never take client credentials; a complete password login is meant.
        let host = self.text("SF_LOGIN_URL", &section.login_url).unwrap_or_default();
        let shared_host = host.is_empty() || host.contains("//login.") || host.contains("//test.");
        let by_password = wanted == "auto" && shared_host && username.is_some() && password.is_some();
        if let (true, false, Some(client_id), Some(client_secret)) =
            (takes("client_credentials"), by_password, &client_id, client_secret)
        {
            return Ok(LoginFlow::ClientCredentials { client_id: client_id.clone(), client_secret });
        }
        if let (true, Some(username), Some(password)) = (takes("password"), username, password) {
            let security_token = token.unwrap_or_else(|| SecretString::from(""));
            return Ok(LoginFlow::Password { username, password, security_token });
        }
        let missing = if wanted == "auto" {
            "no Salesforce login is set".to_owned()
        } else {
            format!("the Salesforce login `{wanted}` is not complete")
        };
        Err(Problem::new(
            SECRET_MISSING,
            missing,
            "set SF_CLIENT_ID, SF_USERNAME and SF_PRIVATE_KEY_FILE (JWT), or SF_CLIENT_ID and SF_CLIENT_SECRET (client \
             credentials), or SF_USERNAME, SF_PASSWORD and SF_SECURITY_TOKEN; docs/guide.md says what to ask the admin for",
        ))
    }
}

fn env(environment: &Environment, name: &str) -> Option<String> {
    environment.get(name).filter(|value| !value.trim().is_empty()).cloned()
}

pub(super) fn zone(name: &str, value: Option<&str>) -> Result<TimeZone, Problem> {
    let Some(value) = value else { return Ok(TimeZone::UTC) };
    TimeZone::get(value).map_err(|_| {
        bad(format!("{name}: there is no time zone `{value}`"), "use an IANA name, e.g. America/New_York or UTC")
    })
}

pub(super) fn between<T: PartialOrd + std::fmt::Display + Copy>(
    name: &str,
    value: T,
    least: T,
    most: T,
) -> Result<T, Problem> {
    if value < least || value > most {
        return Err(bad(format!("{name} cannot be {value}"), &format!("give a number from {least} to {most}")));
    }
    Ok(value)
}

fn choice<T: Copy>(name: &str, value: Option<&str>, default: T, known: &[(&str, T)]) -> Result<T, Problem> {
    let Some(value) = value else { return Ok(default) };
    known.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        bad(format!("{name} cannot be `{value}`"), &format!("one of: {}", words.join(", ")))
    })
}

pub(super) fn bad(what: String, help: &str) -> Problem {
    Problem::new(CONFIG_BAD_VALUE, what, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salesforce(file: &str, variables: &[(&str, &str)]) -> Result<salesforce::Settings, Problem> {
        let set = [("SF_CLIENT_ID", "app"), ("SF_CLIENT_SECRET", "secret"), ("SF_LOGIN_URL", "http://sim:8080")];
        let environment = set.iter().chain(variables).map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let file = crate::config::parse(file, "trunkline.toml")?;
        settings(file, environment, Overrides::default())?.salesforce()
    }

    #[test]
    fn plain_http_to_another_machine_has_to_be_allowed() {
        let check = |file: &str, variable: Option<&str>, expected: Result<(), &str>| {
            let variables: Vec<_> = variable.map(|value| ("SF_ALLOW_HTTP", value)).into_iter().collect();
            let read = salesforce(file, &variables);
            assert_eq!(read.is_ok(), expected.is_ok(), "{file} {variable:?}");
            if let (Err(problem), Err(part)) = (read, expected) {
                let text = problem.to_string();
                assert!(text.contains(part), "{text}");
            }
        };
        let named = "set `allow_http = true` under [salesforce] or SF_ALLOW_HTTP=1";
        check("", None, Err(named));
        check("[salesforce]\nallow_http = false", None, Err(named));
        check("[salesforce]\nallow_http = true", Some("0"), Err(named));
        check("", Some("perhaps"), Err("SF_ALLOW_HTTP is neither on nor off"));
        check("[salesforce]\nallow_http = true", None, Ok(()));
        check("", Some("1"), Ok(()));
        check("", Some("TRUE"), Ok(()));
    }
}
