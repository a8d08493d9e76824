//! The log beside the ledger (`-wal`): whether commits stand in it that SQLite passes over.
//!
//! SQLite takes a log up to the last commit whose checksums fit, and says nothing of what comes behind. That is right after
//! a power cut, where the end was never written; after a flipped bit it loses what was committed.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use super::file::note;
use super::{RESTORE, beside};
use crate::store::{Finding, Soundness, StoreError};

const HEADER_BYTES: usize = 32;
const FRAME_BYTES: usize = 24;

/// What stands in a log, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Up to the last commit that fits.
    committed: u64,
    /// Those of this log, by their salt, that end a commit behind the first that does not fit.
    lost_commits: u64,
    /// It ends in the middle of a frame.
    is_cut: bool,
}

pub(super) fn look(path: &Path, found: &mut Soundness) -> Result<(), StoreError> {
    let log = beside(path, "-wal");
    let file = match File::open(&log) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::Unusable(format!("{}: {error}", log.display()))),
    };
    match read(BufReader::with_capacity(1024 * 1024, file)) {
        Ok(Some(seen)) => tell(seen, found),
        Ok(None) => {}
        Err(cause) => {
            found.find(Finding { rule: "log", place: "the -wal file".into(), what: cause, help: RESTORE.into() })
        }
    }
    Ok(())
}

fn tell(seen: Seen, found: &mut Soundness) {
    let place = || "the -wal file".to_owned();
    if seen.lost_commits > 0 {
        let what = format!(
            "behind frame {} a frame does not fit its checksum, and {} commits behind it are passed over",
            seen.committed, seen.lost_commits
        );
        found.find(Finding { rule: "log", place: place(), what, help: RESTORE.into() });
    } else if seen.is_cut {
        let what = "it ends in the middle of a frame: what was being written when power or space ran out".to_owned();
        let help = "nothing, unless the file was cut by something else: then sync the last days again";
        note(found, "log-end", place(), what, help);
    }
}

/// `None`: an empty log. An error in words: no log of SQLite's.
fn read(mut log: impl Read) -> Result<Option<Seen>, String> {
    let mut header = [0; HEADER_BYTES];
    match fill(&mut log, &mut header) {
        0 => return Ok(None),
        HEADER_BYTES => {}
        count => return Err(format!("it has {count} bytes, less than its header: what was committed in it is lost")),
    }
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let is_big = match number(0) {
        0x377f_0682 => false,
        0x377f_0683 => true,
        // A log that was started over is first cleared.
        0 => return Ok(None),
        _ => return Err("its header is no log's: what was committed in it is lost".to_owned()),
    };
    let page = number(8) as usize;
    let mut sum = add((0, 0), &header[..24], is_big);
    if sum != (number(24), number(28)) || !page.is_power_of_two() || page > 65_536 {
        return Err("its header does not fit its checksum: what was committed in it is lost".to_owned());
    }
    let salt = header[16..24].to_vec();
    let (mut seen, mut frame, mut number_of, mut fits) = (Seen::default(), vec![0; FRAME_BYTES + page], 0u64, true);
    loop {
        match fill(&mut log, &mut frame) {
            0 => return Ok(Some(seen)),
            count if count < frame.len() => return Ok(Some(Seen { is_cut: true, ..seen })),
            _ => number_of += 1,
        }
        if frame[8..16] != salt[..] {
            // Left over from before the log was started over; a flipped salt looks the same, and the next frame tells.
            fits = false;
            continue;
        }
        let number = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
        sum = add(add(sum, &frame[..8], is_big), &frame[FRAME_BYTES..], is_big);
        fits = fits && sum == (number(16), number(20));
        match (fits, number(4) > 0) {
            (true, true) => seen.committed = number_of,
            (false, true) => seen.lost_commits += 1,
            (_, false) => {}
        }
    }
}

/// Reads until the buffer is full or nothing is left; an error ends it like the end.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match log.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    filled
}

/// The log's running checksum, sqlite.org/fileformat2.html#checksum_algorithm.
fn add((mut first, mut second): (u32, u32), bytes: &[u8], is_big: bool) -> (u32, u32) {
    for eight in bytes.chunks_exact(8) {
        let number = |at: usize| {
            let four = [eight[at], eight[at + 1], eight[at + 2], eight[at + 3]];
            if is_big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
        };
        first = first.wrapping_add(number(0)).wrapping_add(second);
        second = second.wrapping_add(number(4)).wrapping_add(first);
    }
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_sqlite_fits_and_a_flipped_bit_in_it_is_told() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("x.db");
        let connection = rusqlite::Connection::open(&path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);")?;
        let bytes = std::fs::read(beside(&path, "-wal"))?;
        let seen = read(&bytes[..])?.ok_or("an empty log")?;
        assert!(seen.committed >= 3 && seen.lost_commits == 0 && !seen.is_cut, "{seen:?}");
        let frame = FRAME_BYTES + 4096;
        for at in (0..bytes.len() - frame).step_by(97) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            let told = read(&flipped[..]);
            assert!(
                told.as_ref().map_or(true, |seen| seen.is_none_or(|seen| seen.lost_commits > 0)),
                "byte {at}: {told:?}"
            );
        }
        assert_eq!(read(&bytes[..bytes.len() - 100])?.map(|seen| seen.is_cut), Some(true));
        assert_eq!(read(&bytes[..0])?, None);
        assert!(read(&bytes[..20]).is_err());
        Ok(())
    }
}
