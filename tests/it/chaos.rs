//! Promise: whatever is done to the program from outside, the CRM and the ledger hold what they must.
//!
//! The harness and its oracle are `scripts/chaos`, which knows nothing of the program's code; here it runs with the
//! figures of a commit, against the program that the other tests use. What it does is told in docs/chaos.md.

use std::path::Path;
use std::process::Command;

/// Runs a scenario; any failure comes with the seed and the command that repeats it.
fn holds(words: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command.current_dir(root).arg("scripts/chaos").args(words);
    command.args(["--commit", "--jobs", "2", "--binary", env!("CARGO_BIN_EXE_trunkline")]);
    let output = command.output().expect("python3 is installed");
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{told}");
    assert!(output.status.success(), "{told}");
}

#[test]
fn what_is_killed_at_any_moment_loses_and_doubles_nothing() {
    holds(&["kills", "--seed", "1"]);
}

#[test]
fn a_process_that_is_ended_at_each_named_place_loses_and_doubles_nothing() {
    holds(&["places", "--seed", "1"]);
}

#[test]
fn who_wakes_up_beyond_its_lease_changes_nothing() {
    holds(&["pauses", "--seed", "2"]);
}

#[test]
fn a_full_disk_loses_nothing_and_it_goes_on_once_there_is_room() {
    holds(&["disk", "--seed", "3"]);
}

#[test]
fn a_host_that_is_not_there_or_not_to_be_trusted_is_told_and_gets_nothing() {
    holds(&["names", "--seed", "5"]);
}

#[test]
fn asked_to_end_under_load_it_ends_soon_and_keeps_nothing() {
    holds(&["terminate", "--seed", "4", "--worlds", "1", "--each", "5"]);
}

#[test]
fn a_clock_that_is_set_while_it_runs_loses_and_doubles_nothing() {
    holds(&["clock", "--seed", "1"]);
}

#[test]
fn what_is_written_under_a_lost_answer_is_found_and_not_written_twice() {
    holds(&["ambiguous", "--seed", "1"]);
}

#[test]
fn each_row_of_a_batch_has_its_own_end() {
    holds(&["partial", "--seed", "1"]);
}

#[test]
fn a_session_that_ends_in_a_batch_loses_and_doubles_nothing() {
    holds(&["expiry", "--seed", "1"]);
}

#[test]
fn a_network_that_lies_or_stalls_loses_and_doubles_nothing() {
    holds(&["network", "--seed", "1"]);
}

#[test]
fn a_storm_of_refusals_is_met_with_few_requests_and_outlasted() {
    holds(&["storms", "--seed", "1"]);
}

#[test]
fn files_and_calls_that_are_poison_have_their_reason_and_their_neighbours_are_delivered() {
    holds(&["poison", "--seed", "1"]);
}

#[test]
fn the_newest_revision_wins_in_whatever_order_files_come() {
    holds(&["revisions", "--seed", "1"]);
}

#[test]
fn each_protection_that_is_taken_away_is_noticed() {
    holds(&["bite", "--seed", "1"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_log_on_a_full_disk_ends_no_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has one");
    let mut command = crate::support::binary::bare();
    command.current_dir(folder.path()).args(["sync", "--source", "file:///", "--from", "2026-11-20"]).stderr(full);
    command.env("TRUNKLINE_LOG", "trunkline=debug").env("SF_LOGIN_URL", "http://127.0.0.1:9");
    let output = command.env("SF_CLIENT_ID", "a").env("SF_CLIENT_SECRET", "b").output().expect("the program starts");
    // As without a log: the address has no folder by day. A panic would be 101.
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
}
