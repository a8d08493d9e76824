//! The ledger as a file, and many who use it at once.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_tasks_that_commit_at_once_all_find_their_work_in_the_ledger() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for index in 0..8 {
                    let id = format!("{task}_{index}");
                    assert_eq!(ingest(&store, vec![item(&id, 100, 1.0, 1)]).await, [IntakeResult::NewCall]);
                    // What was answered for is committed: another connection sees it.
                    let found = store.call(&CallKey::from_source("sessions", &id)).await.expect("works");
                    assert!(found.is_some(), "{id} was acknowledged and is not there");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    drop(store);
    let store = open(folder.path(), "b");
    assert_eq!(claim(&store, 1000, 0).await.len(), 512);
}

#[test]
fn processes_that_open_a_new_ledger_at_once_all_can() {
    for round in 0..10 {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let barrier = Arc::new(Barrier::new(6));
        let openers: Vec<_> = (0..6)
            .map(|number| {
                let (folder, barrier) = (folder.clone(), barrier.clone());
                std::thread::spawn(move || {
                    barrier.wait();
                    let path = folder.path().join("calls.db");
                    SqliteStore::open(&path, &number.to_string(), 0).map_err(|error| error.to_string())
                })
            })
            .collect();
        let opened: Vec<_> = openers.into_iter().map(|opener| opener.join().expect("no opener panics")).collect();
        let failed: Vec<&String> = opened.iter().filter_map(|opened| opened.as_ref().err()).collect();
        assert!(failed.is_empty(), "round {round}: {failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_again_changes_nothing_and_a_newer_ledger_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.db");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("s", 100, 1.0, 1)]).await;
    drop(store);
    for owner in ["b", "c"] {
        drop(open(folder.path(), owner));
    }
    let store = open(folder.path(), "d");
    assert_eq!(claim(&store, 10, 0).await.len(), 1);
    drop(store);
    let raw = rusqlite::Connection::open(&path).expect("a database");
    raw.pragma_update(None, "user_version", 99).expect("works");
    drop(raw);
    let refused = SqliteStore::open(&path, "e", 0).err();
    assert!(matches!(refused, Some(StoreError::Newer { found: 99, .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_and_never_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.db");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("damaged", 100, 1.0, 1)]).await;
    drop(store);
    let raw = rusqlite::Connection::open(&path).expect("a database");
    let mut head: Vec<u8> = raw.query_row("SELECT head FROM call_body", (), |row| row.get(0)).expect("a head");
    let middle = head.len() / 2;
    head[middle] ^= 0x10;
    raw.execute("UPDATE call_body SET head = ?1", [head]).expect("works");
    drop(raw);
    let store = open(folder.path(), "b");
    let read = store.call(&CallKey::from_source("sessions", "damaged")).await;
    assert!(matches!(read, Err(StoreError::DamagedCall { .. })));
    // Its neighbours are handed out, it is not.
    ingest(&store, vec![item("sound", 200, 1.0, 1)]).await;
    let claimed = claim(&store, 10, 0).await;
    assert_eq!(claimed.iter().map(|one| one.call.call().source_id.as_str()).collect::<Vec<_>>(), ["sound"]);
    assert_eq!(state_of(&store, "damaged").await, "dead");
    let files = async || {
        let files = store.to_reread("sessions").await.expect("works");
        files.into_iter().map(|file| file.url).collect::<Vec<_>>()
    };
    assert_eq!(files().await, ["file:///sessions/damaged.json"]);
    // Where only the delivery is damaged, its file has nothing to tell.
    ingest(&store, vec![item("elsewhere", 300, 1.0, 1)]).await;
    let raw = rusqlite::Connection::open(&path).expect("a database");
    raw.execute("UPDATE delivery SET remote_id = '00Tother', remote_sum = 1 WHERE state = 'due'", ()).expect("works");
    assert!(claim(&store, 10, 0).await.is_empty());
    assert_eq!(state_of(&store, "elsewhere").await, "dead");
    assert_eq!(files().await, ["file:///sessions/damaged.json"]);
    // New evidence takes the place of what is damaged.
    assert_eq!(ingest(&store, vec![item("damaged", 100, 2.0, 2)]).await, [IntakeResult::NewRevision]);
    let claimed = claim(&store, 10, 0).await;
    assert_eq!(claimed.iter().map(|one| one.call.call().duration_s).collect::<Vec<_>>(), [Some(2.0)]);
}

#[test]
fn a_file_that_is_no_ledger_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.db");
    let text = "this is somebody's letter, not a database\n".repeat(100);
    fs::write(&path, &text).expect("works");
    assert!(SqliteStore::open(&path, "a", 0).is_err());
    assert_eq!(fs::read_to_string(&path).expect("works"), text);
}
