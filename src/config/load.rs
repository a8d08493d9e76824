//! Finds and reads the file; tells where in it a mistake stands.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::{ConfigFile, Environment};
use crate::destinations::rest::config::{Misread, section};
use crate::problem::{CONFIG_BAD_VALUE, CONFIG_UNKNOWN_KEY, CONFIG_UNREADABLE, Problem, nearest};

/// The file that is used if it is there and no other is named.
pub const FILE_NAME: &str = "trunkline.toml";

/// Which file to read: the one named, else `TRUNKLINE_CONFIG`, else `trunkline.toml` here if it exists.
pub fn find(named: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    named
        .map(Path::to_owned)
        .or_else(|| environment.get("TRUNKLINE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from))
        .or_else(|| Some(PathBuf::from(FILE_NAME)).filter(|path| path.exists()))
}

/// Reads the file at `path`; without one, everything is left to flags, environment and defaults.
pub fn load(path: Option<&Path>) -> Result<ConfigFile, Problem> {
    let Some(path) = path else { return Ok(ConfigFile::default()) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Problem::new(
            CONFIG_UNREADABLE,
            format!("the configuration {} cannot be read: {error}", path.display()),
            "name the right file with --config, or write one with `trunkline init`",
        )
    })?;
    parse(&text, &path.display().to_string())
}

/// Parses the text of a file; `name` is what errors call it.
pub fn parse(text: &str, name: &str) -> Result<ConfigFile, Problem> {
    let file: ConfigFile = toml::from_str(text).map_err(|error| {
        let message = error.message();
        let place = place(text, error.span());
        match unknown_key(message) {
            Some((key, known)) => Problem::new(
                CONFIG_UNKNOWN_KEY,
                format!("{name}{place}: there is no setting `{key}` here"),
                match nearest(&key, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the settings here are: {}", known.join(", ")),
                },
            ),
            None => Problem::new(
                CONFIG_BAD_VALUE,
                format!("{name}{place}: {}", message.replace('\n', " ")),
                "mend the value; config/trunkline.default.toml shows every setting with its default",
            ),
        }
    })?;
    for (rest, table) in &file.rest {
        if let Err(Misread { problem, keys, is_incomplete: false }) = section(rest, table.clone()) {
            let keys = ["rest", rest].into_iter().chain(keys.iter().map(String::as_str));
            let place = place(text, span_of(text, keys));
            return Err(Problem { what: format!("{name}{place}: {}", problem.what), ..problem });
        }
    }
    Ok(file)
}

/// Where the last of `keys` stands that is in the file at all, each below the one before.
fn span_of<'a>(text: &str, keys: impl Iterator<Item = &'a str>) -> Option<Range<usize>> {
    let root = DeTable::parse(text).ok()?;
    let (mut table, mut span) = (Some(root.get_ref()), None);
    for key in keys {
        let Some((found, value)) = table.and_then(|table| table.iter().find(|(name, _)| name.get_ref() == key)) else {
            break;
        };
        span = Some(found.span());
        table = match value.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        };
    }
    span
}

/// ":3:7" for a span that starts in line 3, column 7.
fn place(text: &str, span: Option<Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else { return String::new() };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(":{line}:{column}")
}

/// The key and the known keys out of serde's text "unknown field `x`, expected one of `a`, `b`".
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((quoted.next()?, quoted.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_with_their_place_and_the_nearest_name() {
        let check = |text: &str, what: &str, help: &str| {
            let problem = parse(text, "trunkline.toml").err().map(|p| (p.what, p.help));
            assert_eq!(problem, Some((what.to_owned(), help.to_owned())));
        };
        check(
            "[salesforce]\nusername = \"a\"\nlogin_ulr = \"x\"\n",
            "trunkline.toml:3:1: there is no setting `login_ulr` here",
            "did you mean `login_url`?",
        );
        check("[sources]\n", "trunkline.toml:1:2: there is no setting `sources` here", "did you mean `source`?");
        let rest =
            "[rest.crm]\nbase_url = \"https://crm.example\"\n[rest.crm.create]\nmethod = \"POST\"\npath = \"/calls\"\n";
        check(
            &format!("{rest}body = \"{{}}\"\neror = [\"/error\"]\n"),
            "trunkline.toml:7:1: [rest.crm]: there is no setting `create.eror`",
            "did you mean `error`?",
        );
        check(
            "[rest.crm]\npreset = \"hubspot\"\nunmached = \"skip\"\n",
            "trunkline.toml:3:1: [rest.crm]: there is no setting `unmached`",
            "did you mean `unmatched`?",
        );
        check(
            "[rest.crm]\npreset = \"hubspot\"\nauth.tokn = \"x\"\n",
            "trunkline.toml:3:6: [rest.crm]: there is no setting `auth.tokn`",
            "did you mean `token`?",
        );
        check(
            "[rest.crm]\npreset = \"hubspto\"\n",
            "trunkline.toml:2:1: [rest.crm]: there is no ready configuration `hubspto`",
            "did you mean `hubspot`? There are: call_data_api, hubspot, pipedrive, zoho, dynamics",
        );
        let help = "mend the table; docs/rest.md tells each key";
        check(
            "[rest.crm]\npreset = \"hubspot\"\ntimeout_s = \"long\"\n",
            "trunkline.toml:3:1: [rest.crm]: timeout_s: invalid type: string \"long\", expected u32",
            help,
        );
        check(
            "[rest.crm]\npreset = \"hubspot\"\ncreate.id = \"/id\"\n",
            "trunkline.toml:3:8: [rest.crm]: create.id: invalid type: string \"/id\", expected a sequence",
            help,
        );
        let wrong = parse("[source]\nfetches = \"many\"\n", "t.toml").err().map(|p| p.what);
        assert_eq!(wrong.as_deref(), Some("t.toml:2:11: invalid type: string \"many\", expected u16"));
    }

    #[test]
    fn the_documented_file_is_a_valid_one() {
        let parsed = parse(super::super::TEMPLATE, "trunkline.default.toml");
        assert!(parsed.is_ok(), "{:?}", parsed.err());
        let all: String = super::super::TEMPLATE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n");
        let parsed = parse(&all, "trunkline.default.toml with every key");
        assert!(parsed.is_ok(), "{:?}", parsed.err());
    }
}
