//! The mapping: a template for each field of the Task, compiled once.
//!
//! Invariant: a template sees nothing but [`super::context::Context`], cannot loop for ever, and an absent value renders
//! as nothing. It is tried on sample calls before it meets a real one. Whether a rendered text fits its field is decided
//! in `task`.

use std::collections::BTreeMap;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};

use super::config::is_api_name;
use super::context::{self, Context, Wanted};
use super::names;
use crate::destinations::Person;
use crate::model::{Action, Call, Direction, Insights, Role, Turn};
use crate::problem::{CONFIG_BAD_VALUE, MAPPING_FAILED, Problem, scrub};

/// Steps that one template may take; enough for a call of several hours with every turn in it.
const FUEL: u64 = 500_000;

/// What a Task says unless the settings say otherwise. WhoId, the key field and CallObject are always ours.
pub const DEFAULT_MAPPING: &[(&str, &str)] = &[
    ("Subject", "Voice AI Call{% if date %} - {{ date }}{% endif %}"),
    ("ActivityDate", "{{ date }}"),
    ("Status", "Completed"),
    ("TaskSubtype", "Call"),
    ("CallDurationInSeconds", "{{ call.duration_seconds }}"),
    ("CallType", "{{ call.direction }}"),
    ("Description", DESCRIPTION),
];

const DESCRIPTION: &str = "\
Voice AI Call Summary
{%- if duration_text %}
Duration: {{ duration_text }}
{%- endif %}
Session ID: {{ call.session_id }}
{%- if insights %}

Discovered Information:
{%- for line in insights %}
• {{ line }}
{%- endfor %}
{%- endif %}
{%- if actions %}

Agent Actions:
{%- for line in actions %}
{{ line }}
{%- endfor %}
{%- endif %}";

/// The compiled templates of all fields.
pub struct Mapping {
    environment: Environment<'static>,
    fields: Vec<String>,
    wanted: Wanted,
}

impl Mapping {
    /// The defaults with `overrides` laid over them; an empty template removes a field. Each template is tried on a call
    /// with every part and on one with none, so that a mistake shows now and not call by call.
    pub fn new(overrides: &BTreeMap<String, String>, key_field: &str) -> Result<Mapping, Problem> {
        let mut templates: Vec<(String, String)> =
            DEFAULT_MAPPING.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        for (name, text) in overrides {
            check_name(name, key_field)?;
            templates.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            if !text.trim().is_empty() {
                templates.push((name.clone(), text.clone()));
            }
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(|out, state, value| match value.is_none() {
            true => Ok(()),
            false => minijinja::escape_formatter(out, state, value),
        });
        let mentions = |word: &str| templates.iter().any(|(_, text)| text.contains(word));
        let wanted = Wanted { turns: mentions("turns"), extra: mentions("extra") };
        let mut fields = Vec::new();
        for (name, text) in templates {
            environment.add_template_owned(name.clone(), text).map_err(|error| bad_template(&name, &error))?;
            fields.push(name);
        }
        let mapping = Mapping { environment, fields, wanted };
        mapping.check_names()?;
        mapping.try_samples()?;
        Ok(mapping)
    }

    /// A name that no call has would be empty in every record, which nobody would notice.
    fn check_names(&self) -> Result<(), Problem> {
        let globals: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
        for field in &self.fields {
            let template = self.environment.get_template(field).map_err(|error| bad_template(field, &error))?;
            let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
            used.sort();
            let is_known = |name: &&String| globals.contains(&name.as_str()) || names::is_known(name);
            if let Some(unknown) = used.iter().find(|name| !is_known(name)) {
                return Err(Problem::new(
                    CONFIG_BAD_VALUE,
                    format!("the mapping of {field} uses `{}`, which no call has", scrub(unknown)),
                    match names::nearest(unknown) {
                        Some(near) => format!("Did you mean `{near}`?"),
                        None => "docs/mapping.md lists the names.".to_owned(),
                    },
                ));
            }
        }
        Ok(())
    }

    fn try_samples(&self) -> Result<(), Problem> {
        const CORRECT: &str = "Correct the template; docs/mapping.md lists filters and names.";
        const GUARD: &str = "Say what stands in for a value that a call lacks, e.g. (call.duration_seconds or 0) / 60.";
        let whole = (sample(), "with a sample call", CORRECT);
        let empty = (Call::new("sessions", "sample"), "with a call of which only the session id is known", GUARD);
        for (call, when, help) in [whole, empty] {
            for object in ["Contact", "Lead"] {
                let person = Person { object: object.to_owned(), id: "003000000000000AAA".to_owned() };
                let date = call.date_in(&jiff::tz::TimeZone::UTC);
                let value = Value::from(Serde(context::build(&call, &person, date, self.wanted)));
                for name in &self.fields {
                    let template = self.environment.get_template(name).map_err(|error| bad_template(name, &error))?;
                    match template.render(value.clone()) {
                        Err(error) if is_mistake(template.source(), &error) => {
                            let what = format!("the mapping of {name} fails {when}: {error}");
                            return Err(Problem::new(CONFIG_BAD_VALUE, what, help));
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// The fields that have a template.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Whether a template reads what was said or the fields without a place.
    pub fn reads_whole_calls(&self) -> bool {
        self.wanted.turns || self.wanted.extra
    }

    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// Each field with its text; blank texts are left out.
    pub fn render(&self, context: &Context) -> Result<Vec<(&str, String)>, Problem> {
        let value = Value::from(Serde(context));
        let mut rendered = Vec::with_capacity(self.fields.len());
        for name in &self.fields {
            let template = self.environment.get_template(name).map_err(|error| failed(name, &error))?;
            let text = template.render(value.clone()).map_err(|error| failed(name, &error))?;
            let text = clean(&text);
            if !text.is_empty() {
                rendered.push((name.as_str(), text));
            }
        }
        Ok(rendered)
    }
}

/// Whether a failure with a sample is the template's own: where it reads what only the source knows the kind of, a sample
/// proves no more than that its filters and functions exist.
fn is_mistake(source: &str, error: &minijinja::Error) -> bool {
    let open = source.contains("extra") || source.contains("other");
    let unknown = [ErrorKind::UnknownFilter, ErrorKind::UnknownFunction, ErrorKind::UnknownTest];
    !open || unknown.contains(&error.kind())
}

/// A call with every part.
pub(super) fn sample() -> Call {
    let text = || Some("sample".to_owned());
    let at = jiff::Timestamp::UNIX_EPOCH;
    let mut call = Call::new("sessions", "sample");
    (call.started_at, call.ended_at, call.duration_s) = (Some(at), Some(at), Some(90.0));
    call.direction = Some(Direction::Inbound);
    (call.caller.email, call.caller.name, call.caller.phone) = (text(), text(), text());
    call.insights = Insights {
        use_case: text(),
        team_size: text(),
        pain_points: vec!["sample".to_owned()],
        integration_interest: text(),
        timeline: text(),
        other: BTreeMap::from([("sample".to_owned(), "sample".to_owned())]),
    };
    call.actions = vec![Action { tool: "book_sales_meeting".to_owned(), succeeded: Some(true), ..Action::default() }];
    call.turns = vec![Turn::new(Role::User, "sample", Some(at))];
    call
}

fn check_name(name: &str, key_field: &str) -> Result<(), Problem> {
    let reserved = ["Id", "WhoId", "CallObject", key_field];
    if reserved.iter().any(|other| other.eq_ignore_ascii_case(name)) {
        return Err(Problem::new(
            CONFIG_BAD_VALUE,
            format!("the mapping sets {name}, which Trunkline sets itself to keep each call on one Task"),
            "Take the field out of the mapping.",
        ));
    }
    if is_api_name(name) {
        return Ok(());
    }
    Err(Problem::new(
        CONFIG_BAD_VALUE,
        format!("the mapping has `{}`, which is not a field's API name", scrub(name)),
        "Use the API name as Setup shows it, e.g. Subject or Outcome__c.",
    ))
}

fn bad_template(name: &str, error: &minijinja::Error) -> Problem {
    Problem::new(
        CONFIG_BAD_VALUE,
        format!("the mapping of {name} is not a template: {error}"),
        "Correct the template; `docs/mapping.md` shows the syntax and the names.",
    )
}

/// The kind of the error only: its detail can hold a call's values.
fn failed(name: &str, error: &minijinja::Error) -> Problem {
    let line = error.line().map_or_else(String::new, |line| format!(" in line {line}"));
    Problem::new(
        MAPPING_FAILED,
        format!("the template of {name} fails{line}: {}", error.kind()),
        "Correct the template, try it with `trunkline sync --dry-run`, then run `trunkline retry` for this call.",
    )
}

/// Takes control characters out, but for line ends and tabs, and blanks around.
fn clean(text: &str) -> String {
    let keep = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.trim().chars().filter(keep).collect()
}
