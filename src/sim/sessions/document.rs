//! One invented session as the JSON document that an exporter writes, in each of the four shapes found in the field.
//!
//! Invariant: what a shape leaves out, the truth leaves out as well.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use serde_json::{Map, Value, json};

use super::people::{self, Who};
use super::speech::{self, Chance};
use super::{Plan, Truth};

/// The shapes that session files have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Nine fields: nobody's address, no transcript.
    First,
    /// With an address and costs.
    Second,
    /// With a transcript.
    Third,
    /// As the exporter's documentation shows it: zoned times, sizes as ranges, `meeting_booked`.
    Documented,
}

/// A document before it is stored.
pub(super) struct Draft {
    pub session_id: String,
    pub document: Vec<u8>,
    pub truth: Truth,
}

pub(super) fn draft(plan: &Plan, index: usize, revision: u32) -> Draft {
    let mut chance = Chance::new(plan.seed, index as u64, 2);
    let (mut who, mut email) = people::caller(plan, index);
    let generation = match (chance.below(100), &who) {
        (0..50, Who::NoEmail) => Generation::First,
        (0..15, _) => Generation::Second,
        (15..25, _) => Generation::Documented,
        _ => Generation::Third,
    };
    if generation == Generation::First {
        (who, email) = (Who::NoEmail, None);
    }
    let start = plan.date.at(0, 0, 0, 0)
        + (chance.below(80_000) as i64).seconds()
        + (chance.below(1_000_000) as i64).microseconds();
    let length = SignedDuration::from_micros(20_000_000 + chance.below(900_000_000) as i64);
    let session_id = format!("trial_{}_{}", utc(start).as_millisecond(), token(&mut chance, index));
    let mut truth = Truth {
        email,
        who,
        revision,
        generation,
        started_at: utc(start),
        duration_s: length.as_secs_f64(),
        tool_calls: 0,
        meeting_booked: false,
        turns: 0,
        use_case: Some(speech::use_case(&mut chance).to_owned()),
        team_size: Some((2 + chance.below(300)).to_string()).filter(|_| chance.below(4) > 0),
        pain_points: Vec::new(),
        document_bytes: 0,
    };
    let pains = chance.index(4) + (revision as usize - 1);
    truth.pain_points = speech::pain_points(&mut chance, pains);
    if generation == Generation::Documented {
        truth.team_size = truth.team_size.map(|_| "10-50".to_owned());
    }
    let document = fields(&session_id, start, length, &mut truth, &mut chance);
    // An object of texts and numbers always serialises.
    let document = serde_json::to_vec_pretty(&document).expect("a JSON value");
    truth.document_bytes = document.len();
    Draft { session_id, document, truth }
}

fn fields(
    session_id: &str,
    start: DateTime,
    length: SignedDuration,
    truth: &mut Truth,
    chance: &mut Chance,
) -> Map<String, Value> {
    let generation = truth.generation;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("session_id", json!(session_id));
    put("start_time", json!(stamp(start, generation)));
    put("end_time", json!(stamp(start + length, generation)));
    put("duration_seconds", json!(length.as_secs_f64()));
    put("discovered_signals", signals(truth, chance));
    put("tool_calls", tool_calls(start, truth, chance));
    put("metrics_summary", json!({}));
    put("conversation_notes", json!([]));
    put("conversation_state", json!(chance.pick(&["GREETING", "DISCOVERY", "CLOSING"])));
    if generation != Generation::First {
        let written = truth.email.as_deref().map(|email| people::as_written(email, chance)).unwrap_or_default();
        let nested = chance.below(10) == 0;
        let metadata = if nested { json!({"user_email": written, "utm_source": "spring"}) } else { json!({}) };
        put("user_email", if nested { json!("") } else { json!(written) });
        put("user_metadata", metadata);
        put("cost_summary", costs(chance));
        put("consent_obtained", json!(false));
        put("consent_timestamp", Value::Null);
    }
    if matches!(generation, Generation::Third | Generation::Documented) {
        let (turns, text) = transcript(truth, chance);
        put("transcript", turns);
        put("transcript_text", json!(text));
    }
    fields
}

fn signals(truth: &Truth, chance: &mut Chance) -> Value {
    let number = |text: &String| text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number));
    json!({
        "team_size": truth.team_size.as_ref().map_or(json!(0), number),
        "monthly_volume": chance.below(3) * 40,
        "integration_needs": if chance.below(3) == 0 { json!(["crm", "billing"]) } else { json!([]) },
        "urgency": Value::Null,
        "qualification_tier": Value::Null,
        "industry": Value::Null,
        "location": Value::Null,
        "use_case": truth.use_case,
        "current_tool": Value::Null,
        "pain_points": truth.pain_points,
        "decision_timeline": if chance.below(2) == 0 { json!("next quarter") } else { Value::Null },
        "budget_authority": Value::Null,
        "team_structure": Value::Null,
    })
}

fn tool_calls(start: DateTime, truth: &mut Truth, chance: &mut Chance) -> Value {
    let mut calls = Vec::new();
    for step in 0..chance.below(4) {
        calls.push(json!({
            "tool": "unleash_search_knowledge",
            "query": speech::use_case(chance),
            "category": Value::Null,
            "timestamp": stamp(start + (20 * (step as i64 + 1)).seconds(), truth.generation),
            "results_found": true,
            "total_results": chance.below(6),
        }));
    }
    if chance.below(4) == 0 {
        truth.meeting_booked = chance.below(5) > 0;
        let mut details = json!({
            "customer_name": people::full_name(chance),
            "customer_email": truth.email,
            "preferred_date": "next Tuesday",
            "preferred_time": "10:30",
        });
        calls.push(if truth.generation == Generation::Documented {
            json!({"tool": "book_sales_meeting", "arguments": details, "meeting_booked": truth.meeting_booked,
                "result": {"success": truth.meeting_booked}, "duration_ms": 412, "error": Value::Null,
                "timestamp": stamp(start, truth.generation)})
        } else {
            details["tool"] = json!("book_sales_meeting");
            details["success"] = json!(truth.meeting_booked);
            details["timestamp"] = json!(stamp(start, truth.generation));
            details
        });
    }
    truth.tool_calls = calls.len();
    json!(calls)
}

fn costs(chance: &mut Chance) -> Value {
    let voice = chance.pick(&["cartesia", "elevenlabs"]);
    json!({
        "openai_tokens": chance.below(90_000), "openai_cost": 0.0123, "deepgram_minutes": 3.7, "deepgram_cost": 0.0003,
        format!("{voice}_characters"): chance.below(9000), format!("{voice}_cost"): 0.02, "unleash_searches": 1,
        "total_estimated_cost": 0.0326,
    })
}

/// Turns of very different number, so that documents are of very different size.
fn transcript(truth: &mut Truth, chance: &mut Chance) -> (Value, String) {
    let count = match chance.below(10) {
        0 => 0,
        1..=6 => 14 + chance.below(50),
        _ => 50 + chance.below(85),
    } + 2 * u64::from(truth.revision - 1);
    let (mut turns, mut text) = (Vec::new(), String::new());
    for turn in 0..count {
        let role = if turn % 2 == 0 { "assistant" } else { "user" };
        let said = speech::speech(chance);
        text.push_str(&format!("{}: {said}\n", role.to_uppercase()));
        turns.push(json!({"role": role, "content": said}));
    }
    truth.turns = turns.len();
    (json!(turns), text)
}

fn stamp(at: DateTime, generation: Generation) -> String {
    let text = format!("{at:.6}");
    if generation == Generation::Documented { format!("{text}Z") } else { text }
}

fn utc(at: DateTime) -> jiff::Timestamp {
    at.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).unwrap_or_default()
}

/// Six letters or digits that differ for each index.
fn token(chance: &mut Chance, index: usize) -> String {
    let mut number = (index as u64 * 36 * 36) + chance.below(36 * 36);
    let mut out = String::with_capacity(6);
    while number > 0 || out.len() < 6 {
        out.push(char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]));
        number /= 36;
    }
    out
}
