//! What a mapping template can see of a call: every value on one line, so that no caller can fake a line of ours.
//!
//! Invariant: each string here has passed [`single_line`]. Absent values are left out, so that a template finds them
//! undefined. The structs are the documentation of the names; they are never printed.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;

use super::existing::call_object;
use crate::destinations::Person;
use crate::model::{Action, Call, Direction, Insights, Role};

/// Longest duration that the standard field takes, in seconds.
const DURATION_SECONDS_MAX: f64 = 99_999_999.0;

/// The names at the top of a template.
#[derive(Serialize)]
pub struct Context {
    pub call: CallView,
    pub person: PersonView,
    /// The call's date in the configured zone, `2025-10-29`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// `15 minutes`, `1 minute`, `45 seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_text: Option<String>,
    /// Ready lines such as `Use Case: sales_proposals`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub insights: Vec<String>,
    /// Ready lines such as `✓ Booked sales meeting for 2025-11-01`, repeats folded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
}

/// `call.*`
#[derive(Serialize)]
pub struct CallView {
    /// Trunkline's own identity of the call.
    pub key: String,
    /// The source's own id.
    pub session_id: String,
    /// What goes into CallObject: the session id, or the key where that would not survive.
    pub call_object: String,
    /// The configured name of the source.
    pub source: String,
    /// RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Rounded to whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
    /// `Inbound`, `Outbound` or `Internal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    pub insights: InsightsView,
    /// What was said; only if a template mentions `turns`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<TurnView>,
    /// Every other field of the source; only if a template mentions `extra`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Value>,
}

/// `call.insights.*`
#[derive(Serialize)]
pub struct InsightsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_case: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_size: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pain_points: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration_interest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<String>,
    /// Further findings by the source's own name.
    pub other: BTreeMap<String, String>,
}

/// `call.turns[]`
#[derive(Serialize)]
pub struct TurnView {
    /// `user`, `assistant`, `system`, `tool` or `other`.
    pub role: Role,
    pub text: String,
}

/// `person.*`
#[derive(Serialize)]
pub struct PersonView {
    /// `Contact` or `Lead`.
    pub object: String,
    pub id: String,
}

/// The costly parts that are built only if some template asks for them.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    pub turns: bool,
    pub extra: bool,
}

/// Builds what the templates see.
pub fn build(call: &Call, person: &Person, date: Option<Date>, wanted: Wanted) -> Context {
    Context {
        call: view(call, wanted),
        person: PersonView { object: person.object.clone(), id: person.id.clone() },
        date: date.map(|date| date.to_string()),
        duration_text: known_duration(call).map(duration_text),
        insights: insight_lines(&call.insights),
        actions: action_lines(&call.actions),
    }
}

fn view(call: &Call, wanted: Wanted) -> CallView {
    let duration = known_duration(call).map(f64::round).filter(|seconds| *seconds <= DURATION_SECONDS_MAX);
    let mut turns = Vec::new();
    if wanted.turns {
        turns.extend(call.turns.iter().map(|turn| TurnView { role: turn.role, text: single_line(&turn.text) }));
    }
    let mut extra = BTreeMap::new();
    if wanted.extra {
        for (name, raw) in &call.extra {
            let value = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
            extra.insert(name.clone(), single_line_value(value));
        }
    }
    CallView {
        key: call.key.as_str().to_owned(),
        session_id: single_line(&call.source_id),
        call_object: call_object(call).to_owned(),
        source: call.source.clone(),
        started_at: call.started_at.map(|at| at.to_string()),
        ended_at: call.ended_at.map(|at| at.to_string()),
        duration_seconds: duration.map(|seconds| seconds as i64),
        direction: call.direction.map(direction_text),
        email: line_of(&call.caller.email),
        name: line_of(&call.caller.name),
        phone: line_of(&call.caller.phone),
        insights: InsightsView {
            use_case: line_of(&call.insights.use_case),
            team_size: line_of(&call.insights.team_size),
            pain_points: lines_of(&call.insights.pain_points),
            integration_interest: line_of(&call.insights.integration_interest),
            timeline: line_of(&call.insights.timeline),
            other: call.insights.other.iter().map(|(name, text)| (single_line(name), single_line(text))).collect(),
        },
        turns,
        extra,
    }
}

fn known_duration(call: &Call) -> Option<f64> {
    // Eight digits are what CallDurationInSeconds holds; more is no duration of a call.
    call.duration_s.filter(|seconds| seconds.is_finite() && (0.0..=99_999_999.0).contains(seconds))
}

fn direction_text(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "Inbound",
        Direction::Outbound => "Outbound",
        Direction::Internal => "Internal",
    }
}

/// Whole minutes rounded down, or seconds below one minute.
fn duration_text(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (count, unit) = if seconds < 60 { (seconds, "second") } else { (seconds / 60, "minute") };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn insight_lines(insights: &Insights) -> Vec<String> {
    let pain_points = lines_of(&insights.pain_points);
    let rows = [
        ("Use Case", line_of(&insights.use_case)),
        ("Team Size", line_of(&insights.team_size)),
        ("Pain Points", (!pain_points.is_empty()).then(|| pain_points.join(", "))),
        ("Integration Interest", line_of(&insights.integration_interest)),
        ("Timeline", line_of(&insights.timeline)),
    ];
    rows.into_iter().filter_map(|(label, text)| Some(format!("{label}: {}", text?))).collect()
}

/// Different actions that are told; a Description holds fewer.
const ACTION_LINES_MAX: usize = 1000;

fn action_lines(actions: &[Action]) -> Vec<String> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut folded: Vec<(String, usize)> = Vec::new();
    for line in actions.iter().filter_map(action_line) {
        match places.get(&line) {
            Some(&place) => folded[place].1 += 1,
            None if folded.len() < ACTION_LINES_MAX => {
                places.insert(line.clone(), folded.len());
                folded.push((line, 1));
            }
            None => {}
        }
    }
    let show = |(line, count)| if count == 1 { line } else { format!("{line} ({count} times)") };
    folded.into_iter().map(show).collect()
}

fn action_line(action: &Action) -> Option<String> {
    let tool = single_line(&action.tool);
    let failed = action.succeeded == Some(false);
    let date = || line_of(&action.preferred_date).unwrap_or_else(|| "TBD".to_owned());
    Some(match (tool.as_str(), failed) {
        ("", _) => return None,
        ("book_sales_meeting", false) => format!("✓ Booked sales meeting for {}", date()),
        ("book_sales_meeting", true) => format!("✗ Sales meeting not booked (asked for {})", date()),
        ("send_product_documentation" | "send_documentation", false) => "✓ Sent product documentation".to_owned(),
        ("send_product_documentation" | "send_documentation", true) => "✗ Product documentation not sent".to_owned(),
        (other, false) => format!("✓ {other}"),
        (other, true) => format!("✗ {other}"),
    })
}

fn line_of(text: &Option<String>) -> Option<String> {
    text.as_deref().map(single_line).filter(|line| !line.is_empty())
}

fn lines_of(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| single_line(text)).filter(|line| !line.is_empty()).collect()
}

/// Puts a text on one line: line ends and control characters become one blank.
pub fn single_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if !text.contains(breaks) {
        return text.trim().to_owned();
    }
    text.split(breaks).map(str::trim).filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join(" ")
}

fn single_line_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(single_line(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(single_line_value).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(name, value)| (single_line(&name), single_line_value(value))).collect())
        }
        other => other,
    }
}
