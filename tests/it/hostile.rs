//! Promise: a file that cannot be understood gets a reason and stops nothing, and memory stays flat whatever is in it.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use serde_json::json;
use trunkline::sim::sessions::{Fate, Plan, hostile_files};

use crate::support::oracle::Oracle;
use crate::support::session::{put, session};
use crate::support::wait::until;
use crate::support::world::{DAY, KeyField, World, text};

const RSS_KB_MAX: u64 = 150 * 1024;
/// For honest files just below the limit: of memory that is the program's own, without its text as it is mapped from the disk.
/// That is 43 MB here, half as much as released, and how much of it counts depends on what the system has at hand.
const OWN_KB_MAX_HONEST: u64 = 120 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn each_hostile_file_meets_its_fate_and_its_neighbours_are_delivered() {
    let world = World::new(KeyField::There).await;
    let plan = Plan::new(41, DAY, 60);
    let seeded = world.plan(&plan);
    let files = hostile_files();
    assert!(files.len() > 40);
    for file in &files {
        put(&world.sessions(), DAY, file.name, &file.bytes);
    }
    world.sync().await;

    // The neighbours.
    let neighbours = Oracle::of(&world, KeyField::There, &plan, &seeded);
    let of_neighbours: Vec<String> =
        neighbours.faults().into_iter().filter(|fault| !fault.contains("nobody planted")).collect();
    assert!(of_neighbours.is_empty(), "{of_neighbours:#?}");

    // The quarantine, as the program tells it.
    let told = world.run(&["quarantine", "--json", "--limit", "1000"]).await.exits(0).json();
    let told: Vec<(String, String)> = told
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| {
            let name = row["url"].as_str().and_then(|url| url.rsplit_once('/')).map(|(_, name)| name.to_owned());
            (name.expect("a name"), row["problem"]["code"].as_str().expect("a code").to_owned())
        })
        .collect();
    for file in &files {
        let code = told.iter().find(|(name, _)| name == file.name).map(|(_, code)| code.as_str());
        match &file.fate {
            Fate::Quarantine(expected) => assert_eq!(code, Some(*expected), "{}", file.name),
            Fate::Call { .. } => assert_eq!(code, None, "{} is a call", file.name),
        }
    }
    let expected = files.iter().filter(|file| matches!(file.fate, Fate::Quarantine(_))).count();
    assert_eq!(told.len(), expected);

    // The odd sessions: each is a call, and a Task if somebody has its address.
    let known: Vec<String> = world.org.records("Contact").iter().map(|one| text(one, "Email").to_lowercase()).collect();
    let rows = world.run(&["deliveries", "--json", "--limit", "1000"]).await.exits(0).json();
    let rows = rows.as_array().expect("a list");
    for file in &files {
        let Fate::Call { session_id, email } = &file.fate else { continue };
        let row = rows.iter().find(|row| row["source_id"] == session_id.as_str());
        let is_known = email.as_ref().is_some_and(|email| known.contains(&email.to_lowercase()));
        let state = if is_known { "delivered" } else { "skipped" };
        assert_eq!(row.expect("a delivery")["state"], state, "{}: {row:?}", file.name);
    }
    let nested = world.run(&["why", "hostile_nested", "--json"]).await.exits(0);
    nested.says("\"state\": \"delivered\"");
    let calls = files.len() - expected;
    let hostile_tasks = world.tasks().len() - neighbours.deliverable();
    assert!(hostile_tasks > 20 && hostile_tasks <= calls, "{hostile_tasks} Tasks of {calls} odd sessions");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_callers_text_can_fake_a_line_of_a_task() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    let mut document = session("honest", "ada@example.com", "2026-11-20T09:00:00", 60);
    document["discovered_signals"] = json!({
        "use_case": "x\nSession ID: forged\r\n✓ Booked sales meeting for 2026-12-01",
        "pain_points": ["a\u{2028}Session ID: forged", "b\u{0}\u{1b}[31m"],
    });
    world.put("s.json", &document);
    world.sync().await;
    let task = world.task("honest");
    assert!(world.tasks_of("forged").is_empty());
    let description = text(&task, "Description");
    assert!(!description.lines().any(|line| line.starts_with('✓')), "{description}");
    assert!(!description.contains(|c: char| c.is_control() && c != '\n'), "{description:?}");
}

/// A program's peak memory, kilobytes.
#[derive(Default)]
struct Peak {
    /// All of it.
    resident: u64,
    /// What is no part of a file.
    own: u64,
}

impl Peak {
    /// The kernel keeps a high-water mark of all, so that no peak between two looks is missed. What is mapped of files only
    /// grows, so that the rest of the mark is the program's own.
    fn look(&mut self, status: &str) -> Option<()> {
        let kb = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix(" kB")?.trim().parse().ok()
        };
        let (resident, of_files) = (kb("VmHWM")?, kb("RssFile")?);
        self.resident = self.resident.max(resident);
        self.own = self.own.max(kb("RssAnon")?).max(resident.saturating_sub(of_files));
        Some(())
    }
}

/// Runs the program and looks at its memory until it ends.
async fn peak_of(mut command: Command) -> (Peak, Option<i32>) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut looks, mut code) = (Peak::default(), 0, None);
    until("the program is over", async || {
        if fs::read_to_string(&status).ok().is_some_and(|status| peak.look(&status).is_some()) {
            looks += 1;
        }
        let ended = child.try_wait().expect("a child to wait for");
        code = ended.and_then(|ended| ended.code());
        ended.is_some()
    })
    .await;
    assert!(looks > 20, "the program was over after {looks} looks");
    println!("peak {} MB, {} of them its own", peak.resident / 1024, peak.own / 1024);
    (peak, code)
}

/// A day with every hostile file in it: a 1 GB bomb, a bomb in many members, 10,000 nested levels, a field of 8 MB.
async fn hostile_day() -> World {
    let world = World::new(KeyField::There).await;
    world.plan(&Plan::new(43, DAY, 300));
    for file in hostile_files() {
        put(&world.sessions(), DAY, file.name, &file.bytes);
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_below_150_mb_with_bombs_deep_nesting_and_large_files() {
    let world = hostile_day().await;
    for index in 0..4 {
        let mut large = session(&format!("large_{index}"), "contact.c0@example.com", "2026-11-20T09:00:00", 60);
        large["notes"] = "lorem ipsum ".repeat(1 << 20).into();
        world.put(&format!("large_{index}.json"), &large);
        put(&world.sessions(), DAY, &format!("bomb_{index}.json.gz"), trunkline::sim::sessions::bomb());
    }
    let (peak, code) = peak_of(world.sync_command(&[])).await;
    assert_eq!(code, Some(1), "files in quarantine need a person");
    assert!((8 * 1024..RSS_KB_MAX).contains(&peak.resident));
    for index in 0..4 {
        world.task(&format!("large_{index}"));
    }
}

/// Text that no compression can shorten by much.
fn noise(bytes: usize) -> String {
    let mut state = 88_172_645_463_325_252u64;
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&base64::engine::general_purpose::STANDARD_NO_PAD.encode(state.to_le_bytes()));
    }
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_flat_with_honest_files_just_below_the_limit() {
    const BYTES: usize = 60 << 20;
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    let said = noise(1 << 20);
    let turn = |at: usize| json!({"role": "user", "content": &said[at * 500 % (1 << 19)..][..600]});
    let turns: Vec<_> = (0..BYTES / 635).map(turn).collect();
    for (id, field, value) in
        [("many_turns", "transcript", turns.into()), ("recorded", "recording", noise(BYTES).into())]
    {
        let mut document = session(id, "ada@example.com", "2026-11-20T09:00:00", 60);
        document[field] = value;
        let text = document.to_string();
        assert!((BYTES - (1 << 20)..64 << 20).contains(&text.len()), "{} bytes", text.len());
        put(&world.sessions(), DAY, &format!("{id}.json.gz"), gzip(text.as_bytes()));
    }
    let (peak, code) = peak_of(world.sync_command(&[])).await;
    assert_eq!(code, Some(0));
    assert!((8 * 1024..OWN_KB_MAX_HONEST).contains(&peak.own));
    for id in ["many_turns", "recorded"] {
        world.task(id);
    }
}
