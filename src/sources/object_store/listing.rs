//! One page of `ListObjectsV2`, read.
//!
//! Invariant: a key comes out exactly as the bucket holds it, whatever characters it has.

use jiff::Timestamp;
use serde::Deserialize;

use super::keys;
use crate::sources::RawRef;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListBucketResult {
    #[serde(default)]
    encoding_type: Option<String>,
    is_truncated: bool,
    #[serde(default)]
    next_continuation_token: Option<String>,
    #[serde(default)]
    contents: Vec<Contents>,
    #[serde(default)]
    common_prefixes: Vec<CommonPrefix>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CommonPrefix {
    prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    key: String,
    size: u64,
    last_modified: Timestamp,
    #[serde(rename = "ETag", default)]
    e_tag: Option<String>,
}

/// One page of files and the token of the next.
pub(super) struct Page {
    pub files: Vec<RawRef>,
    /// Only where a delimiter was asked for.
    pub folders: Vec<String>,
    /// Whether there was any key, folder markers included.
    pub has_keys: bool,
    pub next: Option<String>,
}

/// Reads a page of the listing of `bucket`; `Err` says why it is not one. Folder markers are left out.
pub(super) fn read(bucket: &str, body: &[u8]) -> Result<Page, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    if !text.contains("<ListBucketResult") {
        return Err("it is something else".to_owned());
    }
    let result: ListBucketResult =
        quick_xml::de::from_str(text).map_err(|error| crate::problem::scrub(&error.to_string()))?;
    let encoded = result.encoding_type.as_deref() == Some("url");
    let plain = |key: String| if encoded { keys::listed(&key) } else { key };
    let has_keys = !result.contents.is_empty();
    let folder = |common: CommonPrefix| format!("s3://{bucket}/{}", plain(common.prefix));
    let folders = result.common_prefixes.into_iter().map(folder).collect();
    let mut files = Vec::with_capacity(result.contents.len());
    for entry in result.contents {
        let key = plain(entry.key);
        if key.ends_with('/') && entry.size == 0 {
            continue;
        }
        let tag = entry.e_tag.map(|tag| tag.trim_matches('"').to_owned()).filter(|tag| !tag.is_empty());
        files.push(RawRef {
            url: format!("s3://{bucket}/{key}"),
            version: tag.unwrap_or_else(|| format!("{}-{}", entry.last_modified.as_nanosecond(), entry.size)),
            bytes: entry.size,
            modified_at: entry.last_modified,
        });
    }
    let next = result.next_continuation_token.filter(|_| result.is_truncated);
    if result.is_truncated && next.is_none() {
        return Err("it says that more follows, but not where".to_owned());
    }
    Ok(Page { files, folders, has_keys, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gives_its_files_and_the_way_on() {
        let body = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>calls</Name><KeyCount>3</KeyCount>
            <IsTruncated>true</IsTruncated><EncodingType>url</EncodingType><NextContinuationToken>a+b/=</NextContinuationToken>
            <Contents><Key>d/</Key><LastModified>2025-10-29T09:00:00.000Z</LastModified><ETag>&quot;x&quot;</ETag><Size>0</Size></Contents>
            <Contents><Key>d/a+b%2B%0A.gz</Key><LastModified>2025-10-29T09:00:00.000Z</LastModified><ETag>&quot;y&quot;</ETag><Size>7</Size></Contents>
            <Contents><Key>d//c&amp;</Key><LastModified>2025-10-29T09:00:00.000Z</LastModified><Size>8</Size></Contents>
            </ListBucketResult>"#;
        let page = read("calls", body).expect("a page");
        let urls: Vec<_> = page.files.iter().map(|file| file.url.as_str()).collect();
        assert_eq!(urls, ["s3://calls/d/a b+\n.gz", "s3://calls/d//c&"]);
        assert_eq!(page.files[0].version, "y");
        assert!(page.files[1].version.ends_with("-8"));
        assert_eq!(page.next.as_deref(), Some("a+b/="));
    }

    #[test]
    fn what_is_not_a_page_is_refused() {
        assert!(read("calls", b"<html><body>hello</body></html>").is_err());
        assert!(read("calls", b"<ListBucketResult></ListBucketResult>").is_err());
        assert!(read("calls", b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>").is_err());
    }
}
