//! What an answer of S3 that is not a success means, and what a person can do about it.
//!
//! Invariant: a refusal of one file never counts against the source, and a refusal of the source never counts against
//! one file. Texts name the bucket, the file and S3's own error code; never a header, a key or a signed address.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

use super::config::BucketPlace;
use crate::problem::{self, Problem, scrub};
use crate::sources::FetchError;

/// What S3 says in the body of a refusal.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ErrorBody {
    code: String,
    region: Option<String>,
}

/// A refusal, read.
pub(super) struct Refusal {
    status: StatusCode,
    /// S3's own code, e.g. `NoSuchKey`; empty if it gave none.
    code: String,
    region: Option<String>,
}

const OF_CREDENTIALS: &[&str] = &[
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "InvalidSecurity",
    "AccountProblem",
    "NotSignedUp",
    "RequestTimeTooSkewed",
];
const OF_REGION: &[&str] = &["PermanentRedirect", "AuthorizationHeaderMalformed", "TemporaryRedirect", "Redirect"];
const OF_LOAD: &[&str] = &["SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"];

impl Refusal {
    pub(super) fn read(response: &http::Response<Bytes>) -> Refusal {
        let body: ErrorBody = std::str::from_utf8(response.body())
            .ok()
            .and_then(|text| quick_xml::de::from_str(text).ok())
            .unwrap_or_default();
        let header = response.headers().get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
        let plain =
            |text: &String| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
        Refusal {
            status: response.status(),
            code: Some(body.code).filter(plain).unwrap_or_default(),
            region: header.map(str::to_owned).or(body.region).filter(plain),
        }
    }

    /// Whether asking again later can help.
    pub(super) fn passes(&self) -> bool {
        self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED
            || self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::REQUEST_TIMEOUT
            || OF_LOAD.contains(&self.code.as_str())
    }

    /// For a listing: each refusal is one of the source.
    pub(super) fn of_source(&self, place: &BucketPlace) -> Problem {
        self.common(place).unwrap_or_else(|| match self.status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Problem::new(
                problem::SOURCE_CREDENTIALS,
                format!("S3 does not let these credentials list {} ({})", address(place), self.name()),
                format!("Grant s3:ListBucket on the bucket {} and s3:GetObject on its files.", place.bucket),
            ),
            StatusCode::NOT_FOUND => missing(place),
            _ => self.unusual(place),
        })
    }

    /// For one file.
    pub(super) fn of_file(&self, place: &BucketPlace, url: &str) -> FetchError {
        if let Some(problem) = self.common(place) {
            return FetchError::Source(problem);
        }
        match self.status {
            StatusCode::NOT_FOUND | StatusCode::PRECONDITION_FAILED => FetchError::File(vanished(url)),
            StatusCode::FORBIDDEN if self.code == "InvalidObjectState" => FetchError::File(Problem::new(
                problem::OBJECT_DENIED,
                format!("{url} is archived and cannot be read now ({})", self.name()),
                "Restore the file from its archive storage class, then run `trunkline retry --quarantine`.",
            )),
            status if status.is_client_error() => FetchError::File(Problem::new(
                problem::OBJECT_DENIED,
                format!("S3 does not let these credentials read {url} ({})", self.name()),
                "Grant s3:GetObject on the file, and kms:Decrypt if its bucket encrypts with a key of yours.",
            )),
            _ => FetchError::Source(self.unusual(place)),
        }
    }

    /// What is wrong with the source, whichever request met it.
    fn common(&self, place: &BucketPlace) -> Option<Problem> {
        let code = self.code.as_str();
        if code == "NoSuchBucket" {
            return Some(missing(place));
        }
        if code == "RequestTimeTooSkewed" {
            return Some(Problem::new(
                problem::SOURCE_CREDENTIALS,
                format!("S3 refuses the signature for bucket {}: this machine's clock is wrong ({code})", place.bucket),
                "Set the clock of this machine.",
            ));
        }
        if OF_CREDENTIALS.contains(&code) {
            return Some(Problem::new(
                problem::SOURCE_CREDENTIALS,
                format!("S3 refuses the credentials for bucket {} ({})", place.bucket, self.name()),
                "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN or the profile; renew an expired session.",
            ));
        }
        if self.status.is_redirection() || OF_REGION.contains(&code) {
            return Some(self.elsewhere(place));
        }
        self.passes().then(|| {
            Problem::new(
                problem::SOURCE_UNAVAILABLE,
                format!("S3 does not serve bucket {} at the moment ({})", place.bucket, self.name()),
                "Run again later; what was read so far is kept.",
            )
        })
    }

    fn elsewhere(&self, place: &BucketPlace) -> Problem {
        let (there, help) = match self.region.as_deref().filter(|region| *region != place.region) {
            Some(region) => (format!("in region {region}"), format!("Set AWS_REGION={region} or the source's region.")),
            None => (
                "in another region".to_owned(),
                format!("Find it with `aws s3api get-bucket-location --bucket {}` and set AWS_REGION.", place.bucket),
            ),
        };
        Problem::new(
            problem::SOURCE_REGION,
            format!("bucket {} is {there}, not in {} ({})", place.bucket, place.region, self.name()),
            help,
        )
    }

    fn unusual(&self, place: &BucketPlace) -> Problem {
        Problem::new(
            problem::SOURCE_UNAVAILABLE,
            format!("S3 refuses a request for bucket {} ({})", place.bucket, self.name()),
            "Check the address, the endpoint and the region.",
        )
    }

    fn name(&self) -> String {
        if self.code.is_empty() {
            self.status.as_u16().to_string()
        } else {
            format!("{} {}", self.status.as_u16(), self.code)
        }
    }
}

fn address(place: &BucketPlace) -> String {
    format!("s3://{}/{}", place.bucket, place.prefix)
}

fn missing(place: &BucketPlace) -> Problem {
    Problem::new(
        problem::SOURCE_MISSING,
        format!("there is no bucket {} (NoSuchBucket)", place.bucket),
        "Check the bucket's name, and the endpoint if you set one.",
    )
}

/// A file was listed, then gone.
pub(super) fn vanished(url: &str) -> Problem {
    Problem::new(
        problem::OBJECT_VANISHED,
        format!("{url} was listed, but was gone when it was read"),
        "If it was moved on purpose there is nothing to do; else put it back and sync its day again.",
    )
}

/// A file is larger than the limit.
pub(super) fn too_large(url: &str, limit: usize) -> Problem {
    Problem::new(
        problem::RAW_TOO_LARGE,
        format!("{url} is larger than the limit of {limit} bytes"),
        "Raise inflated_bytes_max for the source if such a session is plausible.",
    )
}

/// No answer at all, after all tries.
pub(super) fn silent(place: &BucketPlace, cause: &str) -> Problem {
    Problem::new(
        problem::SOURCE_UNAVAILABLE,
        format!("S3 does not answer for bucket {}: {}", place.bucket, scrub(cause)),
        "Check the network and the endpoint, then run again; what was read so far is kept.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn refusal(status: u16, body: &'static str, region: Option<&str>) -> Refusal {
        let mut builder = http::Response::builder().status(status);
        if let Some(region) = region {
            builder = builder.header("x-amz-bucket-region", region);
        }
        Refusal::read(&builder.body(Bytes::from_static(body.as_bytes())).expect("a response"))
    }

    fn place() -> BucketPlace {
        BucketPlace {
            bucket: "calls".into(),
            prefix: "sessions/".into(),
            region: "us-east-1".into(),
            base: "https://calls.s3.us-east-1.amazonaws.com".into(),
        }
    }

    #[test]
    fn a_refused_listing_is_a_problem_of_the_source() {
        let check = |status: u16, body: &'static str, region: Option<&str>, code: Code, part: &str| {
            let problem = refusal(status, body, region).of_source(&place());
            assert_eq!(problem.code, code, "{status} {body}: {problem}");
            assert!(problem.to_string().contains(part), "{problem}");
        };
        check(
            403,
            "<Error><Code>InvalidAccessKeyId</Code></Error>",
            None,
            problem::SOURCE_CREDENTIALS,
            "InvalidAccessKeyId",
        );
        check(403, "<Error><Code>AccessDenied</Code></Error>", None, problem::SOURCE_CREDENTIALS, "s3:ListBucket");
        check(400, "<Error><Code>ExpiredToken</Code></Error>", None, problem::SOURCE_CREDENTIALS, "renew");
        check(403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", None, problem::SOURCE_CREDENTIALS, "clock");
        check(404, "<Error><Code>NoSuchBucket</Code></Error>", None, problem::SOURCE_MISSING, "calls");
        check(301, "", Some("eu-west-1"), problem::SOURCE_REGION, "AWS_REGION=eu-west-1");
        check(
            400,
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>ap-south-1</Region></Error>",
            None,
            problem::SOURCE_REGION,
            "in region ap-south-1",
        );
        check(
            301,
            "<Error><Code>PermanentRedirect</Code></Error>",
            None,
            problem::SOURCE_REGION,
            "get-bucket-location",
        );
        check(503, "<Error><Code>SlowDown</Code></Error>", None, problem::SOURCE_UNAVAILABLE, "SlowDown");
        check(501, "<html>", None, problem::SOURCE_UNAVAILABLE, "501");
    }

    #[test]
    fn a_refused_file_counts_against_the_file_unless_the_source_is_to_blame() {
        let check = |status: u16, code_text: &'static str, code: Code, of_file: bool| {
            let body = format!("<Error><Code>{code_text}</Code></Error>").leak();
            match refusal(status, body, None).of_file(&place(), "s3://calls/a.gz") {
                FetchError::File(problem) => assert!(of_file && problem.code == code, "{problem}"),
                FetchError::Source(problem) => assert!(!of_file && problem.code == code, "{problem}"),
            }
        };
        check(404, "NoSuchKey", problem::OBJECT_VANISHED, true);
        check(403, "AccessDenied", problem::OBJECT_DENIED, true);
        check(403, "InvalidObjectState", problem::OBJECT_DENIED, true);
        check(400, "KMS.DisabledException", problem::OBJECT_DENIED, true);
        check(404, "NoSuchBucket", problem::SOURCE_MISSING, false);
        check(403, "SignatureDoesNotMatch", problem::SOURCE_CREDENTIALS, false);
        check(503, "SlowDown", problem::SOURCE_UNAVAILABLE, false);
    }

    #[test]
    fn an_archived_file_is_read_again_by_a_command_that_exists() {
        let archived = refusal(403, "<Error><Code>InvalidObjectState</Code></Error>", None);
        let FetchError::File(problem) = archived.of_file(&place(), "s3://calls/a.gz") else { panic!("not the file's") };
        assert!(problem.help.contains("`trunkline retry --quarantine`"), "{problem}");
    }

    #[test]
    fn a_hostile_answer_is_not_repeated() {
        let problem = refusal(403, "<Error><Code>ada@example.com\u{1b}[31m</Code></Error>", None).of_source(&place());
        assert!(!problem.to_string().contains("ada@"), "{problem}");
    }
}
