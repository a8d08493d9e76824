//! The requests as templates: compiled once, rendered for each call.

use jiff::civil::Date;
use serde_json::{Map, Value};

use super::config::{Ask, Section};
use crate::destinations::{Mapped, Outcome, Person};
use crate::map::{Context, Form, PersonView, Templates, build, phone, sample};
use crate::model::{Call, CallKey};
use crate::problem::{CONFIG_BAD_VALUE, MAPPING_FAILED, Problem};
use crate::redact::RedactedCall;

pub struct Requests {
    /// Of the destination.
    name: String,
    templates: Templates,
    values: std::collections::BTreeMap<String, String>,
    object: String,
    has_update: bool,
    probe: bool,
}

/// The longest e-mail address that mail knows.
const EMAIL_BYTES_MAX: usize = 254;

/// One question, rendered.
#[derive(Clone)]
pub struct Put {
    pub path: String,
    pub body: Option<Vec<u8>>,
    /// Whom or which call the answer has to name.
    pub is: String,
}

impl Requests {
    pub fn new(name: &str, section: &Section) -> Result<Requests, Problem> {
        let mut templates = vec![
            ("create.path".to_owned(), Form::Url, section.create.path.clone()),
            ("create.body".to_owned(), Form::Json, section.create.body.clone()),
        ];
        if let Some(update) = &section.update {
            templates.push(("update.path".to_owned(), Form::Url, update.path.clone()));
            templates.push(("update.body".to_owned(), Form::Json, update.body.clone()));
        }
        let mut add = |name: &str, ask: &Option<Ask>| {
            let Some(ask) = ask else { return };
            templates.push((format!("{name}.path"), Form::Url, ask.path.clone()));
            templates.push((format!("{name}.key_is"), Form::Text, ask.key_is.clone()));
            templates.extend(ask.body.clone().map(|body| (format!("{name}.body"), Form::Json, body)));
            templates.extend(ask.probe.clone().map(|path| (format!("{name}.probe"), Form::Url, path)));
        };
        add("person", &section.person);
        add("look_up", &section.look_up);
        let values: Vec<String> = section.values.keys().cloned().collect();
        let object = section.person.as_ref().map_or_else(String::new, |ask| ask.object.clone());
        let templates = Templates::new(templates, &values, &[&object])
            .map_err(|problem| Problem { what: format!("[rest.{name}]: {}", problem.what), ..problem })?;
        let requests = Requests {
            name: name.to_owned(),
            templates,
            values: section.values.clone(),
            object: section.create.path.clone(),
            has_update: section.update.is_some(),
            probe: section.look_up.as_ref().is_some_and(|ask| ask.probe.is_some()),
        };
        requests.try_bodies(&object)?;
        Ok(requests)
    }

    /// A body that is no JSON for a sample would be none for every call.
    fn try_bodies(&self, person: &str) -> Result<(), Problem> {
        let person = sample::person(person);
        let person = Person { object: person.object, id: person.id };
        let samples = [
            (sample::call(), "for a sample call"),
            (Call::new("sessions", "sample"), "for a call of which only the session id is known"),
        ];
        for (call, when) in samples {
            let mut context = self.context(&call, &person, None);
            context.remote_id = Some("sample".to_owned());
            for name in self.templates.names().iter().filter(|name| name.ends_with(".body")) {
                // What cannot be rendered with a sample at all was judged when it was compiled.
                let Ok(text) = self.templates.render(name, &context) else { continue };
                if !matches!(serde_json::from_str(&text), Ok(Value::Object(_))) {
                    let what = format!("[rest.{}]: {name} is no JSON object {when}", self.name);
                    let help = "in a body, {{ value }} is written as JSON, with quotes of its own where it is a text: take \
                                quotes around it away, and give every value a comma before the next";
                    return Err(Problem::new(CONFIG_BAD_VALUE, what, help));
                }
            }
        }
        Ok(())
    }

    pub fn reads_whole_calls(&self) -> bool {
        self.templates.reads_whole_calls()
    }

    fn context(&self, call: &Call, person: &Person, date: Option<Date>) -> Context {
        let view = PersonView { object: person.object.clone(), id: person.id.clone() };
        let mut context = build(call, view, date, self.templates.wanted());
        context.values = self.values.clone();
        context
    }

    pub fn map(
        &self,
        call: &RedactedCall,
        person: &Person,
        date: Option<Date>,
        keep_nulls: bool,
    ) -> Result<Mapped, Problem> {
        let context = self.context(call.call(), person, date);
        let create = self.body("create.body", &context, keep_nulls)?;
        let update = if self.has_update { self.body("update.body", &context, keep_nulls)? } else { Map::new() };
        Ok(Mapped { object: self.object.clone(), create, update, person: Map::new(), notes: Vec::new() })
    }

    fn body(&self, name: &str, context: &Context, keep_nulls: bool) -> Result<Map<String, Value>, Problem> {
        let text = self.templates.render(name, context)?;
        // Its own position and message would quote what a caller said.
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            not_json(name, &format!("is no JSON once rendered (line {}, column {})", error.line(), error.column()))
        })?;
        let Value::Object(mut body) = value else { return Err(not_json(name, "is no JSON object once rendered")) };
        if !keep_nulls {
            prune(&mut body);
        }
        Ok(body)
    }

    /// Where a record of this key is written.
    pub fn path(&self, key: &CallKey, remote_id: Option<&str>) -> Result<String, Problem> {
        let mut call = Call::new("", "");
        call.key = key.clone();
        let mut context = self.context(&call, &super::no_person(), None);
        context.remote_id = remote_id.map(str::to_owned);
        self.templates.render(if remote_id.is_some() { "update.path" } else { "create.path" }, &context)
    }

    /// The path of the question that shows whether a look-up is offered.
    pub fn probe(&self) -> Result<Option<String>, Outcome> {
        if !self.probe {
            return Ok(None);
        }
        let context = self.context(&Call::new("", ""), &super::no_person(), None);
        self.templates.render("look_up.probe", &context).map(Some).map_err(|problem| Outcome::Hold { problem })
    }

    /// The question for the caller; `None` if neither an e-mail address nor a phone number is known that can be asked for.
    pub fn person(&self, call: &RedactedCall, date: Option<Date>) -> Result<Option<Put>, Problem> {
        let mut context = self.context(call.call(), &super::no_person(), date);
        context.call.email = context.call.email.map(|text| text.trim().to_owned()).filter(|text| is_address(text));
        context.call.phone = context.call.phone.and_then(|text| phone(&text));
        if context.call.email.is_none() && context.call.phone.is_none() {
            return Ok(None);
        }
        self.question("person", &context).map(Some)
    }

    pub fn look_up(&self, call: &RedactedCall, date: Option<Date>) -> Result<Put, Problem> {
        self.question("look_up", &self.context(call.call(), &super::no_person(), date))
    }

    fn question(&self, name: &str, context: &Context) -> Result<Put, Problem> {
        let path = self.templates.render(&format!("{name}.path"), context)?;
        let body = format!("{name}.body");
        let body = match self.templates.names().contains(&body) {
            true => Some(Value::Object(self.body(&body, context, false)?).to_string().into_bytes()),
            false => None,
        };
        let is = self.templates.render(&format!("{name}.key_is"), context)?;
        Ok(Put { path, body, is: is.trim().to_owned() })
    }
}

/// Whether a text can be somebody's e-mail address at all; what is not would be refused as a question.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty());
    parts.is_some() && text.len() <= EMAIL_BYTES_MAX && !text.chars().any(char::is_control)
}

fn not_json(name: &str, what: &str) -> Problem {
    Problem::new(
        MAPPING_FAILED,
        format!("the template {name} {what}"),
        "Correct the template, try it with --dry-run, then run `trunkline retry` for this call.",
    )
}

/// Takes out nulls, and objects and lists that are empty only without them.
fn prune(body: &mut Map<String, Value>) {
    body.retain(|_, value| keep(value));
}

fn keep(value: &mut Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(inner) => {
            let was_empty = inner.is_empty();
            prune(inner);
            was_empty || !inner.is_empty()
        }
        Value::Array(items) => {
            let was_empty = items.is_empty();
            items.retain_mut(keep);
            was_empty || !items.is_empty()
        }
        _ => true,
    }
}
