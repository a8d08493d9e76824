//! Who we are to S3: the AWS chain of credentials (environment, profile files, single sign-on, web identity, credential
//! process, container, instance), and the signature on each request.
//!
//! Invariant: no error from here holds a key, a token or a signed address.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner};
use reqsign_core::{CommandExecute, CommandOutput, Context, Error, FileRead, HttpSend, Result, Signer, StaticEnv};

use super::config::{Environment, Settings};
use crate::net::Transport;
use crate::offload::blocking;

/// How long a token service may take; the instance's own answers at once or is not there.
const TOKEN_DEADLINE: Duration = Duration::from_secs(10);
const INSTANCE_DEADLINE: Duration = Duration::from_secs(2);

/// Signs requests for one region with whatever credential the chain finds.
pub(super) fn signer(
    settings: &Settings,
    environment: &Environment,
    region: &str,
    transport: Arc<dyn Transport>,
) -> Signer<Credential> {
    let context = Context::new()
        .with_file_read(Files)
        .with_command_execute(Commands)
        .with_http_send(Sender { transport })
        .with_env(StaticEnv {
            home_dir: environment.get("HOME").map(PathBuf::from),
            envs: environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<HashMap<_, _>>(),
        });
    let provider = match &settings.profile {
        Some(profile) => DefaultCredentialProvider::builder().no_env().with_profile(profile).build(),
        None => DefaultCredentialProvider::new(),
    };
    Signer::new(context, provider, RequestSigner::new("s3", region))
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        let path = path.to_owned();
        blocking(move || std::fs::read(path))
            .await
            .map_err(|error| Error::config_invalid("a credentials file cannot be read").with_source(error))
    }
}

#[derive(Debug)]
struct Commands;

impl CommandExecute for Commands {
    async fn command_execute<'a>(&'a self, program: &'a str, args: &'a [&'a str]) -> Result<CommandOutput> {
        let mut command = std::process::Command::new(program);
        command.args(args).stdin(std::process::Stdio::null());
        let output = blocking(move || command.output())
            .await
            .map_err(|error| Error::config_invalid("the credential process cannot be started").with_source(error))?;
        Ok(CommandOutput { status: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr: output.stderr })
    }
}

struct Sender {
    transport: Arc<dyn Transport>,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sender")
    }
}

impl HttpSend for Sender {
    async fn http_send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>> {
        let instance = request.uri().host().is_some_and(|host| host.starts_with("169.254."));
        let deadline = if instance { INSTANCE_DEADLINE } else { TOKEN_DEADLINE };
        self.transport
            .send(request, deadline)
            .await
            .map_err(|error| Error::unexpected("the token service does not answer").with_source(error))
    }
}
