//! What a user sets for this source, and where that leads: a folder, or a bucket at an endpoint.
//!
//! Invariant: nothing here reads the process environment; whoever opens the source passes it in as a map. Secrets stay
//! in that map: `Settings` holds none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::net;
use crate::problem::{self, Problem};

/// Environment variables by name, e.g. `AWS_REGION`.
pub type Environment = BTreeMap<String, String>;

/// Largest session file once inflated, unless set otherwise.
pub const INFLATED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Where a bucket is looked for if nothing says otherwise.
const REGION_DEFAULT: &str = "us-east-1";

/// How often and how long one request is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub tries: u32,
    /// The first wait; each further one is twice as long.
    pub first_wait: Duration,
    /// All tries and waits together.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { tries: 5, first_wait: Duration::from_millis(250), total: Duration::from_secs(60) }
    }
}

/// The settings of one object store. Everything but the address has a default.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configured name, `[a-z0-9-]`; part of every call key.
    pub name: String,
    /// `s3://bucket/prefix/` or `file:///folder/`, written verbatim; the last slash may be missing.
    pub address: String,
    pub region: Option<String>,
    /// Another S3-compatible server; its buckets are addressed by path.
    pub endpoint: Option<String>,
    /// A profile of the AWS configuration files; goes before keys in the environment.
    pub profile: Option<String>,
    /// Allows an `http://` endpoint on another machine.
    pub allow_http: bool,
    /// Where wall-clock times without a zone were written.
    pub time_zone: TimeZone,
    /// Largest file, as stored and once inflated.
    pub inflated_bytes_max: usize,
    pub patience: Patience,
}

impl Settings {
    pub fn new(address: impl Into<String>) -> Settings {
        Settings {
            name: "sessions".to_owned(),
            address: address.into(),
            region: None,
            endpoint: None,
            profile: None,
            allow_http: false,
            time_zone: TimeZone::UTC,
            inflated_bytes_max: INFLATED_BYTES_MAX,
            patience: Patience::default(),
        }
    }

    /// Where the settings and the environment lead. `profile_region` is what the AWS configuration file says.
    pub(super) fn place(&self, environment: &Environment, profile_region: Option<String>) -> Result<Place, Problem> {
        if let Some(rest) = self.address.strip_prefix("file://") {
            return self.folder(rest).map(Place::Folder);
        }
        match self.address.strip_prefix("s3://") {
            Some(rest) => self.bucket(rest, environment, profile_region).map(Place::Bucket),
            None => Err(self.bad_address("starts with neither s3:// nor file://")),
        }
    }

    fn folder(&self, rest: &str) -> Result<PathBuf, Problem> {
        let path = rest.strip_prefix("localhost").unwrap_or(rest);
        if !path.starts_with('/') {
            return Err(self.bad_address("names no absolute folder: it takes three slashes, as in file:///data/"));
        }
        let verbatim = PathBuf::from(path);
        if verbatim.exists() || !path.contains('%') {
            return Ok(verbatim);
        }
        let decoded = percent_decode_str(path).decode_utf8().map(|text| PathBuf::from(text.as_ref()));
        Ok(decoded.ok().filter(|path| path.exists()).unwrap_or(verbatim))
    }

    fn bucket(
        &self,
        rest: &str,
        environment: &Environment,
        profile_region: Option<String>,
    ) -> Result<BucketPlace, Problem> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let usual = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if bucket.is_empty() || !bucket.chars().all(usual) {
            return Err(self.bad_address("names no bucket"));
        }
        let mut prefix = prefix.to_owned();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        let named = |name: &str| environment.get(name).filter(|value| !value.trim().is_empty()).cloned();
        let region = self
            .region
            .clone()
            .or_else(|| named("AWS_REGION"))
            .or_else(|| named("AWS_DEFAULT_REGION"))
            .or(profile_region)
            .unwrap_or_else(|| REGION_DEFAULT.to_owned());
        let endpoint =
            self.endpoint.clone().or_else(|| named("AWS_ENDPOINT_URL_S3")).or_else(|| named("AWS_ENDPOINT_URL"));
        let base = match endpoint {
            Some(endpoint) => self.own_endpoint(&endpoint, bucket)?,
            None => amazon_endpoint(bucket, &region)?,
        };
        Ok(BucketPlace { bucket: bucket.to_owned(), prefix, region, base })
    }

    fn own_endpoint(&self, endpoint: &str, bucket: &str) -> Result<String, Problem> {
        let bad = |why: &str| {
            Problem::new(
                problem::CONFIG_BAD_VALUE,
                format!("the S3 endpoint {why}"),
                "Set AWS_ENDPOINT_URL_S3 or the source's endpoint to an address like https://storage.example.com.",
            )
        };
        let url = Url::parse(endpoint).map_err(|_| bad("is not an address"))?;
        if url.host().is_none() || !matches!(url.scheme(), "http" | "https") {
            return Err(bad("is not an http address"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(bad("holds a user name or a query; credentials do not belong there"));
        }
        if url.scheme() == "http" && !self.allow_http && !net::is_loopback(&url) {
            return Err(Problem::new(
                problem::CONFIG_BAD_VALUE,
                format!("the S3 endpoint {url} would send everything unencrypted to another machine"),
                "Use https, or allow plain http for this source explicitly.",
            ));
        }
        Ok(format!("{}/{bucket}", url.as_str().trim_end_matches('/')))
    }

    fn bad_address(&self, why: &str) -> Problem {
        Problem::new(
            problem::CONFIG_BAD_VALUE,
            format!("the source address `{}` {why}", self.address),
            match self.address.starts_with('/') {
                true => format!("For a folder write file://{}", self.address),
                false => "Write s3://bucket/prefix/ or file:///folder/.".to_owned(),
            },
        )
    }
}

fn amazon_endpoint(bucket: &str, region: &str) -> Result<String, Problem> {
    if region.is_empty() || !region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(Problem::new(
            problem::CONFIG_BAD_VALUE,
            "the AWS region is not a region's name",
            "Set AWS_REGION to a name like us-east-1.",
        ));
    }
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    // A dot in the bucket's name would not match the certificate of *.s3.<region>.amazonaws.com.
    Ok(if bucket.contains('.') {
        format!("https://s3.{region}.{domain}/{bucket}")
    } else {
        format!("https://{bucket}.s3.{region}.{domain}")
    })
}

/// Where a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Folder(PathBuf),
    Bucket(BucketPlace),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BucketPlace {
    pub bucket: String,
    /// Empty, or ending with a slash.
    pub prefix: String,
    pub region: String,
    /// What stands before `/key`; no trailing slash.
    pub base: String,
}

/// The AWS configuration file, if its place can be told.
pub(super) fn configuration_file(environment: &Environment) -> Option<PathBuf> {
    match environment.get("AWS_CONFIG_FILE") {
        Some(path) => Some(PathBuf::from(path)),
        None => environment.get("HOME").map(|home| Path::new(home).join(".aws/config")),
    }
}

/// The region that a profile has in the text of an AWS configuration file.
pub(super) fn region_of_profile(text: &str, profile: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let section = section.trim();
            let name = section.strip_prefix("profile ").map_or(section, str::trim);
            inside = name == profile;
        } else if inside
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "region"
            && !value.trim().is_empty()
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn addresses_and_the_environment_lead_to_a_place() {
        let check = |address: &str, pairs: &[(&str, &str)], base: &str, prefix: &str, region: &str| {
            let place = Settings::new(address).place(&environment(pairs), None);
            let Ok(Place::Bucket(place)) = place else { panic!("{address}: {place:?}") };
            assert_eq!((place.base.as_str(), place.prefix.as_str(), place.region.as_str()), (base, prefix, region));
        };
        check("s3://calls", &[], "https://calls.s3.us-east-1.amazonaws.com", "", "us-east-1");
        check(
            "s3://calls/a b/c",
            &[("AWS_DEFAULT_REGION", "eu-west-1")],
            "https://calls.s3.eu-west-1.amazonaws.com",
            "a b/c/",
            "eu-west-1",
        );
        check(
            "s3://calls/x//",
            &[("AWS_REGION", "cn-north-1"), ("AWS_DEFAULT_REGION", "eu-west-1")],
            "https://calls.s3.cn-north-1.amazonaws.com.cn",
            "x//",
            "cn-north-1",
        );
        check("s3://my.calls/", &[], "https://s3.us-east-1.amazonaws.com/my.calls", "", "us-east-1");
        let own = [("AWS_ENDPOINT_URL", "https://a.example.com"), ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000/")];
        check("s3://calls/p/", &own, "http://127.0.0.1:9000/calls", "p/", "us-east-1");
    }

    #[test]
    fn what_cannot_be_an_address_is_told() {
        let check = |address: &str, pairs: &[(&str, &str)], part: &str| {
            let problem = Settings::new(address).place(&environment(pairs), None).expect_err(address);
            assert_eq!(problem.code, problem::CONFIG_BAD_VALUE);
            assert!(problem.what.contains(part), "{address}: {problem}");
        };
        check("gs://calls/", &[], "neither s3:// nor file://");
        check("/data/sessions", &[], "neither s3:// nor file://");
        check("s3:///sessions/", &[], "names no bucket");
        check("s3://user:pass@calls/", &[], "names no bucket");
        check("file://data/sessions", &[], "three slashes");
        check("s3://calls/", &[("AWS_ENDPOINT_URL", "http://storage.example.com")], "unencrypted");
        check("s3://calls/", &[("AWS_ENDPOINT_URL", "https://me:secret@storage.example.com")], "credentials");
        check("s3://calls/", &[("AWS_REGION", "evil.example.com/")], "region");
    }

    #[test]
    fn a_profile_has_the_region_of_its_own_section() {
        let text =
            "[default]\nregion = us-west-2\n# x\n[profile night sync]\noutput=json\nregion=eu-north-1\n[profile b]\n";
        let check = |profile: &str, expected: Option<&str>| {
            assert_eq!(region_of_profile(text, profile).as_deref(), expected);
        };
        check("default", Some("us-west-2"));
        check("night sync", Some("eu-north-1"));
        check("b", None);
    }
}
