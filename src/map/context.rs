//! What a mapping template can see of a call.
//!
//! Invariant: for a record that people read as text, each string has passed [`single_line`], so that no caller can fake a
//! line of ours; for one that is sent as JSON, texts are as they came. Absent values are left out, so that a template
//! finds them undefined. The structs are the documentation of the names; they are never printed.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;

use super::crm_id;
use crate::model::{Action, Call, Campaign, Direction, Insights, Lead, Recording, Role, Status, Turn};

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
    /// What the configuration of the destination gives its templates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// The record's id at the destination, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
}

/// `call.*`
#[derive(Serialize)]
pub struct CallView {
    /// Trunkline's own identity of the call.
    pub key: String,
    /// The source's own id.
    pub session_id: String,
    /// What goes into a CRM's own field for the call: the session id, or the key where that would not survive.
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
    /// In seconds, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_exact: Option<f64>,
    /// `Inbound`, `Outbound` or `Internal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<&'static str>,
    /// `completed`, `failed` or `missed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The number that was dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialled: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<Campaign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead: Option<Lead>,
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
    /// RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What the source calls an event that is nobody's speech: `function_call`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<bool>,
}

/// `person.*`
#[derive(Serialize)]
pub struct PersonView {
    /// `Contact` or `Lead`.
    pub object: String,
    pub id: String,
}

/// How much is built, and how texts are given.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    /// The costly parts, only if some template asks for them.
    pub turns: bool,
    pub extra: bool,
    /// Texts as they came instead of on one line.
    pub verbatim: bool,
}

impl Wanted {
    fn text(self, text: &str) -> String {
        if self.verbatim { text.to_owned() } else { single_line(text) }
    }

    fn some(self, text: &Option<String>) -> Option<String> {
        text.as_deref().map(|text| self.text(text)).filter(|text| !text.trim().is_empty())
    }
}

/// Builds what the templates see.
pub fn build(call: &Call, person: PersonView, date: Option<Date>, wanted: Wanted) -> Context {
    Context {
        call: view(call, wanted),
        person,
        date: date.map(|date| date.to_string()),
        duration_text: known_duration(call).map(duration_text),
        insights: insight_lines(&call.insights),
        actions: action_lines(&call.actions),
        values: BTreeMap::new(),
        remote_id: None,
    }
}

fn view(call: &Call, wanted: Wanted) -> CallView {
    let duration = known_duration(call).map(f64::round).filter(|seconds| *seconds <= DURATION_SECONDS_MAX);
    let mut turns = Vec::new();
    if wanted.turns {
        turns.extend(call.turns.iter().map(|turn| turn_view(turn, wanted)));
    }
    let mut extra = BTreeMap::new();
    if wanted.extra {
        for (name, raw) in &call.extra {
            let value = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
            extra.insert(name.clone(), if wanted.verbatim { value } else { single_line_value(value) });
        }
    }
    CallView {
        key: call.key.as_str().to_owned(),
        session_id: single_line(&call.source_id),
        call_object: crm_id(call).to_owned(),
        source: call.source.clone(),
        started_at: call.started_at.map(|at| at.to_string()),
        ended_at: call.ended_at.map(|at| at.to_string()),
        duration_seconds: duration.map(|seconds| seconds as i64),
        duration_exact: known_duration(call),
        direction: call.direction.map(direction_text),
        status: call.status,
        dialled: wanted.some(&call.dialled),
        campaign: call.campaign.clone(),
        recording: call.recording.clone(),
        lead: call.lead.as_ref().map(|lead| lead_view(lead, wanted)),
        email: wanted.some(&call.caller.email),
        name: wanted.some(&call.caller.name),
        phone: wanted.some(&call.caller.phone),
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

fn turn_view(turn: &Turn, wanted: Wanted) -> TurnView {
    let detail = turn.detail.as_deref().cloned().unwrap_or_default();
    TurnView {
        role: turn.role,
        text: wanted.text(&turn.text),
        at: turn.at.map(|at| at.to_string()),
        kind: wanted.some(&detail.kind),
        source: wanted.some(&detail.source),
        confidence: detail.confidence,
        interrupted: detail.interrupted,
    }
}

fn lead_view(lead: &Lead, wanted: Wanted) -> Lead {
    let text = |text: &Option<String>| wanted.some(text);
    Lead {
        name: text(&lead.name),
        email: text(&lead.email),
        company: text(&lead.company),
        interest: text(&lead.interest),
        phone: text(&lead.phone),
        job_title: text(&lead.job_title),
        budget: text(&lead.budget),
        timeline: text(&lead.timeline),
        timestamp: text(&lead.timestamp),
        source: text(&lead.source),
        status: text(&lead.status),
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
