//! The page at `/`: the org as sales would see it, people with their calls on a timeline.
//!
//! Names and descriptions are hostile, so every value passes through [`escape`], and the policy allows only the page's own
//! style and script.

use std::collections::HashMap;
use std::fmt::Write;

use rand::Rng;

use super::answer::Answer;
use super::org::{Org, State};
use super::table::Record;

const TEMPLATE: &str = include_str!("page.html");
/// Newest tasks shown.
const TASKS_MAX: usize = 500;
/// People shown; those with the newest tasks first.
const PEOPLE_MAX: usize = 200;
/// Tasks of one person that are open at once; the others are folded.
const TASKS_OPEN: usize = 5;

pub(super) fn answer(org: &Org) -> Answer {
    let mut state = org.lock();
    let nonce = nonce(&mut state);
    let page = render(&state, &nonce);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    Answer::html(200, page)
        .header("content-security-policy", policy)
        .header("x-content-type-options", "nosniff")
        .header("referrer-policy", "no-referrer")
}

/// A page to keep in a file.
pub(super) fn to_file(state: &mut State) -> String {
    let nonce = nonce(state);
    render(state, &nonce)
}

fn nonce(state: &mut State) -> String {
    format!("{:032x}", state.page_random.random::<u128>())
}

fn render(state: &State, nonce: &str) -> String {
    let view = View::of(state);
    let mut page = String::with_capacity(TEMPLATE.len() + 1_000 * view.shown);
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(before);
        match name {
            "nonce" => page.push_str(nonce),
            "tiles" => tiles(&mut page, state, &view),
            "unmatched" => unmatched(&mut page, &view),
            "people" => people(&mut page, state, &view),
            _ => note(&mut page, &view),
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

/// The part of the org that is shown.
struct View<'a> {
    people: Vec<Person<'a>>,
    people_total: usize,
    unmatched: Vec<&'a Record>,
    unmatched_total: usize,
    tasks_total: usize,
    shown: usize,
}

struct Person<'a> {
    kind: &'static str,
    record: &'a Record,
    tasks: Vec<&'a Record>,
}

fn live<'a>(state: &'a State, object: &str) -> impl DoubleEndedIterator<Item = &'a Record> {
    state.tables.get(object).into_iter().flat_map(|table| table.iter()).filter(|record| !record.is_deleted())
}

impl<'a> View<'a> {
    fn of(state: &'a State) -> View<'a> {
        let mut newest: Vec<&Record> = live(state, "Task").rev().take(TASKS_MAX).collect();
        newest.sort_by_key(|task| std::cmp::Reverse((task.text("ActivityDate"), task.text("CreatedDate"))));
        let mut by_person: HashMap<&str, Vec<&Record>> = HashMap::new();
        for task in &newest {
            by_person.entry(task.text("WhoId")).or_default().push(task);
        }
        let mut order: HashMap<&str, usize> = HashMap::new();
        for (index, task) in newest.iter().enumerate() {
            order.entry(task.text("WhoId")).or_insert(index);
        }
        let unmatched = by_person.remove("").unwrap_or_default();
        let contacts = live(state, "Contact").map(|record| ("Contact", record));
        let leads = live(state, "Lead").map(|record| ("Lead", record));
        let mut everybody: Vec<(&'static str, &Record)> = contacts.chain(leads).collect();
        everybody.sort_by_key(|(_, record)| order.get(record.id()).copied().unwrap_or(usize::MAX));
        let people_total = everybody.len();
        let people = everybody
            .into_iter()
            .take(PEOPLE_MAX)
            .map(|(kind, record)| Person { kind, record, tasks: by_person.remove(record.id()).unwrap_or_default() })
            .collect();
        View {
            people,
            people_total,
            unmatched,
            unmatched_total: live(state, "Task").filter(|task| task.get("WhoId").is_null()).count(),
            tasks_total: live(state, "Task").count(),
            shown: newest.len(),
        }
    }
}

fn tiles(page: &mut String, state: &State, view: &View<'_>) {
    let count = |object: &str| live(state, object).count();
    let is_call = |task: &&Record| !task.get("CallType").is_null() || task.text("TaskSubtype") == "Call";
    let calls = live(state, "Task").filter(is_call).count();
    let mut tile = |number: usize, label: &str| {
        let number = grouped(number);
        _ = write!(page, r#"<div class="tile"><b>{number}</b><span>{label}</span></div>"#);
    };
    tile(view.tasks_total, "Tasks");
    tile(calls, "of them calls");
    tile(count("Contact"), "Contacts");
    tile(count("Lead"), "Leads");
    tile(count("Account"), "Accounts");
    tile(usize::try_from(state.usage.used()).unwrap_or(usize::MAX), "API requests, 24 h");
    if view.unmatched_total > 0 {
        let number = grouped(view.unmatched_total);
        _ = write!(
            page,
            r##"<a class="tile warn" href="#unmatched"><b>{number}</b><span>Without a person</span></a>"##
        );
    }
}

fn unmatched(page: &mut String, view: &View<'_>) {
    if view.unmatched.is_empty() {
        return;
    }
    let count = grouped(view.unmatched_total);
    _ = write!(
        page,
        r#"<section class="unmatched" id="unmatched"><h2>No person <small>{count} without a Contact or Lead</small></h2><article class="person">"#
    );
    timeline(page, &view.unmatched);
    page.push_str("</article></section>");
}

fn people(page: &mut String, state: &State, view: &View<'_>) {
    if view.people.is_empty() {
        page.push_str(r#"<div class="empty">Nobody is in this org yet.</div>"#);
        return;
    }
    page.push_str(r#"<h2>People <small>latest activity first</small></h2><div class="people">"#);
    for person in &view.people {
        card(page, state, person);
    }
    page.push_str("</div>");
}

fn card(page: &mut String, state: &State, person: &Person<'_>) {
    let record = person.record;
    let name = record.text("Name");
    let hue = name.bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte))) % 8;
    let initials: String =
        name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric())).take(2).collect();
    let account = state.tables.get("Account").and_then(|accounts| accounts.by_id(record.text("AccountId")));
    let company = account.map_or(record.text("Company"), |account| account.text("Name"));
    let phone = [record.text("Phone"), record.text("MobilePhone")].into_iter().find(|phone| !phone.is_empty());
    let class = person.kind.to_ascii_lowercase();
    _ = write!(
        page,
        r#"<article class="person"><header><div class="avatar hue{hue}" aria-hidden="true">{}</div><div class="who"><h3>{}</h3><p>{}</p><p>{}</p></div><span class="chip {class}">{}</span></header>"#,
        escape(&initials.to_uppercase()),
        escape(name),
        joined(&[record.text("Title"), company]),
        joined(&[record.text("Email"), phone.unwrap_or_default()]),
        if record.flag("IsConverted") { "Converted lead" } else { person.kind },
    );
    if person.tasks.is_empty() {
        page.push_str(r#"<p class="none">No activity.</p>"#);
    } else {
        timeline(page, &person.tasks);
    }
    page.push_str("</article>");
}

fn timeline(page: &mut String, tasks: &[&Record]) {
    let (open, folded) = tasks.split_at(tasks.len().min(TASKS_OPEN));
    let list = |page: &mut String, tasks: &[&Record]| {
        page.push_str(r#"<ol class="timeline">"#);
        tasks.iter().for_each(|task| entry(page, task));
        page.push_str("</ol>");
    };
    list(page, open);
    if !folded.is_empty() {
        _ = write!(page, r#"<details class="rest"><summary>{} earlier</summary>"#, folded.len());
        list(page, folded);
        page.push_str("</details>");
    }
}

const ARROW_IN: &str = "M17 7 7 17M7 9v8h8";
const ARROW_OUT: &str = "M7 17 17 7M9 7h8v8";
const TICK: &str = "M6 12.5 10.5 17 18 8";

fn entry(page: &mut String, task: &Record) {
    let (class, path) = match task.text("CallType") {
        "Inbound" => ("in", ARROW_IN),
        "Outbound" => ("out", ARROW_OUT),
        _ => ("", TICK),
    };
    let day = [task.text("ActivityDate"), task.text("CreatedDate")].into_iter().find(|day| !day.is_empty());
    let subject = if task.text("Subject").is_empty() { "(no subject)" } else { task.text("Subject") };
    _ = write!(
        page,
        r#"<li><span class="dot {class}" aria-hidden="true"><svg viewBox="0 0 24 24"><path d="{path}"/></svg></span><div class="line"><h4>{}</h4><time>{}</time></div><div class="facts">"#,
        escape(subject),
        escape(&day_text(day.unwrap_or_default())),
    );
    if !task.text("CallType").is_empty() {
        _ = write!(page, r#"<span class="chip {class}">{}</span>"#, escape(task.text("CallType")));
    }
    if let Some(seconds) = task.get("CallDurationInSeconds").as_i64() {
        _ = write!(page, "<span>{}</span>", duration_text(seconds));
    }
    if !task.text("CallDisposition").is_empty() {
        _ = write!(page, r#"<span class="chip">{}</span>"#, escape(task.text("CallDisposition")));
    }
    if !task.flag("IsClosed") {
        _ = write!(page, r#"<span class="chip lead">{}</span>"#, escape(task.text("Status")));
    }
    page.push_str("</div>");
    if !task.text("Description").is_empty() {
        _ = write!(page, r#"<div class="text">{}</div>"#, escape(task.text("Description")));
    }
    let (created, updated) = (task.text("CreatedDate"), task.text("LastModifiedDate"));
    _ = write!(page, r#"<p class="meta">created {}"#, escape(&instant_shown(created)));
    if updated != created {
        _ = write!(page, " · updated {}", escape(&instant_shown(updated)));
    }
    _ = write!(page, " · <code>{}</code></p></li>", escape(task.id()));
}

fn note(page: &mut String, view: &View<'_>) {
    if view.tasks_total > view.shown || view.people_total > view.people.len() {
        let (shown, total) = (grouped(view.shown), grouped(view.tasks_total));
        let (people, people_total) = (grouped(view.people.len()), grouped(view.people_total));
        _ = write!(
            page,
            r#"<p class="note">Showing the newest {shown} of {total} tasks and {people} of {people_total} people.</p>"#
        );
    }
}

fn joined(parts: &[&str]) -> String {
    let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(|part| escape(part)).collect();
    parts.join(" · ")
}

/// `12345` as `12,345`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2026-01-31…` as `31 Jan 2026`.
fn day_text(text: &str) -> String {
    let day = text.get(..10).and_then(|day| day.parse::<jiff::civil::Date>().ok());
    day.map_or_else(String::new, |day| day.strftime("%-d %b %Y").to_string())
}

/// A stored instant as `31 Jan 2026 09:00 UTC`.
fn instant_shown(text: &str) -> String {
    format!("{} {} UTC", day_text(text), text.get(11..16).unwrap_or_default())
}

fn duration_text(seconds: i64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds:02} s"),
    }
}

/// Text made harmless between tags and in quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
