//! The shape of the source: imports point one way, every connector has all its parts, and what a reader must be able to
//! rely on is true of every file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use trunkline::destinations::DESTINATIONS;
use trunkline::sources::SOURCES;

const LINES_MAX: usize = 600;

/// What stands below all layers and may be used by each.
const BELOW: &[&str] = &["proof", "offload", "memory"];

/// Each folder or file of `src/` and what it may use, the lowest first. `problem` and `clock` stand beside `model`: they
/// know nothing of anything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("proof", &[]),
    ("offload", &[]),
    ("memory", &[]),
    ("model", &[]),
    ("problem", &[]),
    ("clock", &[]),
    ("redact", &["model", "problem"]),
    ("net", &["model", "problem"]),
    ("sim", &["model", "net"]),
    ("store", &["model", "problem", "redact"]),
    ("sources", &["model", "problem", "redact", "net"]),
    ("map", &["model", "problem"]),
    ("destinations", &["model", "problem", "redact", "map", "net"]),
    ("server", &["model", "problem"]),
    ("engine", &["model", "problem", "clock", "redact", "store", "sources", "destinations"]),
    ("config", &["model", "problem", "net", "sources", "destinations", "engine"]),
    (
        "cli",
        &[
            "model",
            "problem",
            "clock",
            "redact",
            "net",
            "sim",
            "store",
            "sources",
            "destinations",
            "engine",
            "config",
            "server",
        ],
    ),
];

/// One file of `src/` without its comments.
struct Source {
    path: String,
    layer: String,
    code: String,
    lines: usize,
    is_test: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    files(&root().join("src"), &mut paths);
    let sources: Vec<Source> = paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file");
            let path = path.strip_prefix(root().join("src")).expect("below src").to_string_lossy().replace('\\', "/");
            let first = path.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
            let is_test = path.contains("/tests");
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            Source { path, layer: first, code, lines: text.lines().count(), is_test }
        })
        .collect();
    assert!(sources.len() > 100, "the sources were found");
    sources
}

/// The part of a file before its unit tests.
fn productive(source: &Source) -> &str {
    if source.is_test {
        return "";
    }
    source.code.split("#[cfg(test)]").next().unwrap_or_default()
}

/// The words that follow `crate::`.
fn used(code: &str) -> BTreeSet<String> {
    let word = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    code.split("crate::").skip(1).map(word).filter(|word| !word.is_empty()).collect()
}

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !["lib", "main"].contains(&source.layer.as_str())) {
        let Some((_, allowed)) = MAY_USE.iter().find(|(layer, _)| *layer == source.layer) else {
            wrong.push(format!("{}: a folder that the layers do not know", source.path));
            continue;
        };
        for other in used(productive(source)) {
            if other != source.layer && !allowed.contains(&other.as_str()) && !BELOW.contains(&other.as_str()) {
                wrong.push(format!("{} uses crate::{other}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn connectors_never_know_each_other() {
    let folders: [(&str, Vec<&str>); 2] = [
        ("sources", SOURCES.iter().map(|kind| kind.name).collect()),
        ("destinations", DESTINATIONS.iter().map(|kind| kind.name).collect()),
    ];
    for (layer, names) in folders {
        for source in sources().iter().filter(|source| source.layer == layer) {
            let mine = source.path.split('/').nth(1).unwrap_or_default();
            for other in
                names.iter().map(|name| name.replace('-', "_")).filter(|other| other != mine && mine != "mod.rs")
            {
                let words = [format!("super::{other}"), format!("{layer}::{other}")];
                assert!(!words.iter().any(|word| source.code.contains(word)), "{} knows {other}", source.path);
            }
        }
    }
}

#[test]
fn a_connector_has_its_folder_its_simulator_and_its_page() {
    let has = |path: String| assert!(root().join(&path).exists(), "{path} is missing");
    let mut docs = String::new();
    for entry in fs::read_dir(root().join("docs")).expect("the docs") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            docs += &fs::read_to_string(path).expect("a page").to_lowercase();
        }
    }
    for kind in SOURCES {
        let folder = kind.name.replace('-', "_");
        has(format!("src/sources/{folder}/mod.rs"));
        // Its simulator is the data that `sim` writes: session files in the layout of the bucket.
        has("src/sim/sessions/mod.rs".to_owned());
        for scheme in kind.schemes {
            let address = format!("{}://", scheme.trim_end_matches("://"));
            assert!(docs.contains(&address), "no page tells of {address} addresses");
        }
    }
    for kind in DESTINATIONS {
        let folder = kind.name.replace('-', "_");
        has(format!("src/destinations/{folder}/mod.rs"));
        has(format!("src/destinations/{folder}/config.rs"));
        has(format!("src/sim/{folder}/mod.rs"));
        assert!(docs.contains(&format!("[{}]", kind.name)), "no page tells how to set [{}]", kind.name);
    }
}

#[test]
fn no_file_is_longer_than_anybody_reads() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.lines > LINES_MAX)
        .map(|source| format!("{}: {} lines", source.path, source.lines))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn only_main_reads_the_environment_and_only_output_writes_to_the_terminal() {
    let banned = ["println!", "eprintln!", "print!(", "dbg!", "std::env", "env::var", "todo!", "unimplemented!"];
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.path != "main.rs") {
        for word in banned {
            let code = productive(source);
            let found = code.match_indices(word).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric()));
            if found {
                wrong.push(format!("{}: {word}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_opens_with_what_it_owns() {
    let mut paths = Vec::new();
    files(&root().join("src"), &mut paths);
    files(&root().join("tests"), &mut paths);
    let bare: Vec<PathBuf> =
        paths.into_iter().filter(|path| !fs::read_to_string(path).is_ok_and(|text| text.starts_with("//! "))).collect();
    assert!(bare.is_empty(), "{bare:#?}");
}
