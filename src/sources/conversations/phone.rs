//! Phone numbers and e-mail addresses made comparable.
//!
//! Invariant: two numbers become equal only if they are the same line; what is no number becomes nothing, so that two
//! callers without a number never look alike.

/// E.164 allows 15 digits; fewer than 7 is an extension or a placeholder.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// The digits of a number with its country code, as far as one is written or `country` says it.
pub(super) fn normal(text: &str, country: Option<&str>) -> Option<String> {
    let text = text.trim();
    let text = ["tel:", "sip:"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    let text = text.split(['@', ';']).next().unwrap_or_default().trim();
    let plain = |c: char| c.is_ascii_digit() || c.is_whitespace() || "+-–‑.()[]/".contains(c);
    if !text.chars().all(plain) || text.rfind('+').is_some_and(|at| at > 0) {
        return None;
    }
    let international = text.starts_with('+') || text.starts_with("00");
    // `+44 (0)20 …` names the trunk prefix only for callers inside the country.
    let text = if international { text.replacen("(0)", "", 1) } else { text.to_owned() };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = match (international, country) {
        (true, _) => digits.strip_prefix("00").filter(|_| !text.starts_with('+')).unwrap_or(&digits).to_owned(),
        (false, Some(country)) => with_country(&digits, country),
        (false, None) => digits,
    };
    let says_something = digits.bytes().any(|digit| digit != b'0');
    (DIGITS.contains(&digits.len()) && says_something).then_some(digits)
}

fn with_country(digits: &str, country: &str) -> String {
    // North American numbers have ten digits, so that an eleventh in front is the country's.
    if country == "1" && digits.len() == 11 && digits.starts_with('1') {
        return digits.to_owned();
    }
    format!("{country}{}", digits.strip_prefix('0').unwrap_or(digits))
}

/// An address without blanks and case.
pub(super) fn email(text: &str) -> Option<String> {
    let text = text.trim();
    let (name, host) = text.rsplit_once('@')?;
    (!name.is_empty() && host.contains('.') && !text.contains(char::is_whitespace)).then(|| text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_one_spelling() {
        let check = |text: &str, country: Option<&str>, expected: Option<&str>| {
            assert_eq!(normal(text, country).as_deref(), expected, "{text} {country:?}");
        };
        for text in ["+15550100123", "tel:+1-555-010-0123", "00 1 (555) 010.0123", " +1 [555] 010/0123 ", "15550100123"]
        {
            check(text, None, Some("15550100123"));
        }
        check("sip:+15550100123@sip.example.com", None, Some("15550100123"));
        check("+15550100123;ext=4", None, Some("15550100123"));
        check("(555) 010-0123", None, Some("5550100123"));
        check("(555) 010-0123", Some("1"), Some("15550100123"));
        check("1 555 010 0123", Some("1"), Some("15550100123"));
        check("020 7946 0123", Some("44"), Some("442079460123"));
        check("+44 (0)20 7946 0123", None, Some("442079460123"));
        for text in ["", "anonymous", "100", "0000000000", "+", "1+5550100123", "12345678901234567", "call me"] {
            check(text, None, None);
        }
    }

    #[test]
    fn addresses_compare_without_case() {
        assert_eq!(email(" Ada@Example.COM ").as_deref(), Some("ada@example.com"));
        for text in ["", "ada", "@example.com", "ada@", "a da@example.com", "none@none"] {
            assert_eq!(email(text), None, "{text}");
        }
    }
}
