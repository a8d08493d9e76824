//! Statements and what they yield, as tables.

use serde_json::{Value, json};

use super::super::Org;
use super::{Desk, encode};

/// Four people whose last names are the expected output of the tables.
fn seed(org: &Org) {
    let account = org.insert("Account", json!({ "Name": "Acme" }));
    for person in [
        json!({ "LastName": "Alpha", "FirstName": "Ann", "Email": "ann@example.com", "AccountId": account, "DoNotUse": null }),
        json!({ "LastName": "Beta", "Email": "BETA@example.com", "Phone": "+12025550123", "Title": "50% off_er" }),
        json!({ "LastName": "Gam'ma", "Title": "a\\b", "CreatedDate": "2026-01-10T08:00:00Z" }),
        json!({ "LastName": "Delta", "Title": "line\nbreak é", "CreatedDate": "2025-01-15T08:00:00+01:00" }),
    ] {
        let mut person = person;
        if let Some(fields) = person.as_object_mut() {
            fields.remove("DoNotUse");
        }
        org.insert("Contact", person);
    }
}

#[tokio::test]
async fn conditions_select_the_right_people() {
    let desk = Desk::open().await;
    seed(&desk.org());
    let table: &[(&str, &[&str])] = &[
        ("Email = 'ANN@example.com'", &["Alpha"]),
        ("email != 'ann@example.com'", &["Beta", "Gam'ma", "Delta"]),
        ("Email = null", &["Gam'ma", "Delta"]),
        ("Email != null", &["Alpha", "Beta"]),
        ("Email = ''", &["Gam'ma", "Delta"]),
        ("Email IN ('beta@example.com', 'ann@EXAMPLE.com', 'x')", &["Alpha", "Beta"]),
        ("Email NOT IN ('beta@example.com')", &["Alpha", "Gam'ma", "Delta"]),
        ("Email IN ('ann@example.com', null)", &["Alpha", "Gam'ma", "Delta"]),
        ("LastName LIKE '%ta'", &["Beta", "Delta"]),
        ("LastName LIKE '_eta'", &["Beta"]),
        ("LastName LIKE 'a%A'", &["Alpha"]),
        ("Title LIKE '%\\%%'", &["Beta"]),
        ("Title LIKE '%off\\_%'", &["Beta"]),
        ("(NOT Title LIKE '%off%')", &["Alpha", "Gam'ma", "Delta"]),
        ("LastName = 'Gam\\'ma'", &["Gam'ma"]),
        ("Title = 'a\\\\b'", &["Gam'ma"]),
        ("Title = 'line\\nbreak \\u00e9'", &["Delta"]),
        ("Account.Name = 'ACME'", &["Alpha"]),
        ("Account.Name = null", &["Beta", "Gam'ma", "Delta"]),
        ("FirstName = 'Ann' AND LastName = 'Alpha' AND IsDeleted = false", &["Alpha"]),
        ("LastName = 'Alpha' OR Phone = '+12025550123'", &["Alpha", "Beta"]),
        ("(LastName = 'Alpha' OR LastName = 'Beta') AND Email LIKE 'b%'", &["Beta"]),
        ("NOT (LastName = 'Alpha' OR LastName = 'Beta')", &["Gam'ma", "Delta"]),
        ("LastName > 'B' AND LastName <= 'delta'", &["Beta", "Delta"]),
        ("CreatedDate = TODAY", &["Alpha", "Beta"]),
        ("CreatedDate = LAST_N_DAYS:5", &["Alpha", "Beta", "Gam'ma"]),
        ("CreatedDate < LAST_N_DAYS:5", &["Delta"]),
        ("CreatedDate >= YESTERDAY", &["Alpha", "Beta"]),
        ("CreatedDate = LAST_YEAR", &["Delta"]),
        ("CreatedDate < 2025-01-15T07:00:01Z", &["Delta"]),
        ("CreatedDate <= 2026-01-10T09:00:00+01:00", &["Gam'ma", "Delta"]),
        ("AccountId IN (SELECT Id FROM Account WHERE Name = 'Acme')", &["Alpha"]),
        ("Id NOT IN (SELECT Id FROM Contact WHERE LastName LIKE '%a')", &[]),
    ];
    for (condition, expected) in table {
        let found = desk.column(&format!("SELECT Id, LastName FROM contact WHERE {condition}"), "LastName").await;
        assert_eq!(found, *expected, "{condition}");
    }
}

#[tokio::test]
async fn clauses_order_and_cut_the_result() {
    let desk = Desk::open().await;
    seed(&desk.org());
    let table: &[(&str, &[&str])] = &[
        ("ORDER BY LastName", &["Alpha", "Beta", "Delta", "Gam'ma"]),
        ("ORDER BY LastName DESC LIMIT 2", &["Gam'ma", "Delta"]),
        ("ORDER BY LastName LIMIT 2 OFFSET 1", &["Beta", "Delta"]),
        ("ORDER BY Email, LastName", &["Delta", "Gam'ma", "Alpha", "Beta"]),
        ("ORDER BY Email NULLS LAST, LastName DESC", &["Alpha", "Beta", "Gam'ma", "Delta"]),
        ("ORDER BY Email DESC NULLS FIRST, CreatedDate", &["Delta", "Gam'ma", "Beta", "Alpha"]),
        ("LIMIT 0", &[]),
    ];
    for (clause, expected) in table {
        let found = desk.column(&format!("select lastname from Contact {clause}"), "LastName").await;
        assert_eq!(found, *expected, "{clause}");
    }
}

#[tokio::test]
async fn parents_are_nested_and_times_have_no_colon_in_the_offset() {
    let desk = Desk::open().await;
    let org = desk.org();
    let account = org.insert("Account", json!({ "Name": "Acme" }));
    let contact = org.insert("Contact", json!({ "FirstName": "Ada", "LastName": "Example", "AccountId": account }));
    let task =
        org.insert("Task", json!({ "Subject": "Call", "WhoId": contact, "CreatedDate": "2026-01-01T00:00:00Z" }));
    org.insert("Task", json!({ "Subject": "Alone" }));
    let statement = "SELECT Id, CreatedDate, Who.Name, Who.Type, What.Name, Account.Name, Owner.Name FROM Task";
    let body = desk.query(statement).await.json();
    let contact_url = format!("/services/data/v66.0/sobjects/Contact/{contact}");
    assert_eq!(body["records"][0]["Id"], task.as_str());
    assert_eq!(body["records"][0]["CreatedDate"], "2026-01-01T00:00:00.000+0000");
    assert_eq!(
        body["records"][0]["Who"],
        json!({ "attributes": { "type": "Name", "url": contact_url }, "Name": "Ada Example", "Type": "Contact" })
    );
    assert_eq!(body["records"][0]["What"], Value::Null);
    assert_eq!(body["records"][0]["Account"]["Name"], "Acme");
    assert_eq!(body["records"][0]["Owner"]["Name"], "Integration User");
    assert_eq!(body["records"][1]["Who"], Value::Null);
    assert_eq!(desk.column("SELECT Id FROM Task WHERE Who.Type = 'Contact'", "Id").await, [task]);
    assert_eq!(
        desk.query("SELECT COUNT() FROM Task").await.json(),
        json!({ "totalSize": 2, "done": true, "records": [] })
    );
}

const NO_COLUMN: &str = "If you are attempting to use a custom field, be sure to append the '__c' after the custom field \
                         name. Please reference your WSDL or the describe call for the appropriate names.";

#[tokio::test]
async fn mistakes_are_told_in_the_documented_words() {
    let desk = Desk::open().await;
    desk.org().settings(|settings| {
        settings.hidden_fields.insert("task.type".to_owned());
    });
    let caret = |echo: &str, column: usize, reason: &str| {
        format!("\n{echo}\n{}^\nERROR at Row:1:Column:{column}\n{reason}", " ".repeat(column - 1))
    };
    let description = "SELECT Id FROM Task WHERE Description LIKE '%x%'";
    let sorted = "SELECT Id FROM Task ORDER BY Description";
    let unknown = "SELECT Id, X__c FROM Task";
    let hidden = "SELECT Type FROM Task";
    let relation = "SELECT Foo.Name FROM Task";
    let typed = "SELECT Id FROM Task WHERE Subject = 5";
    let table = [
        (
            description,
            "INVALID_FIELD",
            caret(description, 27, "field 'Description' can not be filtered in a query call"),
        ),
        (sorted, "MALFORMED_QUERY", caret(sorted, 30, "field 'Description' can not be sorted in a query call")),
        (unknown, "INVALID_FIELD", caret(unknown, 12, &format!("No such column 'X__c' on entity 'Task'. {NO_COLUMN}"))),
        (hidden, "INVALID_FIELD", caret(hidden, 8, &format!("No such column 'Type' on entity 'Task'. {NO_COLUMN}"))),
        (
            typed,
            "INVALID_FIELD",
            caret(
                typed,
                27,
                "value of filter criterion for field 'Subject' must be of type string and should be enclosed in quotes",
            ),
        ),
        (
            "SELECT Id FROM Foo",
            "INVALID_TYPE",
            "sObject type 'Foo' is not supported. If you are attempting to use a custom object, be sure to append the \
             '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
                .to_owned(),
        ),
        ("SELECT Id FROM Task WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'".to_owned()),
        ("SELECT Id Task", "MALFORMED_QUERY", "unexpected token: 'Task'".to_owned()),
        ("SELECT Id FROM Task GROUP BY Id", "MALFORMED_QUERY", "unexpected token: 'GROUP'".to_owned()),
        (
            "SELECT Id FROM Task WHERE Id = null AND Id = null OR Id = null",
            "MALFORMED_QUERY",
            "unexpected token: 'OR'".to_owned(),
        ),
        (
            "SELECT Id FROM Task LIMIT 5 OFFSET 2001",
            "NUMBER_OUTSIDE_VALID_RANGE",
            "Maximum SOQL offset allowed is 2000".to_owned(),
        ),
    ];
    for (statement, code, message) in table {
        assert_eq!(desk.query(statement).await.problem(), (400, code.to_owned(), message), "{statement}");
    }
    let (_, code, message) = desk.query(relation).await.problem();
    assert!(code == "INVALID_FIELD" && message.contains("Didn't understand relationship 'Foo' in field path"));
    for statement in ["SELECT Id FROM Task WHERE Subject = 'a\\x'", "SELECT Id FROM Task WHERE Subject = 'a\\_'", "x"] {
        assert_eq!(desk.query(statement).await.problem().1, "MALFORMED_QUERY", "{statement}");
    }
    let long = format!("SELECT Id FROM Task WHERE Subject = '{}'", "a".repeat(4_001));
    assert_eq!(desk.query(&long).await.problem().1, "MALFORMED_QUERY");
}

#[tokio::test]
async fn a_long_echo_shows_only_the_surroundings_of_the_mistake() {
    let desk = Desk::open().await;
    let padding = "Subject = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' AND ";
    let (_, _, message) = desk.query(&format!("SELECT Id FROM Task WHERE {padding}Nope__c = 'x'")).await.problem();
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[1].chars().nth(lines[2].len() - 1), Some('N'), "{message}");
    assert!(lines[1].len() <= 81 && lines[3] == "ERROR at Row:1:Column:98", "{message}");
}

#[tokio::test]
async fn an_uri_over_16_kib_is_refused() {
    let desk = Desk::open().await;
    let list = vec!["'person@example.com'"; 600].join(",");
    let statement = encode(&format!("SELECT Id FROM Contact WHERE Email IN ({list})"));
    let reply = desk.get(&format!("query?q={statement}")).await;
    assert_eq!(reply.status, 414);
    assert!(reply.text.starts_with("<html>"));
    desk.org().settings(|settings| settings.uri_too_long_html = false);
    assert_eq!(desk.get(&format!("query?q={statement}")).await.problem().0, 414);
}

#[tokio::test]
async fn pages_follow_one_another_until_their_cursor_is_dropped() {
    let desk = Desk::open().await;
    let org = desk.org();
    for number in 0..450 {
        org.insert("Task", json!({ "Subject": format!("{number:03}") }));
    }
    let first = async |desk: &Desk, batch: &str| {
        let path = format!("query?q={}", encode("SELECT Subject FROM Task ORDER BY Subject"));
        let request = desk.request("GET", &path).header("Sforce-Query-Options", format!("batchSize={batch}"));
        super::read(request).await.expect("an answer").json()
    };
    let one = first(&desk, "5").await;
    assert_eq!((one["totalSize"].as_u64(), one["done"].as_bool()), (Some(450), Some(false)));
    let next = one["nextRecordsUrl"].as_str().expect("a further page").to_owned();
    assert!(next.starts_with("/services/data/v66.0/query/01g") && next.ends_with("-200"), "{next}");
    let two = desk.get(&next).await.json();
    assert_eq!(two["records"][0]["Subject"], "200");
    let three = desk.get(two["nextRecordsUrl"].as_str().expect("a third page")).await.json();
    assert_eq!((three["done"].as_bool(), three["records"].as_array().map(Vec::len)), (Some(true), Some(50)));
    assert_eq!(three.get("nextRecordsUrl"), None);
    assert_eq!(desk.get(&next).await.json()["records"][199]["Subject"], "399", "a page can be read again");

    let oldest = first(&desk, "200").await["nextRecordsUrl"].as_str().expect("a page").to_owned();
    for _ in 0..10 {
        first(&desk, "200").await;
    }
    assert_eq!(desk.get(&oldest).await.problem().1, "INVALID_QUERY_LOCATOR");
    assert_eq!(org.counters().calls_of("query_more"), 4);
}
