//! Promise: a mistake is told where it is made: what happened, to what, and what to do next.

use std::fs;
use std::path::Path;

use crate::support::binary::{Ran, bare, finish};
use crate::support::session::session;
use crate::support::world::{KeyField, World};

async fn one_call() -> World {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    world.put("one.json", &session("one", "ada@example.com", "2026-11-20T09:00:00", 60));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_any_day_is_told_and_an_empty_day_beside_others_is_not() {
    let world = one_call().await;
    let (above, empty) = (world.folder.path().display().to_string(), world.path("sessoins"));
    fs::create_dir(&empty).expect("a writable folder");
    let sync = async |folder: &str, day: &str| {
        let source = format!("file://{folder}/");
        world.run(&["sync", "--source", &source, "--from", day]).await
    };
    let ran = sync(&above, "2026-11-20").await.exits(3);
    ran.tells("TL0202: no folder year=.../month=.../day=... stands under file://").tells("found instead: ");
    ran.tells("`sessions/`").tells("end the address right above the folders year=");
    let ran = sync(&empty.display().to_string(), "2026-11-20").await.exits(3);
    ran.tells("there is no file at all");
    let ran = sync(&world.sessions().display().to_string(), "2026-11-19").await.exits(0);
    ran.says("no files found and nothing due");

    for (folder, name) in [(above, "`sessions/`"), (empty.display().to_string(), "no file at all")] {
        let ran = world.run(&["check", "--source", &format!("file://{folder}/")]).await.exits(1);
        ran.says("FIX  source        TL0202").says(name).tells("1 to fix");
        assert!(!ran.stderr.contains("ready"), "{}", ran.stderr);
    }
    world.run(&["check", "--source", &world.source()]).await.exits(0).tells("ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_a_configuration_that_cannot_be_used_and_stops() {
    let world = one_call().await.configure("[salesforce\nlogin = 1\n");
    let ran = world.run(&["check"]).await.exits(2);
    ran.says("FIX  configuration TL0103").says("test.toml:1:12").tells("1 to fix");
    let json = world.run(&["check", "--json"]).await.exits(2).json();
    assert_eq!((&json[0]["step"], &json[0]["code"]), (&"configuration".into(), &"TL0103".into()), "{json:#}");

    let check = async |file: &Path| {
        let mut command = bare();
        command.current_dir(world.folder.path()).args(["check", "--config"]).arg(file);
        finish(command).await.exits(2)
    };
    check(&world.path("no-such.toml")).await.says("TL0101").says("no-such.toml").says("trunkline init");
    check(world.folder.path()).await.says("TL0101");
    fs::write(world.path("latin1.toml"), b"# caf\xe9\n").expect("a writable folder");
    check(&world.path("latin1.toml")).await.says("TL0101").says("latin1.toml").says("UTF-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_name_in_a_template_is_told_with_the_nearest_one() {
    let world = one_call().await;
    let check = async |world: World, template: &str, name: &str, help: &str| {
        let world = world.configure(&format!("[salesforce.task]\nSubject = \"{template}\"\n"));
        let ran = world.run_sync(&[]).await.exits(2);
        ran.tells("TL0103: the mapping of Subject uses `").tells(name).tells(help);
        let source = world.source();
        world.run(&["check", "--source", &source]).await.exits(1).says(name).says(help);
        world
    };
    let world = check(world, "{{ cal.session_id }}", "`cal.session_id`", "Did you mean `call.session_id`?").await;
    let world = check(world, "{{ call.sesion_id }}", "`call.sesion_id`", "Did you mean `call.session_id`?").await;
    let world = check(world, "{% if dat %}x{% endif %}", "`dat`", "Did you mean `date`?").await;
    let world = check(world, "{{ call.weather }}", "`call.weather`", "docs/mapping.md lists the names").await;
    let fine = "{{ call.name | default('-') }} {{ call.extra.agent.version }} {{ call.insights.other.budget }}\
                {% for turn in call.turns %}{{ loop.index }}{{ turn.text }}{% endfor %}{{ range(2) | join }}";
    let world = world.configure(&format!("[salesforce.task]\nSubject = \"{fine}\"\n"));
    world.run_sync(&[]).await.exits(0).says("1 delivered");
}

/// A command as somebody else, who may read the world's files but for a hidden one, and write none.
#[cfg(unix)]
async fn as_a_reader(world: &World, arguments: &[&str], hidden: &str) -> Ran {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
    for entry in fs::read_dir(world.folder.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            mode(&path, if path.file_name().is_some_and(|name| name == hidden) { 0 } else { 0o444 });
        }
    }
    mode(world.folder.path(), 0o555);
    let mut command = world.command(arguments);
    // SAFETY: geteuid only reads a number.
    if unsafe { libc::geteuid() } == 0 {
        const NOBODY: u32 = 65534;
        command.uid(NOBODY).gid(NOBODY);
    }
    let ran = finish(command).await;
    mode(world.folder.path(), 0o755);
    ran
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_can_look_and_leaves_nothing_behind() {
    let world = one_call().await;
    world.put("list.json", &serde_json::json!([]));
    world.run_sync(&[]).await.exits(1);
    let looks: [&[&str]; 5] =
        [&["why", "one"], &["report", "--to", "2026-11-20"], &["calls"], &["deliveries"], &["quarantine"]];
    let before = crate::support::world::names_in(world.folder.path());
    for look in looks {
        let ran = as_a_reader(&world, look, "").await.exits(0);
        assert!(!ran.stdout.is_empty(), "{look:?}");
        assert_eq!(crate::support::world::names_in(world.folder.path()), before, "{look:?}");
    }
    as_a_reader(&world, &["retry"], "").await.exits(3).tells("TL0801").tells("calls.db");

    // With rows in the WAL the file alone would be an old answer.
    let open = rusqlite::Connection::open(world.store_path()).expect("the ledger");
    open.execute_batch("PRAGMA journal_mode = WAL; UPDATE call SET source_id = 'newer';")
        .expect("a ledger to write to");
    as_a_reader(&world, &["calls"], "").await.exits(0).says("newer");
    let ran = as_a_reader(&world, &["calls"], "calls.db-wal").await.exits(3);
    ran.tells("TL0801").tells("calls.db has newer rows in its -wal file").tells("help: ");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_file_and_the_next_step() {
    let world = one_call().await;
    world.run_sync(&[]).await.exits(0);
    let source = world.source();
    let (ledger, folder) = (world.store_path(), world.folder.path().display().to_string());
    fs::write(
        world.path("text.db"),
        "this is not a database, but it is long enough to be taken for one by a hasty eye",
    )
    .expect("a writable folder");
    let cases: &[(&[&str], &str, i32, &[&str])] = &[
        (&["calls"], "text.db", 3, &["TL0801", "text.db", "not a database", "--store"]),
        (&["sync", "--source", &source], "text.db", 3, &["TL0801", "text.db", "not a database"]),
        (&["calls"], ".", 3, &["TL0801", "is a folder", "name a file in it"]),
        (&["sync", "--source", &source], ".", 3, &["TL0801", "is a folder", "name a file in it"]),
        (&["calls"], "none.db", 2, &["there is no ledger at none.db", "trunkline sync"]),
        (&["sync", "--source", &source], "no/such/a.db", 3, &["the folder no/such for the store does not exist"]),
        (
            &["calls", "--from", "2026-11-20", "--to", "2026-11-19"],
            "calls.db",
            2,
            &["TL0104", "--to 2026-11-19 is before"],
        ),
        (&["deliveries", "--from", "2026-11-20", "--to", "2026-11-19"], "calls.db", 2, &["earlier day as --from"]),
        (&["retry", "--from", "2026-11-20", "--to", "2026-11-19"], "calls.db", 2, &["earlier day as --from"]),
        (&["calls", "--from", "2026-13-01"], "calls.db", 2, &["--from", "`2026-13-01` is not a date", "2025-10-29"]),
        (&["report", "--to", "soon"], "calls.db", 2, &["--to", "`soon` is not a date"]),
        (&["calls", "--limit", "0"], "calls.db", 2, &["--limit"]),
        (&["deliveries", "--state", "deliverd"], "calls.db", 2, &["no state `deliverd`", "did you mean `delivered`?"]),
        (&["deliveries", "--reason", "no_match"], "calls.db", 2, &["no reason `no_match`", "did you mean `no-match`?"]),
        (&["retry", "--reason", "no-mtch"], "none.db", 2, &["did you mean `no-match`?"]),
        (&["retry", "--quarantine", "--from", "2026-11-20"], "calls.db", 2, &["TL0104", "one after the other"]),
        (&["sync", "--source", "/data/sessions"], "calls.db", 2, &["For a folder write file:///data/sessions"]),
        (&["why", "two"], "calls.db", 1, &["two", "calls.db", "trunkline sync --from"]),
        (&["retry", "two"], "calls.db", 2, &["none of the sessions is in the ledger", "calls.db"]),
        (&["report", "--html", "no/such/page.html"], "calls.db", 3, &["no/such/page.html", "writable folder"]),
        (&["sync", "--source", &source, "--unmatched-csv", "no/such/a.csv"], "calls.db", 3, &["no/such/a.csv"]),
        (&["sync", "--source", "s3:/a/b"], "calls.db", 2, &["TL0103", "s3:/a/b", "s3://"]),
        (&["explain", "TL0299"], "calls.db", 2, &["no error code `TL0299`", "trunkline explain"]),
    ];
    for (arguments, store, exit, texts) in cases {
        let mut command = bare();
        command.current_dir(world.folder.path()).envs(world.environment()).args(*arguments).args(["--store", store]);
        let ran = finish(command).await;
        assert_eq!(ran.code, Some(*exit), "{arguments:?} {store}\n{}{}", ran.stdout, ran.stderr);
        for text in *texts {
            assert!(ran.stderr.contains(text), "{arguments:?} {store}: `{text}` is not in\n{}", ran.stderr);
        }
    }
    assert!(ledger.is_file() && !folder.is_empty());
}
