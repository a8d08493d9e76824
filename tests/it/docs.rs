//! The documentation is true: links lead somewhere, commands and flags exist, settings parse and are all explained,
//! every error code has its page, and the default mapping on paper is the one in the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use trunkline::config::{TEMPLATE, parse};
use trunkline::destinations::salesforce::template::DEFAULT_MAPPING;
use trunkline::problem::{self, CODES};

/// Folders that hold no documentation of ours.
const PASSED_OVER: &[&str] = &["target", ".git", ".venv", "trunkline-demo", "node_modules"];

/// One page, by its path from the root of the repository.
struct Page {
    path: PathBuf,
    text: String,
}

/// A fenced block: the word behind the fence, its first line's number, and what stands in it.
struct Block {
    language: String,
    line: usize,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    gather(root(), &mut pages);
    assert!(pages.len() > CODES.len(), "the pages were found");
    pages
}

fn gather(folder: &Path, pages: &mut Vec<Page>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry of a folder").path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !PASSED_OVER.contains(&name.as_str()) {
                gather(&path, pages);
            }
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let path = path.strip_prefix(root()).expect("below the root").to_owned();
            pages.push(Page { path, text });
        }
    }
}

fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let inner = line.trim_start();
        match (&mut open, inner.strip_prefix("```")) {
            (None, Some(language)) => {
                let block = Block { language: language.trim().to_owned(), line: number + 2, text: String::new() };
                open = Some((block, line.len() - inner.len()));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or(inner));
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

/// The text outside fences and inline code, where a link is a link.
fn prose(text: &str) -> String {
    let mut out = String::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            out.extend(line.split('`').step_by(2));
            out.push('\n');
        }
    }
    out
}

/// What stands between `](` and `)`.
fn links(text: &str) -> Vec<String> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link.to_owned())).collect()
}

/// The anchor that a heading gets: lower case, blanks to hyphens, nothing but letters, digits and hyphens.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    let keep =
        |c: char| if c == ' ' { Some('-') } else { Some(c).filter(|c| c.is_alphanumeric() || "-_".contains(*c)) };
    plain.chars().filter_map(keep).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    for page in pages() {
        for link in links(&prose(&page.text)) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let folder = page.path.parent().expect("a page is in a folder");
            let target = if file.is_empty() { page.path.clone() } else { plain(&folder.join(file)) };
            assert!(root().join(&target).exists(), "{}: {link} leads nowhere", page.path.display());
            if !fragment.is_empty() {
                let text = fs::read_to_string(root().join(&target)).expect("a page with an anchor");
                let found = text.lines().any(|line| line.starts_with('#') && anchor(line) == fragment);
                assert!(found, "{}: no heading for {link}", page.path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked} links were checked");
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

/// What `trunkline <words> --help` prints; empty if there is no such command.
fn help(words: &[&str]) -> String {
    static KNOWN: OnceLock<Mutex<BTreeMap<String, String>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().expect("no test panicked while it asked");
    known
        .entry(words.join(" "))
        .or_insert_with(|| {
            let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
                .args(words)
                .arg("--help")
                .env_clear()
                .output()
                .expect("the program runs");
            if output.status.success() { String::from_utf8_lossy(&output.stdout).into_owned() } else { String::new() }
        })
        .clone()
}

/// The invocations of the program in a piece of shell: the words behind `trunkline`, up to the end of the command.
fn invocations(shell: &str) -> Vec<Vec<String>> {
    let joined = shell.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        let line = line.split(" #").next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        for (at, word) in words.iter().enumerate() {
            let names_it = *word == "trunkline" || word.ends_with("bin/trunkline");
            // `useradd ... trunkline` and `sudo -u trunkline trunkline` name a user.
            let is_command = words.get(at + 1).is_some_and(|next| {
                *next != "trunkline" && (next.starts_with("--") || next.chars().all(|c| c.is_ascii_lowercase()))
            });
            if names_it && is_command {
                let end = |word: &&&str| !["&&", "|", ";", "||"].contains(*word);
                found.push(words[at + 1..].iter().take_while(end).map(|word| (*word).to_owned()).collect());
            }
        }
        if let Some((_, rest)) = line.split_once("cargo run --release -- ") {
            found.push(rest.split_whitespace().map(str::to_owned).collect());
        }
    }
    found
}

fn check_invocation(words: &[String], place: &str) {
    let first = words.iter().find(|word| !word.starts_with("--"));
    let Some(first) = first else {
        let known = help(&[]);
        assert!(words.iter().all(|flag| known.contains(flag.as_str())), "{place}: {words:?}");
        return;
    };
    let mut command = vec![first.as_str()];
    if first == "sim" {
        command.extend(words.iter().skip_while(|word| *word != "sim").nth(1).map(String::as_str));
    }
    let text = help(&command);
    assert!(!text.is_empty(), "{place}: there is no command `trunkline {}`", command.join(" "));
    for flag in words.iter().filter(|word| word.starts_with("--")) {
        let name = flag.split('=').next().unwrap_or_default();
        let is_there = text.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == name);
        assert!(is_there, "{place}: `trunkline {}` has no {name}", command.join(" "));
    }
}

#[test]
fn every_command_on_a_page_exists_with_its_flags() {
    let mut checked = BTreeSet::new();
    for page in pages() {
        let shell =
            blocks(&page.text).into_iter().filter(|block| ["", "sh", "bash"].contains(&block.language.as_str()));
        let mut pieces: Vec<(String, String)> =
            shell.map(|block| (format!("{}:{}", page.path.display(), block.line), block.text)).collect();
        let inline = page.text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("trunkline "));
        pieces.extend(inline.map(|code| (page.path.display().to_string(), code.replace('\n', " "))));
        for (place, text) in pieces {
            for words in invocations(&text) {
                check_invocation(&words, &place);
                checked.insert(words.first().cloned().unwrap_or_default());
            }
        }
    }
    let commands = [
        "demo",
        "init",
        "check",
        "sync",
        "upload",
        "serve",
        "why",
        "calls",
        "deliveries",
        "retry",
        "quarantine",
        "report",
        "verify",
    ];
    for command in commands.into_iter().chain(["sim", "explain"]) {
        assert!(checked.contains(command), "`trunkline {command}` is on no page");
    }
}

#[test]
fn a_command_for_users_of_the_python_uploader_can_be_pasted() {
    let text = page("docs/call-data-api.md");
    let table = text.split("## Old functions, new commands").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows: Vec<&str> = table.expect("the table").lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() >= 4, "{rows:?}");
    for row in rows {
        assert!(row.rsplit('|').nth(1).is_some_and(|now| now.contains("`trunkline ")), "{row}");
    }
    let words = text.split('`').skip(1).step_by(2).filter_map(|code| code.split_whitespace().next());
    for word in words {
        assert!(!["upload", "serve", "sync", "retry"].contains(&word), "`{word}` cannot be pasted");
    }
}

#[test]
fn each_unit_starts_a_command_that_exists() {
    for name in ["deploy/trunkline.service", "deploy/trunkline-serve.service"] {
        let unit = page(name);
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
        let found = invocations(start);
        assert_eq!(found.len(), 1, "{start}");
        check_invocation(&found[0], name);
    }
}

#[test]
fn every_command_of_the_program_is_in_the_readme() {
    let readme = page("README.md");
    let listed = help(&[]);
    let commands = listed.split("Commands:").nth(1).and_then(|rest| rest.split("Options:").next()).expect("commands");
    let names: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("`trunkline {name}")), "README.md does not list `trunkline {name}`");
    }
}

#[test]
fn the_readme_begins_with_the_commands_that_a_newcomer_needs() {
    let readme = page("README.md");
    let code: Vec<String> = blocks(&readme).into_iter().map(|block| block.text).collect();
    assert_eq!(code.first().map(|text| text.trim()), Some("cargo run --release -- demo"));
    assert!(code.iter().any(|text| text.trim() == "scripts/test"));
    assert!(root().join("scripts/test").exists());
    assert!(readme.lines().count() <= 170, "{} lines", readme.lines().count());
    assert!(page("CHANGELOG.md").contains("[Unreleased]"));
    assert!(page("LICENSE").contains("Apache License"));
}

#[test]
fn every_piece_of_configuration_on_a_page_is_valid() {
    let mut checked = 0;
    for page in pages() {
        for block in blocks(&page.text).into_iter().filter(|block| block.language == "toml") {
            let place = format!("{}:{}", page.path.display(), block.line);
            if let Err(problem) = parse(&block.text, &place) {
                panic!("{problem}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked} blocks were checked");
}

#[test]
fn the_default_mapping_on_paper_is_the_one_in_the_program() {
    let text = page("docs/mapping.md");
    let (_, rest) = text.split_once("<!-- the default mapping;").expect("the mark above the default mapping");
    let block = blocks(rest).into_iter().next().expect("the default mapping");
    let shown = parse(&block.text, "docs/mapping.md").expect("the default mapping parses").salesforce.task;
    let real: BTreeMap<String, String> =
        DEFAULT_MAPPING.iter().map(|(name, template)| ((*name).to_owned(), (*template).to_owned())).collect();
    assert_eq!(shown, real);
}

/// The keys of the documented file: `section.key`, with their defaults as written.
fn documented_keys() -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in TEMPLATE.lines() {
        let line = line.strip_prefix("#: ").unwrap_or(line);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.push((section.clone(), key.to_owned(), value.to_owned()));
        }
    }
    keys
}

#[test]
fn every_setting_is_in_the_reference() {
    let reference = page("docs/configuration.md");
    let keys = documented_keys();
    assert!(keys.len() > 30, "{keys:?}");
    for (section, key, _) in keys {
        let part = match section.as_str() {
            "salesforce.task" => continue,
            "" => reference.split("### `[").next(),
            section => reference.split(&format!("### `[{section}]`")).nth(1).and_then(|rest| rest.split("\n##").next()),
        };
        let part = part.unwrap_or_else(|| panic!("docs/configuration.md has no section [{section}]"));
        assert!(part.contains(&format!("| `{key}` |")), "docs/configuration.md does not have {section}.{key}");
    }
}

#[test]
fn every_variable_of_a_destination_is_in_the_help_and_in_the_documented_file() {
    let reference = page("docs/configuration.md");
    let variables = reference.split("## Variables").nth(1).expect("the part about variables");
    let names: BTreeSet<&str> =
        variables.split('`').filter(|word| word.starts_with("SF_") || word.starts_with("CRM_")).collect();
    assert!(names.len() >= 17, "{names:?}");
    let words = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !c.is_ascii_uppercase() && c != '_').map(str::to_owned).collect()
    };
    let (shown, documented) = (words(&help(&[])), words(TEMPLATE));
    for name in names {
        assert!(shown.contains(name), "`trunkline --help` does not have {name}");
        assert!(documented.contains(name), "config/trunkline.default.toml does not have {name}");
    }
}

#[test]
fn the_reference_has_no_setting_that_does_not_exist() {
    let known: BTreeSet<String> = documented_keys().into_iter().map(|(_, key, _)| key).collect();
    let reference = page("docs/configuration.md");
    let keys = reference.split("## Variables").next().expect("the part about keys");
    for row in keys.lines().filter_map(|line| line.strip_prefix("| `")) {
        let key = row.split('`').next().unwrap_or_default();
        assert!(known.contains(key) || key == "task", "docs/configuration.md has a key {key}");
    }
}

#[test]
fn every_error_page_says_what_why_and_what_to_do() {
    for info in CODES {
        let place = format!("docs/errors/{}.md", info.code);
        let title = format!("# {}: {}", info.code, info.sentence);
        assert_eq!(info.page.lines().next(), Some(title.as_str()), "{place}");
        let headings: Vec<&str> = info.page.lines().filter(|line| line.starts_with("## ")).collect();
        let wanted = ["## Why it happens", "## What to do", "## What happens to the calls meanwhile"];
        assert_eq!(headings, wanted, "{place}");
        let meaning = info.page.split("## ").next().unwrap_or_default().lines().skip(1).any(|line| !line.is_empty());
        assert!(meaning, "{place} says nothing below its title");
        assert!(info.page.contains("\n1. "), "{place} has no steps");
    }
}

#[test]
fn what_every_destination_can_come_to_is_told_in_words_that_fit_every_destination() {
    let raised: String = rust_texts("src/destinations/rest");
    let names = [
        ("LOGIN_REFUSED", problem::LOGIN_REFUSED),
        ("ORG_CONFIGURATION", problem::ORG_CONFIGURATION),
        ("ROW_REFUSED", problem::ROW_REFUSED),
        ("OUTCOME_UNKNOWN", problem::OUTCOME_UNKNOWN),
        ("REMOTE_UNREACHABLE", problem::REMOTE_UNREACHABLE),
        ("REMOTE_BUSY", problem::REMOTE_BUSY),
    ];
    for (name, code) in names {
        assert!(raised.contains(name), "no REST destination raises {name}");
        let info = problem::find(code.0).expect("a page");
        let only_one = ["Salesforce", "the org"].iter().any(|word| info.sentence.contains(word));
        assert!(!only_one, "{code} is raised for REST destinations too: {}", info.sentence);
        assert!(info.page.contains("REST destination"), "docs/errors/{code}.md does not speak of REST destinations");
    }
}

#[test]
fn no_page_mentions_a_code_that_does_not_exist() {
    for page in pages() {
        for (at, _) in page.text.match_indices("TL") {
            let digits: String = page.text[at + 2..].chars().take_while(char::is_ascii_digit).collect();
            if digits.len() == 4 {
                assert!(problem::find(&digits).is_some(), "{}: TL{digits}", page.path.display());
            }
        }
    }
    let files = fs::read_dir(root().join("docs/errors")).expect("the error pages").count();
    assert_eq!(files, CODES.len(), "docs/errors has a page for each code and no other");
}

#[test]
fn nobody_real_is_on_a_page() {
    for page in pages() {
        for (at, _) in page.text.match_indices('@') {
            let host: String =
                page.text[at + 1..].chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect();
            let host = host.trim_end_matches('.');
            if host.contains('.') && !host.starts_with('.') {
                let invented = ["example.com", "example.org", "example.net"].iter().any(|name| host.starts_with(name));
                assert!(invented || host.ends_with(".service"), "{}: an address at {host}", page.path.display());
            }
        }
    }
}

/// The table of `ARCHITECTURE.md`: folder to the folders that it may import.
fn layers() -> BTreeMap<String, BTreeSet<String>> {
    let text = page("ARCHITECTURE.md");
    let (_, rest) = text.split_once("## Who may import whom").expect("the section");
    let rows = rest.split("\n## ").next().expect("its table").lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut names = row.split('`').skip(1).step_by(2).map(str::to_owned);
        let folder = names.next().expect("a folder");
        (folder, names.filter(|name| !name.contains('/')).collect())
    })
    .collect()
}

#[test]
fn folders_import_what_the_architecture_says() {
    let layers = layers();
    assert!(layers.len() >= 10, "{layers:?}");
    for (folder, allowed) in layers.iter().filter(|(folder, _)| *folder != "cli") {
        let mut files = Vec::new();
        rust_files(&root().join("src").join(folder), &mut files);
        assert!(!files.is_empty(), "src/{folder}");
        for file in files {
            let text = fs::read_to_string(&file).expect("a source file");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (at, _) in code.match_indices("crate::") {
                let name: String = code[at + 7..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let below = ["problem", "offload", "memory", "proof"];
                let fine =
                    name == *folder || below.contains(&name.as_str()) || name.is_empty() || allowed.contains(&name);
                assert!(fine, "{} imports {name}", file.strip_prefix(root()).unwrap_or(&file).display());
            }
        }
    }
}

/// The text of all Rust files below a folder.
fn rust_texts(folder: &str) -> String {
    let mut files = Vec::new();
    rust_files(&root().join(folder), &mut files);
    files.iter().map(|file| fs::read_to_string(file).expect("a readable file")).collect()
}

/// Every source file of a folder but its tests.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry of a folder").path();
        let is_tests = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !is_tests {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !is_tests {
            files.push(path);
        }
    }
}

#[test]
fn the_page_on_verify_has_every_rule() {
    let text = page("docs/verify.md");
    let rules = page("src/store/sqlite/verify/rules.rs");
    let named =
        rules.split("rule(").chain(rules.split("query(")).filter_map(|rest| rest.trim_start().strip_prefix('"'));
    let names: BTreeSet<&str> = named.filter_map(|rest| rest.split('"').next()).collect();
    assert!(names.len() >= 25, "{names:?}");
    for name in names {
        assert!(text.contains(&format!("`{name}`")), "docs/verify.md does not have {name}");
    }
}

#[test]
fn the_map_names_every_folder() {
    let text = page("ARCHITECTURE.md");
    for entry in fs::read_dir(root().join("src")).expect("src") {
        let path = entry.expect("an entry of src").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let shown = if path.is_dir() { format!("`src/{name}/`") } else { format!("`src/{name}`") };
        assert!(text.contains(&shown), "ARCHITECTURE.md does not have {shown}");
    }
}

#[test]
fn every_limit_has_the_name_and_the_place_that_the_architecture_gives() {
    let text = page("ARCHITECTURE.md");
    let (_, rest) = text.split_once("## Limits, by name").expect("the section");
    let mut checked = 0;
    for row in rest.split("\n## ").next().expect("its table").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let code = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<String>>();
        let files: String = code(cells[2]).iter().map(|file| page(&format!("src/{file}"))).collect();
        let is_name = |word: &&str| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let names = code(cells[0]).join(" ");
        for name in names.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(is_name) {
            assert!(files.contains(&format!("const {name}:")), "{name} is not in {}", cells[2]);
            checked += 1;
        }
    }
    assert!(checked >= 15, "{checked} limits were checked");
}

#[test]
fn the_simulator_page_has_every_switch_and_no_other() {
    let settings = serde_json::to_value(trunkline::sim::salesforce::Settings::default()).expect("settings are JSON");
    let names: BTreeSet<&str> = settings.as_object().expect("an object").keys().map(String::as_str).collect();
    let text = page("docs/simulator.md");
    let (_, part) = text.split_once("## Switches").expect("the section on switches");
    let part = part.split("\n## ").next().unwrap_or_default();
    let first_cells = part.lines().filter_map(|line| line.strip_prefix("| `").and_then(|row| row.split(" | ").next()));
    let shown: BTreeSet<&str> =
        first_cells.flat_map(|cell| cell.split('`')).filter(|word| !word.trim_matches([',', ' ']).is_empty()).collect();
    assert_eq!(shown, names);
}
