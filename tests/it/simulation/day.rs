//! A day of calls: when each ends, which files tell of it, and what the CRM must show of it in the end.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};
use trunkline::sim::salesforce::Org;

/// People of each kind.
const PEOPLE: usize = 60;

/// Who is called in the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Contact(usize),
    Lead(usize),
    Unknown,
    NoEmail,
}

/// One conversation.
pub struct Planned {
    pub session: String,
    pub who: Who,
    pub email: Option<String>,
    pub started: Timestamp,
    pub seconds: i64,
    pub revisions: u32,
}

/// A file at a time.
pub struct Put {
    pub at: Timestamp,
    pub key: String,
    pub bytes: Vec<u8>,
    /// `None`: no session can be read from it.
    pub call: Option<(usize, u32)>,
}

/// When the fresh call is put: the faults have ended, and what they left has had its time.
pub const FRESH_AT: SignedDuration = SignedDuration::from_hours(21);

pub struct Day {
    /// The last one is the fresh one, which comes after all that.
    pub calls: Vec<Planned>,
    /// By time.
    pub puts: Vec<Put>,
}

impl Day {
    pub fn invent(random: &mut StdRng, midnight: Timestamp, count: usize, busy: SignedDuration) -> Day {
        let (mut calls, mut puts) = (Vec::with_capacity(count), Vec::new());
        for index in 0..count {
            let call = invent(random, midnight, index, busy);
            let ended = call.started + SignedDuration::from_secs(call.seconds + 5);
            let name = format!("{index:05}");
            for revision in 1..=call.revisions {
                let at = if revision == 1 {
                    ended
                } else {
                    ended + SignedDuration::from_secs(random.random_range(1..3 * 3600))
                };
                puts.push(put(at, midnight, &name, document(&call, index, revision), Some((index, revision))));
            }
            // The same once more under another name: at-least-once exporters do that.
            if random.random_bool(0.03) {
                let at = ended + SignedDuration::from_secs(random.random_range(0..600));
                puts.push(put(at, midnight, &format!("{name}-again"), document(&call, index, 1), Some((index, 1))));
            }
            if random.random_bool(0.01) {
                puts.push(put(ended, midnight, &format!("{name}-broken"), b"{\"session_id\": ".to_vec(), None));
            }
            calls.push(call);
        }
        let fresh = Planned {
            session: "fresh".to_owned(),
            who: Who::Contact(0),
            email: Some(contact(0)),
            started: midnight + FRESH_AT - SignedDuration::from_secs(65),
            seconds: 60,
            revisions: 1,
        };
        let at = midnight + FRESH_AT;
        puts.push(put(at, midnight, "fresh", document(&fresh, count, 1), Some((count, 1))));
        calls.push(fresh);
        // A copy must not be the last word on a call that has more to say.
        let last: Vec<Timestamp> = (0..calls.len())
            .map(|index| {
                let of_call =
                    puts.iter().filter(|put| put.call.is_some_and(|(call, revision)| call == index && revision == 1));
                of_call.map(|put| put.at).max().unwrap_or(midnight)
            })
            .collect();
        for put in &mut puts {
            if let Some((index, revision)) = put.call.filter(|(_, revision)| *revision > 1) {
                put.at = put.at.max(last[index] + SignedDuration::from_secs(i64::from(revision) * 2));
            }
        }
        puts.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        Day { calls, puts }
    }
}

fn put(at: Timestamp, midnight: Timestamp, name: &str, bytes: Vec<u8>, call: Option<(usize, u32)>) -> Put {
    let day = date(midnight);
    let key = format!("sessions/year={:04}/month={:02}/day={:02}/{name}.json", day.year(), day.month(), day.day());
    Put { at, key, bytes, call }
}

pub fn date(at: Timestamp) -> Date {
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn invent(random: &mut StdRng, midnight: Timestamp, index: usize, busy: SignedDuration) -> Planned {
    let who = match random.random_range(0..100) {
        0..60 => Who::Contact(random.random_range(0..PEOPLE)),
        60..88 => Who::Lead(random.random_range(0..PEOPLE)),
        88..95 => Who::Unknown,
        _ => Who::NoEmail,
    };
    let email = match who {
        Who::Contact(number) => Some(contact(number)),
        Who::Lead(number) => Some(lead(number)),
        Who::Unknown => Some(format!("nobody{index}@example.org")),
        Who::NoEmail => None,
    };
    // Two ids in fifty differ from another one in nothing but case or a blank at the end.
    let session = match index % 50 {
        48 => format!("S{:04}x", index - 1),
        47 => format!("s{index:04}x"),
        49 => format!("s{:04}x-", index - 2),
        _ => format!("s{index:04}"),
    };
    let at = random.random_range(0..busy.as_secs());
    Planned {
        session,
        who,
        email,
        started: midnight + SignedDuration::from_secs(at),
        seconds: random.random_range(5..1800),
        revisions: if random.random_bool(0.1) { 2 } else { 1 },
    }
}

fn contact(number: usize) -> String {
    // Quotes and case must not matter.
    if number % 20 == 7 { format!("O'Neil{number}@example.com") } else { format!("caller{number}@example.com") }
}

fn lead(number: usize) -> String {
    format!("lead{number}@example.com")
}

/// What an agent's export says of a call in this revision.
fn document(call: &Planned, index: usize, revision: u32) -> Vec<u8> {
    let mut document = json!({
        "session_id": call.session,
        "start_time": call.started.to_string(),
        "duration_seconds": call.seconds,
        "discovered_signals": { "use_case": use_case(index, revision) },
        "tool_calls": [],
        "transcript": [{ "role": "user", "content": "my card is 4111 1111 1111 1111" }, { "role": "agent", "content": "thank you" }],
    });
    if let Some(email) = &call.email {
        document["user_email"] = json!(email);
    }
    document.to_string().into_bytes()
}

pub fn use_case(index: usize, revision: u32) -> String {
    format!("case {index} as told {revision} times")
}

/// Puts everybody into the org; the ids by kind and number.
pub fn people(org: &Org) -> (Vec<String>, Vec<String>) {
    let contacts = (0..PEOPLE)
        .map(|number| {
            org.insert("Contact", json!({ "LastName": format!("Caller {number}"), "Email": contact(number) }))
        })
        .collect();
    let leads = (0..PEOPLE)
        .map(|number| {
            org.insert(
                "Lead",
                json!({ "LastName": format!("Lead {number}"), "Company": "Example", "Email": lead(number) }),
            )
        })
        .collect();
    (contacts, leads)
}

/// The Task that must stand in the end.
pub fn expected_task(call: &Planned, index: usize, person: &str, zone: &jiff::tz::TimeZone) -> Map<String, Value> {
    let date = call.started.to_zoned(zone.clone()).date().to_string();
    let (count, unit) = if call.seconds < 60 { (call.seconds, "second") } else { (call.seconds / 60, "minute") };
    let plural = if count == 1 { "" } else { "s" };
    let description = format!(
        "Voice AI Call Summary\nDuration: {count} {unit}{plural}\nSession ID: {}\n\nDiscovered Information:\n• Use Case: {}",
        call.session,
        use_case(index, call.revisions)
    );
    let fields = json!({
        "Subject": format!("Voice AI Call - {date}"),
        "ActivityDate": date,
        "WhoId": person,
        "Status": "Completed",
        "TaskSubtype": "Call",
        "CallDurationInSeconds": call.seconds,
        "CallObject": call.session,
        "Description": description,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
