//! The mapping: a template for each field of the Task.
//!
//! Invariant: an absent value renders as nothing, and a text that is blank leaves its field out. Whether a rendered text
//! fits its field is decided in `task`.

use std::collections::BTreeMap;

use super::config::is_api_name;
use crate::map::{Context, Form, Templates, Wanted};
use crate::problem::{CONFIG_BAD_VALUE, Problem, scrub};

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
pub struct Mapping(Templates);

impl Mapping {
    /// The defaults with `overrides` laid over them; an empty template removes a field.
    pub fn new(overrides: &BTreeMap<String, String>, key_field: &str) -> Result<Mapping, Problem> {
        let mut templates: Vec<(String, Form, String)> =
            DEFAULT_MAPPING.iter().map(|(name, text)| ((*name).to_owned(), Form::Text, (*text).to_owned())).collect();
        for (name, text) in overrides {
            check_name(name, key_field)?;
            templates.retain(|(other, _, _)| !other.eq_ignore_ascii_case(name));
            if !text.trim().is_empty() {
                templates.push((name.clone(), Form::Text, text.clone()));
            }
        }
        Ok(Mapping(Templates::new(templates, &[], &["Contact", "Lead"])?))
    }

    /// The fields that have a template.
    pub fn fields(&self) -> &[String] {
        self.0.names()
    }

    /// Whether a template reads what was said or the fields without a place.
    pub fn reads_whole_calls(&self) -> bool {
        self.0.reads_whole_calls()
    }

    pub fn wanted(&self) -> Wanted {
        self.0.wanted()
    }

    /// Each field with its text; blank texts are left out.
    pub fn render(&self, context: &Context) -> Result<Vec<(&str, String)>, Problem> {
        let rendered = self.0.render_all(context)?.into_iter().map(|(name, text)| (name, clean(&text)));
        Ok(rendered.filter(|(_, text)| !text.is_empty()).collect())
    }
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

/// Takes control characters out, but for line ends and tabs, and blanks around.
fn clean(text: &str) -> String {
    let keep = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.trim().chars().filter(keep).collect()
}
