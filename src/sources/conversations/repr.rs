//! The text of a chat item from the Python `repr` that a Mongo export kept of it:
//! `id='item_1' role='assistant' content=['Hello'] interrupted=False`.
//!
//! Invariant: nothing is evaluated; anything that is not a name, a quoted text, a list of these or a plain word is passed
//! over, and no depth of brackets recurses.

/// What a field of a `repr` holds, as far as anybody asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    Text(String),
    /// The texts of a list; other items are left out.
    Texts(Vec<String>),
    /// A word as it stands: `False`, `0.97`.
    Word(String),
    Other,
}

/// How many fields and list items are read of one `repr`.
const FIELDS_MAX: usize = 1000;

/// The fields `name=value` of a `repr`, in order; stops where the text no longer reads as one.
pub(super) fn fields(text: &str) -> Vec<(String, Held)> {
    let mut reader = Reader { rest: text.trim() };
    let mut fields = Vec::new();
    while fields.len() < FIELDS_MAX {
        let Some(field) = reader.field() else { break };
        fields.push(field);
    }
    fields
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn field(&mut self) -> Option<(String, Held)> {
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
            let (name, rest) = self.rest.split_at(end);
            // `ChatMessage(id='…', …)`: the fields stand inside.
            if let Some(inner) = rest.strip_prefix('(') {
                self.rest = inner;
                continue;
            }
            self.rest = rest.strip_prefix('=').filter(|_| !name.is_empty())?;
            return Some((name.to_owned(), self.value()?));
        }
    }

    fn value(&mut self) -> Option<Held> {
        match self.rest.chars().next()? {
            '\'' | '"' => self.quoted().map(Held::Text),
            '[' => self.list().map(Held::Texts),
            _ => Some(self.word()),
        }
    }

    /// A string literal; `None` if it does not end.
    fn quoted(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.rest = &self.rest[at + c.len_utf8()..];
                return Some(out);
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            let (_, escaped) = chars.next()?;
            let digits = match escaped {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            if digits == 0 {
                push_simple(&mut out, escaped);
                continue;
            }
            let code: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
            out.push(
                u32::from_str_radix(&code, 16).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER),
            );
        }
        None
    }

    /// A list's texts; nested lists and objects are passed over. `None` if it does not end.
    fn list(&mut self) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        let mut depth = 0_usize;
        // A text at any other depth belongs to an object or a list inside this one.
        loop {
            match self.rest.chars().next()? {
                '\'' | '"' => {
                    let text = self.quoted()?;
                    if depth == 1 && texts.len() < FIELDS_MAX {
                        texts.push(text);
                    }
                    continue;
                }
                '[' | '(' | '{' => depth += 1,
                ']' | ')' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            let next = self.rest.chars().next().map_or(0, char::len_utf8);
            self.rest = &self.rest[next..];
            if depth == 0 {
                return Some(texts);
            }
        }
    }

    /// A word up to the next blank outside brackets and quotes.
    fn word(&mut self) -> Held {
        let whole = self.rest;
        let mut depth = 0_usize;
        let mut plain = true;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\'' | '"' => {
                    plain = false;
                    if self.quoted().is_none() {
                        self.rest = "";
                    }
                    continue;
                }
                '[' | '(' | '{' => {
                    plain = false;
                    depth += 1;
                }
                ']' | ')' | '}' if depth > 0 => depth -= 1,
                c if depth == 0 && (c.is_whitespace() || c == ',' || c == ')') => break,
                _ => {}
            }
            self.rest = &self.rest[c.len_utf8()..];
        }
        if plain { Held::Word(whole[..whole.len() - self.rest.len()].to_owned()) } else { Held::Other }
    }
}

fn push_simple(out: &mut String, escaped: char) {
    match escaped {
        'n' => out.push('\n'),
        'r' => out.push('\r'),
        't' => out.push('\t'),
        '\\' | '\'' | '"' => out.push(escaped),
        // A line continued, and control characters that say nothing.
        '\n' | 'a' | 'b' | 'f' | 'v' | '0' => {}
        _ => out.extend(['\\', escaped]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Held {
        Held::Text(text.to_owned())
    }

    fn texts(texts: &[&str]) -> Held {
        Held::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn the_fields_of_an_item_are_read_and_nothing_is_evaluated() {
        let check = |repr: &str, name: &str, expected: Option<Held>| {
            let found = fields(repr).into_iter().find(|(other, _)| other == name).map(|(_, held)| held);
            assert_eq!(found, expected, "{repr}");
        };
        let usual =
            "id='item_1' type='message' role='assistant' content=['Hello', \"it's me\"] interrupted=False hash=None";
        check(usual, "role", Some(text("assistant")));
        check(usual, "content", Some(texts(&["Hello", "it's me"])));
        check(usual, "interrupted", Some(Held::Word("False".into())));
        check(r"content=['a\'b\n\u00e9\x41\U0001f600\q']", "content", Some(texts(&["a'b\néA😀\\q"])));
        check("content=[ImageContent(id='i', image='x y'), 'seen'] role='user'", "content", Some(texts(&["seen"])));
        check("content=[ImageContent(id='i', image='x y'), 'seen'] role='user'", "role", Some(text("user")));
        check("ChatMessage(id='i', role='user', content=['a ] b'])", "content", Some(texts(&["a ] b"])));
        check("metrics={'a': [1, 'b c']} role='user'", "role", Some(text("user")));
        check("role=__import__('os').system('x') content=['kept']", "role", Some(Held::Other));
        check("role=__import__('os').system('x') content=['kept']", "content", Some(texts(&["kept"])));
        check("content=[]", "content", Some(texts(&[])));
        check("content=['open", "content", None);
        check("content=[['deep'], 'flat']", "content", Some(texts(&["flat"])));
    }

    #[test]
    fn no_text_makes_it_panic_or_hang() {
        let pieces = ["role=", "'", "\"", "[", "]", "(", ")", "{", "\\", "\\u12", "é", " ", ",", "=", "a", "😀"];
        let mut state = 7_usize;
        for _ in 0..3000 {
            let mut text = String::new();
            for _ in 0..20 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(state >> 33) % pieces.len()]);
            }
            let _ = fields(&text);
        }
        let _ = fields(&format!("content={}", "[".repeat(200_000)));
        let _ = fields(&"a(".repeat(2_000));
    }
}
