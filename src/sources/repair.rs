//! Two habits of exporters that JSON forbids, undone: `NaN` and `Infinity` as numbers, and raw control characters in
//! strings. Only tried on text that does not parse as it is.
//!
//! Invariant: text that is JSON comes back unchanged, and the result is never read instead of text that parses.

/// The text with bare `NaN`/`Infinity` made `null` and raw control characters in strings escaped; `None` if it has none.
pub(super) fn repaired(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 64);
    let mut changed = false;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find('"').unwrap_or(rest.len());
        let (outside, from_quote) = rest.split_at(end);
        changed |= push_outside(&mut out, outside);
        let (string, after) = from_quote.split_at(string_end(from_quote));
        changed |= push_string(&mut out, string);
        rest = after;
    }
    changed.then_some(out)
}

/// Where the string that opens `text` ends, its closing quote included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn push_outside(out: &mut String, text: &str) -> bool {
    if !text.contains("NaN") && !text.contains("Infinity") {
        out.push_str(text);
        return false;
    }
    out.push_str(&text.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null"));
    true
}

fn push_string(out: &mut String, string: &str) -> bool {
    if !string.bytes().any(|byte| byte < 0x20) {
        out.push_str(string);
        return false;
    }
    for c in string.chars() {
        if c < ' ' {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_habits_are_undone() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(repaired(text).as_deref(), expected, "{text}");
        check(r#"{"a": NaN, "b": [-Infinity, Infinity]}"#, Some(r#"{"a": null, "b": [null, null]}"#));
        check("{\"a\": \"one\ntwo\u{0}\"}", Some(r#"{"a": "one\u000atwo\u0000"}"#));
        check(r#"{"NaN": "NaN \" Infinity"}"#, None);
        check("{\"a\":\n\t1}", None);
        check("\"", None);
        check("{\"open", None);
    }
}
