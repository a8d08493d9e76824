//! Checksums of what is delivered from the ledger: a flipped bit, a swapped row or an older body under a newer call is
//! noticed before anything is sent.
//!
//! CRC-32 finds every flip of a bit and every burst up to four bytes; what it covers is bound to whose it is, so that whole
//! rows that changed places do not fit either. It is no protection against somebody who means to change the ledger.

use std::io::{self, Read, Write};

use crc32fast::Hasher;

use super::StoreError;
use super::codec::inflated;
use crate::model::Digester;

/// Whose body it is, as the call's own row tells.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    pub key: &'a str,
    pub revision: u32,
    /// Of the content: a SHA-256 of the JSON, head and tail.
    pub digest: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    Head,
    Tail,
}

/// The stored checksums; both are there, or neither is where a body was written before there were any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    pub head: Option<u32>,
    pub tail: Option<u32>,
}

impl Sums {
    /// Of a body that is about to be stored.
    pub fn of(whose: Whose<'_>, head: &[u8], tail: &[u8]) -> Sums {
        Sums { head: Some(of_piece(whose, Piece::Head, head)), tail: Some(of_piece(whose, Piece::Tail, tail)) }
    }

    /// Whether the body can be proved only as a whole.
    pub fn is_none(self) -> bool {
        self.head.is_none() && self.tail.is_none()
    }
}

/// Proves a stored body: by its checksums where it has them, else by the call's content digest, for which the tail must be
/// there. Without a `tail` the head alone is proved.
pub fn prove(whose: Whose<'_>, sums: Sums, head: &[u8], tail: Option<impl Read>) -> Result<(), StoreError> {
    let fits = match (sums.head, sums.tail, tail) {
        (Some(head_sum), Some(tail_sum), tail) => {
            let read = |tail| of_read(whose, Piece::Tail, tail).map_err(|error| damaged(whose, &error.to_string()));
            let tail_fits = tail.map(read).transpose()?.is_none_or(|sum| sum == tail_sum);
            of_piece(whose, Piece::Head, head) == head_sum && tail_fits
        }
        (None, None, Some(tail)) => has_digest(whose, head, tail)?,
        (None, None, None) => return Err(damaged(whose, "nothing proves it without its tail")),
        _ => return Err(damaged(whose, "one of its checksums is missing")),
    };
    if fits { Ok(()) } else { Err(damaged(whose, "its checksum does not fit")) }
}

/// Whether head and tail, inflated, have the call's content digest.
pub fn has_digest(whose: Whose<'_>, head: &[u8], tail: impl Read) -> Result<bool, StoreError> {
    let mut sink = Sink(Digester::new());
    let mut all = inflated(head).and_then(|mut head| io::copy(&mut head, &mut sink));
    all = all.and_then(|_| inflated(tail)).and_then(|mut tail| io::copy(&mut tail, &mut sink));
    all.map_err(|error| damaged(whose, &error.to_string()))?;
    Ok(sink.0.finish().0[..] == *whose.digest)
}

pub fn of_piece(whose: Whose<'_>, piece: Piece, bytes: &[u8]) -> u32 {
    let mut sum = begin(whose, piece);
    sum.update(bytes);
    sum.finalize()
}

fn of_read(whose: Whose<'_>, piece: Piece, mut bytes: impl Read) -> io::Result<u32> {
    let mut sum = begin(whose, piece);
    let mut block = vec![0; 64 * 1024];
    loop {
        match bytes.read(&mut block)? {
            0 => return Ok(sum.finalize()),
            count => sum.update(&block[..count]),
        }
    }
}

/// Of the texts that a delivery is sent to: the remote record's id, or the person's object and id.
pub fn of_target(delivery_id: i64, texts: &[&str]) -> u32 {
    let mut sum = Hasher::new();
    sum.update(&delivery_id.to_le_bytes());
    texts.iter().for_each(|text| put(&mut sum, text.as_bytes()));
    sum.finalize()
}

fn begin(whose: Whose<'_>, piece: Piece) -> Hasher {
    let mut sum = Hasher::new();
    sum.update(&[piece as u8]);
    sum.update(&whose.revision.to_le_bytes());
    put(&mut sum, whose.key.as_bytes());
    put(&mut sum, whose.digest);
    sum
}

/// With its length, so that two texts cannot run into each other.
fn put(sum: &mut Hasher, bytes: &[u8]) {
    sum.update(&(bytes.len() as u64).to_le_bytes());
    sum.update(bytes);
}

fn damaged(whose: Whose<'_>, cause: &str) -> StoreError {
    StoreError::DamagedCall { key: whose.key.to_owned(), cause: cause.to_owned() }
}

struct Sink(Digester);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Call;
    use crate::redact::redact;
    use crate::store::{EncodedCall, encode_call};

    fn encoded(id: &str) -> EncodedCall {
        encode_call(redact(Call::new("sessions", id))).expect("a call that can be encoded")
    }

    #[test]
    fn what_is_not_as_it_was_written_does_not_fit() {
        let (one, other) = (encoded("one"), encoded("other"));
        let whose = Whose { key: "sessions-1", revision: 2, digest: &one.digest.0 };
        let sums = Sums::of(whose, &one.head, &one.tail);
        let check = |whose: Whose<'_>, sums: Sums, head: &[u8], tail: Option<&[u8]>, fits: bool| {
            assert_eq!(prove(whose, sums, head, tail).is_ok(), fits, "{whose:?} {sums:?}");
        };
        let (head, tail) = (&one.head[..], Some(&one.tail[..]));
        check(whose, sums, head, tail, true);
        check(whose, sums, head, None, true);
        check(whose, sums, &other.head, tail, false);
        check(whose, sums, head, Some(&other.head), false);
        check(Whose { key: "sessions-2", ..whose }, sums, head, tail, false);
        check(Whose { revision: 3, ..whose }, sums, head, None, false);
        check(Whose { digest: &other.digest.0, ..whose }, sums, head, tail, false);
        check(whose, Sums { head: None, ..sums }, head, tail, false);
        check(whose, Sums { tail: sums.head, head: sums.tail }, head, tail, false);
        let none = Sums { head: None, tail: None };
        check(whose, none, head, tail, true);
        check(whose, none, head, None, false);
        check(whose, none, &other.head, tail, false);
        assert!(none.is_none() && !Sums { head: None, ..sums }.is_none() && !sums.is_none());
        let untold = prove(whose, none, head, None::<&[u8]>).map_err(|error| error.to_string());
        assert!(untold.is_err_and(|text| text.contains("nothing proves it without its tail")));
    }

    #[test]
    fn every_flipped_bit_of_a_body_is_noticed() {
        let one = encoded("one");
        let whose = Whose { key: "sessions-1", revision: 1, digest: &one.digest.0 };
        let sums = Sums::of(whose, &one.head, &one.tail);
        for place in 0..one.head.len() * 8 {
            let mut head = one.head.clone();
            head[place / 8] ^= 1 << (place % 8);
            assert!(prove(whose, sums, &head, None::<&[u8]>).is_err(), "bit {place}");
        }
    }

    #[test]
    fn texts_of_a_target_cannot_run_into_each_other() {
        assert_ne!(of_target(1, &["ab", "c"]), of_target(1, &["a", "bc"]));
        assert_ne!(of_target(1, &["ab"]), of_target(2, &["ab"]));
    }
}
