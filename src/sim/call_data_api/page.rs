//! The page at `/`: the calls that came in, newest first, with their leads.
//!
//! Everything in a payload is hostile, so every value passes through [`escape`].

use std::fmt::Write;

use serde_json::Value;

/// Newest calls shown.
const CALLS_MAX: usize = 500;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simulated call-data API</title>
<style>
:root { color-scheme: light dark; --line: #8884; --muted: #777; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 0 auto; padding: 28px; }
h1 { font-size: 19px; margin: 0; } p { color: var(--muted); margin: 4px 0 20px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 8px 12px 8px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--muted); font-weight: 500; font-size: 13px; } td.number { font-variant-numeric: tabular-nums; }
small { color: var(--muted); display: block; }
</style>
</head>
<body>
<h1>Simulated call-data API</h1>
"#;

/// The page for these payloads, the oldest first.
pub(super) fn render<'a>(calls: impl DoubleEndedIterator<Item = &'a Value> + ExactSizeIterator) -> String {
    let total = calls.len();
    let mut page = HEAD.to_owned();
    // Writing to a text cannot fail.
    _ = match total {
        0 => write!(page, "<p>No call has come in yet.</p>"),
        1..=CALLS_MAX => write!(page, "<p>Calls: {total}, the newest first</p>"),
        _ => write!(page, "<p>Calls: {total}, of which the newest {CALLS_MAX} are shown</p>"),
    };
    page.push_str(
        "<table><tr><th>Started</th><th>Call</th><th>Caller</th><th>Direction</th><th>Status</th><th>Duration</th>\
         <th>Items</th><th>Lead</th></tr>\n",
    );
    for call in calls.rev().take(CALLS_MAX) {
        row(&mut page, call);
    }
    page.push_str("</table>\n</body>\n</html>\n");
    page
}

fn row(page: &mut String, call: &Value) {
    let details = &call["callDetails"];
    let items = call["transcription"]["conversation_items"].as_array().map_or(0, Vec::len);
    page.push_str("<tr>");
    for name in ["startTime", "callId", "callerNumber", "direction", "status"] {
        _ = write!(page, "<td>{}</td>", escape(details[name].as_str().unwrap_or_default()));
    }
    _ = write!(page, r#"<td class="number">{}</td><td class="number">{items}</td>"#, duration(&details["duration"]));
    let lead = |name: &str| escape(call["lead"][name].as_str().unwrap_or_default());
    _ = writeln!(page, "<td>{}<small>{} {}</small></td></tr>", lead("name"), lead("email"), lead("company"));
}

fn duration(seconds: &Value) -> String {
    seconds.as_u64().map_or_else(String::new, |seconds| format!("{}:{:02}", seconds / 60, seconds % 60))
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
