//! A large file's stored bytes to its document's text, block by block: what `inflate`, `decode::text_of` and `repair` do with
//! a small file as a whole.
//!
//! Invariant: only a block is held, and nothing beyond the limit is inflated. Every byte is looked at, so that damage behind
//! the document is found as well, and it counts more than what is wrong with the document.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::inflate::{DAMAGED, Fault, GZIP_MAGIC, NOT_GZIP_AFTER};
use crate::model::Pieces;
use crate::sources::repair::Repair;

const BLOCK_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Why there is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Inflate(Fault),
    NotText,
}

/// The document's text, repaired where it needs that.
pub(super) struct Text {
    stored: Stored,
    repair: Repair,
    /// The beginning of a character whose rest is in the next block.
    cut: Vec<u8>,
    out: Vec<u8>,
    /// How much of `out` was read.
    at: usize,
    limit: u64,
    inflated_bytes: u64,
    ended: bool,
    flaw: Option<Flaw>,
}

impl Text {
    pub(super) fn of(stored: Vec<u8>, limit: usize) -> Text {
        Text {
            stored: Stored::of(Pieces::of(stored)),
            repair: Repair::default(),
            cut: Vec::new(),
            out: Vec::new(),
            at: 0,
            limit: limit as u64,
            inflated_bytes: 0,
            ended: false,
            flaw: None,
        }
    }

    /// Reads what is left; gives the size of the document and whether it was repaired.
    pub(super) fn finish(mut self) -> Result<(u64, bool), Flaw> {
        while !self.ended {
            self.advance()?;
        }
        Ok((self.inflated_bytes, self.repair.changed()))
    }

    /// Makes the next text.
    fn advance(&mut self) -> Result<(), Flaw> {
        let ended = match self.flaw {
            Some(flaw) => Err(flaw),
            None => self.next_block(),
        };
        self.flaw = ended.err();
        ended
    }

    fn next_block(&mut self) -> Result<(), Flaw> {
        let mut block = std::mem::take(&mut self.cut);
        let kept = block.len();
        block.resize(kept + BLOCK_BYTES, 0);
        let read = fill(&mut self.stored, &mut block[kept..]).map_err(Flaw::Inflate)?;
        block.truncate(kept + read);
        let is_first = self.inflated_bytes == 0;
        self.inflated_bytes += read as u64;
        self.ended = read == 0;
        if self.inflated_bytes > self.limit {
            return Err(Flaw::Inflate(Fault::TooLarge));
        }
        let length = match simdutf8::compat::from_utf8(&block) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() && !self.ended => error.valid_up_to(),
            Err(_) => return Err(Flaw::NotText),
        };
        self.cut = block.split_off(length);
        let text = if is_first { block.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&block) } else { &block };
        self.out.clear();
        self.at = 0;
        self.repair.push(&mut self.out, text, self.ended);
        Ok(())
    }
}

/// Reads until `into` is full or nothing is left.
fn fill(stored: &mut Stored, into: &mut [u8]) -> Result<usize, Fault> {
    let mut length = 0;
    while length < into.len() {
        match stored.read(&mut into[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

impl BufRead for Text {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at >= self.out.len() && !self.ended {
            self.advance().map_err(|_| io::Error::other("there is no text"))?;
        }
        Ok(&self.out[self.at.min(self.out.len())..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Text {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let from = self.fill_buf()?;
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// The stored bytes, inflated if they are gzip: member by member, with zero padding allowed after the last.
enum Stored {
    Plain(Pieces),
    Gzip(Box<GzDecoder<Pieces>>),
    Ended,
}

impl Stored {
    fn of(mut pieces: Pieces) -> Stored {
        match pieces.rest().starts_with(GZIP_MAGIC) {
            true => Stored::Gzip(Box::new(GzDecoder::new(pieces))),
            false => Stored::Plain(pieces),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Fault> {
        loop {
            let read = match self {
                Stored::Plain(pieces) => pieces.read(into),
                Stored::Gzip(member) => member.read(into),
                Stored::Ended => Ok(0),
            };
            match (read.map_err(|_| Fault::Damaged(DAMAGED))?, std::mem::replace(self, Stored::Ended)) {
                (0, Stored::Gzip(member)) => *self = Stored::after(member.into_inner())?,
                (read, same) => {
                    *self = same;
                    return Ok(read);
                }
            }
        }
    }

    /// What follows a member.
    fn after(mut rest: Pieces) -> Result<Stored, Fault> {
        while rest.rest().first() == Some(&0) {
            let zeros = rest.rest().iter().take_while(|byte| **byte == 0).count();
            rest.consume(zeros);
            if rest.rest().first().is_some_and(|byte| *byte != 0) {
                return Err(Fault::Damaged(NOT_GZIP_AFTER));
            }
        }
        match rest.rest().first() {
            None => Ok(Stored::Ended),
            Some(byte) if *byte == GZIP_MAGIC[0] => Ok(Stored::Gzip(Box::new(GzDecoder::new(rest)))),
            Some(_) => Err(Fault::Damaged(NOT_GZIP_AFTER)),
        }
    }
}
