//! One pass over each table: what each row must be by itself and beside the rows that it belongs to.

use rusqlite::{Connection, Row};

use super::file::note;
use super::rules::{CALLS, DELIVERIES, FILES, REST, Rule};
use super::{Check, RESTORE, tell};
use crate::store::checksum::of_target;
use crate::store::{Conserved, Finding, Soundness, Step};

/// Columns before those of the rules.
const OWN_COLUMNS: usize = 7;

impl Check<'_> {
    pub(super) fn calls(&mut self) -> rusqlite::Result<()> {
        let own = "c.source_id, NULL, NULL, NULL, NULL, NULL, NULL FROM call c";
        pass(
            &self.connection,
            "revisions",
            (own, "call"),
            CALLS,
            (self.told, &mut self.found),
            |row, found, broken| {
                let id = text(row, 0)?;
                broken.for_each(|rule| {
                    found.find(finding(rule, format!("session {id}"), format!("trunkline why {id}; {RESTORE}")))
                });
                Ok(())
            },
        )?;
        Ok(())
    }

    pub(super) fn deliveries(&mut self) -> rusqlite::Result<()> {
        let own = match self.is_old {
            true => "coalesce(c.source_id, d.call_key), d.id, d.destination, NULL, NULL, NULL, NULL",
            false => {
                "coalesce(c.source_id, d.call_key), d.id, d.destination, d.remote_id, d.remote_sum,
                 CASE WHEN d.person_sum IS NOT NULL THEN d.person_object || char(0) || d.person_id END, d.person_sum"
            }
        };
        let own = format!("{own} FROM delivery d LEFT JOIN call c ON c.call_key = d.call_key");
        let of = (own.as_str(), "delivery");
        let done = pass(
            &self.connection,
            "deliveries",
            of,
            DELIVERIES,
            (self.told, &mut self.found),
            |row, found, broken| {
                let (id, delivery_id) = (text(row, 0)?, row.get::<_, i64>(1)?);
                let place = format!("session {id} to {}", text(row, 2)?);
                for rule in broken {
                    found.find(finding(rule, place.clone(), format!("trunkline why {id}; {RESTORE}")));
                }
                for (rule, what) in targets(row, delivery_id)? {
                    let help = format!("trunkline retry {id} --recreate");
                    found.find(Finding { rule, place: place.clone(), what: what.to_owned(), help });
                }
                Ok(())
            },
        )?;
        self.found.checked.deliveries = done;
        Ok(())
    }

    pub(super) fn files(&mut self) -> rusqlite::Result<()> {
        let again = if self.is_old { "0" } else { "r.reread" };
        let own = format!("r.url, {again}, r.call_key, NULL, NULL, NULL, NULL FROM raw r");
        let done = pass(
            &self.connection,
            "files",
            (&own, "raw"),
            FILES,
            (self.told, &mut self.found),
            |row, found, broken| {
                let url = text(row, 0)?;
                broken.for_each(|rule| found.find(finding(rule, format!("file {url}"), RESTORE.to_owned())));
                if row.get::<_, i64>(1)? != 0 {
                    let (what, help) =
                        ("its call was found damaged, and it is to be read again", "trunkline retry, or the next sync");
                    note(found, "reread", format!("file {url}"), what.to_owned(), help);
                }
                Ok(())
            },
        )?;
        self.found.checked.files = done;
        Ok(())
    }

    /// The smaller tables.
    pub(super) fn rest(&mut self) -> rusqlite::Result<()> {
        let schema = self.found.schema;
        for query in REST.iter().filter(|query| query.since <= schema) {
            let mut statement = self.connection.prepare(query.places)?;
            let mut rows = statement.query(())?;
            while let Some(row) = rows.next()? {
                let (place, help) = (text(row, 0)?, RESTORE.to_owned());
                self.found.find(Finding { rule: query.name, place, what: query.what.to_owned(), help });
            }
        }
        self.found.checked.attempts = self.count("attempt")?;
        Ok(())
    }

    /// No call is lost between the states: at each destination, and among the calls.
    pub(super) fn conservation(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(
            "SELECT destination, count(DISTINCT call_key), sum(state = 'delivered'), sum(state = 'skipped'),
               sum(state = 'dead'), sum(state IN ('due', 'leased')) FROM delivery GROUP BY destination",
        )?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let one = Conserved {
                destination: text(row, 0)?,
                calls: row.get(1)?,
                delivered: row.get(2)?,
                skipped: row.get(3)?,
                dead: row.get(4)?,
                waiting: row.get(5)?,
            };
            if one.calls != one.delivered + one.skipped + one.dead + one.waiting {
                let what = format!(
                    "{} calls are not {} delivered, {} skipped, {} dead and {} waiting",
                    one.calls, one.delivered, one.skipped, one.dead, one.waiting
                );
                let (place, help) = (format!("destination {}", one.destination), RESTORE.to_owned());
                self.found.find(Finding { rule: "conservation", place, what, help });
            }
            self.found.conservation.push(one);
        }
        Ok(())
    }
}

/// Looks at each row of a table once: `own` gives the first columns and where the rows are from, `of` the table that counts
/// them. Answers how many there were.
fn pass(
    connection: &Connection,
    what: &'static str,
    (own, of): (&str, &str),
    rules: &'static [Rule],
    (told, found): (&mut dyn FnMut(Step), &mut Soundness),
    mut look: impl FnMut(&Row<'_>, &mut Soundness, &mut dyn Iterator<Item = &'static Rule>) -> rusqlite::Result<()>,
) -> rusqlite::Result<u64> {
    let (own, from) = own.split_once(" FROM ").unwrap_or((own, of));
    let rules: Vec<&'static Rule> = rules.iter().filter(|rule| rule.since <= found.schema).collect();
    let broken: Vec<String> = rules.iter().map(|rule| format!("coalesce({}, 0)", rule.broken)).collect();
    let of = connection.query_row(&format!("SELECT count(*) FROM {of}"), (), |row| row.get(0))?;
    let mut statement = connection.prepare(&format!("SELECT {own}, {} FROM {from}", broken.join(", ")))?;
    let mut rows = statement.query(())?;
    let mut done = 0;
    while let Some(row) = rows.next()? {
        let mut broken = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            if row.get::<_, bool>(OWN_COLUMNS + index)? {
                broken.push(*rule);
            }
        }
        look(row, found, &mut broken.into_iter())?;
        done += 1;
        tell(told, what, done, of);
    }
    Ok(done)
}

/// Where a delivery is sent to is not what was written.
fn targets(row: &Row<'_>, delivery_id: i64) -> rusqlite::Result<Vec<(&'static str, &'static str)>> {
    let mut broken = Vec::new();
    let sum_of = |at: usize| -> rusqlite::Result<Option<u32>> {
        let Some(text) = row.get::<_, Option<String>>(at)? else { return Ok(None) };
        Ok(Some(of_target(delivery_id, &text.split('\0').collect::<Vec<_>>())))
    };
    for (at, rule, what) in [
        (3, "record-id", "the id of its record is not what was written"),
        (5, "person-id", "the id of its person is not what was written"),
    ] {
        let sum: Option<i64> = row.get(at + 1)?;
        if sum.is_some() && sum_of(at).ok().flatten().map(i64::from) != sum {
            broken.push((rule, what));
        }
    }
    Ok(broken)
}

fn finding(rule: &Rule, place: String, help: String) -> Finding {
    Finding { rule: rule.name, place, what: rule.what.to_owned(), help }
}

/// Text as it stands, also where it is none any more.
fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(at)?.as_bytes().unwrap_or_default()).into_owned())
}
