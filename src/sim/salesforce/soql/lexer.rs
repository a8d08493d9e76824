//! Splitting a statement into tokens, each with the byte where it begins.
//!
//! String literals keep their escapes, because `\_` and `\%` mean something in LIKE and nothing elsewhere.

use super::{LITERAL_CHARS_MAX, Refused};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, name, dotted path or date literal (`LAST_N_DAYS:7`).
    Word(&'a str),
    /// A number, date or date-time, not yet told apart.
    Value(&'a str),
    /// A string literal without its quotes, escapes unresolved.
    Text(&'a str),
    Symbol(&'a str),
    End,
}

impl<'a> Token<'a> {
    /// How an error names it.
    pub(super) fn shown(self) -> &'a str {
        match self {
            Token::Word(text) | Token::Value(text) | Token::Text(text) | Token::Symbol(text) => text,
            Token::End => "<EOF>",
        }
    }

    pub(super) fn is_word(self, word: &str) -> bool {
        matches!(self, Token::Word(text) if text.eq_ignore_ascii_case(word))
    }

    pub(super) fn is_symbol(self, symbol: &str) -> bool {
        self == Token::Symbol(symbol)
    }
}

/// All tokens with their places; the last is [`Token::End`].
pub(super) fn tokens(statement: &str) -> Result<Vec<(Token<'_>, usize)>, Refused> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let bytes = statement.as_bytes();
    while let Some(byte) = bytes.get(at) {
        let length = match byte {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'\'' => {
                let text = literal(&statement[at..])?;
                tokens.push((Token::Text(text), at));
                at += text.len() + 2;
                continue;
            }
            byte if byte.is_ascii_alphabetic() || *byte == b'_' => {
                span(bytes, at, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':'))
            }
            byte if byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.') => {
                span(bytes, at, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.' | b':'))
            }
            b'!' | b'<' | b'>' if matches!(bytes.get(at + 1), Some(b'=')) => 2,
            b'<' if matches!(bytes.get(at + 1), Some(b'>')) => 2,
            b'(' | b')' | b',' | b'=' | b'<' | b'>' => 1,
            _ => {
                let character = statement[at..].chars().next().unwrap_or_default();
                return Err(Refused::malformed(format!(
                    "line 1:{at} no viable alternative at character '{character}'"
                )));
            }
        };
        let text = &statement[at..at + length];
        let token = match bytes[at] {
            byte if byte.is_ascii_alphabetic() || byte == b'_' => Token::Word(text),
            byte if byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.') => Token::Value(text),
            _ => Token::Symbol(text),
        };
        tokens.push((token, at));
        at += length;
    }
    tokens.push((Token::End, statement.len()));
    Ok(tokens)
}

fn span(bytes: &[u8], from: usize, is_part: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().take_while(|byte| is_part(**byte)).count()
}

/// The text between the quote that `rest` begins with and the one that ends the literal.
fn literal(rest: &str) -> Result<&str, Refused> {
    let mut is_escaped = false;
    for (index, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'\'' => return Ok(&rest[1..index]),
            _ => {}
        }
    }
    let shown: String = rest.chars().take(40).collect();
    Err(Refused::malformed(format!("line 1:0 mismatched character '<EOF>' expecting ''' in {shown}")))
}

/// One character of a string literal, and whether it was escaped (which makes a LIKE wildcard plain).
pub(super) type Character = (char, bool);

/// The characters of a string literal; `is_pattern` allows the two escapes of LIKE.
pub(super) fn unescape(literal: &str, is_pattern: bool) -> Result<Vec<Character>, Refused> {
    let mut result = Vec::with_capacity(literal.len());
    let mut characters = literal.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push((character, false));
            continue;
        }
        let escaped = characters.next().unwrap_or_default();
        let meaning = match escaped {
            '\'' | '"' | '\\' => escaped,
            'n' | 'N' => '\n',
            'r' | 'R' => '\r',
            't' | 'T' => '\t',
            'b' | 'B' => '\u{8}',
            'f' | 'F' => '\u{c}',
            'u' | 'U' => {
                let digits: String = characters.by_ref().take(4).collect();
                let code = if digits.len() == 4 { u32::from_str_radix(&digits, 16).ok() } else { None };
                code.and_then(char::from_u32).ok_or_else(|| illegal_escape("\\u"))?
            }
            '_' | '%' if is_pattern => escaped,
            other => return Err(illegal_escape(&format!("\\{other}"))),
        };
        result.push((meaning, true));
    }
    if result.len() > LITERAL_CHARS_MAX {
        let message = format!("string literal cannot be longer than {LITERAL_CHARS_MAX} characters");
        return Err(Refused::malformed(message));
    }
    Ok(result)
}

fn illegal_escape(sequence: &str) -> Refused {
    Refused::malformed(format!("invalid string literal: illegal escape sequence '{sequence}'"))
}
