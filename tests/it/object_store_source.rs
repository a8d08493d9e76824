//! Promise: a day's listing is complete, and each of its files can be read or has a reason, whatever it is called and
//! wherever it stands. One suite, run on a folder and on a real S3 API.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use jiff::civil::{Date, date};
use trunkline::net::HttpTransport;
use trunkline::problem::{self, Problem};
use trunkline::sim::sessions::{Plan, Who, write_day, write_rewrites};
use trunkline::sources::object_store::{Environment, INFLATED_BYTES_MAX, ObjectStore, Settings};
use trunkline::sources::{FetchError, ObjectSource, RawRef};

use crate::support::moto::Moto;

const DAY: Date = date(2025, 10, 29);
const DAY_FOLDER: &str = "year=2025/month=10/day=29/";
const ODD_NAMES: &[&str] = &[
    "a b.json",
    "a+b.json",
    "a%20b%2Fc.json",
    "a#1",
    "what?&=;,:@$!*().json",
    "d'arcy \"quoted\".json.gz",
    "café 中文 😀.json",
    "e\u{301}.json",
    "[x]{y}|<z>^`~\\.json",
    "..hidden",
    "sub folder/deeper/x.json",
    "a&amp;b.json",
];

/// Where a suite puts its files.
enum Shelf {
    Folder(tempfile::TempDir),
    Bucket(Moto),
}

impl Shelf {
    async fn bucket() -> Shelf {
        let moto = Moto::start().await;
        moto.create_bucket("calls").await;
        Shelf::Bucket(moto)
    }

    fn folder() -> Shelf {
        Shelf::Folder(tempfile::tempdir().expect("a folder"))
    }

    /// The address of a fresh source below which `put` puts.
    fn address(&self, prefix: &str) -> String {
        match self {
            Shelf::Folder(folder) => {
                std::fs::create_dir_all(folder.path().join(prefix)).expect("a folder");
                format!("file://{}/{prefix}", folder.path().display())
            }
            Shelf::Bucket(_) => format!("s3://calls/{prefix}"),
        }
    }

    fn source(&self, prefix: &str) -> ObjectStore {
        let environment = match self {
            Shelf::Folder(_) => Environment::new(),
            Shelf::Bucket(moto) => moto.environment(),
        };
        open(Settings::new(self.address(prefix)), &environment)
    }

    fn path(&self, key: &str) -> PathBuf {
        match self {
            Shelf::Folder(folder) => folder.path().join(key),
            Shelf::Bucket(_) => unreachable!("only folders have paths"),
        }
    }

    async fn put(&self, key: &str, bytes: &[u8]) {
        match self {
            Shelf::Folder(_) => {
                let path = self.path(key);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                std::fs::write(path, bytes).expect("a file");
            }
            Shelf::Bucket(moto) => moto.put("calls", key, bytes).await,
        }
    }

    async fn remove(&self, key: &str) {
        match self {
            Shelf::Folder(_) => std::fs::remove_file(self.path(key)).expect("a file"),
            Shelf::Bucket(moto) => moto.delete("calls", key).await,
        }
    }
}

fn open(settings: Settings, environment: &Environment) -> ObjectStore {
    let transport = Arc::new(HttpTransport::undecoded().expect("a client"));
    ObjectStore::open(settings, environment, transport).expect("settings that can be")
}

async fn list(source: &ObjectStore, day: Date) -> Result<Vec<RawRef>, Problem> {
    source.list(day).try_collect().await
}

fn file_problem<T>(result: Result<T, FetchError>) -> Problem {
    match result {
        Err(FetchError::File(problem)) => problem,
        Err(FetchError::Source(problem)) => panic!("the source is to blame: {problem}"),
        Ok(_) => panic!("no problem at all"),
    }
}

async fn odd_names_survive(shelf: &Shelf) {
    for prefix in ["", "sessions/", "odd prefix/é+%/"] {
        for name in ODD_NAMES {
            shelf.put(&format!("{prefix}{DAY_FOLDER}{name}"), name.as_bytes()).await;
        }
        let source = shelf.source(prefix);
        let listed = list(&source, DAY).await.expect("a listing");
        let mut found = BTreeMap::new();
        for raw in listed {
            let bytes = source.fetch(&raw).await.unwrap_or_else(|error| panic!("{}: {error:?}", raw.url));
            assert_eq!(raw.bytes, bytes.len() as u64);
            assert_eq!(source.look(&raw.url).await.expect("a look"), Some(raw.clone()));
            let name = raw.url.split_once(DAY_FOLDER).expect("below the day").1.to_owned();
            found.insert(name, String::from_utf8(bytes.to_vec()).expect("text"));
        }
        let expected = ODD_NAMES.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect();
        assert_eq!(found, expected, "below `{prefix}`");
    }
}

async fn only_the_day_is_listed(shelf: &Shelf) {
    for key in ["year=2025/month=10/day=28/a", "year=2025/month=10/day=29x/b", "year=2025/month=1/day=29/c", "d"] {
        shelf.put(&format!("days/{key}"), b"x").await;
    }
    let source = shelf.source("days/");
    assert_eq!(list(&source, DAY).await.expect("a listing"), []);
    assert_eq!(list(&source, date(2025, 10, 28)).await.expect("a listing").len(), 1);
    assert_eq!(list(&shelf.source("days"), date(2025, 10, 28)).await.expect("a listing").len(), 1);
    source.probe().await.expect("a source");
}

async fn changes_and_losses_are_seen(shelf: &Shelf) {
    let (key, other) = (format!("changes/{DAY_FOLDER}a.json"), format!("changes/{DAY_FOLDER}ab.json"));
    shelf.put(&key, b"one").await;
    shelf.put(&other, b"neighbour").await;
    let source = shelf.source("changes/");
    let find = async || {
        let listed = list(&source, DAY).await.expect("a listing");
        listed.into_iter().find(|raw| raw.url.ends_with("/a.json")).expect("the file")
    };
    let first = find().await;
    assert_eq!(find().await, first);
    shelf.put(&key, b"three").await;
    let second = find().await;
    assert!(second.version != first.version && second.url == first.url);
    assert_eq!(source.fetch(&first).await.expect("the file as it is now"), "three");
    shelf.remove(&key).await;
    assert_eq!(source.look(&first.url).await.expect("a look"), None);
    assert_eq!(file_problem(source.fetch(&first).await).code, problem::OBJECT_VANISHED);
    let outside = first.url.replace("changes/", "days/");
    assert_eq!(file_problem(source.look(&outside).await).code, problem::OBJECT_DENIED);
    let upwards = first.url.replace("changes/", "changes/../days/");
    assert_eq!(file_problem(source.look(&upwards).await).code, problem::OBJECT_DENIED);
}

async fn large_files_are_not_read(shelf: &Shelf) {
    shelf.put(&format!("large/{DAY_FOLDER}a.json"), &[b' '; 2000]).await;
    let source = shelf.source("large/");
    let raw = list(&source, DAY).await.expect("a listing").remove(0);
    let settings = Settings { inflated_bytes_max: 1000, ..Settings::new(source.address()) };
    let environment = if let Shelf::Bucket(moto) = shelf { moto.environment() } else { Environment::new() };
    let strict = open(settings, &environment);
    assert_eq!(file_problem(strict.fetch(&raw).await).code, problem::RAW_TOO_LARGE);
    // Grown since it was listed.
    let small = RawRef { bytes: 10, ..raw };
    assert_eq!(file_problem(strict.fetch(&small).await).code, problem::RAW_TOO_LARGE);
}

async fn a_long_day_is_complete(shelf: &Shelf) {
    let name = |index: usize| format!("long/{DAY_FOLDER}rm_{index:05}.json");
    let names: Vec<_> = (0..2500).map(name).collect();
    futures_util::stream::iter(&names).for_each_concurrent(8, |name| shelf.put(name, b"{}")).await;
    let listed = list(&shelf.source("long/"), DAY).await.expect("a listing");
    let mut found: Vec<_> =
        listed.iter().map(|raw| raw.url[raw.url.find("long/").expect("prefix")..].to_owned()).collect();
    found.sort();
    assert_eq!(found, names);
}

async fn the_suite(shelf: &Shelf) {
    odd_names_survive(shelf).await;
    only_the_day_is_listed(shelf).await;
    changes_and_losses_are_seen(shelf).await;
    large_files_are_not_read(shelf).await;
    a_long_day_is_complete(shelf).await;
    what_stands_at_the_address_is_told(shelf).await;
}

async fn what_stands_at_the_address_is_told(shelf: &Shelf) {
    shelf.put(&format!("layout/right/{DAY_FOLDER}a.json"), b"a").await;
    shelf.put(&format!("layout/above/export/{DAY_FOLDER}a.json"), b"a").await;
    shelf.put("layout/above/notes.txt", b"a").await;
    assert!(shelf.source("layout/right/").layout().await.expect("a layout").has_days);
    let above = shelf.source("layout/above/").layout().await.expect("a layout");
    assert_eq!((above.has_days, above.below), (false, vec!["export/".to_owned(), "notes.txt".to_owned()]));
    let empty = shelf.source("layout/rigth/").layout().await.expect("a layout");
    assert!(!empty.has_days && empty.below.is_empty());
    if matches!(shelf, Shelf::Bucket(_)) {
        assert_eq!(empty.beside, ["above/", "right/"]);
        let problem = empty.problem("s3://calls/layout/rigth/").expect("a problem");
        assert!(problem.what.contains("found beside it: `above/`, `right/`"), "{problem}");
    }
}

#[tokio::test]
async fn a_folder_keeps_the_contract_of_a_source() {
    the_suite(&Shelf::folder()).await;
}

#[tokio::test]
async fn a_bucket_keeps_the_contract_of_a_source() {
    let shelf = Shelf::bucket().await;
    the_suite(&shelf).await;
    folder_markers_and_odd_keys_do_not_count(&shelf).await;
    let missing = open(
        Settings::new("s3://nobodys-bucket/"),
        &match &shelf {
            Shelf::Bucket(moto) => moto.environment(),
            Shelf::Folder(_) => Environment::new(),
        },
    );
    assert_eq!(missing.probe().await.expect_err("no bucket").code, problem::SOURCE_MISSING);
    assert_eq!(list(&missing, DAY).await.expect_err("no bucket").code, problem::SOURCE_MISSING);
}

/// Keys that only a bucket can have.
async fn folder_markers_and_odd_keys_do_not_count(shelf: &Shelf) {
    for marker in ["", "sub/"] {
        shelf.put(&format!("marked/{DAY_FOLDER}{marker}"), b"").await;
    }
    shelf.put(&format!("marked/{DAY_FOLDER}/double.json"), b"double").await;
    shelf.put(&format!("marked/{DAY_FOLDER}z.json"), b"z").await;
    let source = shelf.source("marked/");
    let listed = list(&source, DAY).await.expect("a listing");
    let names: Vec<_> = listed.iter().map(|raw| raw.url.split_once(DAY_FOLDER).expect("below the day").1).collect();
    assert_eq!(names, ["/double.json", "z.json"]);
    assert_eq!(source.fetch(&listed[0]).await.expect("a file"), "double");
}

#[cfg(unix)]
#[tokio::test]
async fn links_out_of_the_folder_are_refused_and_told() {
    use std::os::unix::fs::symlink;
    let shelf = Shelf::folder();
    shelf.put("secret.json", b"secret").await;
    shelf.put(&format!("in/{DAY_FOLDER}real.json"), b"real").await;
    let day = shelf.path(&format!("in/{DAY_FOLDER}"));
    symlink(shelf.path("secret.json"), day.join("out.json")).expect("a link");
    symlink(day.join("real.json"), day.join("inside.json")).expect("a link");
    symlink(day.join("nowhere"), day.join("broken.json")).expect("a link");
    symlink(shelf.path(""), day.join("loop")).expect("a link");
    symlink(shelf.path(""), shelf.path("in/year=2024")).expect("a link");
    let source = shelf.source("in/");
    let mut fates = BTreeMap::new();
    for raw in list(&source, DAY).await.expect("a listing") {
        let fate = source.fetch(&raw).await;
        let name = raw.url.rsplit('/').next().expect("a name").to_owned();
        fates.insert(
            name,
            fate.map_or_else(|error| file_problem::<()>(Err(error)).code.to_string(), |bytes| format!("{bytes:?}")),
        );
    }
    let expected = [
        ("broken.json", "TL0206"),
        ("inside.json", "b\"real\""),
        ("loop", "TL0206"),
        ("out.json", "TL0206"),
        ("real.json", "b\"real\""),
    ];
    assert_eq!(fates, expected.map(|(name, fate)| (name.to_owned(), fate.to_owned())).into());
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_nothing_and_a_name_that_is_not_utf8_are_told_as_what_they_are() {
    use std::os::unix::ffi::OsStrExt;
    let shelf = Shelf::folder();
    shelf.put(&format!("in/{DAY_FOLDER}real.json"), b"real").await;
    let day = shelf.path(&format!("in/{DAY_FOLDER}"));
    std::os::unix::fs::symlink("nowhere.json", day.join("link.json")).expect("a link");
    std::fs::write(day.join(std::ffi::OsStr::from_bytes(b"caf\xe9.json")), b"{}").expect("a file");
    let source = shelf.source("in/");
    let told = |text: &'static str| {
        let source = &source;
        async move {
            let listed = list(source, DAY).await.expect("a listing");
            let raw = listed.iter().find(|raw| raw.url.contains(text)).expect("it is listed");
            // However it is asked for, it is there.
            if let Ok(looked) = source.look(&raw.url).await {
                assert_eq!(looked.as_ref(), Some(raw), "{text}");
            }
            file_problem::<()>(source.fetch(raw).await.map(|_| ()))
        }
    };
    let link = told("link.json").await;
    assert_eq!(link.code, problem::OBJECT_DENIED);
    assert!(link.what.contains("is a symbolic link to nowhere.json, which is not there"), "{link}");
    let name = told("caf").await;
    assert_eq!(name.code, problem::OBJECT_DENIED);
    assert!(name.what.contains("its name is not UTF-8"), "{name}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told() {
    let source = open(Settings::new("file:///nowhere/at/all/"), &Environment::new());
    for problem in [source.probe().await.expect_err("no folder"), list(&source, DAY).await.expect_err("no folder")] {
        assert_eq!(problem.code, problem::SOURCE_MISSING);
        assert!(problem.what.contains("/nowhere/at/all"), "{problem}");
    }
}

#[tokio::test]
async fn signatures_hold_for_every_key_and_wrong_credentials_are_told() {
    let moto = Moto::start().await;
    moto.create_bucket("calls").await;
    for name in ODD_NAMES {
        moto.put("calls", &format!("a b+%/{DAY_FOLDER}{name}"), name.as_bytes()).await;
    }
    moto.put("calls", &format!("a b+%/{DAY_FOLDER}denied.json"), b"x").await;
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::calls/*/denied.json"}]}"#;
    let (key, secret) = moto.require_credentials(policy).await;
    let with = |key: &str, secret: &str| {
        let mut environment = moto.environment();
        environment.insert("AWS_ACCESS_KEY_ID".to_owned(), key.to_owned());
        environment.insert("AWS_SECRET_ACCESS_KEY".to_owned(), secret.to_owned());
        open(Settings::new("s3://calls/a b+%/"), &environment)
    };
    let source = with(&key, &secret);
    source.probe().await.expect("the right credentials");
    let listed = list(&source, DAY).await.expect("a listing");
    assert_eq!(listed.len(), ODD_NAMES.len() + 1);
    for raw in listed {
        match source.fetch(&raw).await {
            Ok(_) => assert!(!raw.url.ends_with("denied.json")),
            error => {
                assert!(raw.url.ends_with("denied.json"), "{}: {error:?}", raw.url);
                assert_eq!(file_problem(error).code, problem::OBJECT_DENIED);
            }
        }
    }
    for (key, secret) in [(key.as_str(), "wrong-secret-1234567890"), ("AKIANOBODY0000000000", secret.as_str())] {
        let problem = with(key, secret).probe().await.expect_err("wrong credentials");
        assert_eq!(problem.code, problem::SOURCE_CREDENTIALS, "{problem}");
        assert!(!problem.to_string().contains(secret), "{problem}");
    }
}

#[tokio::test]
async fn an_invented_day_is_read_whole_and_its_rewrites_are_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan { rewritten_of_1000: 100, ..Plan::new(3, DAY, 200) };
    write_day(folder.path(), &plan).expect("files");
    let source = open(Settings::new(format!("file://{}", folder.path().display())), &Environment::new());
    let versions = async || -> BTreeMap<String, String> {
        let listed = list(&source, DAY).await.expect("a listing");
        listed.into_iter().map(|raw| (raw.url, raw.version)).collect()
    };
    let before = versions().await;
    assert_eq!(before.len(), plan.calls);
    write_rewrites(folder.path(), &plan).expect("files");
    let after = versions().await;
    let changed = after.iter().filter(|(url, version)| before.get(*url) != Some(version)).count();
    assert_eq!(changed, plan.rewrites().count());
    let mut without_email = 0;
    for raw in list(&source, DAY).await.expect("a listing") {
        let bytes = source.fetch(&raw).await.expect("a file");
        without_email +=
            usize::from(source.convert(&raw, bytes, INFLATED_BYTES_MAX).expect("a call").call.caller.email.is_none());
    }
    let planted = plan.sessions().filter(|session| session.truth.who == Who::NoEmail).count();
    assert_eq!(without_email, planted);
}
