//! A bucket that answers listings and reads as S3 documents them, in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use trunkline::model::Digest;

struct Object {
    bytes: Bytes,
    tag: String,
    modified: Timestamp,
}

#[derive(Default)]
pub struct Bucket {
    objects: Mutex<BTreeMap<String, Object>>,
}

impl Bucket {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, key: &str, bytes: Vec<u8>, now: Timestamp) {
        let tag = hex::encode(&Digest::of(&bytes).0[..16]);
        // S3 tells whole seconds.
        let modified = Timestamp::from_second(now.as_second()).expect("a time of this age");
        self.lock().insert(key.to_owned(), Object { bytes: bytes.into(), tag, modified });
    }

    /// Every key with the tag of what stands there.
    pub fn tags(&self) -> BTreeMap<String, String> {
        self.lock().iter().map(|(key, object)| (key.clone(), object.tag.clone())).collect()
    }

    pub fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        let parameters: BTreeMap<String, String> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
        let Some(rest) = path.strip_prefix("/bucket/") else { return refusal(404, "NoSuchBucket") };
        if rest.is_empty() {
            return self.list(&parameters);
        }
        let key = percent_encoding::percent_decode_str(rest).decode_utf8_lossy().into_owned();
        match self.lock().get(&key) {
            Some(object) => Response::builder()
                .header("etag", format!("\"{}\"", object.tag))
                .body(object.bytes.clone())
                .expect("an answer"),
            None => refusal(404, "NoSuchKey"),
        }
    }

    fn list(&self, parameters: &BTreeMap<String, String>) -> Response<Bytes> {
        let text = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
        let most: usize = text("max-keys").parse().unwrap_or(1000);
        let (prefix, after) = (text("prefix"), text("continuation-token"));
        let objects = self.lock();
        let found: Vec<_> = objects
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| key.as_str() > after)
            .take(most + 1)
            .collect();
        let more = found.len() > most;
        let page = &found[..found.len().min(most)];
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><IsTruncated>{more}</IsTruncated>\
             <EncodingType>url</EncodingType>"
        );
        if let Some((last, _)) = page.last().filter(|_| more) {
            xml.push_str(&format!("<NextContinuationToken>{last}</NextContinuationToken>"));
        }
        for (key, object) in page {
            xml.push_str(&format!(
                "<Contents><Key>{key}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size></Contents>",
                object.modified,
                object.tag,
                object.bytes.len()
            ));
        }
        xml.push_str("</ListBucketResult>");
        Response::new(xml.into())
    }
}

/// S3's own words for an error.
pub fn refusal(status: u16, code: &str) -> Response<Bytes> {
    let mut response = Response::new(format!("<Error><Code>{code}</Code><Message>told so</Message></Error>").into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}
