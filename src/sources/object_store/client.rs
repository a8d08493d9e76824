//! The source as the engine sees it: a folder or a bucket behind one trait.
//!
//! Invariant: at most one file is held for each call of `fetch`; whoever calls decides how many run at once.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::civil::Date;

use super::bucket::Bucket;
use super::config::{self, Environment, Place, Settings};
use super::folder::Folder;
use super::{answers, convert, credentials, keys};
use crate::net::{RESPONSE_BYTES_MAX, Transport};
use crate::problem::Problem;
use crate::sources::{Converted, FetchError, Layout, ObjectSource, RawRef};

/// Session files in a bucket or a folder.
pub struct ObjectStore {
    settings: Settings,
    files: Files,
    /// Larger files are not asked for.
    bytes_max: usize,
}

enum Files {
    Folder(Folder),
    Bucket(Box<Bucket>),
}

impl ObjectStore {
    /// Checks the settings; connects to nothing yet. `transport` must hand bodies over undecoded
    /// (`HttpTransport::undecoded`): exports are stored with `Content-Encoding: gzip`.
    pub fn open(
        settings: Settings,
        environment: &Environment,
        transport: Arc<dyn Transport>,
    ) -> Result<ObjectStore, Problem> {
        let profile = settings.profile.as_ref().or_else(|| environment.get("AWS_PROFILE"));
        let configuration = config::configuration_file(environment).and_then(|path| std::fs::read_to_string(path).ok());
        let region =
            configuration.and_then(|text| config::region_of_profile(&text, profile.map_or("default", String::as_str)));
        let mut bytes_max = settings.inflated_bytes_max;
        let files = match settings.place(environment, region)? {
            Place::Folder(root) => Files::Folder(Folder::new(root, bytes_max)),
            Place::Bucket(place) => {
                let signer = credentials::signer(&settings, environment, &place.region, transport.clone());
                bytes_max = bytes_max.min(RESPONSE_BYTES_MAX);
                let patience = settings.patience;
                Files::Bucket(Box::new(Bucket { place, signer, transport, patience, bytes_max }))
            }
        };
        Ok(ObjectStore { settings, files, bytes_max })
    }
}

#[async_trait]
impl ObjectSource for ObjectStore {
    fn name(&self) -> &str {
        super::SOURCE_NAME
    }

    fn address(&self) -> &str {
        &self.settings.address
    }

    async fn probe(&self) -> Result<(), Problem> {
        match &self.files {
            Files::Folder(folder) => folder.probe().await,
            Files::Bucket(bucket) => bucket.probe().await,
        }
    }

    async fn layout(&self) -> Result<Layout, Problem> {
        match &self.files {
            Files::Folder(folder) => folder.layout().await,
            Files::Bucket(bucket) => bucket.layout().await,
        }
    }

    fn list(&self, day: Date) -> BoxStream<'_, Result<RawRef, Problem>> {
        let day_folder = keys::day_folder(day);
        match &self.files {
            Files::Folder(folder) => folder.list(&day_folder),
            Files::Bucket(bucket) => bucket.list(&day_folder),
        }
    }

    async fn look(&self, url: &str) -> Result<Option<RawRef>, FetchError> {
        match &self.files {
            Files::Folder(folder) => folder.look(url).await,
            Files::Bucket(bucket) => bucket.look(url).await,
        }
    }

    async fn fetch(&self, raw: &RawRef) -> Result<Bytes, FetchError> {
        if raw.bytes > self.bytes_max as u64 {
            return Err(FetchError::File(answers::too_large(&raw.url, self.bytes_max)));
        }
        match &self.files {
            Files::Folder(folder) => folder.fetch(&raw.url).await,
            Files::Bucket(bucket) => bucket.fetch(&raw.url).await,
        }
    }

    fn convert(&self, raw: &RawRef, bytes: Bytes, inflated_bytes_max: usize) -> Result<Converted, Problem> {
        convert::convert(&self.settings, &raw.url, bytes, inflated_bytes_max)
    }
}
