//! A real S3 API for a test: the `moto` server as a child process.
//!
//! Invariant: a test that needs it fails when it is not installed; it is never skipped. `scripts/test` installs it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use trunkline::sources::object_store::Environment;

/// How long the server may take to say where it listens.
const START: Duration = Duration::from_secs(60);
/// Not checked unless [`Moto::require_credentials`] was called, but a request must look signed.
const UNCHECKED: &str =
    "AWS4-HMAC-SHA256 Credential=test/20250101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

pub struct Moto {
    child: Child,
    client: reqwest::Client,
    /// E.g. `http://127.0.0.1:41234`.
    pub endpoint: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Moto {
    /// Starts a server of its own and waits until it listens.
    pub async fn start() -> Moto {
        let program = program();
        let mut child = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start the S3 test server {}: {error}; scripts/test installs it", program.display())
            });
        let stderr = child.stderr.take().expect("piped above");
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut tell = Some(tell);
            // Reads on to the end, or the server would stall on a full pipe.
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(at) = line.find("http://127.0.0.1:")
                    && let Some(tell) = tell.take()
                {
                    let _ = tell.send(line[at..].trim().to_owned());
                }
            }
        });
        let endpoint = match tokio::time::timeout(START, told).await {
            Ok(Ok(endpoint)) => endpoint,
            _ => {
                let _ = child.kill();
                panic!("the S3 test server {} did not say where it listens", program.display());
            }
        };
        Moto { child, client: client(), endpoint }
    }

    /// The environment in which a source finds this server.
    pub fn environment(&self) -> Environment {
        let pairs = [
            ("AWS_ENDPOINT_URL_S3", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    pub async fn create_bucket(&self, bucket: &str) {
        self.s3(reqwest::Method::PUT, bucket, "", Vec::new()).await;
    }

    pub async fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        self.s3(reqwest::Method::PUT, bucket, key, bytes.to_vec()).await;
    }

    pub async fn delete(&self, bucket: &str, key: &str) {
        self.s3(reqwest::Method::DELETE, bucket, key, Vec::new()).await;
    }

    /// Makes the server check every signature from now on. Gives the key and secret of a user who may do what `policy`
    /// (an IAM policy document) allows.
    pub async fn require_credentials(&self, policy: &str) -> (String, String) {
        self.iam(&[("Action", "CreateUser"), ("UserName", "night")]).await;
        let put_policy =
            [("Action", "PutUserPolicy"), ("UserName", "night"), ("PolicyName", "p"), ("PolicyDocument", policy)];
        self.iam(&put_policy).await;
        let answer = self.iam(&[("Action", "CreateAccessKey"), ("UserName", "night")]).await;
        let between = |name: &str| {
            let rest = answer.split_once(&format!("<{name}>")).expect("the answer names it").1;
            rest.split_once('<').expect("a closing tag").0.to_owned()
        };
        let answer = self.client.post(format!("{}/moto-api/reset-auth", self.endpoint)).body("0").send().await;
        assert!(answer.expect("an answer").status().is_success());
        (between("AccessKeyId"), between("SecretAccessKey"))
    }

    async fn s3(&self, method: reqwest::Method, bucket: &str, key: &str, body: Vec<u8>) {
        let path: String =
            key.split('/').map(|part| format!("/{}", utf8_percent_encode(part, NON_ALPHANUMERIC))).collect();
        let request = self.client.request(method, format!("{}/{bucket}{path}", self.endpoint));
        let answer = request.header("authorization", UNCHECKED).body(body).send().await.expect("an answer");
        let status = answer.status();
        assert!(status.is_success(), "{key}: {status} {}", answer.text().await.unwrap_or_default());
    }

    async fn iam(&self, form: &[(&str, &str)]) -> String {
        let fields = [&[("Version", "2010-05-08")], form].concat();
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let answer = self
            .client
            .post(&self.endpoint)
            .header("authorization", UNCHECKED.replace("/s3/", "/iam/"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"))
            .send()
            .await
            .expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a text");
        assert!(status.is_success(), "{status} {text}");
        text
    }
}

fn program() -> PathBuf {
    let named = std::env::var_os("TRUNKLINE_MOTO").map(PathBuf::from);
    let program = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/moto_server"));
    assert!(
        program.exists(),
        "the S3 test server {} is not there: run scripts/test, which installs it, or set TRUNKLINE_MOTO",
        program.display()
    );
    program
}

#[expect(clippy::disallowed_methods, reason = "only to talk to the test's own server")]
fn client() -> reqwest::Client {
    reqwest::Client::new()
}
