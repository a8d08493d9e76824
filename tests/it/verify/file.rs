//! The file of the ledger as a whole: flipped bits, pages of zeros, a cut end, another file in its place.

use std::fs;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{found, is_civil, put_all, rounds, versions, world_of_updates};
use crate::support::world::{KeyField, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_anywhere_in_the_file_delivers_nothing_that_is_wrong() {
    let (seed, count, calls) = (905, rounds(48, 1000), 6);
    println!("seed {seed}, {count} flips");
    let mut chance = StdRng::seed_from_u64(seed);
    let (mut told, mut refused) = (0, 0);
    for round in 0..count {
        let world = world_of_updates(calls).await;
        let mut bytes = fs::read(world.store_path()).expect("a ledger");
        // Header, schema and the first pages more often than their share.
        let end = if round % 4 == 0 { 100 } else { bytes.len() };
        let mut place = chance.random_range(0..end * 8);
        // Most of a small ledger is empty.
        while round % 4 != 0 && bytes[place / 8] == 0 {
            place = chance.random_range(0..end * 8);
        }
        bytes[place / 8] ^= 1 << (place % 8);
        fs::write(world.store_path(), &bytes).expect("a writable folder");
        let what = format!("seed {seed}, round {round}, byte {} bit {}", place / 8, place % 8);
        let checked = world.run(&["verify"]).await;
        is_civil(&checked, &what);
        told += usize::from(checked.code != Some(0));
        for _ in 0..2 {
            let ran = world.run_sync(&[]).await;
            is_civil(&ran, &what);
            refused += usize::from(ran.code == Some(3));
            println!("{what}: verify {:?}, sync {:?}", checked.code, ran.code);
            assert_eq!(versions(&world, calls).len(), calls, "{what}");
        }
        is_civil(&world.run(&["verify"]).await, &what);
    }
    println!("{told} of {count} were told by verify; {refused} runs were refused");
    assert!(told > count / 4, "{told} of {count} flips were told: too few places that matter");
}

#[tokio::test(flavor = "multi_thread")]
async fn zeroed_pages_and_cut_files_are_told_and_deliver_nothing_that_is_wrong() {
    let (seed, calls) = (906, 40);
    let mut chance = StdRng::seed_from_u64(seed);
    for round in 0..rounds(6, 60) {
        let world = world_of_updates(calls).await;
        let mut bytes = fs::read(world.store_path()).expect("a ledger");
        let pages = bytes.len() / 8192;
        let page = chance.random_range(1..pages);
        let what = format!("seed {seed}, round {round}, page {page} of {pages}");
        if round % 2 == 0 {
            bytes[page * 8192..(page + 1) * 8192].fill(0);
        } else {
            bytes.truncate(page * 8192 + chance.random_range(0..8192));
        }
        fs::write(world.store_path(), &bytes).expect("a writable folder");
        let ran = world.run(&["verify"]).await;
        is_civil(&ran, &what);
        assert_eq!(ran.code, Some(1), "{what}:\n{}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("Next: "), "{what}:\n{}", ran.stdout);
        is_civil(&world.run_sync(&[]).await, &what);
        assert_eq!(versions(&world, calls).len(), calls, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_ledger_is_not_read_and_what_to_do_is_told() {
    let world = world_of_updates(2).await;
    let bytes = fs::read(world.store_path()).expect("a ledger");
    let check = async |bytes: &[u8], code: i32, says: &str| {
        fs::write(world.store_path(), bytes).expect("a writable folder");
        let ran = world.run(&["verify"]).await.exits(code);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(says), "{}\n{}", ran.stdout, ran.stderr);
    };
    let mut header = bytes.clone();
    header[3] ^= 1;
    check(&header, 3, "not a database").await;
    check(&bytes[..50], 3, "not a database").await;
    check(&bytes[..bytes.len() - 8192], 1, "its end is missing").await;
    let mut newer = bytes.clone();
    newer[63] = 99;
    check(&newer, 3, "TL0802").await;
    check(&bytes, 0, "sound").await;
    world.forget_the_ledger();
    world.run(&["verify"]).await.exits(3).tells("there is no ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_file_that_is_swapped_in_doubles_nothing_and_is_told_where_it_can_be() {
    let world = World::new(KeyField::There).await;
    for index in 0..12 {
        world.contact(&format!("c{index}@example.com"));
    }
    put_all(&world, 5, 1);
    world.run_sync(&[]).await.exits(0);
    let older = fs::read(world.store_path()).expect("a ledger");
    put_all(&world, 12, 2);
    world.run_sync(&[]).await.exits(0);
    fs::write(world.store_path(), &older).expect("a writable folder");
    // By itself an older file is a sound one: nothing in it says that there was a newer.
    world.run(&["verify"]).await.exits(0);
    // A lock of a process that it does not know is a sign.
    fs::write(world.path("calls.db-owner-0123"), "").expect("a writable folder");
    world.run(&["verify"]).await.exits(0).says("unknown-process").says("the file may be older");
    fs::remove_file(world.path("calls.db-owner-0123")).expect("it is left there");
    world.run_sync(&[]).await.exits(0);
    let after = versions(&world, 12);
    assert!(after.len() == 12 && after.values().all(|version| *version == 2), "{after:?}");
    assert!(found(&world.store_path()).is_sound());
}
