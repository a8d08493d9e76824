//! Lead files: the prospect, and the evidence of whose call it was.
//!
//! Invariant: an object that names nobody is no lead. Texts stay as they came; only the evidence is made comparable.

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::campaign::Facts;
use super::config::Settings;
use super::shape::line;
use super::{naming, phone, times};
use crate::model::Lead;
use crate::problem;
use crate::sources::decode::{self, Refused};
use crate::sources::wire::Fields;

/// One lead file, read.
#[derive(Clone)]
pub(super) struct LeadFile {
    pub lead: Lead,
    /// The session that it names.
    pub session: Option<String>,
    pub phone: Option<String>,
    pub email: Option<String>,
    /// When it was taken down, by its own word, else by its name.
    pub at: Option<Timestamp>,
}

/// The lead that an object describes; a lead file's or a tool's arguments.
pub(super) fn of_fields(fields: &Fields<'_>) -> Lead {
    Lead {
        name: line(fields, &["name", "full_name"]),
        email: line(fields, &["email"]),
        company: line(fields, &["company"]),
        interest: line(fields, &["interest"]),
        phone: line(fields, &["phone", "phone_number"]),
        job_title: line(fields, &["job_title"]),
        budget: line(fields, &["budget"]),
        timeline: line(fields, &["timeline"]),
        timestamp: line(fields, &["timestamp"]),
        source: line(fields, &["source"]),
        status: line(fields, &["status"]),
    }
}

/// Reads the text of the lead file `name`.
pub(super) fn read(name: &str, text: &str, settings: &Settings) -> Result<LeadFile, Refused> {
    decode::with_fields(text, |fields, _| {
        let lead = of_fields(fields);
        if [&lead.name, &lead.email, &lead.phone, &lead.company].iter().all(|field| field.is_none()) {
            let what = "is an object, but no lead: it has no name, email, phone or company".to_owned();
            return Err(Refused { code: problem::RAW_NO_ID, what });
        }
        let mut facts = Facts::default();
        facts.read(fields);
        let zone = settings.lead_zone();
        let own = times::first(fields, &["timestamp"], zone);
        let at = own.or_else(|| clock_of(name)?.to_zoned(zone.clone()).ok().map(|at| at.timestamp()));
        Ok(LeadFile {
            session: facts.session_id,
            phone: lead.phone.as_deref().and_then(|phone| phone::normal(phone, settings.country())),
            email: lead.email.as_deref().and_then(phone::email),
            at,
            lead,
        })
    })?
}

/// The wall-clock time in `lead_<YYYYMMDD_HHMMSS>.json`.
fn clock_of(name: &str) -> Option<DateTime> {
    let stamp = naming::stem(name).strip_prefix("lead_")?;
    let (date, time) = stamp.split_once('_')?;
    let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(date, 8) || !digits(time, 6) {
        return None;
    }
    let (year, month, day) =
        (date.get(..4)?.parse().ok()?, date.get(4..6)?.parse().ok()?, date.get(6..)?.parse().ok()?);
    let (hour, minute, second) =
        (time.get(..2)?.parse().ok()?, time.get(2..4)?.parse().ok()?, time.get(4..)?.parse().ok()?);
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_file_gives_the_lead_and_its_evidence() {
        let text = r#"{"name": " Test Person ", "email": "T@Example.com", "company": "", "phone": "+1 555 010 0200",
            "budget": 5000, "timestamp": "2025-03-04T10:02:00", "campaign_metadata": {"sessionId": "s1"}}"#;
        let mut settings = Settings::new("/data");
        settings.lead_zone = Some(jiff::tz::TimeZone::fixed(jiff::tz::offset(-5)));
        let file = read("lead_20250304_100200.json", text, &settings).unwrap_or_else(|refused| panic!("{refused:?}"));
        assert_eq!(file.lead.name.as_deref(), Some("Test Person"));
        assert_eq!((file.lead.company, file.lead.budget.as_deref()), (None, Some("5000")));
        assert_eq!(file.lead.timestamp.as_deref(), Some("2025-03-04T10:02:00"));
        assert_eq!((file.session.as_deref(), file.phone.as_deref()), (Some("s1"), Some("15550100200")));
        assert_eq!(file.email.as_deref(), Some("t@example.com"));
        assert_eq!(file.at.map(|at| at.to_string()).as_deref(), Some("2025-03-04T15:02:00Z"));
    }

    #[test]
    fn the_name_gives_the_time_only_where_the_file_does_not() {
        let at = |name: &str| {
            let file = read(name, r#"{"email": "t@example.com"}"#, &Settings::new("/data"));
            file.unwrap_or_else(|refused| panic!("{refused:?}")).at.map(|at| at.to_string())
        };
        assert_eq!(at("lead_20250304_100200.json").as_deref(), Some("2025-03-04T10:02:00Z"));
        assert_eq!(at("lead_20251304_100200.json"), None);
        assert_eq!(at("lead_2025_1.json"), None);
    }

    #[test]
    fn what_names_nobody_is_no_lead() {
        for text in ["{}", r#"{"name": "", "email": null}"#, r#"{"interest": "demo"}"#, "[]", "null", "{", ""] {
            assert!(read("lead_1.json", text, &Settings::new("/data")).is_err(), "{text}");
        }
    }
}
