//! Two habits of exporters that JSON forbids, undone: `NaN` and `Infinity` as numbers, and raw control characters in
//! strings. Only tried on text that does not parse as it is.
//!
//! Invariant: text that is JSON comes back unchanged, and the result is never read instead of text that parses.

/// What JSON forbids and exporters write for a number; each becomes `null`.
const NUMBERS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// The text with bare `NaN`/`Infinity` made `null` and raw control characters in strings escaped; `None` if it has none.
pub(super) fn repaired(text: &str) -> Option<String> {
    let (mut repair, mut out) = (Repair::default(), Vec::with_capacity(text.len() + 64));
    repair.push(&mut out, text.as_bytes(), true);
    if !repair.changed() {
        return None;
    }
    String::from_utf8(out).ok()
}

/// Repairs a text that comes in blocks.
#[derive(Default)]
pub(super) struct Repair {
    in_string: bool,
    /// The next byte of the string stands behind a backslash.
    is_escaped: bool,
    /// What may be the beginning of one of [`NUMBERS`].
    held: Vec<u8>,
    changed: bool,
}

impl Repair {
    /// Whether anything was not JSON so far.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// Adds the repaired `block` to `out`; what cannot be decided yet is held back unless the block is the `last`.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, block: &[u8], last: bool) {
        let mut held = std::mem::take(&mut self.held);
        let mut rest = block;
        if !held.is_empty() {
            held.extend_from_slice(block);
            rest = &held;
        }
        while !rest.is_empty() {
            rest = if self.in_string { self.string(out, rest) } else { self.outside(out, rest, last) };
        }
    }

    /// Takes some of `text`, which is outside of strings; gives the rest.
    fn outside<'a>(&mut self, out: &mut Vec<u8>, text: &'a [u8], last: bool) -> &'a [u8] {
        let odd = text.iter().position(|byte| matches!(byte, b'"' | b'N' | b'I' | b'-')).unwrap_or(text.len());
        let (plain, rest) = text.split_at(odd);
        out.extend_from_slice(plain);
        let Some((byte, after)) = rest.split_first() else { return rest };
        self.in_string = *byte == b'"';
        if let Some(after) = NUMBERS.iter().find_map(|number| rest.strip_prefix(*number)) {
            out.extend_from_slice(b"null");
            self.changed = true;
            return after;
        }
        if !last && NUMBERS.iter().any(|number| number.starts_with(rest)) {
            self.held = rest.to_vec();
            return &[];
        }
        out.push(*byte);
        after
    }

    /// Takes some of `text`, which is inside of a string; gives the rest.
    fn string<'a>(&mut self, out: &mut Vec<u8>, text: &'a [u8]) -> &'a [u8] {
        let is_odd = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
        let odd = if self.is_escaped { 0 } else { text.iter().position(is_odd).unwrap_or(text.len()) };
        let (plain, rest) = text.split_at(odd);
        out.extend_from_slice(plain);
        let Some((byte, after)) = rest.split_first() else { return rest };
        if *byte < 0x20 {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
            self.changed = true;
        } else {
            out.push(*byte);
        }
        self.in_string = self.is_escaped || *byte != b'"';
        self.is_escaped = !self.is_escaped && *byte == b'\\';
        after
    }
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

    #[test]
    fn blocks_of_any_size_are_repaired_as_the_whole() {
        for text in [
            "{\"a\": NaN, \"b\\\\\": [-Infinity,Infinity, -1, \"\\\"\u{1}NaN\"]}",
            "[NaN,Na",
            "\"\\\n\"-",
            "--Infinity",
        ] {
            let whole = repaired(text).unwrap_or_else(|| text.to_owned());
            for size in 1..text.len() {
                let (mut repair, mut out) = (Repair::default(), Vec::new());
                for block in text.as_bytes().chunks(size) {
                    repair.push(&mut out, block, false);
                }
                repair.push(&mut out, b"", true);
                assert_eq!(String::from_utf8(out).as_deref(), Ok(whole.as_str()), "{size}: {text}");
            }
        }
    }
}
