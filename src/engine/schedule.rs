//! When a schedule is due next, and which days are read: pure reckoning with calendars, also on days with a change of
//! the clocks.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::Days;

/// Days that are looked through for the next time: after the last day of the calendar there is none.
const DAYS_AHEAD_MAX: usize = 3;

/// Once a day at this time, the last so many days are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub at: Time,
    pub days: u16,
}

impl Schedule {
    /// The first time after `after`. A time that a day does not have is as much later as the clocks were put forward; of
    /// one that a day has twice, the first counts.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = after.to_zoned(zone.clone()).date();
        let days = today.series(Span::new().days(1)).take(DAYS_AHEAD_MAX);
        let times = days.filter_map(|day| zone.to_ambiguous_zoned(day.to_datetime(self.at)).compatible().ok());
        times.map(|time| time.timestamp()).find(|time| *time > after)
    }

    /// The days that a run at `now` reads: yesterday and those before.
    pub fn days(&self, now: Timestamp, zone: &TimeZone) -> Days {
        let to = now.to_zoned(zone.clone()).date().saturating_sub(Span::new().days(1));
        Days { from: to.saturating_sub(Span::new().days(i64::from(self.days.max(1)) - 1)), to }
    }

    /// How its runs are called in the ledger.
    pub fn label(&self) -> String {
        format!("schedule {} days={}", self.at, self.days)
    }
}

/// Yesterday and today, in the calendar of `zone` and of UTC: whoever exports may name folders by either.
pub fn recent_days(now: Timestamp, zone: &TimeZone) -> Vec<Date> {
    let (here, utc) = (now.to_zoned(zone.clone()).date(), now.to_zoned(TimeZone::UTC).date());
    let from = here.min(utc).saturating_sub(Span::new().days(1));
    Days { from, to: here.max(utc) }.list()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("a zone that everybody has")
    }

    fn check(at: &str, name: &str, after: &str, expected: &str) {
        let schedule = Schedule { at: at.parse().expect("a time"), days: 1 };
        let next = schedule.next(after.parse().expect("a time"), &zone(name)).map(|time| time.to_string());
        assert_eq!(next.as_deref(), Some(expected), "{at} in {name} after {after}");
    }

    #[test]
    fn a_schedule_is_due_once_a_day() {
        check("03:00", "UTC", "2026-11-20T02:59:59Z", "2026-11-20T03:00:00Z");
        check("03:00", "UTC", "2026-11-20T03:00:00Z", "2026-11-21T03:00:00Z");
        check("03:00", "UTC", "2026-11-20T22:00:00Z", "2026-11-21T03:00:00Z");
        check("00:00", "UTC", "2026-12-31T00:00:01Z", "2027-01-01T00:00:00Z");
        check("03:00", "America/Los_Angeles", "2026-11-20T03:00:00Z", "2026-11-20T11:00:00Z");
        check("23:30", "Asia/Kolkata", "2026-11-20T18:00:00Z", "2026-11-21T18:00:00Z");
    }

    #[test]
    fn a_time_that_the_clocks_leave_out_is_an_hour_later() {
        // 2026-03-08, 02:00 to 03:00 in New York; 2026-03-29 in Berlin.
        check("02:30", "America/New_York", "2026-03-08T05:00:00Z", "2026-03-08T07:30:00Z");
        check("02:30", "America/New_York", "2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z");
        check("02:30", "Europe/Berlin", "2026-03-28T23:30:00Z", "2026-03-29T01:30:00Z");
        check("03:00", "America/New_York", "2026-03-08T05:00:00Z", "2026-03-08T07:00:00Z");
        // The whole of 2011-12-30 was left out in Samoa: the run of that day is the one of the next.
        check("03:00", "Pacific/Apia", "2011-12-29T13:00:00Z", "2011-12-30T13:00:00Z");
        check("03:00", "Pacific/Apia", "2011-12-30T13:00:00Z", "2011-12-31T13:00:00Z");
    }

    #[test]
    fn a_time_that_comes_twice_counts_once() {
        // 2026-11-01, 02:00 back to 01:00 in New York.
        check("01:30", "America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T05:30:00Z");
        check("01:30", "America/New_York", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z");
        check("01:30", "America/New_York", "2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z");
    }

    #[test]
    fn a_run_reads_the_days_before_its_own() {
        let check = |days, name: &str, now: &str, from: &str, to: &str| {
            let schedule = Schedule { at: Time::midnight(), days };
            let range = schedule.days(now.parse().expect("a time"), &zone(name));
            assert_eq!((range.from.to_string().as_str(), range.to.to_string().as_str()), (from, to));
        };
        check(1, "UTC", "2026-11-21T03:00:00Z", "2026-11-20", "2026-11-20");
        check(3, "UTC", "2026-03-01T03:00:00Z", "2026-02-26", "2026-02-28");
        check(1, "America/New_York", "2026-11-21T03:00:00Z", "2026-11-19", "2026-11-19");
    }

    #[test]
    fn folders_are_looked_at_by_either_calendar() {
        let check = |name: &str, now: &str, expected: &[&str]| {
            let days = recent_days(now.parse().expect("a time"), &zone(name));
            assert_eq!(days.iter().map(Date::to_string).collect::<Vec<_>>(), expected, "{name} {now}");
        };
        check("UTC", "2026-11-21T03:00:00Z", &["2026-11-20", "2026-11-21"]);
        check("America/New_York", "2026-11-21T03:00:00Z", &["2026-11-19", "2026-11-20", "2026-11-21"]);
        check("Asia/Kolkata", "2026-11-20T20:00:00Z", &["2026-11-19", "2026-11-20", "2026-11-21"]);
    }
}
