//! A large text as a reader that gives memory back while it is read.
//!
//! Invariant: what was read is not held any more, so that what is made of it can take its place.

use std::io::{self, BufRead, Read};

/// Large enough that the allocator returns each piece to the system at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// Pieces of one text, the first on top.
pub struct Pieces {
    stack: Vec<Vec<u8>>,
    /// How much of the top was read.
    at: usize,
}

impl Pieces {
    /// Takes the bytes over, without a second copy of them.
    pub fn of(bytes: impl Into<Vec<u8>>) -> Pieces {
        let mut rest: Vec<u8> = bytes.into();
        let mut stack = Vec::with_capacity(rest.len() / PIECE_BYTES + 1);
        // From the end, because a vector can give back only what is behind.
        while rest.len() > PIECE_BYTES {
            stack.push(rest.split_off((rest.len() - 1) / PIECE_BYTES * PIECE_BYTES));
            rest.shrink_to_fit();
        }
        stack.push(rest);
        Pieces { stack, at: 0 }
    }

    /// What is to be read next; empty only at the end.
    pub fn rest(&mut self) -> &[u8] {
        while self.stack.last().is_some_and(|top| self.at >= top.len()) {
            self.stack.pop();
            self.at = 0;
        }
        self.stack.last().map_or(&[], |top| &top[self.at..])
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest())
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let from = self.rest();
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_text_are_the_text() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7] {
            let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut back = Vec::new();
            Pieces::of(text.clone()).read_to_end(&mut back).expect("memory");
            assert!(back == text, "{length}");
        }
    }
}
