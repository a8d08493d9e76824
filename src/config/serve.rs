//! What `trunkline serve` is told: where it answers, how often it looks, and when it syncs whole days.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::file::{ConversationsSection, ScheduleSection, ServeSection};
use super::settings::{bad, between};
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
        zone: TimeZone,
        inflated_bytes_max: usize,
    ) -> Result<ServeSettings, Problem> {
        let listen = section.listen.as_deref().unwrap_or(LISTEN);
        let seconds = |name: &str, value: Option<u32>, default: u32, least: u32, most: u32| {
            let value = between(&format!("serve.{name}"), value.unwrap_or(default), least, most)?;
            Ok::<Duration, Problem>(Duration::from_secs(value.into()))
        };
        let read = |section: ConversationsSection| read_conversations(section, zone, inflated_bytes_max);
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
    zone: TimeZone,
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
    settings.zone = zone;
    settings.inflated_bytes_max = inflated_bytes_max;
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
    }
}
