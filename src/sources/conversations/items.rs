//! The items of a chat history to turns and actions, in every form in which these agents wrote them.
//!
//! Invariant: what was said is kept as it was said; an item that says nothing is left out. An action succeeded or failed
//! only where its output says so.

use std::borrow::{Borrow, Cow};
use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::fragments;
use super::lead;
use super::repr::{self, Held};
use super::shape::{Notes, line, plain, present};
use super::times;
use crate::model::{Action, Lead, Role, Turn, TurnDetail};
use crate::sources::wire::{Fields, Kind, Value, one_line, with_object};

const FIELD: &str = "an item";
const TIMES: &[&str] = &["timestamp", "created_at", "time"];
/// The tool with which the agent takes down a lead.
pub(super) const CREATE_LEAD: &str = "create_lead";
/// Longest name of a kind or source that is kept, in characters.
const NAME_MAX: usize = 60;

/// What the items of one file come to.
#[derive(Default)]
pub(super) struct Items {
    pub turns: Vec<Turn>,
    pub actions: Vec<Action>,
    /// What the agent took down as a lead, in order, with the index of its action.
    created: Vec<(usize, Lead)>,
    /// Call ids to actions, so that an output finds its call.
    calls: HashMap<String, usize>,
    recovered: usize,
}

impl Items {
    /// Whether the agent called the tool that takes down a lead.
    pub(super) fn has_create_lead(&self) -> bool {
        self.actions.iter().any(|action| action.tool == CREATE_LEAD)
    }

    /// The leads that were taken down and not refused by the tool.
    pub(super) fn leads(&self) -> impl DoubleEndedIterator<Item = &Lead> {
        let worked = |index: usize| self.actions.get(index).and_then(|action| action.succeeded) != Some(false);
        self.created.iter().filter(move |(index, _)| worked(*index)).map(|(_, lead)| lead)
    }

    fn add(&mut self, fields: &Fields<'_>, zone: &TimeZone, notes: &mut Notes) {
        let kind = line(fields, &["type"]).unwrap_or_else(|| "message".to_owned());
        match kind.as_str() {
            "function_call" | "tool_call" => self.call(fields, &kind, zone),
            "function_call_output" | "tool_call_output" => self.output(fields, &kind, zone, notes),
            "agent_handoff" => {
                let text = line(fields, &["new_agent_id"]).map_or_else(String::new, |agent| format!("to {agent}"));
                self.event(fields, &kind, Role::Other, text, zone);
            }
            "agent_config_update" => {
                let text = line(fields, &["instructions"]).unwrap_or_default();
                self.event(fields, &kind, Role::Other, text, zone);
            }
            _ => self.message(fields, &kind, zone, notes),
        }
    }

    fn event(&mut self, fields: &Fields<'_>, kind: &str, role: Role, text: String, zone: &TimeZone) {
        if text.trim().is_empty() {
            return;
        }
        let mut turn = turn_of(fields, role, text, zone);
        turn.detail_mut().kind = Some(short(kind));
        self.turns.push(turn);
    }

    fn call(&mut self, fields: &Fields<'_>, kind: &str, zone: &TimeZone) {
        let tool = line(fields, &["name", "tool"]).map(|name| one_line(&name)).unwrap_or_default();
        let mut action = Action { tool: tool.clone(), at: times::first(fields, TIMES, zone), ..Action::default() };
        let arguments = fields.get("arguments").or_else(|| fields.get("raw_arguments"));
        if let Some(arguments) = arguments {
            let index = self.actions.len();
            with_object(arguments, |arguments| {
                let told = |name: &str| line(arguments, &[name]).map(|text| one_line(&text));
                action.preferred_date = told("preferred_date");
                action.preferred_time = told("preferred_time");
                action.customer_name = told("customer_name");
                action.customer_email = told("customer_email");
                if tool == CREATE_LEAD {
                    self.created.push((index, lead::of_fields(arguments)));
                }
            });
        }
        if let Some(id) = line(fields, &["call_id"]) {
            self.calls.insert(id, self.actions.len());
        }
        self.actions.push(action);
        let arguments = arguments.map(|value| value.text().unwrap_or_else(|| value.0.get().into())).unwrap_or_default();
        self.event(fields, kind, Role::Tool, format!("{tool}({arguments})"), zone);
    }

    fn output(&mut self, fields: &Fields<'_>, kind: &str, zone: &TimeZone, notes: &mut Notes) {
        let verdict = present(fields, "is_error").and_then(Value::boolean).map(|is_error| !is_error);
        let by_id = line(fields, &["call_id"]).and_then(|id| self.calls.get(&id).copied());
        let by_name = || {
            let name = line(fields, &["name"])?;
            self.actions.iter().rposition(|action| action.tool == name && action.succeeded.is_none())
        };
        if let (Some(index), Some(verdict)) = (by_id.or_else(by_name), verdict) {
            self.actions[index].succeeded = Some(verdict);
        }
        let text = fields.get("output").and_then(|value| spoken(value, notes)).unwrap_or_default();
        self.event(fields, kind, Role::Tool, text, zone);
    }

    fn message(&mut self, fields: &Fields<'_>, kind: &str, zone: &TimeZone, notes: &mut Notes) {
        let named = line(fields, &["role", "speaker"]).unwrap_or_default();
        let mut role = role_of(&named);
        let content = ["content", "text"].iter().find_map(|name| fields.get(name).filter(|value| !value.is_null()));
        let text = content.and_then(|content| spoken(content, notes)).unwrap_or_default();
        let mut turn = turn_of(fields, role, text, zone);
        if turn.text.is_empty()
            && let Some(raw) = line(fields, &["raw"])
        {
            self.recovered += usize::from(recover(&mut turn, &raw, zone));
            role = turn.role;
        }
        let is_fragment = turn.detail().source.as_deref().is_some_and(fragments::is_node);
        if turn.text.is_empty() || (turn.text.trim().is_empty() && !is_fragment) {
            return;
        }
        if kind != "message" {
            turn.detail_mut().kind = Some(short(kind));
        } else if role == Role::Other && !named.is_empty() || named.eq_ignore_ascii_case("developer") {
            turn.detail_mut().kind = Some(short(&named));
        }
        self.turns.push(turn);
    }
}

/// Reads items, whether they come as a list or line by line.
pub(super) fn read<'a, F: Borrow<Fields<'a>>>(
    items: impl IntoIterator<Item = Result<F, Kind>>,
    zone: &TimeZone,
    notes: &mut Notes,
) -> Items {
    let mut out = Items::default();
    for item in items {
        match item {
            Ok(fields) => out.add(fields.borrow(), zone, notes),
            Err(kind) => notes.add(format!("{FIELD} is {kind}: left out")),
        }
    }
    if out.recovered > 0 {
        notes.add(format!("items whose text was recovered from a Python repr: {}", out.recovered));
    }
    out.turns = fragments::joined(std::mem::take(&mut out.turns), notes);
    out
}

fn turn_of(fields: &Fields<'_>, role: Role, text: String, zone: &TimeZone) -> Turn {
    let mut turn = Turn::new(role, text, times::first(fields, TIMES, zone));
    let source = line(fields, &["source"]).map(|source| short(&source));
    let confidence = ["transcript_confidence", "confidence"].iter().find_map(|name| present(fields, name)?.number());
    let confidence = confidence.filter(|confidence| (0.0..=1.0).contains(confidence));
    let interrupted = present(fields, "interrupted").and_then(Value::boolean);
    let detail = TurnDetail { kind: None, source, confidence, interrupted };
    turn.detail = (detail != TurnDetail::default()).then(|| Box::new(detail));
    turn
}

/// Takes over what the Python repr of an item says; whether it says anything.
fn recover(turn: &mut Turn, raw: &str, zone: &TimeZone) -> bool {
    let mut text = None;
    for (name, held) in repr::fields(raw) {
        match (name.as_str(), held) {
            ("content", Held::Texts(texts)) => text = Some(joined(texts.iter().map(String::as_str))),
            ("content" | "text", Held::Text(one)) => text = Some(one),
            ("role", Held::Text(role)) if turn.role == Role::Other => turn.role = role_of(&role),
            ("interrupted", Held::Word(word)) if turn.detail().interrupted.is_none() => {
                turn.detail_mut().interrupted = word.to_ascii_lowercase().parse().ok();
            }
            ("transcript_confidence", Held::Word(word)) if turn.detail().confidence.is_none() => {
                turn.detail_mut().confidence = word.parse().ok().filter(|confidence| (0.0..=1.0).contains(confidence));
            }
            ("created_at" | "timestamp", Held::Word(word)) if turn.at.is_none() => {
                turn.at = times::of_text(&word, zone)
            }
            _ => {}
        }
    }
    turn.text = text.unwrap_or_default();
    !turn.text.trim().is_empty()
}

/// A text, or the texts of a list with a blank between; images and sound are passed over.
fn spoken(content: Value<'_>, notes: &mut Notes) -> Option<String> {
    match content.kind() {
        Kind::Text => Some(content.text()?.into_owned()),
        Kind::List => {
            let parts: Vec<_> = content.items()?.into_iter().filter_map(part).collect();
            Some(joined(parts.iter().map(|part| &**part)))
        }
        Kind::Number | Kind::Boolean => Some(content.scalar()?.into_owned()),
        Kind::Object => part(plain(content)).map(Cow::into_owned),
        kind => {
            notes.add(format!("the content of {FIELD} is {kind}: left out"));
            None
        }
    }
}

fn part(item: Value<'_>) -> Option<Cow<'_, str>> {
    if let Some(text) = item.text() {
        return Some(text);
    }
    let fields = item.fields()?;
    let kind = line(&fields, &["type"]).unwrap_or_default();
    let is_media = kind.contains("image") || kind.contains("audio");
    fields.get("text").filter(|_| !is_media)?.text()
}

fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.filter(|part| !part.trim().is_empty()).collect::<Vec<_>>().join(" ")
}

fn short(name: &str) -> String {
    one_line(name).chars().take(NAME_MAX).collect()
}

fn role_of(name: &str) -> Role {
    let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
    if is(&["user", "caller", "customer"]) {
        Role::User
    } else if is(&["assistant", "agent"]) {
        Role::Assistant
    } else if is(&["system", "developer"]) {
        Role::System
    } else if is(&["tool"]) {
        Role::Tool
    } else {
        Role::Other
    }
}
