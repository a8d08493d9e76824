//! `trunkline init`: writes a commented trunkline.toml, asking only what it must.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use dialoguer::{Input, Select};

use super::{Context, Exit, Failure, Output};
use crate::config::{TEMPLATE, parse};
use crate::problem::{CONFIG_BAD_VALUE, CONFIG_CONTRADICTION, Problem};

#[derive(Args)]
pub struct Arguments {
    /// Where to write it.
    #[arg(default_value = "trunkline.toml")]
    file: PathBuf,
    /// Where the session exports are: s3://bucket/prefix/ or file:///folder/.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
    /// The org's My Domain, login.salesforce.com or test.salesforce.com.
    #[arg(long, value_name = "URL")]
    login_url: Option<String>,
    /// How to log in: jwt, client_credentials, refresh or password.
    #[arg(long, value_name = "FLOW")]
    login: Option<String>,
    /// Overwrite an existing file.
    #[arg(long)]
    force: bool,
}

const FLOWS: [(&str, &str); 4] = [
    ("client_credentials", "client credentials: an app's id and secret, with a run-as user (recommended)"),
    ("jwt", "JWT: an app's id, a user and a private key"),
    ("refresh", "a refresh token of an app"),
    ("password", "user name, password and security token, by SOAP (Salesforce retires it in Summer '27)"),
];

struct Answers {
    source: String,
    time_zone: String,
    login_url: String,
    login: String,
}

pub fn run(context: &Context, arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    if arguments.file.exists() && !arguments.force {
        let what = format!("{} exists already", arguments.file.display());
        return Err(Problem::new(CONFIG_CONTRADICTION, what, "name another file, or overwrite it with --force").into());
    }
    let answers = ask(context, &arguments)?;
    let text = fill(&answers);
    parse(&text, &arguments.file.display().to_string())?;
    std::fs::write(&arguments.file, text).map_err(|error| {
        let what = format!("{} cannot be written: {error}", arguments.file.display());
        Problem::new(CONFIG_CONTRADICTION, what, "name a file in a writable folder")
    })?;
    output.line(format!("wrote {}", arguments.file.display()))?;
    output.say(format!("next: {}, then trunkline check", secrets(&answers.login)));
    Ok(Exit::Done)
}

/// What the flags did not say is asked on a terminal, and left at its default otherwise.
fn ask(context: &Context, arguments: &Arguments) -> Result<Answers, Failure> {
    let asks = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let text = |given: &Option<String>, prompt: &str, default: &str| -> Result<String, Failure> {
        match given {
            Some(given) => Ok(given.clone()),
            None if !asks => Ok(default.to_owned()),
            None => Input::new()
                .with_prompt(prompt)
                .default(default.to_owned())
                .interact_text()
                .map_err(|error| unasked(&error)),
        }
    };
    let source = text(
        &arguments.source,
        "Session exports (s3://bucket/prefix/ or file:///folder/)",
        "s3://example-voice-agent/sessions/",
    )?;
    let time_zone = text(&context.global.time_zone, "Time zone that decides a call's date", "UTC")?;
    let login_url = text(&arguments.login_url, "Salesforce login URL (My Domain)", "https://login.salesforce.com")?;
    let known = || FLOWS.iter().map(|(name, _)| *name);
    let login = match &arguments.login {
        Some(given) if known().any(|name| name == given) => given.clone(),
        Some(given) => {
            let help = format!("one of: {}", known().collect::<Vec<_>>().join(", "));
            return Err(Problem::new(CONFIG_BAD_VALUE, format!("--login cannot be `{given}`"), help).into());
        }
        None if !asks => "auto".to_owned(),
        None => {
            let items: Vec<&str> = FLOWS.iter().map(|(_, about)| *about).collect();
            let chosen = Select::new().with_prompt("How to log in").items(&items).default(0).interact();
            FLOWS[chosen.map_err(|error| unasked(&error))?].0.to_owned()
        }
    };
    Ok(Answers { source, time_zone, login_url, login })
}

fn unasked(error: &dyn std::fmt::Display) -> Failure {
    Problem::new(CONFIG_BAD_VALUE, format!("no answer: {error}"), "give the answers as flags: trunkline init --help")
        .into()
}

/// The documented file with the answers set and everything else as comments.
fn fill(answers: &Answers) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let set = [
        ("time_zone", "", &answers.time_zone),
        ("address", "[source]", &answers.source),
        ("login", "[salesforce]", &answers.login),
        ("login_url", "[salesforce]", &answers.login_url),
    ];
    let mut section = "";
    let mut lines = Vec::new();
    for line in TEMPLATE.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let hit = set.iter().find(|(key, place, _)| *place == section && line.starts_with(&format!("#: {key} = ")));
        lines.push(match hit {
            Some((key, _, value)) => format!("{key} = {}", quoted(value)),
            None => line.replacen("#: ", "# ", 1),
        });
    }
    lines.join("\n") + "\n"
}

fn secrets(login: &str) -> &'static str {
    match login {
        "jwt" => "set SF_CLIENT_ID, SF_USERNAME and SF_PRIVATE_KEY_FILE",
        "client_credentials" => "set SF_CLIENT_ID and SF_CLIENT_SECRET",
        "refresh" => "set SF_CLIENT_ID and SF_REFRESH_TOKEN",
        "password" => "set SF_USERNAME, SF_PASSWORD and SF_SECURITY_TOKEN",
        _ => "set the SF_ variables of your login (docs/guide.md)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_file_holds_the_answers_and_parses() -> Result<(), Problem> {
        let answers = Answers {
            source: "s3://a \"b\"/".into(),
            time_zone: "Europe/Berlin".into(),
            login_url: "https://example.my.salesforce.com".into(),
            login: "jwt".into(),
        };
        let file = parse(&fill(&answers), "trunkline.toml")?;
        assert_eq!(file.source.address.as_deref(), Some("s3://a \"b\"/"));
        assert_eq!(file.time_zone.as_deref(), Some("Europe/Berlin"));
        assert_eq!(file.salesforce.login.as_deref(), Some("jwt"));
        assert_eq!(file.salesforce.login_url.as_deref(), Some("https://example.my.salesforce.com"));
        Ok(())
    }
}
