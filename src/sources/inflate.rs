//! Stored bytes to the bytes of the document: gzip is inflated, anything else is taken as it is.
//!
//! Invariant: no more than the limit (and one byte) is allocated for the output, whatever the file claims or holds, and
//! inflating stops there. All members of a gzip file are read: exporters concatenate them.

use std::cell::RefCell;
use std::io::Read;

use flate2::bufread::GzDecoder;
use libdeflater::{Crc, DecompressionError, Decompressor};
use memchr::memmem;

/// Kept from file to file; a larger buffer is given back after its file.
const BUFFER_KEPT_MAX: usize = 1024 * 1024;
const BUFFER_FIRST: usize = 64 * 1024;
pub(super) const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// How every member of a gzip file begins: the magic and the only method there is.
const GZIP_MEMBER: &[u8] = &[0x1f, 0x8b, 0x08];
const GZIP_TRAILER: usize = 8;
pub(super) const DAMAGED: &str = "it is cut short or damaged";
pub(super) const NOT_GZIP_AFTER: &str = "something that is not gzip follows its end";

/// Why bytes could not be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    TooLarge,
    /// What is wrong with the gzip file.
    Damaged(&'static str),
}

struct Inflater {
    decompressor: Decompressor,
    buffer: Vec<u8>,
}

thread_local! {
    static INFLATER: RefCell<Inflater> =
        RefCell::new(Inflater { decompressor: Decompressor::new(), buffer: Vec::new() });
}

/// Gives the document's bytes to `use_bytes`; they live in a buffer that this thread uses again.
pub(super) fn with_inflated<T>(bytes: &[u8], limit: usize, use_bytes: impl FnOnce(&[u8]) -> T) -> Result<T, Fault> {
    if !bytes.starts_with(GZIP_MAGIC) {
        return if bytes.len() > limit { Err(Fault::TooLarge) } else { Ok(use_bytes(bytes)) };
    }
    INFLATER.with_borrow_mut(|inflater| {
        let result = inflater.inflate(bytes, limit).map(|length| use_bytes(&inflater.buffer[..length]));
        if inflater.buffer.capacity() > BUFFER_KEPT_MAX {
            inflater.buffer = Vec::new();
        }
        result
    })
}

impl Inflater {
    /// Inflates into the buffer and tells how many bytes are there.
    fn inflate(&mut self, bytes: &[u8], limit: usize) -> Result<usize, Fault> {
        if memmem::find(&bytes[GZIP_MEMBER.len().min(bytes.len())..], GZIP_MEMBER).is_some() {
            return self.inflate_members(bytes, limit);
        }
        let length = self.inflate_first(bytes, limit)?;
        // The fast decoder ignores what follows the first member; the trailer tells whether anything does.
        let trailer = &bytes[bytes.len() - GZIP_TRAILER..];
        let number = |at: usize| u32::from_le_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]]);
        let mut crc = Crc::new();
        crc.update(&self.buffer[..length]);
        if number(0) == crc.sum() && u64::from(number(4)) == length as u64 & u64::from(u32::MAX) {
            return Ok(length);
        }
        self.inflate_members(bytes, limit)
    }

    fn inflate_first(&mut self, bytes: &[u8], limit: usize) -> Result<usize, Fault> {
        let mut room = first_room(bytes, limit);
        loop {
            self.grow(room);
            let room_now = self.buffer.len().min(limit);
            match self.decompressor.gzip_decompress(bytes, &mut self.buffer[..room_now]) {
                Ok(length) => return Ok(length),
                Err(DecompressionError::InsufficientSpace) if room_now >= limit => return Err(Fault::TooLarge),
                Err(DecompressionError::InsufficientSpace) => room = room_now.saturating_mul(4).clamp(1, limit),
                Err(DecompressionError::BadData) => return Err(Fault::Damaged(DAMAGED)),
            }
        }
    }

    /// The exact way: member by member, with zero padding allowed after the last.
    fn inflate_members(&mut self, bytes: &[u8], limit: usize) -> Result<usize, Fault> {
        let mut length = 0;
        let mut rest = bytes;
        while !rest.is_empty() {
            if rest.len() < bytes.len() && rest.iter().all(|byte| *byte == 0) {
                break;
            }
            if !rest.starts_with(GZIP_MEMBER) {
                return Err(Fault::Damaged(NOT_GZIP_AFTER));
            }
            let mut member = GzDecoder::new(rest);
            length = self.append(length, &mut member, limit)?;
            rest = member.into_inner();
        }
        Ok(length)
    }

    /// Adds one member behind the first `length` bytes of the buffer; gives the new length.
    fn append(&mut self, mut length: usize, member: &mut impl Read, limit: usize) -> Result<usize, Fault> {
        loop {
            self.grow((length + BUFFER_FIRST).max(length * 2).min(limit + 1));
            let room_now = self.buffer.len().min(limit + 1);
            match member.read(&mut self.buffer[length..room_now]) {
                Ok(0) => return Ok(length),
                Ok(read) => length += read,
                Err(_) => return Err(Fault::Damaged(DAMAGED)),
            }
            if length > limit {
                return Err(Fault::TooLarge);
            }
        }
    }

    /// Makes the buffer at least this long, and no longer: a vector left to itself would double.
    fn grow(&mut self, room: usize) {
        if self.buffer.len() < room {
            self.buffer.reserve_exact(room - self.buffer.len());
            self.buffer.resize(room, 0);
        }
    }
}

/// The room to begin with: what the trailer claims, as far as the size of the file makes that plausible.
fn first_room(bytes: &[u8], limit: usize) -> usize {
    let claimed = bytes.last_chunk::<4>().map_or(0, |last| u32::from_le_bytes(*last) as usize);
    claimed.min(bytes.len().saturating_mul(16)).max(BUFFER_FIRST).min(limit)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1024 * 1024;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn inflated(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
        with_inflated(bytes, limit, <[u8]>::to_vec)
    }

    #[test]
    fn every_way_of_storing_a_document_gives_the_document() {
        let document = b"{\"session_id\": \"rm_1\"}".repeat(400);
        let check = |stored: &[u8], expected: &[u8]| assert_eq!(inflated(stored, LIMIT).expect("inflates"), expected);
        check(&document, &document);
        check(b"", b"");
        check(&gzip(&document), &document);
        check(&gzip(b""), b"");
        check(&[gzip(b"{\"a\":"), gzip(b"1}")].concat(), b"{\"a\":1}");
        check(&[gzip(b"x"), gzip(b"x")].concat(), b"xx");
        check(&[gzip(b"x"), gzip(b"")].concat(), b"x");
        check(&[gzip(&document), vec![0; 512]].concat(), &document);
        let stored_with_a_magic_inside = [&[0x1f, 0x8b, 0x08][..], &document].concat();
        let mut plain_blocks = GzEncoder::new(Vec::new(), Compression::none());
        plain_blocks.write_all(&stored_with_a_magic_inside).expect("memory");
        check(&plain_blocks.finish().expect("memory"), &stored_with_a_magic_inside);
    }

    #[test]
    fn what_is_broken_is_told() {
        let whole = gzip(&b"some text that is long enough ".repeat(50));
        let check = |stored: &[u8]| {
            assert!(matches!(inflated(stored, LIMIT), Err(Fault::Damaged(_))), "{} bytes", stored.len());
        };
        for length in 2..whole.len() {
            check(&whole[..length]);
        }
        let mut wrong_sum = whole.clone();
        let at = wrong_sum.len() - 6;
        wrong_sum[at] ^= 1;
        check(&wrong_sum);
        check(&[whole.clone(), b"garbage".to_vec()].concat());
        check(&[whole.clone(), whole[..20].to_vec()].concat());
        check(&[vec![0x1f, 0x8b, 0x08], vec![0; 40]].concat());
    }

    #[test]
    fn inflating_stops_at_the_limit() {
        let zeros = gzip(&vec![0; 8 * LIMIT]);
        assert_eq!(inflated(&zeros, LIMIT), Err(Fault::TooLarge));
        assert_eq!(inflated(&[zeros.clone(), zeros].concat(), LIMIT), Err(Fault::TooLarge));
        assert_eq!(inflated(&gzip(&vec![7; LIMIT]), LIMIT).map(|bytes| bytes.len()), Ok(LIMIT));
        assert_eq!(inflated(&gzip(&vec![7; LIMIT + 1]), LIMIT), Err(Fault::TooLarge));
        assert_eq!(inflated(&vec![7; LIMIT + 1], LIMIT), Err(Fault::TooLarge));
        let mut lying = gzip(b"short");
        let at = lying.len() - 4;
        lying[at..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(inflated(&lying, LIMIT), Err(Fault::Damaged(_))));
    }

    #[test]
    fn no_file_makes_the_buffer_larger_than_the_limit() {
        let zeros = gzip(&vec![0; 3 * LIMIT / 4]);
        for bomb in [gzip(&vec![0; 50 * LIMIT]), zeros.repeat(50)] {
            let mut inflater = Inflater { decompressor: Decompressor::new(), buffer: Vec::new() };
            assert_eq!(inflater.inflate(&bomb, LIMIT), Err(Fault::TooLarge));
            assert!(inflater.buffer.capacity() <= LIMIT + 1, "{} bytes", inflater.buffer.capacity());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_bytes_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..2000), gz in any::<bool>()) {
            let bytes = if gz { [&[0x1f, 0x8b, 0x08, 0][..], &bytes].concat() } else { bytes };
            let _ = inflated(&bytes, 1000);
        }

        #[test]
        fn any_document_survives_any_split_into_members(document in proptest::collection::vec(any::<u8>(), 0..3000), at in 0usize..3000) {
            let (first, second) = document.split_at(at.min(document.len()));
            prop_assert_eq!(inflated(&[gzip(first), gzip(second)].concat(), LIMIT).expect("inflates"), document);
        }
    }
}
