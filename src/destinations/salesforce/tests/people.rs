//! Whom a call belongs to.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::tests::{Net, call, destination_with, reply};
use super::*;
use crate::destinations::Destination;

fn contact(id: &str, email: &str, modified_day: u8) -> Value {
    json!({"attributes": {"type": "Contact"}, "Id": id, "Email": email,
           "CreatedDate": format!("2025-01-{:02}T00:00:00.000+0000", 31 - modified_day),
           "LastModifiedDate": format!("2026-01-{modified_day:02}T00:00:00.000+0000")})
}

fn lead(id: &str, email: &str, converted_to: Option<&str>, converted: bool) -> Value {
    let mut row = contact(id, email, 5);
    row["IsConverted"] = json!(converted);
    row["ConvertedContactId"] = json!(converted_to);
    row
}

fn org(contacts: Vec<Value>, leads: Vec<Value>) -> Arc<Net> {
    Net::new(move |seen| {
        let query = seen.query()?;
        let table = if query.contains("FROM Contact") { &contacts } else { &leads };
        let hit = |row: &&Value| query.to_lowercase().contains(&row["Email"].as_str().unwrap().to_lowercase());
        let records: Vec<&Value> = table.iter().filter(hit).collect();
        reply(200, json!({"totalSize": records.len(), "done": true, "records": records}))
    })
}

async fn match_all(net: &Arc<Net>, rule: SeveralRule, emails: &[&str]) -> Vec<Match> {
    let destination = destination_with(net, |settings| settings.several = rule);
    let calls: Vec<_> = emails.iter().map(|email| call(email, email)).collect();
    let found = destination.match_people(&calls.iter().collect::<Vec<_>>()).await.unwrap();
    found.into_iter().map(Result::unwrap).collect()
}

const RECENT: SeveralRule = SeveralRule::MostRecentlyModified;

fn show(found: &Match) -> String {
    match &found.verdict {
        Verdict::Found(person) => format!("{} {} {}", person.object, person.id, found.rule),
        other => format!("{other:?} {}", found.rule),
    }
}

#[tokio::test]
async fn contacts_come_before_leads_and_leads_before_converted_ones() {
    let net = org(
        vec![contact("003A", "Both@Example.com", 1)],
        vec![
            lead("00QA", "both@example.com", None, false),
            lead("00QC", "lead@example.com", Some("003Z"), true),
            lead("00QB", "lead@example.com", None, false),
            lead("00QD", "old@example.com", Some("003D"), true),
            lead("00QE", "lost@example.com", None, true),
        ],
    );
    let emails =
        ["both@example.com", " LEAD@example.com ", "old@example.com", "lost@example.com", "no@example.com", "  ", ""];
    let found = match_all(&net, RECENT, &emails).await;
    let shown: Vec<String> = found.iter().map(show).collect();
    assert_eq!(
        shown,
        [
            "Contact 003A contact-by-email",
            "Lead 00QB lead-by-email",
            "Contact 003D converted-lead",
            "NoMatch no-match",
            "NoMatch no-match",
            "NoEmail no-email",
            "NoEmail no-email",
        ]
    );
    assert_eq!(found[2].candidates[0].id, "00QD");
    assert_eq!(found[2].candidates[0].remark, "converted Lead, stands for Contact 003D");
    assert_eq!(found[1].candidates_total, 2);
    let queries: Vec<String> = net.seen("/query").iter().filter_map(|seen| seen.query()).collect();
    assert_eq!(queries.len(), 2);
    assert!(!queries[1].contains("both@example.com"), "asked among Leads only if no Contact was found");
}

#[tokio::test]
async fn a_lead_of_which_it_is_not_told_whether_it_was_converted_is_a_lead() {
    let mut row = lead("00QB", "ada@example.com", None, false);
    row["IsConverted"] = Value::Null;
    let found = match_all(&org(vec![], vec![row]), RECENT, &["ada@example.com"]).await;
    assert_eq!(show(&found[0]), "Lead 00QB lead-by-email");
}

#[tokio::test]
async fn the_rule_decides_among_several_and_ties_go_by_id() {
    let contacts = || {
        vec![
            contact("003B", "ada@example.com", 9),
            contact("003A", "ada@example.com", 9),
            contact("003C", "ADA@example.com", 20),
            contact("003D", "ada@example.com", 1),
            contact("003T", "tie@example.com", 9),
            contact("003S", "tie@example.com", 9),
        ]
    };
    let check = async |rule, expected: [&str; 2], remark: &str| {
        let mut rows = contacts();
        for _ in 0..2 {
            rows.reverse();
            let found = match_all(&org(rows.clone(), vec![]), rule, &["ada@example.com", "tie@example.com"]).await;
            assert_eq!(found.iter().map(show).collect::<Vec<_>>(), expected);
            assert_eq!(found[0].candidates[0].remark, remark);
            assert_eq!(found[0].candidates_total, 4);
        }
    };
    check(RECENT, ["Contact 003C contact-by-email", "Contact 003S contact-by-email"], "most recently modified Contact")
        .await;
    check(
        SeveralRule::OldestCreated,
        ["Contact 003C contact-by-email", "Contact 003S contact-by-email"],
        "oldest Contact",
    )
    .await;
    check(
        SeveralRule::Skip,
        ["Ambiguous contact-by-email", "Ambiguous contact-by-email"],
        "one of several; the rule is to skip",
    )
    .await;
    let one =
        match_all(&org(vec![contact("003A", "ada@example.com", 1)], vec![]), SeveralRule::Skip, &["ada@example.com"])
            .await;
    assert_eq!(show(&one[0]), "Contact 003A contact-by-email");
    assert_eq!(one[0].candidates[0].remark, "the only Contact with this address");
}

#[tokio::test]
async fn several_converted_leads_of_one_contact_are_one_person() {
    let leads =
        vec![lead("00QA", "ada@example.com", Some("003X"), true), lead("00QB", "ada@example.com", Some("003X"), true)];
    let found = match_all(&org(vec![], leads), SeveralRule::Skip, &["ada@example.com"]).await;
    assert_eq!(show(&found[0]), "Contact 003X converted-lead");
}

#[tokio::test]
async fn of_thousands_of_duplicates_only_the_best_ten_are_kept() {
    let rows = (0..5000).map(|n| contact(&format!("003{n:05}"), "ada@example.com", 1 + (n % 28) as u8)).collect();
    let found = match_all(&org(rows, vec![]), RECENT, &["ada@example.com"]).await;
    assert_eq!(found[0].candidates.len(), CANDIDATES_MAX);
    assert_eq!(found[0].candidates_total, 5000);
    assert!(found[0].candidates.iter().all(|one| one.modified_at.as_deref().unwrap().starts_with("2026-01-28")));
}

#[tokio::test]
async fn strange_addresses_are_quoted_and_impossible_ones_are_not_asked_for() {
    let net = org(vec![], vec![]);
    let long = format!("{}@example.com", "x".repeat(80));
    let found = match_all(&net, RECENT, &["o'hara\\@x.com')OR(Id!='", &long]).await;
    assert!(found.iter().all(|one| one.verdict == Verdict::NoMatch));
    let query = net.seen("/query")[0].query().unwrap();
    assert!(query.ends_with(r"WHERE Email IN ('o\'hara\\@x.com\')or(id!=\'')"), "{query}");
    let before = net.seen("/query").len();
    match_all(&net, RECENT, &[&long, "", "ada example@example.com", "a\u{a0}b@example.com"]).await;
    assert_eq!(net.seen("/query").len(), before);
}
