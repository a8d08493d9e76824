//! Requests to one S3 bucket: signed, tried again within bounds, answered or explained.
//!
//! Invariant: every request ends within `Patience::total`, and only reads: nothing here can change a bucket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::header::HOST;
use reqsign_aws_v4::Credential;
use reqsign_core::Signer;
use tokio::time::Instant;

use super::answers::{self, Refusal};
use super::config::{BucketPlace, Patience};
use super::{keys, listing};
use crate::net::Transport;
use crate::problem::{self, Problem};
use crate::sources::{FetchError, LAYOUT_NAMES_MAX, Layout, RawRef};

/// How long one try may take.
const TRY_DEADLINE: Duration = Duration::from_secs(30);
/// How many names S3 gives a page.
const PAGE_FILES_MAX: usize = 1000;

pub(super) struct Bucket {
    pub place: BucketPlace,
    pub signer: Signer<Credential>,
    pub transport: Arc<dyn Transport>,
    pub patience: Patience,
    pub bytes_max: usize,
}

/// Why a request got no success.
enum Failed {
    Refused(Refusal),
    Source(Problem),
}

impl Bucket {
    pub(super) async fn probe(&self) -> Result<(), Problem> {
        self.page(&self.place.prefix, None, 1).await.map(|_| ())
    }

    pub(super) async fn layout(&self) -> Result<Layout, Problem> {
        let prefix = self.place.prefix.as_str();
        let years = self.page(&format!("{prefix}{}", keys::YEAR), None, 1).await?;
        if years.has_keys {
            return Ok(Layout { has_days: true, ..Layout::default() });
        }
        let below = self.names(prefix).await?;
        let parent = prefix.trim_end_matches('/').rfind('/').map_or("", |slash| &prefix[..=slash]);
        let beside = match below.is_empty() && parent != prefix {
            // A policy may well allow nothing but the prefix.
            true => self.names(parent).await.unwrap_or_default(),
            false => Vec::new(),
        };
        Ok(Layout { has_days: false, below, beside })
    }

    /// Some names right below a prefix.
    async fn names(&self, prefix: &str) -> Result<Vec<String>, Problem> {
        let page = self.ask(prefix, None, LAYOUT_NAMES_MAX, "&delimiter=%2F").await?;
        let names = page.folders.iter().chain(page.files.iter().map(|file| &file.url));
        let above = format!("s3://{}/{prefix}", self.place.bucket);
        Ok(names.filter_map(|url| url.strip_prefix(&above)).map(str::to_owned).collect())
    }

    /// Everything below `<prefix><folder>`.
    pub(super) fn list(&self, folder: &str) -> BoxStream<'_, Result<RawRef, Problem>> {
        let prefix = format!("{}{folder}", self.place.prefix);
        let pages = stream::unfold(Some(None), move |position: Option<Option<String>>| {
            let prefix = prefix.clone();
            async move {
                let token = position?;
                match self.page(&prefix, token.as_deref(), PAGE_FILES_MAX).await {
                    Ok(page) if page.next.is_some() && page.next == token => {
                        Some((vec![Err(self.not_a_listing("it repeats itself"))], None))
                    }
                    Ok(page) => {
                        let files = page.files.into_iter().map(Ok).collect();
                        Some((files, page.next.map(Some)))
                    }
                    Err(problem) => Some((vec![Err(problem)], None)),
                }
            }
        });
        pages.flat_map(stream::iter).boxed()
    }

    /// The file as the listing tells it now; a listing, because its refusals come with a reason, unlike those of HEAD.
    pub(super) async fn look(&self, url: &str) -> Result<Option<RawRef>, FetchError> {
        let key = self.key_of(url)?;
        let page = self.page(key, None, 1).await.map_err(FetchError::Source)?;
        Ok(page.files.into_iter().find(|file| file.url == url))
    }

    pub(super) async fn fetch(&self, url: &str) -> Result<Bytes, FetchError> {
        let key = self.key_of(url)?;
        let target = format!("{}/{}", self.place.base, keys::path_of(key));
        match self.get(&target).await {
            Ok(body) if body.len() > self.bytes_max => Err(FetchError::File(answers::too_large(url, self.bytes_max))),
            Ok(body) => Ok(body),
            Err(Failed::Refused(refusal)) => Err(refusal.of_file(&self.place, url)),
            Err(Failed::Source(problem)) => Err(FetchError::Source(problem)),
        }
    }

    fn key_of<'a>(&self, url: &'a str) -> Result<&'a str, FetchError> {
        let key = url
            .strip_prefix("s3://")
            .and_then(|rest| rest.strip_prefix(self.place.bucket.as_str()))
            .and_then(|rest| rest.strip_prefix('/'))
            .filter(|key| key.starts_with(&self.place.prefix) && keys::can_be_requested(key));
        key.ok_or_else(|| {
            FetchError::File(Problem::new(
                problem::OBJECT_DENIED,
                format!("{url} cannot be read: it is not below the source's address, or has a segment `.` or `..`"),
                "Copy the file to a key without such segments below the source's address.",
            ))
        })
    }

    async fn page(&self, prefix: &str, token: Option<&str>, files_max: usize) -> Result<listing::Page, Problem> {
        self.ask(prefix, token, files_max, "").await
    }

    async fn ask(
        &self,
        prefix: &str,
        token: Option<&str>,
        files_max: usize,
        further: &str,
    ) -> Result<listing::Page, Problem> {
        let mut target = format!("{}/?encoding-type=url&list-type=2&max-keys={files_max}{further}", self.place.base);
        if !prefix.is_empty() {
            target.push_str(&format!("&prefix={}", keys::query_value(prefix)));
        }
        if let Some(token) = token {
            target.push_str(&format!("&continuation-token={}", keys::query_value(token)));
        }
        match self.get(&target).await {
            Ok(body) => listing::read(&self.place.bucket, &body).map_err(|why| self.not_a_listing(&why)),
            Err(Failed::Refused(refusal)) => Err(refusal.of_source(&self.place)),
            Err(Failed::Source(problem)) => Err(problem),
        }
    }

    fn not_a_listing(&self, why: &str) -> Problem {
        Problem::new(
            problem::SOURCE_UNAVAILABLE,
            format!("the answer to listing bucket {} is not an S3 listing: {why}", self.place.bucket),
            "Check that the endpoint is an S3 server.",
        )
    }

    async fn get(&self, target: &str) -> Result<Bytes, Failed> {
        let end = Instant::now() + self.patience.total;
        let mut wait = self.patience.first_wait;
        let mut tries_left = self.patience.tries.max(1);
        loop {
            tries_left -= 1;
            let left = end.saturating_duration_since(Instant::now());
            let last = tries_left == 0 || left <= wait;
            let request = self.signed(target).await.map_err(Failed::Source)?;
            match self.transport.send(request, TRY_DEADLINE.min(left)).await {
                Ok(response) if response.status().is_success() => return Ok(response.into_body()),
                Ok(response) => {
                    let refusal = Refusal::read(&response);
                    if last || !refusal.passes() {
                        return Err(Failed::Refused(refusal));
                    }
                }
                Err(error) if last => return Err(Failed::Source(answers::silent(&self.place, &error.to_string()))),
                Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    async fn signed(&self, target: &str) -> Result<http::Request<Bytes>, Problem> {
        let unusable = |_| {
            Problem::new(
                problem::CONFIG_BAD_VALUE,
                format!("bucket {} cannot be addressed", self.place.bucket),
                "Check the source's address and endpoint.",
            )
        };
        let (mut parts, ()) = http::Request::get(target).body(()).map_err(unusable)?.into_parts();
        self.signer.sign(&mut parts, None).await.map_err(|error| self.no_credentials(&error))?;
        // The client writes its own from the address.
        parts.headers.remove(HOST);
        Ok(http::Request::from_parts(parts, Bytes::new()))
    }

    fn no_credentials(&self, error: &reqsign_core::Error) -> Problem {
        Problem::new(
            problem::SOURCE_CREDENTIALS,
            format!("no usable AWS credentials for bucket {} ({:?})", self.place.bucket, error.kind()),
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role.",
        )
    }
}
