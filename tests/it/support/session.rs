//! Session files written by hand, where a test needs more than the invented days have.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use serde_json::{Value, json};

/// A plain session: who, and from when to when (ISO 8601, without a zone it is UTC).
pub fn session(id: &str, email: &str, start: &str, seconds: i64) -> Value {
    let begin: jiff::civil::DateTime = start.trim_end_matches('Z').parse().expect("a time");
    let end = begin.checked_add(jiff::Span::new().seconds(seconds)).expect("a time of this age");
    json!({
        "session_id": id, "user_email": email, "start_time": start, "end_time": end.to_string(),
        "duration_seconds": seconds, "discovered_signals": {}, "tool_calls": [], "metrics_summary": {},
        "transcript": [{ "role": "user", "content": "Hello" }],
    })
}

/// The folder of a day below the source's.
pub fn day_folder(sessions: &Path, day: Date) -> PathBuf {
    sessions.join(format!("year={:04}/month={:02}/day={:02}", day.year(), day.month(), day.day()))
}

/// Puts a file into a day's folder.
pub fn put(sessions: &Path, day: Date, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let folder = day_folder(sessions, day);
    fs::create_dir_all(&folder).expect("a writable folder");
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a writable folder");
    path
}

/// Makes a file look as if it was written so long ago.
pub fn age(path: &Path, by: Duration) {
    let file = fs::File::options().write(true).open(path).expect("the file is there");
    file.set_modified(SystemTime::now() - by).expect("a file system that keeps times");
}
