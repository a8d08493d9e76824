//! The names that a template can ask for, so that a misspelt one is told instead of being empty for ever.

use crate::problem;

/// Every name in [`super::context::Context`], from the top. Whatever stands below one of `OPEN` is the source's own.
const NAMES: &[&str] = &[
    "actions",
    "call",
    "call.call_object",
    "call.campaign",
    "call.campaign.agent_id",
    "call.campaign.client_id",
    "call.campaign.id",
    "call.dialled",
    "call.direction",
    "call.duration_exact",
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
    "call.lead",
    "call.lead.budget",
    "call.lead.company",
    "call.lead.email",
    "call.lead.interest",
    "call.lead.job_title",
    "call.lead.name",
    "call.lead.phone",
    "call.lead.source",
    "call.lead.status",
    "call.lead.timeline",
    "call.lead.timestamp",
    "call.name",
    "call.phone",
    "call.recording",
    "call.recording.bytes",
    "call.recording.duration_s",
    "call.recording.url",
    "call.session_id",
    "call.source",
    "call.started_at",
    "call.status",
    "call.turns",
    "date",
    "duration_text",
    "insights",
    "person",
    "person.id",
    "person.object",
    "remote_id",
    "values",
];
/// Lists, and maps with names of the source's own.
const OPEN: &[&str] =
    &["actions", "call.extra", "call.insights.other", "call.insights.pain_points", "call.turns", "insights", "values"];

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
        NAMES.iter().copied().filter(|name| last(name) == near).min_by_key(|name| name.matches('.').count())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::{context, sample};
    use super::*;

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
        let mut call = sample::call();
        let extra = serde_json::value::to_raw_value("sample").expect("a text is JSON");
        call.extra.insert("sample".to_owned(), extra);
        let wanted = context::Wanted { turns: true, extra: true, verbatim: false };
        let mut context =
            context::build(&call, sample::person("Contact"), call.date_in(&jiff::tz::TimeZone::UTC), wanted);
        context.remote_id = Some("sample".to_owned());
        context.values.insert("sample".to_owned(), "sample".to_owned());
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
