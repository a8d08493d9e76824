//! What `trunkline serve` is told: where it answers, how often it looks, and when it syncs whole days.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::file::{ConversationsSection, ScheduleSection, ServeSection};
use super::settings::{bad, between, zone};
use crate::engine::Schedule;
use crate::problem::Problem;
use crate::sources::conversations;

/// Where it answers, unless set.
const LISTEN: &str = "127.0.0.1:8080";
/// Schedules that one process keeps.
const SCHEDULES_MAX: usize = 24;

/// Checked.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    pub listen: SocketAddr,
    pub poll: Duration,
    pub hold_retry: Duration,
    pub drain: Duration,
    pub catch_up: bool,
    /// Folders of transcripts, if any are read.
    pub conversations: Option<conversations::Settings>,
    pub schedules: Vec<Schedule>,
}

impl ServeSettings {
    pub(super) fn of(
        section: ServeSection,
        source_zone: TimeZone,
        inflated_bytes_max: usize,
    ) -> Result<ServeSettings, Problem> {
        let listen = section.listen.as_deref().unwrap_or(LISTEN);
        let seconds = |name: &str, value: Option<u32>, default: u32, least: u32, most: u32| {
            let value = between(&format!("serve.{name}"), value.unwrap_or(default), least, most)?;
            Ok::<Duration, Problem>(Duration::from_secs(value.into()))
        };
        let read = |section: ConversationsSection| read_conversations(section, source_zone, inflated_bytes_max);
        Ok(ServeSettings {
            listen: listen.parse().map_err(|_| {
                bad(
                    format!("serve.listen cannot be `{listen}`"),
                    "write an IP address and a port, e.g. 127.0.0.1:8080, or [::]:8080; port 0 takes a free one",
                )
            })?,
            poll: seconds("poll_s", section.poll_s, 30, 1, 86_400)?,
            hold_retry: seconds("hold_retry_s", section.hold_retry_s, 300, 1, 86_400)?,
            drain: seconds("drain_s", section.drain_s, 30, 1, 3600)?,
            catch_up: section.catch_up.unwrap_or(true),
            conversations: section.conversations.map(read).transpose()?,
            schedules: schedules(section.schedule)?,
        })
    }
}

fn read_conversations(
    section: ConversationsSection,
    source_zone: TimeZone,
    inflated_bytes_max: usize,
) -> Result<conversations::Settings, Problem> {
    let dir = section.dir.ok_or_else(|| {
        bad(
            "serve.conversations has no `dir`".to_owned(),
            "name the folder of the transcripts, e.g. dir = \"conversations\"",
        )
    })?;
    let mut settings = conversations::Settings::new(dir);
    settings.leads = section.leads;
    settings.metadata = section.metadata;
    settings.egress = section.egress;
    settings.subfolders = section.subfolders.unwrap_or(false);
    if let Some(minutes) = section.grace_minutes {
        settings.grace = Duration::from_secs(u64::from(minutes) * 60);
    }
    settings.default_country = section.default_country.map(|code| code.trim_start_matches('+').to_owned());
    settings.by_time_alone = section.by_time_alone.unwrap_or(false);
    let own_zone = |name: &str, told: Option<&str>| {
        told.map(|told| zone(&format!("serve.conversations.{name}"), Some(told))).transpose()
    };
    settings.zone = own_zone("time_zone", section.time_zone.as_deref())?.unwrap_or(source_zone);
    settings.lead_zone = own_zone("lead_time_zone", section.lead_time_zone.as_deref())?;
    settings.inflated_bytes_max = inflated_bytes_max;
    settings.check().map_err(|problem| bad(format!("serve.conversations: {}", problem.what), &problem.help))?;
    Ok(settings)
}

/// Those of the file; without any, one at 03:00 for yesterday.
fn schedules(sections: Option<Vec<ScheduleSection>>) -> Result<Vec<Schedule>, Problem> {
    let sections = sections.unwrap_or_else(|| vec![ScheduleSection::default()]);
    between("the number of serve.schedule tables", sections.len(), 0, SCHEDULES_MAX)?;
    let each = sections.into_iter().map(|section| {
        let at = section.at.as_deref().unwrap_or("03:00");
        let time = Time::strptime("%H:%M", at)
            .map_err(|_| bad(format!("serve.schedule.at cannot be `{at}`"), "write a time of day, e.g. 03:00"))?;
        Ok(Schedule { at: time, days: between("serve.schedule.days", section.days.unwrap_or(1), 1, 366)? })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{Environment, Overrides, parse, settings};

    #[test]
    fn what_serve_is_told_is_checked() {
        let check = |text: &str, expected: Result<usize, &str>| {
            let file = parse(text, "trunkline.toml").unwrap_or_else(|problem| panic!("{problem}"));
            match (settings(file, Environment::new(), Overrides::default()), expected) {
                (Ok(settings), Ok(count)) => assert_eq!(settings.serve.schedules.len(), count, "{text}"),
                (Err(problem), Err(part)) => assert!(problem.to_string().contains(part), "{problem}"),
                (read, expected) => panic!("{text}: {:?}, not {expected:?}", read.err()),
            }
        };
        check("", Ok(1));
        check("[serve]\nschedule = []", Ok(0));
        check("[[serve.schedule]]\nat = \"23:59\"\n[[serve.schedule]]\ndays = 7", Ok(2));
        check("[[serve.schedule]]\nat = \"25:00\"", Err("serve.schedule.at cannot be `25:00`"));
        check("[[serve.schedule]]\ndays = 0", Err("give a number from 1 to 366"));
        check("[serve]\nlisten = \"8080\"", Err("serve.listen cannot be `8080`"));
        check("[serve]\npoll_s = 0", Err("serve.poll_s cannot be 0"));
        check("[serve.conversations]\nleads = \"leads\"", Err("has no `dir`"));
        let transcripts = |more: &str| format!("[serve.conversations]\ndir = \"conversations\"\n{more}");
        check(&transcripts("grace_minutes = 1441"), Err("serve.conversations: the time that a lead may come after"));
        check(&transcripts("default_country = \"USA\""), Err("the default country is not a country code"));
        check(
            &transcripts("lead_time_zone = \"Nowhere\""),
            Err("serve.conversations.lead_time_zone: there is no time"),
        );
    }

    #[test]
    fn transcripts_that_are_watched_are_paired_as_an_upload_is_told_to() {
        let read = |more: &str| {
            let text = format!("[source]\ntime_zone = \"Asia/Tokyo\"\n[serve.conversations]\ndir = \"c\"\n{more}");
            let file = parse(&text, "trunkline.toml").unwrap_or_else(|problem| panic!("{problem}"));
            let made = settings(file, Environment::new(), Overrides::default());
            made.unwrap_or_else(|problem| panic!("{problem}")).serve.conversations.expect("folders to watch")
        };
        let unset = read("");
        assert_eq!((unset.subfolders, unset.by_time_alone, unset.grace.as_secs()), (false, false, 600));
        assert_eq!((unset.zone.iana_name(), unset.lead_zone, unset.default_country), (Some("Asia/Tokyo"), None, None));
        let set = read(
            "subfolders = true\ngrace_minutes = 30\ndefault_country = \"+44\"\nby_time_alone = true\n\
             time_zone = \"Europe/Paris\"\nlead_time_zone = \"America/New_York\"",
        );
        assert_eq!((set.subfolders, set.by_time_alone, set.grace.as_secs()), (true, true, 1800));
        assert_eq!((set.zone.iana_name(), set.default_country.as_deref()), (Some("Europe/Paris"), Some("44")));
        assert_eq!(set.lead_zone.as_ref().and_then(|zone| zone.iana_name()), Some("America/New_York"));
    }
}
