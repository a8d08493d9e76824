//! The REST destinations: the tables [rest.NAME], and [call_data_api] with the variables that its users have.

use super::file::CallDataSection;
use super::settings::{Environment, Settings};
use super::{is_plain, resolve};
use crate::destinations::rest::config as rest;
use crate::problem::{CONFIG_BAD_VALUE, CONFIG_CONTRADICTION, Problem};

/// The name of the call-data API as a destination, and of its ready configuration.
pub const CALL_DATA_API: &str = "call_data_api";

/// Everything that is said of REST destinations; checked when it is needed.
pub struct RestInput {
    pub tables: std::collections::BTreeMap<String, toml::Table>,
    pub call_data: CallDataSection,
}

/// Words in the name of a header whose value is most likely a secret.
const SECRET_HEADERS: &[&str] = &["auth", "token", "key", "secret", "password", "cookie"];

impl RestInput {
    /// The keys of [rest.NAME] whose secret stands in the file itself.
    pub(super) fn plain_secrets(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, table) in &self.tables {
            let mut look = |place: &str, is_secret: fn(&str) -> bool| {
                let told = place.split('.').try_fold(table, |table, key| table.get(key)?.as_table());
                for (key, value) in told.into_iter().flatten().filter(|(key, _)| is_secret(key)) {
                    if value.as_str().is_some_and(is_plain) {
                        found.push(format!("rest.{name}.{place}.{key}"));
                    }
                }
            };
            look("auth", |key| ["token", "client_secret", "refresh_token"].contains(&key));
            for place in ["headers", "person.headers", "look_up.headers", "create.headers", "update.headers"] {
                look(place, |key| SECRET_HEADERS.iter().any(|word| key.to_ascii_lowercase().contains(word)));
            }
        }
        found
    }
}

impl Settings {
    /// Whether Salesforce takes part: where anything is said of it, or where there is nothing else.
    pub fn uses_salesforce(&self) -> bool {
        self.names_salesforce() || self.rest_names().is_empty()
    }

    /// Whether the call-data API is set up, be it for uploads alone.
    pub fn has_call_data_api(&self) -> bool {
        variable(&self.environment, "CRM_BASE_URL").is_some() || self.rest.call_data.base_url.is_some()
    }

    /// Whether nothing but uploads to the call-data API is set up: they need neither a source nor Salesforce.
    pub fn only_uploads(&self) -> bool {
        self.has_call_data_api() && self.rest_names().is_empty() && !self.names_salesforce()
    }

    fn names_salesforce(&self) -> bool {
        let said = self.environment.iter().any(|(name, value)| name.starts_with("SF_") && !value.trim().is_empty());
        said || self.salesforce.is_set()
    }

    /// The REST destinations that calls of every source go to, by name.
    pub fn rest_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.rest.tables.keys().cloned().collect();
        if self.uploads_by_itself() {
            names.insert(0, CALL_DATA_API.to_owned());
        }
        names
    }

    fn uploads_by_itself(&self) -> bool {
        let variable = variable(&self.environment, "CRM_AUTO_UPLOAD");
        let variable = variable.map(|text| ["1", "true", "yes", "on"].contains(&text.to_ascii_lowercase().as_str()));
        variable.or(self.rest.call_data.auto_upload).unwrap_or(false)
    }

    /// The settings of one of them.
    pub fn rest(&self, name: &str) -> Result<rest::Settings, Problem> {
        self.check_names()?;
        let follow = |key: &str, value: &str| resolve(key, value, &self.environment);
        let section = match self.rest.tables.get(name) {
            _ if name == CALL_DATA_API => rest::section(name, self.call_data_table()?)?,
            Some(table) => rest::section(name, self.with_references(name, table)?)?,
            None => {
                return Err(Problem::new(
                    CONFIG_CONTRADICTION,
                    format!("there is no destination [rest.{name}]"),
                    "add its table to trunkline.toml; docs/rest.md shows one",
                ));
            }
        };
        rest::Settings::of(name, section, &follow)
    }

    /// Deliveries stand in the ledger under these names: two destinations of one name would take each other's.
    fn check_names(&self) -> Result<(), Problem> {
        let is_plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
        };
        for name in self.rest.tables.keys() {
            let what = match name.as_str() {
                "salesforce" | CALL_DATA_API => format!("[rest.{name}]: the name is taken by [{name}]"),
                name if !is_plain(name) => format!("[rest.{name}]: the name is not of a-z, 0-9, - and _"),
                _ => continue,
            };
            return Err(Problem::new(CONFIG_CONTRADICTION, what, "give the destination another name"));
        }
        Ok(())
    }

    /// `env:NAME` in `values`, `base_url` and the login's ids is followed as it is in secrets.
    fn with_references(&self, name: &str, table: &toml::Table) -> Result<toml::Table, Problem> {
        let mut table = table.clone();
        let follow = |place: &mut toml::Value, key: &str| -> Result<(), Problem> {
            let Some(variable) = place.as_str().and_then(|text| text.strip_prefix("env:")) else { return Ok(()) };
            let value = self.environment.get(variable).ok_or_else(|| {
                let what = format!("[rest.{name}]: {key} refers to the variable {variable}, which is not set");
                Problem::new(CONFIG_CONTRADICTION, what, "set the variable, or write the value here")
            })?;
            *place = toml::Value::String(value.clone());
            Ok(())
        };
        if let Some(place) = table.get_mut("base_url") {
            follow(place, "base_url")?;
        }
        if let Some(toml::Value::Table(values)) = table.get_mut("values") {
            for (key, place) in values.iter_mut() {
                follow(place, &format!("values.{key}"))?;
            }
        }
        Ok(table)
    }

    /// [call_data_api] and the variables, as a table over the ready configuration.
    fn call_data_table(&self) -> Result<toml::Table, Problem> {
        let said = &self.rest.call_data;
        let text = |name: &str, key: &Option<String>| {
            variable(&self.environment, name).or_else(|| key.clone()).filter(|text| !text.trim().is_empty())
        };
        let mut table = toml::Table::new();
        table.insert("preset".into(), CALL_DATA_API.into());
        let mut values = toml::Table::new();
        for (value, name, key) in [
            ("campaign_id", "CRM_CAMPAIGN_ID", &said.campaign_id),
            ("voice_agent_id", "CRM_VOICE_AGENT_ID", &said.voice_agent_id),
            ("client_id", "CRM_CLIENT_ID", &said.client_id),
            ("default_caller_phone", "CRM_DEFAULT_CALLER_PHONE", &said.default_caller_phone),
        ] {
            if let Some(text) = text(name, key) {
                values.insert(value.into(), text.into());
            }
        }
        if let Some(generation) = said.generation {
            if !(1..=2).contains(&generation) {
                let what = format!("[call_data_api]: generation cannot be {generation}");
                return Err(Problem::new(CONFIG_BAD_VALUE, what, "give 1 or 2"));
            }
            values.insert("generation".into(), generation.to_string().into());
            table.insert("keep_nulls".into(), (generation == 2).into());
        }
        table.insert("values".into(), values.into());
        if let Some(base_url) = text("CRM_BASE_URL", &said.base_url) {
            table.insert("base_url".into(), base_url.into());
        }
        if let Some(token) = text("CRM_API_TOKEN", &said.token) {
            let auth =
                toml::Table::from_iter([("kind".to_owned(), "token".into()), ("token".to_owned(), token.into())]);
            table.insert("auth".into(), auth.into());
        }
        let mut add = |key: &str, value: Option<toml::Value>| {
            table.extend(value.map(|value| (key.to_owned(), value)));
        };
        add("allow_http", said.allow_http.map(Into::into));
        add("timeout_s", said.timeout_s.map(|s| i64::from(s).into()));
        add("requests_in_flight", said.requests_in_flight.map(|n| i64::from(n).into()));
        add("lost_answer", said.lost_answer.clone().map(Into::into));
        add("look_up", said.look_up.filter(|offered| !offered).map(Into::into));
        add("doubles", said.look_up_first.filter(|first| *first).map(|_| "look_up_first".into()));
        Ok(table)
    }
}

fn variable(environment: &Environment, name: &str) -> Option<String> {
    environment.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse, settings};

    fn read(file: &str, variables: &[(&str, &str)], name: &str) -> Result<rest::Settings, Problem> {
        let environment = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        settings(parse(file, "trunkline.toml")?, environment, Overrides::default())?.rest(name)
    }

    #[test]
    fn a_destination_that_cannot_be_told_from_another_is_refused() {
        let check = |file: &str, name: &str, part: &str| match read(file, &[], name) {
            Ok(_) => panic!("taken: {file}"),
            Err(problem) => assert!(problem.to_string().contains(part), "{problem}"),
        };
        let hubspot = |name: &str| format!("[rest.{name}]\npreset = \"hubspot\"");
        check(&hubspot("salesforce"), "salesforce", "taken by [salesforce]");
        check(&hubspot("call_data_api"), "call_data_api", "taken by [call_data_api]");
        check(&hubspot("\"My CRM\""), "My CRM", "not of a-z");
        check(&hubspot("crm"), "other", "no destination [rest.other]");
        check("[rest.crm]\npreset = \"hubspot\"\nbase_url = \"env:NOWHERE\"", "crm", "variable NOWHERE");
        check("[call_data_api]\ngeneration = 3", "call_data_api", "generation cannot be 3");
        check("", "call_data_api", "base_url is not set");
        assert!(read(&hubspot("my-crm_2"), &[], "my-crm_2").is_ok());
    }

    #[test]
    fn every_secret_that_stands_in_the_file_is_named_and_a_reference_is_none() {
        let named = |file: &str| {
            let file = parse(file, "trunkline.toml").unwrap_or_else(|problem| panic!("{problem}"));
            let made = settings(file, Environment::new(), Overrides::default());
            made.unwrap_or_else(|problem| panic!("{problem}")).plain_secrets()
        };
        let file = "[call_data_api]\ntoken = \"t\"\n[rest.crm.auth]\nkind = \"refresh\"\nclient_id = \"id\"\n\
                    client_secret = \"s\"\nrefresh_token = \"r\"\n[rest.desk]\nheaders = { X-Api-Key = \"k\", Accept = \"a\" }\n\
                    auth = { kind = \"token\", token = \"t\" }\n[rest.desk.create]\nheaders = { authorization = \"b\" }";
        let all = [
            "call_data_api.token",
            "rest.crm.auth.client_secret",
            "rest.crm.auth.refresh_token",
            "rest.desk.auth.token",
            "rest.desk.headers.X-Api-Key",
            "rest.desk.create.headers.authorization",
        ];
        assert_eq!(named(file), all);
        let referred = file.replace("= \"", "= \"env:");
        assert!(named(&referred.replace("env:token", "token").replace("env:refresh", "refresh")).is_empty());
    }

    #[test]
    fn headers_follow_references_and_no_error_tells_their_value() {
        let file = |value: &str| {
            format!(
                "[rest.crm]\npreset = \"hubspot\"\nheaders = {{ X-Key = \"{value}\" }}\ncreate.headers = {{ X-More = \"env:MORE\" }}"
            )
        };
        let variables = [("KEY", "secret"), ("MORE", "more"), ("LINES", "a\nsecret")];
        let made = read(&file("env:KEY"), &variables, "crm").unwrap_or_else(|problem| panic!("{problem}"));
        let shown = |lines: &rest::HeaderLines| format!("{lines:?}");
        assert_eq!(
            (&made.headers.all[0].1, &made.headers.create[0].1),
            (&"secret".parse().unwrap(), &"more".parse().unwrap())
        );
        assert!(!shown(&made.headers.all).contains("secret"), "{}", shown(&made.headers.all));
        let told = |value: &str| read(&file(value), &variables, "crm").err().map(|problem| problem.to_string());
        assert!(
            told("env:NOWHERE")
                .is_some_and(|text| text.contains("rest.crm.headers.X-Key refers to the variable NOWHERE"))
        );
        let unfit = told("env:LINES").expect("a value that cannot be sent");
        assert!(unfit.contains("rest.crm.headers.X-Key") && !unfit.contains("secret"), "{unfit}");
    }

    #[test]
    fn a_variable_goes_before_its_key_and_a_blank_one_is_none() {
        let file = "[call_data_api]\nbase_url = \"https://a.example\"\ncampaign_id = \"1\"\nvoice_agent_id = \"2\"\n\
                    client_id = \"3\"\ntoken = \"env:MINE\"";
        let variables = [("CRM_BASE_URL", "https://b.example"), ("CRM_CAMPAIGN_ID", " "), ("MINE", "secret")];
        let made = read(file, &variables, CALL_DATA_API).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!((made.base_url.as_str(), made.section.values["campaign_id"].as_str()), ("https://b.example/", "1"));
        assert!(made.auth.token.is_some());
    }
}
