//! Record ids: a key prefix, a serial number in base 62, and the three checksum characters that make 15 into 18.
//!
//! Salesforce compares the 15-character form by case and answers with the 18-character one; so does everything here:
//! ids are normalised at the door and kept at 18 characters.

const CHECKSUM: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The three characters that encode which of the 15 are upper-case: one per group of five, lowest bit first.
pub(super) fn checksum(fifteen: &str) -> String {
    fifteen
        .as_bytes()
        .chunks(5)
        .map(|group| {
            let bits = group.iter().enumerate().filter(|(_, byte)| byte.is_ascii_uppercase());
            char::from(CHECKSUM[bits.fold(0, |sum, (index, _)| sum | (1 << index))])
        })
        .collect()
}

/// The id number `serial` under a three-character key prefix, 18 characters long.
pub(super) fn make(prefix: &str, serial: u64) -> String {
    let mut digits = [b'0'; 9];
    let mut rest = serial;
    for digit in digits.iter_mut().rev() {
        *digit = BASE_62[(rest % 62) as usize];
        rest /= 62;
    }
    let mut id = format!("{prefix}xx0");
    id.extend(digits.iter().map(|digit| char::from(*digit)));
    id.push_str(&checksum(&id));
    id
}

/// The 18-character form of an id in either form; `None` if the text is no id at all.
pub(super) fn normalise(text: &str) -> Option<String> {
    if !matches!(text.len(), 15 | 18) || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (fifteen, suffix) = text.split_at(15);
    let expected = checksum(fifteen);
    (suffix.is_empty() || suffix.eq_ignore_ascii_case(&expected)).then(|| format!("{fifteen}{expected}"))
}

/// The key prefix of an id, which names its object.
pub(super) fn prefix(id: &str) -> &str {
    id.get(..3).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_matches_the_documented_examples() {
        for (fifteen, suffix) in [("00Dxx0000000001", "EAA"), ("005xx000000Ab1C", "AAS"), ("00Txx000000Qr7Z", "EAS")] {
            assert_eq!(checksum(fifteen), suffix, "{fifteen}");
            assert_eq!(normalise(fifteen), Some(format!("{fifteen}{suffix}")));
        }
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in ["", "003", "003xx00000000000", "003xx0000000-01", "003xx0000000001EAB"] {
            assert_eq!(normalise(text), None, "{text}");
        }
    }
}
