//! What can go wrong in front of a user: a stable code, a sentence, the cause, and what to do next.
//!
//! Invariant: every code in [`CODES`] has a page `docs/errors/<code>.md`, which `trunkline explain <code>` prints.
//! A problem's text never holds a secret or a person's data: whoever builds one passes remote text through [`scrub`].

use std::fmt;

/// A stable error code, e.g. `TL0202`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One row of the table of codes.
pub struct CodeInfo {
    pub code: Code,
    /// What happened, in one sentence without a full stop.
    pub sentence: &'static str,
    /// The page that `trunkline explain` prints.
    pub page: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $sentence:literal;)*) => {
        $(pub const $name: Code = Code($code);)*
        /// Every code, in order.
        pub const CODES: &[CodeInfo] = &[$(CodeInfo {
            code: $name,
            sentence: $sentence,
            page: include_str!(concat!("../docs/errors/", $code, ".md")),
        }),*];
    };
}

codes! {
    CONFIG_UNREADABLE = "TL0101", "the configuration cannot be read";
    CONFIG_UNKNOWN_KEY = "TL0102", "the configuration has a key that does not exist";
    CONFIG_BAD_VALUE = "TL0103", "a setting has a value that it cannot have";
    CONFIG_CONTRADICTION = "TL0104", "settings contradict each other or one is missing";
    SECRET_MISSING = "TL0105", "a secret that the settings refer to is not there";
    SOURCE_CREDENTIALS = "TL0201", "the source refuses the credentials";
    SOURCE_MISSING = "TL0202", "the bucket or folder does not exist";
    SOURCE_REGION = "TL0203", "the bucket is in another region";
    SOURCE_UNAVAILABLE = "TL0204", "the source does not answer or asks to slow down";
    OBJECT_VANISHED = "TL0205", "a file was listed but was gone when it was read";
    OBJECT_DENIED = "TL0206", "a file may be listed but not read";
    RAW_EMPTY = "TL0301", "a file is empty";
    RAW_DAMAGED = "TL0302", "a gzip file is truncated or damaged";
    RAW_NOT_JSON = "TL0303", "a file is not JSON";
    RAW_NOT_OBJECT = "TL0304", "a file holds JSON, but not one object";
    RAW_TOO_LARGE = "TL0305", "a file is larger than the limit once inflated";
    RAW_NO_ID = "TL0306", "a session has no usable session_id";
    RAW_NOT_TEXT = "TL0307", "a file is neither gzip nor UTF-8 text";
    RAW_KILLS = "TL0308", "a file ended the process that read it, three times";
    NO_EMAIL = "TL0401", "the call has no e-mail address to match by";
    NO_MATCH = "TL0402", "nobody in the CRM has the caller's e-mail address";
    AMBIGUOUS = "TL0403", "several people in the CRM match and the rule is to skip";
    LOGIN_REFUSED = "TL0501", "the destination refuses the login";
    API_DISABLED = "TL0502", "the API is not enabled for this org or user";
    FIELD_MISSING = "TL0503", "a field is missing or not visible to the integration user";
    API_LIMIT = "TL0504", "the org's daily API allocation is used up or reserved";
    STORAGE_FULL = "TL0505", "the org's data storage is full";
    API_VERSION = "TL0506", "the org does not offer this API version";
    OBJECT_ACCESS = "TL0507", "the integration user may not create or edit this object";
    ORG_CONFIGURATION = "TL0508", "the destination refuses the request until somebody changes its configuration or ours";
    ANSWER_UNREADABLE = "TL0509", "the destination's answer has not the form that the settings tell";
    ROW_VALIDATION = "TL0601", "a validation rule of the org refuses the record";
    ROW_REQUIRED = "TL0602", "a required field of the record is empty";
    ROW_PICKLIST = "TL0603", "a value is not in a restricted picklist";
    ROW_REFERENCE = "TL0604", "the record points at another record that is gone or of the wrong kind";
    ROW_ACCESS = "TL0605", "the integration user has no access to a record";
    ROW_TRIGGER = "TL0606", "a trigger or flow of the org failed on the record";
    ROW_DUPLICATE = "TL0607", "the org takes the record for a duplicate of another";
    ROW_REFUSED = "TL0608", "the destination refuses the record";
    MAPPING_FAILED = "TL0609", "the mapping cannot make a record of the call";
    CALL_KILLS = "TL0610", "a call ended the process that delivered it, three times";
    REMOTE_UNREACHABLE = "TL0701", "the remote system cannot be reached";
    OUTCOME_UNKNOWN = "TL0702", "a request was sent and no usable answer came back";
    ROW_LOCKED = "TL0703", "another transaction holds a lock on the record's parent";
    REMOTE_BUSY = "TL0704", "the remote system is busy or limits concurrent requests";
    STORE_UNUSABLE = "TL0801", "the store cannot be opened or written";
    STORE_NEWER = "TL0802", "the store was written by a newer Trunkline";
    STORE_SQLITE = "TL0803", "this SQLite library can lose committed data";
    CALL_DAMAGED = "TL0804", "the ledger's copy of a call is damaged";
    DELIVERY_DAMAGED = "TL0805", "what the ledger knows of a delivered record is damaged";
}

/// Finds a code's row; `text` in any case, with or without `TL` and the zero behind it.
pub fn find(text: &str) -> Option<&'static CodeInfo> {
    let upper = text.trim().to_ascii_uppercase();
    let wanted = format!("TL{:0>4}", upper.strip_prefix("TL").unwrap_or(&upper));
    CODES.iter().find(|info| info.code.0 == wanted)
}

/// The known word that `word` was most likely meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Something a user meets: what happened, to what, why, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    /// What happened, to which call, file or setting, and the cause.
    pub what: String,
    /// What to do next; an imperative sentence.
    pub help: String,
}

impl Problem {
    pub fn new(code: Code, what: impl Into<String>, help: impl Into<String>) -> Problem {
        Problem { code, what: what.into(), help: help.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.what)?;
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Longest remote text that is kept, in characters.
pub const REMOTE_TEXT_MAX: usize = 500;
/// Fewer digits than this are no phone number.
const PHONE_DIGITS_MIN: usize = 7;

/// Makes text that came from elsewhere fit for a log, an error or the ledger: e-mail addresses and what can be a phone
/// number are masked, also one written over several words; control characters become blanks, and it is cut at
/// [`REMOTE_TEXT_MAX`]. Addresses of hosts stay.
pub fn scrub(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(REMOTE_TEXT_MAX));
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    // Numbers next to each other, which together can be one phone number.
    let mut numbers: Vec<&str> = Vec::new();
    for word in words {
        if out.len() > 4 * REMOTE_TEXT_MAX || numbers.len() > REMOTE_TEXT_MAX {
            break;
        }
        let goes_on = !numbers.is_empty() && word.chars().all(is_between_digits);
        if goes_on || is_number(word) {
            numbers.push(word);
            continue;
        }
        push_numbers(&mut out, &mut numbers);
        push(&mut out, if word.contains('@') { "[e-mail]" } else { word });
    }
    push_numbers(&mut out, &mut numbers);
    match out.char_indices().nth(REMOTE_TEXT_MAX) {
        Some((end, _)) => format!("{}…", &out[..end]),
        None => out,
    }
}

/// Digits and what people write between them, and no host's address.
fn is_number(word: &str) -> bool {
    let has_digit = word.contains(|c: char| c.is_ascii_digit());
    let number_like = |c: char| c.is_ascii_digit() || is_between_digits(c);
    has_digit && word.trim_start_matches("tel:").chars().all(number_like) && !is_host(word)
}

fn is_between_digits(c: char) -> bool {
    "+-().,;:/\"'–‑".contains(c)
}

/// An IP address, with or without a port.
fn is_host(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| ".,;:()\"'".contains(c));
    bare.parse::<std::net::IpAddr>().is_ok() || bare.parse::<std::net::SocketAddr>().is_ok()
}

/// Masks the numbers if they are long enough together, and empties the list.
fn push_numbers(out: &mut String, numbers: &mut Vec<&str>) {
    let digits = numbers.iter().flat_map(|word| word.chars()).filter(char::is_ascii_digit).count();
    if digits >= PHONE_DIGITS_MIN {
        push(out, "[number]");
    } else {
        numbers.iter().for_each(|word| push(out, word));
    }
    numbers.clear();
}

fn push(out: &mut String, word: &str) {
    if !out.is_empty() {
        out.push(' ');
    }
    out.push_str(word);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_text_loses_addresses_numbers_and_control_characters() {
        let check = |input: &str, expected: &str| assert_eq!(scrub(input), expected);
        check("Email: invalid email address: ada@example.com", "Email: invalid email address: [e-mail]");
        check("call +1-202-555-0123 now", "call [number] now");
        check("call (202) 555-0123, please", "call [number] please");
        check("call +1 202 555 0123.", "call [number]");
        check("tel:+12025550123 or \"2025550123\"", "[number] or [number]");
        check("202–555–0123", "[number]");
        check("+1 - 202 / 555 - 0123 - now", "[number] now");
        check("(ada@example.com), <ada@example.com>; ada@example.com.", "[e-mail] [e-mail] [e-mail]");
        check("{\"email\":\"ada@example.com\",\"phone\":\"2025550123\"}", "[e-mail]");
        check("a\u{1b}[31mb\r\nc", "a [31mb c");
        check(
            "duplicates value on record with id: 00Txx000000Qr7ZEAS",
            "duplicates value on record with id: 00Txx000000Qr7ZEAS",
        );
        check("no answer from 127.0.0.1:18080: connection closed", "no answer from 127.0.0.1:18080: connection closed");
        check(
            "no connection to 203.0.113.254, [2001:db8::1]:443 (10.0.0.1)",
            "no connection to 203.0.113.254, [2001:db8::1]:443 (10.0.0.1)",
        );
        check("503 198.51.100.17:18080 2025550123", "503 198.51.100.17:18080 [number]");
        check("line 40 column 7 of 15,000", "line 40 column 7 of 15,000");
        check("no route to 1.2.3", "no route to 1.2.3");
        assert_eq!(scrub(&"word ".repeat(1000)).chars().count(), REMOTE_TEXT_MAX + 1);
    }

    #[test]
    fn every_code_has_a_page_that_opens_with_it() {
        for info in CODES {
            assert!(info.page.starts_with(&format!("# {}", info.code)), "docs/errors/{}.md", info.code);
            assert!(info.page.contains("## What to do"), "docs/errors/{}.md says what to do", info.code);
        }
    }

    #[test]
    fn a_code_is_found_however_it_is_written() {
        let check =
            |text: &str, expected: Option<Code>| assert_eq!(find(text).map(|info| info.code), expected, "{text}");
        check("TL0402", Some(NO_MATCH));
        check("tl0402", Some(NO_MATCH));
        check("0402", Some(NO_MATCH));
        check(" 402", Some(NO_MATCH));
        check("TL402", Some(NO_MATCH));
        check("40", None);
        check("", None);
        check("TL00402", None);
    }

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
    }
}
