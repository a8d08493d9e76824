//! What inflating and parsing a session costs by itself: the floor under every other figure in `docs/performance.md`.
//!
//! `cargo bench --bench decode`. One thread, the best of several passes over 2,000 invented sessions.

#![allow(clippy::disallowed_macros, reason = "a benchmark prints its figures")]

use std::io::Read;
use std::time::Instant;

use jiff::civil::date;
use trunkline::destinations::salesforce::Salesforce;
use trunkline::destinations::salesforce::config::{LoginFlow, Settings};
use trunkline::destinations::{Destination, Person};
use trunkline::net::HttpTransport;
use trunkline::redact::redact;
use trunkline::sim::sessions::Plan;
use trunkline::sources::object_store::{self, ObjectStore};
use trunkline::sources::{ObjectSource, RawRef};

const SESSIONS: usize = 2_000;
const PASSES: usize = 7;

fn main() -> anyhow::Result<()> {
    let plan = Plan::new(7, date(2026, 1, 14), SESSIONS);
    let files: Vec<Vec<u8>> = plan.sessions().map(|session| session.bytes).collect();
    let inflated: usize = plan.sessions().map(|session| session.truth.document_bytes).sum();
    println!("{SESSIONS} sessions, {} bytes each once inflated", inflated / SESSIONS);

    let mut decompressor = libdeflater::Decompressor::new();
    let mut buffer = vec![0u8; 4 * 1024 * 1024];
    best("inflate and parse", &files, |file| {
        let text = if file.starts_with(&[0x1f, 0x8b]) {
            let length = decompressor.gzip_decompress(file, &mut buffer)?;
            &buffer[..length]
        } else {
            file
        };
        let value: serde_json::Value = serde_json::from_slice(text)?;
        Ok(value.is_object())
    })?;
    best("inflate (flate2) and parse", &files, |file| {
        let mut text = Vec::new();
        if file.starts_with(&[0x1f, 0x8b]) {
            flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text)?;
        } else {
            text.extend_from_slice(file);
        }
        Ok(serde_json::from_slice::<serde_json::Value>(&text)?.is_object())
    })?;

    let transport = std::sync::Arc::new(HttpTransport::undecoded()?);
    let source = ObjectStore::open(object_store::Settings::new("file:///"), &Default::default(), transport)?;
    let raw = RawRef {
        url: "file:///day/session.json.gz".to_owned(),
        version: "1".to_owned(),
        bytes: 0,
        modified_at: jiff::Timestamp::UNIX_EPOCH,
    };
    best("inflate, check and convert", &files, |file| {
        let converted = source.convert(&raw, bytes::Bytes::copy_from_slice(file), 64 * 1024 * 1024)?;
        Ok(!converted.call.source_id.is_empty())
    })?;
    let destination = salesforce()?;
    let person = Person { object: "Contact".to_owned(), id: "003xx0000000001AAA".to_owned() };
    best("file to encoded request", &files, |file| {
        let call = redact(source.convert(&raw, bytes::Bytes::copy_from_slice(file), 64 * 1024 * 1024)?.call);
        let mapped = destination.map(&call, &person)?;
        Ok(!serde_json::to_vec(&mapped.create)?.is_empty())
    })?;
    best("convert, and encode for the ledger", &files, |file| {
        let converted = source.convert(&raw, bytes::Bytes::copy_from_slice(file), 64 * 1024 * 1024)?;
        let encoded = trunkline::store::encode_call(redact(converted.call))?;
        Ok(!encoded.head.is_empty())
    })
}

/// A destination that maps as documented and asks nobody.
fn salesforce() -> anyhow::Result<Salesforce> {
    let login = LoginFlow::ClientCredentials { client_id: "id".to_owned(), client_secret: "secret".into() };
    let now = std::sync::Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
    let transport = std::sync::Arc::new(HttpTransport::new()?);
    Ok(Salesforce::new("salesforce", Settings::new(login), transport, now)?)
}

/// Prints the best pass of `work` over all files, in microseconds a file.
fn best(name: &str, files: &[Vec<u8>], mut work: impl FnMut(&[u8]) -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let mut least = f64::INFINITY;
    for _ in 0..PASSES {
        let started = Instant::now();
        for file in files {
            anyhow::ensure!(work(file)?, "{name}: a session was not understood");
        }
        least = least.min(started.elapsed().as_secs_f64());
    }
    println!("{name:<40} {:.1} us", least / files.len() as f64 * 1e6);
    Ok(())
}
