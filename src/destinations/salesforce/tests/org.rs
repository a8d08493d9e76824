//! The destination against the simulated org: what counts is which records stand there afterwards.

use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use base64::Engine;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::client::Ask;
use super::super::config::{LoginFlow, NoMatchRule, Settings};
use super::super::outcome::Effect;
use super::*;
use crate::destinations::{CreatesPeople, Destination, Doubles, Existing, Operation, Outcome, Person, Verdict, Write};
use crate::net::HttpTransport;
use crate::problem as p;
use crate::sim::salesforce::{Fault, FaultKind, KeyField, Options, Org, Simulator, Trigger, ValidationRule};

struct World {
    org: Org,
    url: String,
    _simulator: Simulator,
}

impl World {
    async fn new() -> World {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = Options { now: clock(), ..Options::default() };
        let simulator = Simulator::start(listener, options).await.unwrap();
        World { org: simulator.org(), url: simulator.url(), _simulator: simulator }
    }

    fn destination(&self) -> Salesforce {
        self.destination_with(|_| {})
    }

    fn destination_with(&self, change: impl FnOnce(&mut Settings)) -> Salesforce {
        let mut settings = Settings::new(LoginFlow::ClientCredentials {
            client_id: "sim-client".into(),
            client_secret: SecretString::from("sim-secret"),
        });
        settings.login_url = url::Url::parse(&self.url).unwrap();
        change(&mut settings);
        Salesforce::new("salesforce", settings, Arc::new(HttpTransport::new().unwrap()), clock()).unwrap()
    }

    fn contact(&self, email: &str) -> Person {
        let id = self.org.insert("Contact", json!({"LastName": "Example", "Email": email}));
        Person { object: "Contact".into(), id }
    }

    fn tasks(&self) -> Vec<serde_json::Map<String, Value>> {
        self.org.records("Task")
    }
}

fn write_of(destination: &Salesforce, call: &RedactedCall, person: &Person) -> Write {
    let mapped = destination.map(call, person).unwrap();
    Write { key: call.call().key.clone(), object: mapped.object, operation: Operation::Create, record: mapped.create }
}

fn updated(destination: &Salesforce, call: &RedactedCall, person: &Person, remote_id: &str) -> Write {
    let operation = Operation::Update { remote_id: remote_id.into() };
    Write { operation, record: destination.map(call, person).unwrap().update, ..write_of(destination, call, person) }
}

async fn delete(destination: &Salesforce, object: &str, id: &str) {
    let path = format!("/sobjects/{object}/{id}");
    let ask = Ask {
        method: http::Method::DELETE,
        path: &path,
        body: None,
        effect: Effect::Write,
        counted: false,
        header: None,
    };
    assert!(destination.client.send(&ask).await.is_ok());
}

fn delivered(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { remote_id, .. } => remote_id.clone(),
        other => panic!("not delivered: {other:?}"),
    }
}

#[tokio::test]
async fn every_login_flow_opens_the_org() {
    let world = World::new().await;
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der = pair.as_der().unwrap();
    let base64 = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
    let secret = |text: &str| SecretString::from(text);
    let (client_id, username) = ("sim-client".to_owned(), "integration@example.com".to_owned());
    let flows = [
        LoginFlow::Jwt { client_id: client_id.clone(), username: username.clone(), private_key_pem: secret(&pem) },
        LoginFlow::Refresh {
            client_id,
            client_secret: Some(secret("sim-secret")),
            refresh_token: secret("sim-refresh"),
        },
        LoginFlow::Password { username, password: secret("sim-password"), security_token: secret("sim-token") },
    ];
    for flow in flows {
        let readiness = world.destination_with(|settings| settings.login = flow).prepare().await.unwrap();
        assert_eq!(readiness.doubles, Doubles::Refused);
    }
    let refused = world.destination_with(|settings| {
        settings.login =
            LoginFlow::ClientCredentials { client_id: "sim-client".into(), client_secret: secret("wrong") };
    });
    let Err(Outcome::Hold { problem }) = refused.prepare().await else { panic!("not held") };
    assert_eq!(problem.code, p::LOGIN_REFUSED);
}

#[tokio::test]
async fn a_call_is_matched_mapped_written_found_and_changed() {
    let world = World::new().await;
    let destination = world.destination();
    let person = world.contact("Ada@Example.com");
    let call = call("rm_1", " ada@example.com ");
    let found = destination.match_people(&[&call]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().verdict, Verdict::Found(person.clone()));
    assert_eq!(destination.look_up(&[&call]).await.unwrap(), [Ok(None)]);

    let outcomes = destination.write(&[write_of(&destination, &call, &person)]).await;
    let id = delivered(&outcomes[0]);
    let task = &world.tasks()[0];
    assert_eq!(task["Subject"], "Voice AI Call - 2026-11-19");
    assert_eq!(task["Call_Key__c"], call.call().key.as_str());
    let found = destination.look_up(&[&call]).await.unwrap().remove(0).unwrap().unwrap();
    assert_eq!((&found.remote_id, found.adopted, found.person_id.as_ref()), (&id, false, Some(&person.id)));
    let held = found.record.unwrap();
    let mut mapped = destination.map(&call, &person).unwrap();
    assert!(destination.stands(&held, &mapped), "what was just written stands there: {held:?}");
    mapped.update.insert("Subject".into(), "Another".into());
    assert!(!destination.stands(&held, &mapped));

    let again = destination.write(&[write_of(&destination, &call, &person)]).await;
    assert_eq!(again[0], Outcome::Exists { remote_id: id.clone() });
    let outcomes = destination.write(&[updated(&destination, &call, &person, &id)]).await;
    assert_eq!(outcomes[0], Outcome::Delivered { remote_id: id.clone(), created: false });
    assert_eq!(world.tasks().len(), 1);

    delete(&destination, "Task", &id).await;
    let outcomes = destination.write(&[updated(&destination, &call, &person, &id)]).await;
    let Outcome::Reject { problem } = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(problem.what.contains("deleted in the org"), "{}", problem.what);
}

#[tokio::test]
async fn whatever_happens_to_the_answer_a_repeated_batch_leaves_each_call_once() {
    let kinds = [
        FaultKind::DropBeforeCommit,
        FaultKind::DropAfterCommit,
        FaultKind::UnavailableBeforeCommit,
        FaultKind::UnavailableAfterCommit,
        FaultKind::BadGatewayAfterCommit,
        FaultKind::ServerErrorAfterCommit,
        FaultKind::TruncateBody,
    ];
    for kind in kinds {
        let world = World::new().await;
        let destination = world.destination();
        destination.prepare().await.unwrap();
        let person = world.contact("ada@example.com");
        let calls: Vec<_> = (0..200).map(|n| call(&format!("rm_{n}"), "ada@example.com")).collect();
        let writes: Vec<Write> = calls.iter().map(|call| write_of(&destination, call, &person)).collect();
        world.org.add_fault(Fault::new(kind).times(1).on_path("/composite"));
        let first = destination.write(&writes).await;
        let unsure = |outcome: &Outcome| matches!(outcome, Outcome::Unknown { .. } | Outcome::Retry { .. });
        assert!(first.iter().all(unsure), "{kind:?}: {:?}", first[0]);
        let committed = !world.tasks().is_empty();
        for outcome in destination.write(&writes).await {
            assert_eq!(matches!(outcome, Outcome::Exists { .. }), committed, "{kind:?} {outcome:?}");
        }
        assert_eq!(world.tasks().len(), 200, "{kind:?}");
        let found = destination.look_up(&calls.iter().collect::<Vec<_>>()).await.unwrap();
        assert_eq!(found.iter().filter(|one| matches!(one, Ok(Some(_)))).count(), 200);
    }
}

#[tokio::test]
async fn one_bad_row_does_not_stop_its_neighbours() {
    let world = World::new().await;
    let rule = |contains: &str| ValidationRule {
        object: "Task".into(),
        field: "CallObject".into(),
        contains: contains.into(),
        message: "Not on my watch".into(),
    };
    world.org.settings(|settings| settings.validation_rules = vec![rule("bad")]);
    let destination = world.destination();
    destination.prepare().await.unwrap();
    let person = world.contact("ada@example.com");
    let gone = world.contact("gone@example.com");
    delete(&destination, "Contact", &gone.id).await;
    let calls = [call("good1", "x"), call("bad", "x"), call("good2", "x"), call("gone", "x")];
    let mut writes: Vec<Write> = calls.iter().map(|call| write_of(&destination, call, &person)).collect();
    writes[3] = write_of(&destination, &calls[3], &gone);
    let outcomes = destination.write(&writes).await;
    delivered(&outcomes[0]);
    let Outcome::Reject { problem } = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(problem.code, p::ROW_VALIDATION);
    assert!(problem.what.contains("Not on my watch"));
    delivered(&outcomes[2]);
    assert!(matches!(&outcomes[3], Outcome::Rematch { .. }), "{:?}", outcomes[3]);
    assert_eq!(world.tasks().len(), 2);
}

#[tokio::test]
async fn a_trigger_that_fails_the_whole_chunk_is_found_by_smaller_batches() {
    let world = World::new().await;
    world.org.settings(|settings| {
        settings.triggers = vec![Trigger {
            object: "Task".into(),
            field: "CallObject".into(),
            contains: "bad".into(),
            message: "NullPointerException".into(),
            whole_chunk: true,
        }];
    });
    let destination = world.destination();
    destination.prepare().await.unwrap();
    let person = world.contact("ada@example.com");
    let write = |id: &str| write_of(&destination, &call(id, "x"), &person);
    for outcome in destination.write(&[write("good"), write("bad")]).await {
        assert!(matches!(outcome, Outcome::Retry { smaller: true, .. }), "{outcome:?}");
    }
    delivered(&destination.write(&[write("good")]).await[0]);
    assert!(matches!(destination.write(&[write("bad")]).await[0], Outcome::Reject { .. }));
}

#[tokio::test]
async fn without_the_key_field_call_object_tells_tasks_apart() {
    let world = World::new().await;
    world.org.settings(|settings| settings.key_field = None);
    let destination = world.destination();
    let readiness = destination.prepare().await.unwrap();
    assert_eq!(readiness.doubles, Doubles::LookedUp { first: true });
    assert!(readiness.key_advice.is_some_and(|advice| advice.what.contains("Call_Key__c")));
    let person = world.contact("ada@example.com");
    let calls = [call("rm_a", "x"), call("rm_A", "x")];
    let outcomes = destination.write(&[write_of(&destination, &calls[0], &person)]).await;
    let id = delivered(&outcomes[0]);
    let found = destination.look_up(&calls.iter().collect::<Vec<_>>()).await.unwrap();
    let found: Vec<Option<&str>> =
        found.iter().map(|one| one.as_ref().unwrap().as_ref().map(|existing| existing.remote_id.as_str())).collect();
    assert_eq!(found[0], Some(id.as_str()));
    assert!(found[1..].iter().all(Option::is_none), "ids that differ in case only stay apart: {found:?}");
}

#[tokio::test]
async fn tasks_of_the_earlier_script_are_adopted_and_then_ours_also_when_archived() {
    let world = World::new().await;
    world.org.settings(|settings| settings.archive_immediately = true);
    let destination = world.destination();
    let person = world.contact("ada@example.com");
    let old = |date: &str, session: &str| {
        world.org.insert(
            "Task",
            json!({"Subject": format!("Voice AI Call - {date}"), "Status": "Completed", "WhoId": person.id,
                   "ActivityDate": date,
                   "Description": format!("Voice AI Call Summary\nDuration: 1 minute\nSession ID: {session}\n")}),
        )
    };
    let recent = old("2026-11-19", "rm_1");
    let ancient = old("2025-10-29", "rm_2");
    old("2026-11-10", "rm_3");
    world.org.archive();
    let found = destination.adoptable(&["2026-11-19".parse().unwrap()]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        found["rm_1"],
        Existing { remote_id: recent, adopted: true, person_id: Some(person.id.clone()), record: None }
    );
    let found = destination.adoptable(&["2025-10-29".parse().unwrap()]).await.unwrap();
    assert_eq!(found["rm_2"].remote_id, ancient);

    let call = call("rm_2", "ada@example.com");
    let stamp = Write {
        operation: Operation::Update { remote_id: ancient.clone() },
        record: destination.adoption_stamp(&call),
        ..write_of(&destination, &call, &person)
    };
    delivered(&destination.write(&[stamp]).await[0]);
    let found = destination.adoptable(&["2025-10-29".parse().unwrap()]).await.unwrap();
    assert!(found.is_empty(), "it carries our key now");
}

#[tokio::test]
async fn sessions_that_end_in_between_are_not_noticed() {
    let world = World::new().await;
    let destination = world.destination();
    destination.prepare().await.unwrap();
    let person = world.contact("ada@example.com");
    for n in 0..3 {
        world.org.expire_sessions();
        let call = call(&format!("rm_{n}"), "ada@example.com");
        assert_eq!(
            destination.match_people(&[&call]).await.unwrap()[0].as_ref().unwrap().verdict,
            Verdict::Found(person.clone())
        );
        delivered(&destination.write(&[write_of(&destination, &call, &person)]).await[0]);
    }
    assert_eq!(world.tasks().len(), 3);
}

#[tokio::test]
async fn what_only_a_person_can_mend_holds_and_heals() {
    let world = World::new().await;
    let destination = world.destination();
    destination.prepare().await.unwrap();
    let person = world.contact("ada@example.com");
    let write = write_of(&destination, &call("rm_1", "x"), &person);
    let hold_of = async || match destination.write(std::slice::from_ref(&write)).await.remove(0) {
        Outcome::Hold { problem } => problem.code,
        other => panic!("not held: {other:?}"),
    };
    world.org.settings(|settings| settings.storage_full = true);
    assert_eq!(hold_of().await, p::STORAGE_FULL);
    world.org.settings(|settings| settings.storage_full = false);

    world.org.settings(|settings| _ = settings.hidden_fields.insert("Task.CallType".into()));
    world.org.settings(|settings| settings.key_field = Some(KeyField { unique: false, ..KeyField::default() }));
    assert_eq!(hold_of().await, p::FIELD_MISSING);
    world.org.settings(|settings| settings.hidden_fields.clear());
    world.org.settings(|settings| settings.key_field = Some(KeyField::default()));

    world.org.add_fault(Fault::new(FaultKind::RequestLimit).times(1).on_path("/composite"));
    assert_eq!(hold_of().await, p::API_LIMIT);
    assert!(destination.prepare().await.is_ok());
    delivered(&destination.write(std::slice::from_ref(&write)).await[0]);
    assert_eq!(world.tasks().len(), 1);
}

#[tokio::test]
async fn a_stranger_becomes_a_lead_once() {
    let world = World::new().await;
    let destination = world.destination_with(|settings| settings.no_match = NoMatchRule::CreateLead);
    let call = call("rm_1", "ada@engines.example");
    let person = destination.create_person(&call).await.unwrap();
    assert_eq!(
        destination.match_people(&[&call]).await.unwrap()[0].as_ref().unwrap().verdict,
        Verdict::Found(person.clone())
    );
    world.org.settings(|settings| settings.lead_duplicate_rule = Some(Default::default()));
    assert_eq!(destination.create_person(&call).await.unwrap(), person);
    assert_eq!(world.org.records("Lead").len(), 1);
    delivered(&destination.write(&[write_of(&destination, &call, &person)]).await[0]);
}

#[tokio::test]
async fn two_thousand_callers_cost_few_requests() {
    let world = World::new().await;
    world.org.settings(|settings| settings.query_page_rows = 200);
    let destination = world.destination();
    destination.prepare().await.unwrap();
    let calls: Vec<_> = (0..2000).map(|n| call(&format!("rm_{n}"), &format!("o'hara.{n}@example.com"))).collect();
    for n in 0..1500 {
        world.contact(&format!("O'Hara.{n}@example.com"));
    }
    let found = destination.match_people(&calls.iter().collect::<Vec<_>>()).await.unwrap();
    let matched = found.iter().filter(|one| matches!(one.as_ref().unwrap().verdict, Verdict::Found(_))).count();
    assert_eq!(matched, 1500);
    assert!(destination.usage().requests < 40, "{}", destination.usage().requests);
    assert!(destination.usage().remote_max.is_some());
}
