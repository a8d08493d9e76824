//! A set of templates, compiled once.

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

use super::context::{Context, Wanted, build};
use super::{filters, names, sample};
use crate::model::Call;
use crate::problem::{CONFIG_BAD_VALUE, MAPPING_FAILED, Problem, nearest, scrub};

/// Steps that one template may take; enough for a call of several hours with every turn in it.
const FUEL: u64 = 2_000_000;

/// What a template's text is, and so how a value is put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is; what is absent is nothing.
    Text,
    /// As JSON: a text with quotes, what is absent as null.
    Json,
    /// Percent-encoded, as part of a URL.
    Url,
}

/// Compiled templates, by name.
pub struct Templates {
    environment: Environment<'static>,
    names: Vec<String>,
    wanted: Wanted,
    /// The names below `values.` that the configuration gives.
    values: Vec<String>,
}

impl Templates {
    /// Compiles them all. Each is tried on a call with every part and on one with none, so that a mistake shows now and not
    /// call by call. `values` are those that stand below `values.`; `objects` are the kinds of person there are.
    pub fn new(
        templates: Vec<(String, Form, String)>,
        values: &[String],
        objects: &[&str],
    ) -> Result<Templates, Problem> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_fuel(Some(FUEL));
        filters::add(&mut environment);
        let forms: std::collections::BTreeMap<String, Form> =
            templates.iter().map(|(name, form, _)| (name.clone(), *form)).collect();
        environment.set_auto_escape_callback(move |name| match forms.get(name) {
            Some(Form::Json) => AutoEscape::Json,
            Some(Form::Url) => AutoEscape::Custom("url".into()),
            _ => AutoEscape::None,
        });
        environment.set_formatter(format);
        let mentions = |word: &str| templates.iter().any(|(_, _, text)| text.contains(word));
        let verbatim = templates.iter().any(|(_, form, _)| *form != Form::Text);
        let wanted = Wanted { turns: mentions("turns"), extra: mentions("extra"), verbatim };
        let mut names = Vec::new();
        for (name, _, text) in templates {
            environment.add_template_owned(name.clone(), text).map_err(|error| bad_template(&name, &error))?;
            names.push(name);
        }
        let templates = Templates { environment, names, wanted, values: values.to_vec() };
        templates.check_names()?;
        templates.try_samples(objects)?;
        Ok(templates)
    }

    /// A name that no call has would be empty in every record, which nobody would notice.
    fn check_names(&self) -> Result<(), Problem> {
        let globals: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
        for field in &self.names {
            let template = self.environment.get_template(field).map_err(|error| bad_template(field, &error))?;
            let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
            used.sort();
            for name in used {
                if let Some(value) = name.strip_prefix("values.") {
                    if !self.values.iter().any(|known| known == value) {
                        let near = nearest(value, self.values.iter().map(String::as_str));
                        return Err(unknown(field, &name, near.map(|near| format!("values.{near}"))));
                    }
                } else if !globals.contains(&name.as_str()) && !names::is_known(&name) {
                    return Err(unknown(field, &name, names::nearest(&name).map(str::to_owned)));
                }
            }
        }
        Ok(())
    }

    fn try_samples(&self, objects: &[&str]) -> Result<(), Problem> {
        const CORRECT: &str = "Correct the template; docs/mapping.md lists filters and names.";
        const GUARD: &str = "Say what stands in for a value that a call lacks, e.g. (call.duration_seconds or 0) / 60.";
        let whole = (sample::call(), "with a sample call", CORRECT);
        let empty = (Call::new("sessions", "sample"), "with a call of which only the session id is known", GUARD);
        for (call, when, help) in [whole, empty] {
            for object in objects {
                let date = call.date_in(&jiff::tz::TimeZone::UTC);
                let mut context = build(&call, sample::person(object), date, self.wanted);
                context.values = self.values.iter().map(|name| (name.clone(), "sample".to_owned())).collect();
                context.remote_id = Some("sample".to_owned());
                let value = Value::from(Serde(context));
                for name in &self.names {
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

    /// In the order in which they were given.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// Whether a template reads what was said or the fields without a place.
    pub fn reads_whole_calls(&self) -> bool {
        self.wanted.turns || self.wanted.extra
    }

    /// What `context` makes of the template `name`.
    pub fn render(&self, name: &str, context: &Context) -> Result<String, Problem> {
        self.render_value(name, Value::from(Serde(context)))
    }

    /// What `context` makes of every template, in order.
    pub fn render_all(&self, context: &Context) -> Result<Vec<(&str, String)>, Problem> {
        let value = Value::from(Serde(context));
        self.names.iter().map(|name| Ok((name.as_str(), self.render_value(name, value.clone())?))).collect()
    }

    fn render_value(&self, name: &str, value: Value) -> Result<String, Problem> {
        let template = self.environment.get_template(name).map_err(|error| failed(name, &error))?;
        template.render(value).map_err(|error| failed(name, &error))
    }
}

fn format(
    out: &mut minijinja::Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    match state.auto_escape() {
        AutoEscape::Custom(name) if name == "url" => {
            let text = if value.is_none() || value.is_undefined() { String::new() } else { value.to_string() };
            let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            out.write_str(&encoded.replace('+', "%20")).map_err(minijinja::Error::from)
        }
        AutoEscape::Json if value.is_undefined() => out.write_str("null").map_err(minijinja::Error::from),
        AutoEscape::None if value.is_none() => Ok(()),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Whether a failure with a sample is the template's own: where it reads what only the source knows the kind of, a sample
/// proves no more than that its filters and functions exist.
fn is_mistake(source: &str, error: &minijinja::Error) -> bool {
    let open = ["extra", "other", "values"].iter().any(|word| source.contains(word));
    let of_a_text = ["utc", "epoch_ms"].iter().any(|word| source.contains(word));
    let unknown = [ErrorKind::UnknownFilter, ErrorKind::UnknownFunction, ErrorKind::UnknownTest];
    !(open || of_a_text) || unknown.contains(&error.kind())
}

fn unknown(field: &str, name: &str, near: Option<String>) -> Problem {
    Problem::new(
        CONFIG_BAD_VALUE,
        format!("the mapping of {field} uses `{}`, which no call has", scrub(name)),
        match near {
            Some(near) => format!("Did you mean `{near}`?"),
            None => "docs/mapping.md lists the names.".to_owned(),
        },
    )
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
