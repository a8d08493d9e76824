//! What the name of a file says: whether it is a transcript at all, the id of a call whose file names none, and the
//! campaign that a metadata-named one belongs to.
//!
//! Invariant: a name means nothing unless it has the whole shape; underscores alone are no shape.

/// What follows a transcript's stem; compressed or not.
const ENDINGS: &[&str] = &[".json", ".jsonl", ".ndjson"];
/// Files that stand beside transcripts, or are not whole yet, or were dealt with by the uploader that ran before.
const OTHERS: &[&str] = &["lead_", "metadata_", "EG_", ".", "~"];

/// Whether a file of this name is to be read as a transcript.
pub(super) fn is_transcript(name: &str) -> bool {
    ending(name).is_some() && !OTHERS.iter().any(|start| name.starts_with(start))
}

/// Whether each line is to be read by itself.
pub(super) fn has_lines(name: &str) -> bool {
    ending(name).is_some_and(|ending| ending != ".json")
}

fn ending(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    ENDINGS.iter().copied().find(|ending| name.len() > ending.len() && name.ends_with(ending))
}

/// The name without its endings: the id of a call whose file names none.
pub(super) fn stem(name: &str) -> &str {
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    ending(name).and_then(|ending| plain.strip_suffix(ending)).unwrap_or(plain)
}

/// The last part of a path, whichever system wrote it.
pub(super) fn base(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The parts of `transcript_session_<campaign>_<voice agent>_<session>`, each cut short by whoever named the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub campaign: &'a str,
    pub agent: &'a str,
    pub session: &'a str,
}

/// The parts of a metadata-named file's stem.
pub(super) fn parts(stem: &str) -> Option<Parts<'_>> {
    let mut parts = base(stem).strip_prefix("transcript_session_")?.split('_');
    let (campaign, agent, session) = (parts.next()?, parts.next()?, parts.next()?);
    let is_id = |part: &str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_session = session.len() == 16 && session.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let whole = parts.next().is_none() && is_id(campaign) && is_id(agent) && is_session;
    whole.then_some(Parts { campaign, agent, session })
}

/// The time in a stem, as text: `transcript_session_2025-03-04T10-00-00.120000` or `conversation_20250304_100000`.
pub(super) fn saved_at(stem: &str) -> Option<String> {
    let base = base(stem);
    let rest = ["transcript_session_", "transcript_", "conversation_", "session_"];
    let rest = rest.iter().find_map(|start| base.strip_prefix(start))?;
    if let Some((date, time)) = rest.split_once('T') {
        return Some(format!("{date} {}", time.replace('-', ":")));
    }
    let (date, time) = rest.split_at_checked(8)?;
    let time = time.strip_prefix('_')?.get(..6)?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = digits(date) && digits(time);
    whole
        .then(|| format!("{}-{}-{} {}:{}:{}", &date[..4], &date[4..6], &date[6..], &time[..2], &time[2..4], &time[4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transcripts_are_told_from_what_stands_beside_them() {
        let check = |name: &str, expected: bool| assert_eq!(is_transcript(name), expected, "{name}");
        check("transcript_session_2025-03-04T10-00-00.120000.json", true);
        check("conversation_20250304.json.gz", true);
        check("transcripts.jsonl", true);
        check("a.ndjson", true);
        check("transcript_session_1.json.uploaded", false);
        check("transcript_session_1.json.tmp", false);
        check(".transcript_session_1.json", false);
        check("transcript_session_1.json~", false);
        check("lead_20250304_100000.json", false);
        check("metadata_s1.json", false);
        check("EG_abc.json", false);
        check("recording.ogg", false);
        check(".json", false);
    }

    #[test]
    fn a_time_in_a_name_is_read_in_both_forms_and_nothing_else_is_one() {
        let check = |stem: &str, expected: Option<&str>| assert_eq!(saved_at(stem).as_deref(), expected, "{stem}");
        check("transcript_session_2025-03-04T10-00-00.120000", Some("2025-03-04 10:00:00.120000"));
        check("sub/conversation_20250304_100000", Some("2025-03-04 10:00:00"));
        check("session_20250304_100000_0a1b2c3d", Some("2025-03-04 10:00:00"));
        check("transcript_session_64b0c0ffee00_64b0c0ffee01_abcdefgh12345678", None);
        check("conversation_2025é304_100000", None);
        check("mongo_export", None);
    }

    #[test]
    fn a_stem_is_the_name_without_its_endings() {
        let check = |name: &str, expected: &str| assert_eq!(stem(name), expected, "{name}");
        check("transcript_session_2025-03-04T10-00-00.120000.json", "transcript_session_2025-03-04T10-00-00.120000");
        check("day/transcripts.jsonl.gz", "day/transcripts");
        check("odd", "odd");
    }

    #[test]
    fn only_the_whole_shape_is_metadata_named() {
        let check = |stem: &str, expected: Option<&str>| {
            assert_eq!(parts(stem).map(|parts| parts.campaign), expected, "{stem}");
        };
        check("transcript_session_64b0c0ffee00_64b0c0ffee01_ab12CD34ef56gh78", Some("64b0c0ffee00"));
        check("transcript_session_2025_03_04", None);
        check("transcript_session_2025-03-04T10-00-00_a_b", None);
        check("transcript_session_64b0c0ffee00_64b0c0ffee01_ab12CD34ef56gh78_2", None);
        check("transcript_session_64b0c0ffee0z_64b0c0ffee01_ab12CD34ef56gh78", None);
        check("my_transcript_session_copy", None);
    }
}
