//! Promise: whatever S3 answers, a run ends in time and tells what a person can do. Answers that the test server never
//! gives come from a stub, in the words of the real S3.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::TryStreamExt;
use jiff::civil::date;
use trunkline::net::HttpTransport;
use trunkline::problem::{self, Problem};
use trunkline::sources::object_store::{Environment, ObjectStore, Patience, Settings};
use trunkline::sources::{FetchError, ObjectSource, RawRef};

use crate::support::stub::Stub;

const IN_ANOTHER_REGION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be addressed using the specified endpoint.</Message><Endpoint>calls.s3.eu-west-1.amazonaws.com</Endpoint><Bucket>calls</Bucket><RequestId>1</RequestId></Error>"#;
const MALFORMED: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'</Message><Region>eu-central-1</Region></Error>"#;
const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
const EMPTY_PAGE: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

fn source(endpoint: &str) -> ObjectStore {
    let pairs =
        [("AWS_ACCESS_KEY_ID", "AKIATEST"), ("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_SESSION_TOKEN", "token")];
    let environment: Environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut settings = Settings::new("s3://calls/sessions/");
    settings.endpoint = Some(endpoint.to_owned());
    settings.patience = Patience { tries: 3, first_wait: Duration::from_millis(1), total: Duration::from_secs(20) };
    let transport = Arc::new(HttpTransport::undecoded().expect("a client"));
    ObjectStore::open(settings, &environment, transport).expect("settings that can be")
}

fn raw() -> RawRef {
    RawRef {
        url: "s3://calls/sessions/a.json.gz".to_owned(),
        version: "1".to_owned(),
        bytes: 5,
        modified_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

async fn listed(source: &ObjectStore) -> Result<Vec<RawRef>, Problem> {
    source.list(date(2025, 10, 29)).try_collect().await
}

#[tokio::test]
async fn a_bucket_in_another_region_is_told_with_its_region() {
    let redirecting =
        Stub::start(|_| (StatusCode::MOVED_PERMANENTLY, [("x-amz-bucket-region", "eu-west-1")], IN_ANOTHER_REGION));
    let problem = source(&redirecting.await.endpoint).probe().await.expect_err("another region");
    assert_eq!(problem.code, problem::SOURCE_REGION);
    assert!(problem.to_string().contains("AWS_REGION=eu-west-1"), "{problem}");

    let malformed = Stub::start(|_| (StatusCode::BAD_REQUEST, MALFORMED)).await;
    let problem = listed(&source(&malformed.endpoint)).await.expect_err("another region");
    assert_eq!(problem.code, problem::SOURCE_REGION);
    assert!(problem.to_string().contains("AWS_REGION=eu-central-1"), "{problem}");
    assert_eq!(malformed.requests().len(), 1, "asking again would not help");
}

#[tokio::test]
async fn a_passing_slow_down_is_waited_for() {
    let asked = AtomicUsize::new(0);
    let stub = Stub::start(move |_| {
        if asked.fetch_add(1, Ordering::SeqCst) < 2 {
            (StatusCode::SERVICE_UNAVAILABLE, SLOW_DOWN)
        } else {
            (StatusCode::OK, EMPTY_PAGE)
        }
    })
    .await;
    assert_eq!(listed(&source(&stub.endpoint)).await.expect("a listing at last"), []);
    assert_eq!(stub.requests().len(), 3);
}

#[tokio::test]
async fn a_lasting_slow_down_ends_the_run_after_a_bounded_number_of_tries() {
    let stub = Stub::start(|_| (StatusCode::SERVICE_UNAVAILABLE, SLOW_DOWN)).await;
    let source = source(&stub.endpoint);
    assert_eq!(listed(&source).await.expect_err("still slow").code, problem::SOURCE_UNAVAILABLE);
    assert_eq!(stub.requests().len(), 3);
    match source.fetch(&raw()).await {
        Err(FetchError::Source(problem)) => assert_eq!(problem.code, problem::SOURCE_UNAVAILABLE),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nobody_listening_is_told_without_secrets() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let problem = source(&endpoint).probe().await.expect_err("nobody there");
    assert_eq!(problem.code, problem::SOURCE_UNAVAILABLE);
    let text = problem.to_string();
    assert!(text.contains("calls") && !text.contains("hidden") && !text.contains("AKIA"), "{text}");
}

#[tokio::test]
async fn an_expired_session_and_a_skewed_clock_are_problems_of_the_source() {
    for code in ["ExpiredToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch"] {
        let stub = Stub::start(move |_| (StatusCode::BAD_REQUEST, format!("<Error><Code>{code}</Code></Error>"))).await;
        match source(&stub.endpoint).fetch(&raw()).await {
            Err(FetchError::Source(problem)) => {
                assert_eq!(problem.code, problem::SOURCE_CREDENTIALS);
                assert!(problem.what.contains(code), "{problem}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_s3_is_told() {
    let stub = Stub::start(|_| "<html><body>It works</body></html>").await;
    let problem = source(&stub.endpoint).probe().await.expect_err("not S3");
    assert_eq!(problem.code, problem::SOURCE_UNAVAILABLE);
    assert!(problem.help.contains("endpoint"), "{problem}");
}

#[tokio::test]
async fn a_file_arrives_as_stored_although_it_is_sent_as_gzip() {
    let stored: &[u8] = b"\x1f\x8bnot really gzip";
    let stub =
        Stub::start(move |_| ([("content-encoding", "gzip"), ("content-type", "application/json")], stored)).await;
    assert_eq!(source(&stub.endpoint).fetch(&raw()).await.expect("the file"), stored);
    assert_eq!(stub.requests(), ["GET /calls/sessions/a.json.gz"]);
}

#[tokio::test]
async fn a_listing_that_repeats_itself_ends() {
    let page = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
    let stub = Stub::start(move |_| page).await;
    assert_eq!(listed(&source(&stub.endpoint)).await.expect_err("no end").code, problem::SOURCE_UNAVAILABLE);
    assert_eq!(stub.requests().len(), 2);
}

#[tokio::test]
async fn no_credentials_at_all_are_told() {
    let stub = Stub::start(|_| EMPTY_PAGE).await;
    let mut settings = Settings::new("s3://calls/");
    settings.endpoint = Some(stub.endpoint.clone());
    let environment: Environment = [("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned())].into();
    let transport = Arc::new(HttpTransport::undecoded().expect("a client"));
    let source = ObjectStore::open(settings, &environment, transport).expect("settings that can be");
    let problem = source.probe().await.expect_err("no credentials");
    assert_eq!(problem.code, problem::SOURCE_CREDENTIALS);
    assert!(problem.help.contains("AWS_PROFILE"), "{problem}");
    assert_eq!(stub.requests().len(), 0);
}

#[tokio::test]
async fn a_profile_brings_its_keys_and_its_region() {
    let stub = Stub::start(|_| EMPTY_PAGE).await;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let credentials = write("credentials", "[night]\naws_access_key_id = AKIANIGHT\naws_secret_access_key = s\n");
    let config = write("config", "[profile night]\nregion = eu-west-3\n");
    let pairs = [
        ("AWS_SHARED_CREDENTIALS_FILE", credentials),
        ("AWS_CONFIG_FILE", config),
        ("AWS_PROFILE", "night".to_owned()),
    ];
    let environment: Environment = pairs.map(|(name, value)| (name.to_owned(), value)).into();
    let recorder =
        Arc::new(Recorder { inner: HttpTransport::undecoded().expect("a client"), seen: Default::default() });
    let settings = Settings { endpoint: Some(stub.endpoint.clone()), ..Settings::new("s3://calls/") };
    ObjectStore::open(settings, &environment, recorder.clone()).expect("settings").probe().await.expect("a source");
    let seen = recorder.seen.lock().expect("a lock").clone();
    assert!(seen.contains("Credential=AKIANIGHT/") && seen.contains("/eu-west-3/s3/"), "{seen}");
}

/// Remembers the last `Authorization`.
struct Recorder {
    inner: HttpTransport,
    seen: std::sync::Mutex<String>,
}

#[async_trait::async_trait]
impl trunkline::net::Transport for Recorder {
    async fn send(
        &self,
        request: axum::http::Request<bytes::Bytes>,
        deadline: Duration,
    ) -> Result<axum::http::Response<bytes::Bytes>, trunkline::net::TransportError> {
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        *self.seen.lock().expect("a lock") = header.to_owned();
        self.inner.send(request, deadline).await
    }
}
