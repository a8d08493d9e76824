//! Secrets by reference: `env:NAME` and `file:/path` instead of the secret itself.

use secrecy::SecretString;

use super::Environment;
use crate::problem::{Problem, SECRET_MISSING};

/// What `value` stands for: the variable, the file's content without its last line end, or the text itself. `name` is
/// the setting, for errors.
pub fn resolve(name: &str, value: &str, environment: &Environment) -> Result<SecretString, Problem> {
    if let Some(variable) = value.strip_prefix("env:") {
        return environment.get(variable).map(|text| SecretString::from(text.as_str())).ok_or_else(|| {
            Problem::new(
                SECRET_MISSING,
                format!("{name} refers to the variable {variable}, which is not set"),
                format!("set {variable} in the environment of this command"),
            )
        });
    }
    if let Some(path) = value.strip_prefix("file:") {
        return match std::fs::read_to_string(path) {
            Ok(text) => Ok(SecretString::from(text.trim_end_matches(['\n', '\r']))),
            Err(error) => Err(Problem::new(
                SECRET_MISSING,
                format!("{name} refers to the file {path}, which cannot be read: {error}"),
                "give the file to the user that runs this command, readable by nobody else",
            )),
        };
    }
    Ok(SecretString::from(value))
}

/// Whether the secret itself stands here, and no reference to it.
pub fn is_plain(value: &str) -> bool {
    !value.is_empty() && !value.starts_with("env:") && !value.starts_with("file:")
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn references_are_followed_and_missing_ones_are_named() {
        let environment = Environment::from([("A".to_owned(), "secret".to_owned())]);
        let check = |value: &str, expected: Result<&str, &str>| {
            let got = resolve("salesforce.password", value, &environment);
            match (got, expected) {
                (Ok(secret), Ok(text)) => assert_eq!(secret.expose_secret(), text),
                (Err(problem), Err(part)) => assert!(problem.what.contains(part), "{problem}"),
                (got, _) => panic!("{value}: {:?}", got.map(|_| "a secret")),
            }
        };
        check("plain", Ok("plain"));
        check("env:A", Ok("secret"));
        check("env:B", Err("variable B"));
        check("file:/nowhere/at/all", Err("/nowhere/at/all"));
    }
}
