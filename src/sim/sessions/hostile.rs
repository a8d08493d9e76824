//! Files that an exporter, a network or an enemy may leave in the bucket, each with what must become of it.
//!
//! Invariant: none of them may stop the run, take memory beyond the limit, or reach the CRM as anything but data.

use std::io::{self, Write};
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// What must become of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It becomes a call with this identity and address.
    Call { session_id: String, email: Option<String> },
    /// It goes to quarantine with this code.
    Quarantine(&'static str),
}

/// One hostile file.
#[derive(Clone)]
pub struct HostileFile {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub fate: Fate,
}

const BOMB_INFLATED: u64 = 1 << 30;
const EMAIL: &str = "contact.c0@example.com";

/// All hostile files; file names differ and end in `.json` or `.json.gz`.
pub fn hostile_files() -> Vec<HostileFile> {
    let mut files = broken_files();
    files.extend(wrong_documents());
    files.extend(odd_sessions());
    files
}

/// About 1 MB of gzip that inflates to 1 GB of zeros; built once.
pub fn bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        io::copy(&mut io::Read::take(io::repeat(0), BOMB_INFLATED), &mut encoder).expect("memory takes every byte");
        encoder.finish().expect("memory takes every byte")
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte")
}

fn quarantined(name: &'static str, code: &'static str, bytes: impl Into<Vec<u8>>) -> HostileFile {
    HostileFile { name, bytes: bytes.into(), fate: Fate::Quarantine(code) }
}

fn broken_files() -> Vec<HostileFile> {
    let whole = gzip(session("hostile_whole", json!({})).to_string().as_bytes());
    let mut wrong_sum = whole.clone();
    let at = wrong_sum.len() - 5;
    wrong_sum[at] ^= 0x55;
    let utf16: Vec<u8> = "{\"session_id\": \"x\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        quarantined("empty.json.gz", "TL0301", []),
        quarantined("gzip_of_nothing.json.gz", "TL0301", gzip(b"")),
        quarantined("only_blanks.json", "TL0301", *b" \r\n\t "),
        quarantined("truncated.json.gz", "TL0302", &whole[..whole.len() / 2]),
        quarantined("no_trailer.json.gz", "TL0302", &whole[..whole.len() - 8]),
        quarantined("wrong_sum.json.gz", "TL0302", wrong_sum),
        quarantined("magic_only.json.gz", "TL0302", *b"\x1f\x8b"),
        quarantined("garbage_after.json.gz", "TL0302", [whole, b"and more".to_vec()].concat()),
        quarantined("bomb.json.gz", "TL0305", bomb()),
        quarantined("bomb_in_members.json.gz", "TL0305", gzip(&vec![b' '; 1 << 20]).repeat(200)),
        quarantined("binary.json", "TL0307", (0..=255).rev().collect::<Vec<u8>>()),
        quarantined("utf16.json", "TL0307", [vec![0xff, 0xfe], utf16].concat()),
        quarantined("latin1.json.gz", "TL0307", gzip(b"{\"session_id\": \"caf\xe9\"}")),
    ]
}

fn wrong_documents() -> Vec<HostileFile> {
    vec![
        quarantined("html.json", "TL0303", *b"<html><body>503</body></html>"),
        quarantined(
            "cut_json.json.gz",
            "TL0303",
            gzip(b"{\"session_id\": \"hostile_cut\", \"transcript\": [{\"role\":"),
        ),
        quarantined("single_quotes.json", "TL0303", *b"{'session_id': 'x'}"),
        quarantined(
            "unclosed_nesting.json",
            "TL0303",
            format!("{{\"session_id\": \"x\", \"a\": {}", "[".repeat(100_000)),
        ),
        quarantined("list.json", "TL0304", *b"[{\"session_id\": \"hostile_list\"}]"),
        quarantined("text.json", "TL0304", *b"\"session\""),
        quarantined("number.json.gz", "TL0304", gzip(b"42")),
        quarantined("null.json", "TL0304", *b"null"),
        quarantined("deep_list.json", "TL0304", format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        quarantined("two_objects.json", "TL0304", *b"{\"session_id\": \"a\"}\n{\"session_id\": \"b\"}\n"),
        quarantined("no_id.json", "TL0306", *b"{\"user_email\": \"contact.c0@example.com\"}"),
        quarantined("null_id.json", "TL0306", *b"{\"session_id\": null}"),
        quarantined("blank_id.json.gz", "TL0306", gzip(b"{\"session_id\": \"  \\t\"}")),
        quarantined("object_id.json", "TL0306", *b"{\"session_id\": {\"id\": 1}}"),
        quarantined("fraction_id.json", "TL0306", *b"{\"session_id\": 1.5}"),
    ]
}

/// A plain small session with some fields replaced.
fn session(id: &str, replaced: Value) -> Value {
    let mut session = json!({
        "session_id": id, "user_email": EMAIL, "user_metadata": {}, "start_time": "2025-10-29T09:15:02.120344",
        "end_time": "2025-10-29T09:18:44.010200", "duration_seconds": 221.889856,
        "discovered_signals": {"team_size": 12, "use_case": "quotes", "pain_points": ["slow approvals"]},
        "tool_calls": [], "transcript": [{"role": "user", "content": "Hello"}],
    });
    if let (Some(session), Value::Object(replaced)) = (session.as_object_mut(), replaced) {
        session.extend(replaced);
    }
    session
}

fn odd_sessions() -> Vec<HostileFile> {
    let mut files = odd_values();
    files.extend(odd_storage());
    files.extend(too_much());
    files
}

fn called(name: &'static str, session_id: &str, email: Option<&str>, bytes: impl Into<Vec<u8>>) -> HostileFile {
    let fate = Fate::Call { session_id: session_id.to_owned(), email: email.map(str::to_owned) };
    HostileFile { name, bytes: bytes.into(), fate }
}

fn odd_values() -> Vec<HostileFile> {
    let with = |name: &'static str, id: &str, email: Option<&str>, replaced: Value| {
        called(name, id, email, session(id, replaced).to_string())
    };
    let injected = "x' OR Email LIKE '%@example.com";
    let long = format!("{}@example.com", "a".repeat(10_000));
    let wrong = json!({
        "user_email": 7, "user_metadata": [], "start_time": {}, "end_time": true, "duration_seconds": "soon",
        "discovered_signals": "none", "tool_calls": {"tool": "x"}, "transcript": 3, "direction": [],
    });
    let wrong_items = json!({
        "tool_calls": [1, "x", null, {"tool": {"a": 1}, "arguments": "not json", "result": 3, "success": "maybe"}],
        "transcript": [null, "x", {"role": 1, "content": {"a": 1}}, {"content": ["a", 1]}],
        "discovered_signals": {"team_size": {}, "pain_points": [[1], {"a": 1}, 2], "use_case": false},
    });
    let markup = json!({
        "discovered_signals": {"use_case": "<script>alert(1)</script>\r\nBcc: x\u{2028}=HYPERLINK(\"http://example.com\")",
            "pain_points": ["a\nb", "\u{202e}reversed"], "team_size": "\t12\n"},
        "tool_calls": [{"tool": "book_sales_meeting", "customer_name": "Robert'); DROP TABLE calls;--\n{{ secret }}", "success": true}],
    });
    let unicode = "caf\u{e9} \u{1f600} \u{4e2d}\u{6587} \u{0645}\u{0631}\u{062d}\u{0628}\u{0627} e\u{301}";
    vec![
        with("wrong_types.json", "hostile_types", None, wrong),
        with("wrong_items.json", "hostile_items", Some(EMAIL), wrong_items),
        with(
            "all_null.json",
            "hostile_null",
            None,
            json!({"user_email": null, "user_metadata": null, "start_time": null,
            "end_time": null, "duration_seconds": null, "discovered_signals": null, "tool_calls": null, "transcript": null}),
        ),
        with("soql_email.json", "hostile_soql", Some(injected), json!({"user_email": injected})),
        with(
            "backslash_email.json",
            "hostile_backslash",
            Some("a\\' OR ''='@example.com"),
            json!({"user_email": "a\\' OR ''='@example.com"}),
        ),
        with("long_email.json", "hostile_long_email", Some(&long), json!({"user_email": long})),
        with("quotes_id.json", "hostile '\"\\ %_ id", Some(EMAIL), json!({})),
        with("unicode.json", unicode, Some(EMAIL), json!({"transcript": [{"role": "user", "content": unicode}]})),
        with("nul_id.json", "hostile\u{0}nul\n", Some(EMAIL), json!({})),
        with("markup.json", "hostile_markup", Some(EMAIL), markup),
        with("huge_field.json", "hostile_huge", Some(EMAIL), json!({"notes": "x".repeat(8 << 20)})),
        with(
            "many_turns.json",
            "hostile_turns",
            Some(EMAIL),
            json!({"transcript": vec![json!({"role": "user", "content": "ok"}); 20_000]}),
        ),
        with("negative_duration.json", "hostile_negative", Some(EMAIL), json!({"duration_seconds": -5})),
        with(
            "backwards.json",
            "hostile_backwards",
            Some(EMAIL),
            json!({"duration_seconds": null, "end_time": "2025-10-29T08:00:00"}),
        ),
    ]
}

/// More of one thing than any honest session has.
fn too_much() -> Vec<HostileFile> {
    let nested = |id: &str, levels: usize| {
        let lists = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        format!("{{\"session_id\": \"{id}\", \"user_email\": \"{EMAIL}\", \"metrics_summary\": {lists}}}")
    };
    let mut keys =
        format!("{{\"session_id\": \"hostile_keys\", \"user_email\": \"{EMAIL}\", \"metrics_summary\": {{\"a\": 0");
    for key in 0..1_000_000 {
        keys.push_str(&format!(",\"{key}\":0"));
    }
    keys.push_str("}}");
    let said = json!({"transcript": vec![json!({"role": "user", "content": "well ".repeat(2_000)}); 1_000]});
    let enums = json!({"direction": "sideways", "disposition": "SOLD?", "tool_calls": [{"tool": "no_such_tool"}],
        "transcript": [{"role": "martian", "content": "Hello"}]});
    vec![
        called("deepest.json.gz", "hostile_deepest", Some(EMAIL), gzip(nested("hostile_deepest", 100_000).as_bytes())),
        called("million_keys.json.gz", "hostile_keys", Some(EMAIL), gzip(keys.as_bytes())),
        called(
            "long_transcript.json.gz",
            "hostile_long",
            Some(EMAIL),
            gzip(session("hostile_long", said).to_string().as_bytes()),
        ),
        called("unknown_enums.json", "hostile_enums", Some(EMAIL), session("hostile_enums", enums).to_string()),
        called(
            "beyond_numbers.json",
            "hostile_numbers",
            Some(EMAIL),
            format!(
                "{{\"session_id\": \"hostile_numbers\", \"user_email\": \"{EMAIL}\", \"duration_seconds\": 1e400, \
                 \"metrics_summary\": {{\"a\": -1e999, \"b\": 1e-400}}}}"
            ),
        ),
        called(
            "repeated_keys.json",
            "hostile_repeated",
            Some(EMAIL),
            format!(
                "{{\"user_email\": 1, \"session_id\": \"hostile_repeated\", \"user_email\": \"{EMAIL}\", \
                 \"transcript\": [], \"transcript\": [{{\"role\": \"user\", \"role\": \"assistant\", \"content\": \"a\"}}]}}"
            ),
        ),
    ]
}

fn odd_storage() -> Vec<HostileFile> {
    let text = |id: &str| session(id, json!({})).to_string();
    let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let nested = |id: &str, levels: usize| {
        let lists = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        format!(
            "{{\"session_id\": \"{id}\", \"user_email\": \"{EMAIL}\", \"metrics_summary\": {}, \"discovered_signals\": {lists}, \
             \"tool_calls\": {lists}, \"transcript\": [{{\"role\": \"user\", \"content\": {lists}}}]}}",
            deep(levels)
        )
    };
    let members = text("hostile_members");
    let (first, second) = members.split_at(members.len() / 2);
    let id = |id: &str| format!("{{\"session_id\": {id}, \"user_email\": \"{EMAIL}\"}}");
    vec![
        called("nested.json.gz", "hostile_nested", Some(EMAIL), gzip(nested("hostile_nested", 10_000).as_bytes())),
        called(
            "members.json.gz",
            "hostile_members",
            Some(EMAIL),
            [gzip(first.as_bytes()), gzip(second.as_bytes())].concat(),
        ),
        called(
            "padded.json.gz",
            "hostile_padded",
            Some(EMAIL),
            [gzip(text("hostile_padded").as_bytes()), vec![0; 1000]].concat(),
        ),
        called("byte_order_mark.json", "hostile_mark", Some(EMAIL), format!("\u{feff}{}", text("hostile_mark"))),
        called("plain_named_gz.json.gz", "hostile_plain", Some(EMAIL), text("hostile_plain")),
        called("gz_named_plain.json", "hostile_gz", Some(EMAIL), gzip(text("hostile_gz").as_bytes())),
        called("lone_surrogate.json", "hostile_\u{fffd}_x", Some(EMAIL), id("\"hostile_\\ud800_x\"")),
        called("number_id.json", "12345678901234567890123", Some(EMAIL), id("12345678901234567890123")),
        called("blanks_id.json", "  hostile id ", Some(EMAIL), id("\"  hostile id \"")),
        called(
            "repeated_id.json",
            "hostile_last",
            Some(EMAIL),
            id("\"hostile_first\", \"session_id\": \"hostile_last\""),
        ),
        called(
            "firehose.json",
            "hostile_firehose",
            Some(EMAIL),
            format!(
                "{{\"_event_type\": \"session_analytics\", \"_timestamp\": 1761729302.5, \"_session_id\": \"hostile_firehose\", \"user_email\": \"{EMAIL}\"}}\n"
            ),
        ),
        called(
            "nan.json",
            "hostile_nan",
            Some(EMAIL),
            id("\"hostile_nan\", \"duration_seconds\": NaN, \"cost_summary\": {\"x\": -Infinity}"),
        ),
    ]
}
