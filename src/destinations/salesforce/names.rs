//! The names that a template can ask for, so that a misspelt one is told instead of being empty for ever.

use crate::problem;

/// Every name in [`super::context::Context`], from the top. Whatever stands below one of `OPEN` is the source's own.
const NAMES: &[&str] = &[
    "actions",
    "call",
    "call.call_object",
    "call.direction",
    "call.duration_seconds",
    "call.email",
    "call.ended_at",
    "call.extra",
    "call.insights",
    "call.insights.integration_interest",
    "call.insights.other",
    "call.insights.pain_points",
    "call.insights.team_size",
    "call.insights.timeline",
    "call.insights.use_case",
    "call.key",
    "call.name",
    "call.phone",
    "call.session_id",
    "call.source",
    "call.started_at",
    "call.turns",
    "date",
    "duration_text",
    "insights",
    "person",
    "person.id",
    "person.object",
];
/// Lists, and maps with names of the source's own.
const OPEN: &[&str] =
    &["actions", "call.extra", "call.insights.other", "call.insights.pain_points", "call.turns", "insights"];

/// Whether a template can find this, in the words of minijinja: `call.insights.use_case`.
pub fn is_known(name: &str) -> bool {
    let below = |open: &str| name.strip_prefix(open).is_some_and(|rest| rest.starts_with('.'));
    NAMES.contains(&name) || OPEN.iter().any(|open| below(open))
}

/// The name that was most likely meant: the last part may stand at another place than it was looked for.
pub fn nearest(name: &str) -> Option<&'static str> {
    let last = |name: &'static str| name.rsplit('.').next().unwrap_or(name);
    problem::nearest(name, NAMES.iter().copied()).or_else(|| {
        let own = name.rsplit('.').next().unwrap_or(name);
        let near = problem::nearest(own, NAMES.iter().copied().map(last))?;
        NAMES.iter().copied().find(|name| last(name) == near)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{context, template};
    use super::*;
    use crate::destinations::Person;
    use serde_json::Value;

    fn gather(value: &Value, above: &str, names: &mut Vec<String>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let name = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
            if !OPEN.contains(&name.as_str()) {
                gather(value, &name, names);
            }
            names.push(name);
        }
    }

    #[test]
    fn the_names_are_those_of_a_call_with_every_part() {
        let mut call = template::sample();
        let extra = serde_json::value::to_raw_value("sample").expect("a text is JSON");
        call.extra.insert("sample".to_owned(), extra);
        let person = Person { object: "Contact".to_owned(), id: "003000000000000AAA".to_owned() };
        let wanted = context::Wanted { turns: true, extra: true };
        let context = context::build(&call, &person, call.date_in(&jiff::tz::TimeZone::UTC), wanted);
        let mut names = Vec::new();
        gather(&serde_json::to_value(context).expect("a context is JSON"), "", &mut names);
        names.sort();
        assert_eq!(names, NAMES);
    }

    #[test]
    fn a_misspelt_name_is_unknown_and_its_neighbour_found() {
        let check = |name: &str, expected: Option<&str>| {
            assert!(!is_known(name), "{name}");
            assert_eq!(nearest(name), expected, "{name}");
        };
        check("cal.session_id", Some("call.session_id"));
        check("call.sesion_id", Some("call.session_id"));
        check("session_id", Some("call.session_id"));
        check("call.use_case", Some("call.insights.use_case"));
        check("person.name", Some("call.name"));
        check("call.email.domain", None);
        check("call.weather", None);
        for fine in ["call.extra.agent.version", "call.insights.other.budget", "call.turns.0", "date", "call"] {
            assert!(is_known(fine), "{fine}");
        }
    }
}
