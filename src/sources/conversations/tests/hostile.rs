//! Whatever stands in a file, it costs that file alone.

use std::io::Write;

use proptest::prelude::*;

use super::super::convert::{self, Depth};
use super::*;
use crate::problem::{self, Code};

/// As the engine would, but without a folder: nothing is beside the file.
fn outcome(name: &str, bytes: &[u8]) -> Result<Call, problem::Problem> {
    let url = format!("file:///nowhere/{name}");
    let settings = Settings::new("/nowhere");
    let transcript = convert::read(&settings, name, &url, bytes, 1 << 20, Depth::Whole)?;
    let _ = convert::window(&transcript.head.call, transcript.heard);
    Ok(convert::finished(transcript).0)
}

#[test]
fn what_is_no_transcript_has_its_code() {
    let check = |name: &str, bytes: &[u8], code: Code| {
        let problem = outcome(name, bytes).expect_err(name);
        assert_eq!(problem.code, code, "{problem}");
        assert!(problem.what.contains(name) && !problem.help.is_empty(), "{problem}");
        assert!(!problem.what.contains("secret"), "{problem}");
    };
    check("a.json", b"", problem::RAW_EMPTY);
    check("a.jsonl", b" \n \n", problem::RAW_EMPTY);
    check("a.json", b"{\"items\": [secret", problem::RAW_NOT_JSON);
    check("a.jsonl", b"secret\nsecret\n", problem::RAW_NOT_JSON);
    check("a.json", b"[{\"role\": \"user\", \"content\": \"secret\"}]", problem::RAW_NOT_OBJECT);
    check("a.json", b"null", problem::RAW_NOT_OBJECT);
    check("a.json", b"\"secret\"", problem::RAW_NOT_OBJECT);
    check("a.json", b"{\"items\": []}{\"items\": []}", problem::RAW_NOT_OBJECT);
    check("a.json", b"{}", problem::RAW_NO_ID);
    check("a.json", b"{\"name\": \"secret\"}", problem::RAW_NO_ID);
    check("a.json", b"{\"session_id\": [\"secret\"], \"items\": []}", problem::RAW_NO_ID);
    check("a.json", b"{\"session_id\": 1.5, \"items\": []}", problem::RAW_NO_ID);
    check("a.json", b"\xff\xfe{\x00}\x00", problem::RAW_NOT_TEXT);
    check("a.json", &vec![b' '; (1 << 20) + 1], problem::RAW_TOO_LARGE);
    check("a.json.gz", &gzip(&vec![b' '; 50 << 20]), problem::RAW_TOO_LARGE);
    let whole = gzip(b"{\"items\": []}");
    check("a.json.gz", &whole[..whole.len() - 3], problem::RAW_DAMAGED);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn wrong_types_are_left_out_and_depth_does_not_matter() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(20_000), close.repeat(20_000));
    let texts = [
        r#"{"session_id": "s", "items": {"a": 1}, "metadata": [1], "start_time": {}, "duration_seconds": "long"}"#.to_owned(),
        r#"{"session_id": "s", "items": [1, null, [], "x", {"role": 5, "content": {"a": []}}, {"content": [[["x"]], 7]}]}"#.to_owned(),
        r#"{"session_id": "s", "items": [{"type": "function_call", "name": [], "arguments": "[1"}, {"type": "function_call_output", "output": {}}]}"#.to_owned(),
        r#"{"session_id": "s", "items": [{"role": "unknown", "content": "", "raw": "content=['open"}, {"raw": "role='user' content=[\"a"}]}"#.to_owned(),
        format!(r#"{{"session_id": "s", "items": {}, "x": {}}}"#, deep("[", "]"), deep("{\"a\":[", "]}")),
        format!(r#"{{"session_id": "s", "items": [{{"content": {}}}], "metadata": {}1{}}}"#, deep("[", "]"), "{\"metadata\":".repeat(9000), "}".repeat(9000)),
        r#"{"session_id": "s", "items": [{"role": "user", "content": "\ud800 x", "timestamp": 1e300, "transcript_confidence": 99}]}"#.to_owned(),
        r#"{"session_id": "s", "start_time": "9999-12-31 23:59:59", "end_time": "0001-01-01 00:00:00", "items": [NaN]}"#.to_owned(),
    ];
    for text in texts {
        let call = outcome("a.json", text.as_bytes()).unwrap_or_else(|problem| panic!("{problem}\n{:.200}", text));
        assert_eq!(call.source_id, "s");
        assert!(call.duration_s.is_none_or(|seconds| seconds >= 0.0));
        assert!(call.turns.iter().all(|turn| turn.detail().confidence.is_none()));
    }
}

#[test]
fn no_cut_and_no_flipped_byte_of_a_fixture_makes_it_panic() {
    let folder = fixtures().join("conversations");
    for entry in std::fs::read_dir(folder).expect("the fixtures") {
        let path = entry.expect("a fixture").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let bytes = std::fs::read(&path).expect("a fixture");
        for at in (0..bytes.len()).step_by(7) {
            let _ = outcome(&name, &bytes[..at]);
            for byte in [b'"', b'{', b']', 0, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = byte;
                let _ = outcome(&name, &bytes);
            }
        }
    }
}

#[test]
fn a_link_that_leads_out_is_listed_and_refused() {
    let place = Place::new();
    let body = r#"{"session_id": "s", "items": []}"#;
    place.put("outside.json", body).put("conversations/a.json", body);
    let link = |from: &str, to: &str| {
        std::os::unix::fs::symlink(place.0.path().join(from), place.0.path().join(to)).expect("a link");
    };
    link("outside.json", "conversations/b.json");
    link("outside.json", "leads/lead_1.json");
    link("nowhere.json", "conversations/c.json");
    let source = open(place.settings());
    let report = source.prepare().expect("prepared");
    assert_eq!((report.transcripts, report.transcripts_unreadable, report.malformed_leads), (3, 2, 1));
    let files = listed(&source);
    assert_eq!(files.len(), 3);
    assert!(run(source.fetch(&files[0])).is_ok());
    for file in &files[1..] {
        assert!(matches!(run(source.fetch(file)), Err(crate::sources::FetchError::File(_))));
    }
    let outside = format!("file://{}", place.0.path().join("outside.json").display());
    for url in [outside.as_str(), "file:///etc/passwd", "s3://a/b", &format!("{}/../outside.json", source.address())] {
        assert!(run(source.look(url)).is_err(), "{url}");
    }
}

#[test]
fn a_missing_folder_is_told_by_its_name() {
    let place = Place::new();
    let mut settings = place.settings();
    settings.leads = Some(place.0.path().join("no_such_folder"));
    let source = open(settings);
    for problem in [run(source.probe()).expect_err("missing"), source.prepare().expect_err("missing")] {
        assert!(problem.code == problem::SOURCE_MISSING && problem.what.contains("no_such_folder"), "{problem}");
    }
    assert!(run(open(place.settings()).probe()).is_ok());
    let mut settings = place.settings();
    settings.default_country = Some("US".to_owned());
    assert_eq!(Conversations::open(settings).map(|_| ()).expect_err("no code").code, problem::CONFIG_BAD_VALUE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_end_in_a_call_or_a_problem(bytes in proptest::collection::vec(any::<u8>(), 0..400), lines in any::<bool>()) {
        let _ = outcome(if lines { "a.jsonl" } else { "a.json" }, &bytes);
    }

    #[test]
    fn any_text_as_a_repr_a_time_or_a_number_ends(text in "\\PC{0,60}") {
        let item = serde_json::json!({ "role": "unknown", "content": "", "raw": text, "timestamp": text });
        let document = serde_json::json!({ "session_id": "s", "start_time": text, "items": [item] });
        prop_assert!(outcome("a.json", document.to_string().as_bytes()).is_ok());
        let _ = super::super::phone::normal(&text, Some("1"));
        let _ = super::super::phone::email(&text);
    }
}
