//! The worked example of docs/rest.md works as it stands there, against a server that knows nothing of Trunkline.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Segment, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use trunkline::sim::rest::hubspot::HubSpot;

use crate::support::rest_world::{RestWorld, told};

type Tickets = Arc<Mutex<Vec<Value>>>;

fn example() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rest.md");
    let text = fs::read_to_string(page).expect("the page");
    let (_, rest) = text.split_once("<!-- the worked example;").expect("the mark above the example");
    let (_, block) = rest.split_once("```toml\n").expect("the example");
    block.split("\n```").next().expect("its end").to_owned()
}

async fn open(
    State(tickets): State<Tickets>,
    headers: HeaderMap,
    Json(ticket): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut tickets = tickets.lock().expect("no handler panics");
    if headers.get("authorization").is_none_or(|token| token != "Bearer desk-secret") {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "who are you" })));
    }
    let place = tickets.iter().position(|known| known["reference"] == ticket["reference"]);
    let (status, number) = match place {
        Some(place) => (StatusCode::CONFLICT, place),
        None => {
            tickets.push(ticket);
            (StatusCode::CREATED, tickets.len() - 1)
        }
    };
    (status, Json(json!({ "ticket": { "id": number } })))
}

async fn change(State(tickets): State<Tickets>, Segment(number): Segment<usize>, Json(new): Json<Value>) -> StatusCode {
    tickets.lock().expect("no handler panics")[number]["summary"] = new["summary"].clone();
    StatusCode::NO_CONTENT
}

async fn customers(Query(asked): Query<Vec<(String, String)>>) -> Json<Value> {
    let ada = json!({ "id": "c-1", "email": "o'hara+ada@example.com" });
    let other = json!({ "id": "c-2", "email": "grace@example.com" });
    assert_eq!(asked.len(), 1, "one parameter, whatever stands in the address: {asked:?}");
    Json(json!({ "customers": [other, ada] }))
}

/// Nobody talks to the simulator here: the world needs one.
async fn world(change: impl Fn(&str) -> String) -> (RestWorld<HubSpot>, Tickets) {
    let tickets = Tickets::default();
    let app = Router::new()
        .route("/api/tickets", post(open))
        .route("/api/tickets/{number}", put(self::change))
        .route("/api/customers", get(customers))
        .with_state(tickets.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let table = change(&example()).replace("https://helpdesk.example.com", &format!("http://{address}"));
    let mut world = RestWorld::<HubSpot>::start(Default::default(), |_| table).await;
    world.environment.insert("HELPDESK_TOKEN".to_owned(), "desk-secret".to_owned());
    (world, tickets)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worked_example_delivers_each_call_once_on_its_customer() {
    let (world, tickets) = world(str::to_owned).await;
    world.put("a.json", &told("s1", "O'Hara+Ada@example.com"));
    world.put("b.json", &told("s2", "nobody@example.com"));
    assert_eq!(world.sync().await.delivery.delivered, 2);
    assert_eq!(world.sync().await.delivery.delivered, 0);
    let mut held = tickets.lock().expect("no handler panics").clone();
    held.sort_by_key(|ticket| ticket["customer"].is_null());
    assert_eq!(
        held[0],
        json!({
            "reference": trunkline::model::CallKey::from_source("sessions", "s1").as_str(), "queue": "voice",
            "customer": "c-1", "subject": "Call of +15550100200", "minutes": 2.1,
            "summary": "Use Case: sales_proposals\nTeam Size: 12", "said": ["Hello"],
        })
    );
    assert_eq!((held.len(), held[1].get("customer")), (2, None));
    world.forget_the_ledger();
    world.sync_to_the_end().await;
    assert_eq!(tickets.lock().expect("no handler panics").len(), 2);
    let mut newer = told("s1", "o'hara+ada@example.com");
    newer["discovered_signals"]["use_case"] = json!("contracts");
    world.put("a2.json", &newer);
    assert_eq!(world.sync_to_the_end().await.delivery.updated, 1);
    assert!(tickets.lock().expect("no handler panics").iter().any(|one| one.to_string().contains("contracts")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_header_is_sent_as_its_reference_says() {
    let login = "[rest.helpdesk.auth]\nkind = \"token\"\ntoken = \"env:HELPDESK_TOKEN\"\n";
    for place in ["headers", "create.headers"] {
        let header = format!("[rest.helpdesk.{place}]\nAuthorization = \"env:HELPDESK_HEADER\"\n");
        let in_place = |table: &str| format!("{}\n{header}", table.replace(login, ""));
        let (mut world, tickets) = world(in_place).await;
        world.environment.insert("HELPDESK_HEADER".to_owned(), "Bearer desk-secret".to_owned());
        world.put("a.json", &told("s1", "ada@example.com"));
        let summary = world.sync().await;
        assert_eq!(summary.delivery.delivered, 1, "{place}: {:?}", summary.delivery.hold);
        assert_eq!(tickets.lock().expect("no handler panics").len(), 1, "{place}");
    }
}
