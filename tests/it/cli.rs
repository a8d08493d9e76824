//! Promise: every command says what it did or what to do next, on the right stream, with the documented exit code.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use trunkline::sim::salesforce::{Credentials, Options};

use crate::support::binary::{bare, finish};
use crate::support::session::session;
use crate::support::world::{KeyField, World, names_in};

/// The program in an empty folder, with these variables only.
fn alone(folder: &std::path::Path, environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = bare();
    command.current_dir(folder).envs(environment.iter().copied()).args(arguments);
    command
}

async fn small_world() -> World {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    world.put("known.json", &session("known", "ada@example.com", "2026-11-20T09:00:00", 60));
    world.put("nobody.json", &session("nobody", "nobody@example.com", "2026-11-20T09:00:00", 60));
    world.put("list.json", &serde_json::json!([]));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_without_any_settings_says_what_is_missing_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = finish(alone(folder.path(), &[], &["sync"])).await.exits(2);
    assert!(ran.stdout.is_empty());
    ran.tells("error TL0104: no source is set")
        .tells("help: ")
        .tells("--source s3://")
        .tells("trunkline explain TL0104");
    let source = format!("file://{}/", folder.path().display());
    let ran = finish(alone(folder.path(), &[], &["sync", "--source", &source])).await.exits(2);
    ran.tells("error TL0105: no Salesforce login is set").tells("SF_CLIENT_ID");
    assert!(names_in(folder.path()).is_empty(), "{:?}", names_in(folder.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_arguments_and_settings_exit_with_2_and_a_hint() {
    let world = small_world().await;
    let source = world.source();
    world
        .run(&["sync", "--source", &source, "--from", "29.10.2025"])
        .await
        .exits(2)
        .tells("`29.10.2025` is not a date");
    let ran = world.run(&["sync", "--source", &source, "--from", "2026-11-20", "--to", "2026-11-19"]).await.exits(2);
    ran.tells("TL0104").tells("--to 2026-11-19 is before --from 2026-11-20");
    world.run(&["sync", "--source", "ftp://example.com/"]).await.exits(2).tells("help: ");
    world.run(&["deliveries", "--state", "lost"]).await.exits(2).tells("there is no state `lost`").tells("delivered");
    world.run(&["calls"]).await.exits(2).tells("there is no ledger at").tells("trunkline sync");
    world.run(&["synk"]).await.exits(2).tells("sync");
    world.run(&["explain", "TL9999"]).await.exits(2);

    let world = world.configure("[salesforce]\nlogin_ulr = \"x\"\n");
    let ran = world.run_sync(&[]).await.exits(2);
    ran.tells("TL0102").tells("test.toml:2:1: there is no setting `login_ulr` here").tells("did you mean `login_url`?");
    let world = world.configure("time_zone = \"Mars/Olympus\"\n");
    world.run_sync(&[]).await.exits(2).tells("there is no time zone `Mars/Olympus`");
    let world = world.configure("[salesforce.task]\nWhoId = \"x\"\n");
    world.run_sync(&[]).await.exits(2).tells("the mapping sets WhoId");
    let world = world.configure("[salesforce.task]\nSubject = \"{{ call. }}\"\n");
    world.run_sync(&[]).await.exits(2).tells("the mapping of Subject is not a template");
    assert!(world.tasks().is_empty());
    assert!(!world.store_path().exists(), "a run that could not begin left a ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_be_done_exits_with_3_and_tells_nobodys_secrets() {
    let world = small_world().await;
    let missing = format!("file://{}/", world.path("not-there").display());
    let ran = world.run(&["sync", "--source", &missing, "--from", "2026-11-20"]).await.exits(3);
    ran.tells("TL0202: there is no folder").tells("trunkline explain TL0202");

    let mut command = world.sync_command(&[]);
    command.env_remove("SF_CLIENT_ID").env_remove("SF_CLIENT_SECRET");
    command
        .env("SF_USERNAME", "integration@example.com")
        .env("SF_PASSWORD", "wrong-canary")
        .env("SF_SECURITY_TOKEN", "token-canary");
    let ran = finish(command).await.exits(3);
    ran.tells("error TL0501").tells("help: ");
    for secret in ["wrong-canary", "token-canary", "ada@example.com"] {
        assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{secret} was told:\n{}", ran.stderr);
    }

    let world = world.configure("[delivery]\npatience_s = 0\n");
    let mut command = world.sync_command(&[]);
    command.env("SF_LOGIN_URL", "http://127.0.0.1:9");
    finish(command).await.exits(3).tells("TL0701");
    assert!(world.tasks().is_empty());
    world.run_sync(&[]).await.exits(1).says("1 delivered, 1 without a match, 1 file in quarantine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_calls_is_no_error() {
    let world = small_world().await;
    let source = world.source();
    let ran = world.run(&["sync", "--source", &source, "--from", "2026-11-01"]).await.exits(0);
    ran.says("no files found and nothing due");
    ran.tells("check the address if there were calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listing_has_a_table_and_json_with_the_same_calls() {
    let world = small_world().await;
    let json = world.run_sync(&["--json"]).await.exits(1).json();
    assert_eq!((&json["delivery"]["delivered"], &json["intake"]["quarantined"]), (&1.into(), &1.into()));
    let cases: [(&[&str], &str, usize); 6] = [
        (&["calls"], "known", 2),
        (&["deliveries"], "known", 2),
        (&["deliveries", "--state", "skipped"], "nobody", 1),
        (&["deliveries", "--reason", "no-match"], "nobody", 1),
        (&["quarantine"], "list.json", 1),
        (&["report", "--to", "2026-11-20", "--days", "1"], "2026-11-20", 1),
    ];
    for (arguments, text, count) in cases {
        world.run(arguments).await.exits(0).says(text);
        let rows = world.run(&[arguments, &["--json"]].concat()).await.exits(0).json();
        assert_eq!(rows.as_array().map(Vec::len), Some(count), "{arguments:?}: {rows:#}");
        assert!(rows.to_string().contains(text), "{arguments:?}: {rows:#}");
    }
    let day = &world.run(&["report", "--to", "2026-11-20", "--days", "1", "--json"]).await.exits(0).json()[0];
    assert_eq!((&day["calls"], &day["delivered"], &day["quarantined"]), (&2.into(), &1.into(), &1.into()), "{day:#}");
    let page = world.path("report.html").display().to_string();
    world.run(&["report", "--to", "2026-11-20", "--html", &page]).await.exits(0);
    assert!(fs::read_to_string(page).expect("the page").contains("2026-11-20"));
    let retried = world.run(&["retry", "--json"]).await.exits(0).json();
    assert_eq!(retried["delivery"]["delivered"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_knows_every_code_however_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    for spelling in ["TL0501", "tl0501", "0501"] {
        finish(alone(folder.path(), &[], &["explain", spelling])).await.exits(0).says("# TL0501").says("## What to do");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_file_that_is_mended_is_read_again_by_retry() {
    let world = small_world().await;
    world.run_sync(&[]).await.exits(1);
    world.put("list.json", &session("mended", "ada@example.com", "2026-11-20T10:00:00", 60));
    let source = world.source();
    world.run(&["retry", "--quarantine", "--source", &source]).await.exits(0).says("1 delivered");
    world.task("mended");
    world.run(&["quarantine"]).await.exits(0).tells("none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_made_again_only_on_purpose() {
    let world = small_world().await;
    world.run_sync(&[]).await.exits(1);
    world.run(&["retry", "known"]).await.exits(0);
    assert_eq!(world.tasks().len(), 1);
    world.run(&["retry", "--recreate"]).await.exits(2);
    world.run(&["retry", "never_was"]).await.exits(2).tells("none of the sessions is in the ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_writes_a_file_that_check_accepts() {
    let world = small_world().await;
    let config = world.path("fresh.toml");
    let (source, file, url) = (world.source(), config.display().to_string(), world.simulator.url());
    let arguments = ["init", &file, "--source", &source, "--login-url", &url, "--login", "client_credentials"];
    finish(alone(world.folder.path(), &[], &arguments)).await.exits(0).says("wrote").tells("SF_CLIENT_ID");
    finish(alone(world.folder.path(), &[], &arguments)).await.exits(2).tells("exists already").tells("--force");

    let credentials = Credentials::default();
    let login = [("SF_CLIENT_ID", credentials.client_id.as_str()), ("SF_CLIENT_SECRET", &credentials.client_secret)];
    let check = ["check", "--config", &file];
    let ran = finish(alone(world.folder.path(), &login, &check)).await.exits(0);
    ran.says("configuration").says("can be listed").says("logged in").says("key field").tells("ready: ");
    let json =
        finish(alone(world.folder.path(), &login, &["check", "--config", &file, "--json"])).await.exits(0).json();
    assert!(json.as_array().is_some_and(|steps| steps.len() >= 5), "{json:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_what_to_fix_in_order() {
    let world = small_world().await;
    let source = format!("file://{}/", world.path("not-there").display());
    let mut command = world.command(&["check", "--source", &source]);
    command.env("SF_CLIENT_SECRET", "wrong");
    let ran = finish(command).await.exits(1);
    let place = |text: &str| ran.stdout.find(text).unwrap_or_else(|| panic!("`{text}` is not in:\n{}", ran.stdout));
    assert!(place("configuration") < place("TL0202") && place("TL0202") < place("TL0501"), "{}", ran.stdout);
    ran.tells("2 to fix, from the top");

    world.set(|settings| _ = settings.hidden_fields.insert("Task.CallObject".to_owned()));
    let source = world.source();
    world.run(&["check", "--source", &source]).await.says("CallObject");
}

/// A fresh RSA key: its PEM, and its public half for the org.
fn rsa_key() -> (String, Vec<u8>) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: aws_lc_rs::encoding::Pkcs8V1Der = pair.as_der().expect("a key as PKCS #8");
    let text = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    (pem, pair.public_key().as_ref().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_login_works_with_variables_alone() {
    let (pem, public) = rsa_key();
    let verifier = Arc::new(move |signed: &[u8], signature: &[u8]| {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public).verify(signed, signature).is_ok()
    });
    let options = Options { jwt_verifier: Some(verifier), now: Arc::new(jiff::Timestamp::now), ..Options::default() };
    let world = World::on_a_real_clock(options).await;
    world.contact("ada@example.com");
    let key_file = world.path("key.pem");
    fs::write(&key_file, pem).expect("a writable folder");
    let key_file = key_file.display().to_string();
    let Credentials { client_id, client_secret, username, password, security_token, refresh_token } =
        Credentials::default();
    let flows: [(&str, &[(&str, &str)]); 4] = [
        ("login_jwt", &[("SF_CLIENT_ID", &client_id), ("SF_USERNAME", &username), ("SF_PRIVATE_KEY_FILE", &key_file)]),
        ("login_client_credentials", &[("SF_CLIENT_ID", &client_id), ("SF_CLIENT_SECRET", &client_secret)]),
        (
            "login_refresh",
            &[("SF_CLIENT_ID", &client_id), ("SF_CLIENT_SECRET", &client_secret), ("SF_REFRESH_TOKEN", &refresh_token)],
        ),
        (
            "login_soap",
            &[("SF_USERNAME", &username), ("SF_PASSWORD", &password), ("SF_SECURITY_TOKEN", &security_token)],
        ),
    ];
    let (source, url) = (world.source(), world.simulator.url());
    for (index, (kind, variables)) in flows.into_iter().enumerate() {
        let id = format!("by_{kind}");
        world.put(&format!("{id}.json"), &session(&id, "ada@example.com", "2026-11-20T09:00:00", 60));
        world.org.reset_counters();
        let mut command = alone(world.folder.path(), variables, &["sync", "--source", &source, "--from", "2026-11-20"]);
        command.env("SF_LOGIN_URL", &url);
        finish(command).await.exits(0).says("1 delivered");
        assert_eq!(world.org.counters().calls_of(kind), 1, "{kind}: {:?}", world.org.counters().calls);
        assert_eq!(world.tasks().len(), index + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_can_be_used_with_the_lines_that_it_prints() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut simulator =
        alone(folder.path(), &[], &["sim", "salesforce", "--port", "0"]).spawn().expect("the program starts");
    let stderr = BufReader::new(simulator.stderr.take().expect("a pipe"));
    let line =
        stderr.lines().map_while(Result::ok).find_map(|line| line.trim().strip_prefix("export ").map(str::to_owned));
    let exports = line.expect("the lines to use it with");
    let variables: Vec<(&str, &str)> = exports.split(' ').filter_map(|pair| pair.split_once('=')).collect();
    fs::create_dir(folder.path().join("year=2026")).expect("a writable folder");
    let source = format!("file://{}/", folder.path().display());
    let ran = finish(alone(folder.path(), &variables, &["check", "--source", &source])).await;
    simulator.kill().expect("a child to kill");
    simulator.wait().expect("a child to wait for");
    ran.exits(0).says("logged in");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_each_kind_of_call_and_makes_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = finish(alone(folder.path(), &[], &["demo"])).await.exits(0);
    first.says("Ada Moreau").says("Voice AI Call").says("1 file in quarantine").tells("Try next:");
    let second = finish(alone(folder.path(), &[], &["demo"])).await.exits(0);
    let tasks = |text: &str| text.matches("┌ ").count();
    assert!(tasks(&first.stdout) > 5);
    assert_eq!(tasks(&first.stdout), tasks(&second.stdout));
    let store = folder.path().join("trunkline-demo/calls.db").display().to_string();
    finish(alone(folder.path(), &[], &["why", "demo_chris", "--store", &store]))
        .await
        .exits(0)
        .says("most recently modified");
}
