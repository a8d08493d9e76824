//! A small invented day: who is in the org, and what the agent's sessions say. For `trunkline demo`.
//!
//! It holds one of each: a Contact, a Lead, a converted Lead, duplicates, an odd address, a Task that an earlier script
//! made, nobody, no address, the same session twice, and a damaged file.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::salesforce::Org;

/// Puts the people into an empty org, and one Task as an earlier script would have made it.
pub fn seed(org: &Org, day: Date) {
    let account = |name: &str| org.insert("Account", json!({ "Name": name }));
    let contact = |first: &str, last: &str, email: &str, account: &str, modified: &str| {
        org.insert("Contact", json!({
            "FirstName": first, "LastName": last, "Email": email, "AccountId": account, "LastModifiedDate": modified,
        }))
    };
    let (northwind, lakeside, harbor) =
        (account("Northwind Proposals"), account("Lakeside Legal"), account("Harbor Freight Forwarding"));
    contact("Ada", "Moreau", "ada.moreau@example.com", &northwind, "2025-09-02T09:00:00Z");
    contact("Ben", "Okafor", "Ben.Okafor@Example.com", &lakeside, "2025-08-11T09:00:00Z");
    contact("Chris", "Lindqvist", "chris@example.org", &lakeside, "2024-03-01T09:00:00Z");
    contact("Christina", "Lindqvist", "chris@example.org", &harbor, "2025-10-20T09:00:00Z");
    contact("Grace", "O'Neil", "grace.o'neil@example.com", &harbor, "2025-10-01T09:00:00Z");
    let fay = contact("Fay", "Adeyemi", "fay@example.com", &northwind, "2025-10-05T09:00:00Z");
    let dana = contact("Dana", "Ruiz", "dana.new@example.com", &harbor, "2025-10-06T09:00:00Z");
    org.insert(
        "Lead",
        json!({ "FirstName": "Emil", "LastName": "Sato", "Company": "Sato Ceramics", "Email": "emil@example.org" }),
    );
    org.insert("Lead", json!({
        "FirstName": "Dana", "LastName": "Ruiz", "Company": "Harbor Freight Forwarding", "Email": "dana@example.com",
        "IsConverted": true, "ConvertedContactId": dana, "ConvertedAccountId": harbor,
    }));
    org.insert("Task", json!({
        "Subject": format!("Voice AI Call - {day}"), "WhoId": fay, "Status": "Completed", "ActivityDate": day.to_string(),
        "Description": "Voice AI Call Summary\nDuration: 6 minutes\nSession ID: demo_fay\n\n(written by the script that ran before)",
    }));
}

/// Writes the day's session files under `folder`, in the layout that the exports have.
pub fn write_sessions(folder: &Path, day: Date) -> io::Result<()> {
    let place = folder.join(format!("year={:04}/month={:02}/day={:02}", day.year(), day.month(), day.day()));
    fs::create_dir_all(&place)?;
    for (name, session) in sessions(day) {
        fs::write(place.join(format!("{name}.json.gz")), gzip(&session)?)?;
    }
    let whole = gzip(&session(day, "demo_truncated", "ada.moreau@example.com", "16:00:00", 300))?;
    fs::write(place.join("demo_truncated.json.gz"), &whole[..whole.len() / 2])
}

fn gzip(session: &Value) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(serde_json::to_string_pretty(session)?.as_bytes())?;
    encoder.finish()
}

fn sessions(day: Date) -> Vec<(&'static str, Value)> {
    let mut ada = session(day, "demo_ada", "ada.moreau@example.com", "09:15:02", 912);
    ada["discovered_signals"] = json!({
        "use_case": "sales_proposals", "team_size": "10-50",
        "pain_points": ["manual contract creation", "slow approval process"],
        "integration_interest": "Salesforce", "timeline": "this quarter",
    });
    ada["tool_calls"] = json!([
        { "tool": "book_sales_meeting", "timestamp": format!("{day}T09:28:10"), "preferred_date": day.saturating_add(jiff::Span::new().days(3)).to_string(),
          "preferred_time": "14:00", "customer_name": "Ada Moreau", "customer_email": "ada.moreau@example.com", "meeting_booked": true },
        { "tool": "send_product_documentation", "timestamp": format!("{day}T09:29:40") },
    ]);
    let mut again = session(day, "demo_ada_again", "ADA.Moreau@example.com", "15:40:00", 38);
    again["tool_calls"] =
        json!([{ "tool": "unleash_search_knowledge", "query": "price list", "timestamp": format!("{day}T15:40:20") }]);
    let mut ben = session(day, "demo_ben", "ben.okafor@example.com", "10:02:00", 425);
    ben["discovered_signals"] =
        json!({ "use_case": "engagement letters", "team_size": 12, "pain_points": "version chaos" });
    let mut emil = session(day, "demo_emil", "emil@example.org", "11:20:00", 601);
    emil["tool_calls"] =
        json!([{ "tool": "book_sales_meeting", "timestamp": format!("{day}T11:29:00"), "meeting_booked": true }]);
    let mut nobody = session(day, "demo_nobody", "someone.new@example.net", "12:45:00", 333);
    nobody["discovered_signals"] = json!({ "use_case": "quotes", "timeline": "next year" });
    vec![
        ("demo_ada", ada),
        ("demo_ada_again", again),
        ("demo_ben", ben.clone()),
        ("demo_ben_exported_twice", ben),
        ("demo_chris", session(day, "demo_chris", "chris@example.org", "13:05:00", 1270)),
        ("demo_dana", session(day, "demo_dana", "dana@example.com", "13:30:00", 215)),
        ("demo_emil", emil),
        ("demo_fay", session(day, "demo_fay", "fay@example.com", "14:00:00", 377)),
        ("demo_grace", session(day, "demo_grace", "grace.o'neil@example.com", "14:20:00", 184)),
        ("demo_no_address", session(day, "demo_no_address", "", "14:50:00", 71)),
        ("demo_nobody", nobody),
    ]
}

fn session(day: Date, id: &str, email: &str, start: &str, seconds: i64) -> Value {
    let start: jiff::civil::Time = start.parse().unwrap_or(jiff::civil::Time::midnight());
    let begin = day.to_datetime(start);
    let end = begin.saturating_add(jiff::Span::new().seconds(seconds));
    json!({
        "session_id": id,
        "user_email": email,
        "start_time": begin.to_string(),
        "end_time": end.to_string(),
        "duration_seconds": seconds as f64,
        "discovered_signals": {},
        "tool_calls": [],
        "metrics_summary": {},
        "transcript": [
            { "role": "assistant", "content": "Hello, you are talking to the voice assistant. How can I help?" },
            { "role": "user", "content": "I would like to hear how this works for a team like ours." },
        ],
    })
}
