//! Promise: a question that a CRM does not answer about one call stops no other call; what is wrong with the destination
//! is no call's fault.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::pending;
use serde_json::{Value, json};
use trunkline::engine::{RunSummary, Stop};
use trunkline::model::CallKey;
use trunkline::sim::rest::hubspot::HubSpot;
use trunkline::store::DeliveryRow;

use crate::rest_strict::CREATE;
use crate::support::rest_world::{RestWorld, told};
use crate::support::session::session;
use crate::support::stub::Stub;

/// Nights that it may take until a call is given up.
const NIGHTS_MAX: usize = 20;

/// What the scripted CRM answers to a request that is told as `GET /path?query`.
type Script = Box<dyn Fn(&str) -> (u16, String) + Send + Sync>;

/// A world with a CRM whose answers change as a test goes on. Nobody talks to the simulator here: the world needs one.
pub struct Scripted {
    pub world: RestWorld<HubSpot>,
    pub crm: Stub,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    pub async fn new(table: &str, answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Scripted {
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(answer)));
        let told = Arc::clone(&script);
        let crm = Stub::start(move |request| {
            let (status, body) = told.lock().expect("no script panics")(request);
            (StatusCode::from_u16(status).expect("a status"), body)
        })
        .await;
        let text = format!("[rest.desk]\nbase_url = \"{}/api\"\n{table}", crm.endpoint);
        let world = RestWorld::<HubSpot>::start(Default::default(), |_| text).await;
        Scripted { world, crm, script }
    }

    pub fn answers(&self, answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) {
        *self.script.lock().expect("no script panics") = Box::new(answer);
    }

    /// Calls of `NAME@example.com` each, the first the oldest.
    pub fn put(&self, names: &[&str]) {
        for (number, name) in names.iter().enumerate() {
            let mut document = told(name, &format!("{name}@example.com"));
            document["start_time"] = json!(format!("2026-11-20T09:{number:02}:00"));
            self.world.put(&format!("{name}.json"), &document);
        }
    }

    /// Nights with a new call each, until `dead` letters stand for `code`.
    async fn nights_until(&self, code: &str, dead: u64) {
        let mut met = 0;
        for night in 0..NIGHTS_MAX {
            self.put(&[&format!("night{night}")]);
            let summary = self.world.sync().await;
            assert!(summary.delivery.hold.is_none(), "{:?}", summary.delivery.hold);
            assert_eq!(summary.delivery.delivered, 1, "the others go on: {:?}", self.rows().await);
            met += summary.delivery.dead.get(code).copied().unwrap_or_default();
            if met == dead {
                return;
            }
            self.world.clock.advance(Duration::from_secs(24 * 3600));
        }
        panic!("{met} dead letters after {NIGHTS_MAX} nights: {:?}", self.rows().await);
    }

    /// Each row's session, state and reason.
    pub async fn rows(&self) -> Vec<(String, String, String)> {
        let code = |row: &DeliveryRow| row.problem.as_ref().map_or_else(String::new, |problem| problem.code.clone());
        let rows = self.world.deliveries().await;
        let mut rows: Vec<_> =
            rows.into_iter().map(|row| (row.source_id.clone(), row.state.clone(), code(&row))).collect();
        rows.sort();
        rows
    }

    pub async fn row(&self, id: &str) -> (String, String, String) {
        self.rows().await.into_iter().find(|row| row.0 == id).expect("the session")
    }

    pub fn posts(&self) -> usize {
        self.crm.requests().iter().filter(|request| request.starts_with("POST /api/calls")).count()
    }
}

pub fn taken() -> (u16, String) {
    (201, json!({ "id": 7 }).to_string())
}

pub fn key(id: &str) -> String {
    CallKey::from_source("sessions", id).as_str().to_owned()
}

pub const LOOK_UP: &str =
    "[rest.desk.look_up]\nmethod = \"GET\"\npath = \"/calls?ref={{ call.key }}\"\nkey = [\"/ref\"]\n";
pub const PERSON: &str =
    "[rest.desk.person]\nmethod = \"GET\"\npath = \"/people?q={{ call.email }}\"\nitems = \"/people\"\n";

fn nobody() -> (u16, String) {
    (200, json!({ "people": [] }).to_string())
}

pub fn row(id: &str, state: &str, code: &str) -> (String, String, String) {
    (id.to_owned(), state.to_owned(), code.to_owned())
}

fn outcome(summary: &RunSummary) -> (u64, bool) {
    (summary.delivery.delivered, summary.delivery.hold.is_some())
}

/// The look-up of `odd` is refused, or not answered with what the table tells.
async fn one_look_up_fails(refusal: (u16, &'static str), code: &str) {
    let posted = AtomicUsize::new(0);
    let odd = key("odd");
    let desk = Scripted::new(&format!("{CREATE}{LOOK_UP}"), move |request| match request.split_once("?ref=") {
        Some((_, asked)) if asked == odd => (refusal.0, refusal.1.to_owned()),
        Some(_) => (200, "[]".to_owned()),
        // The first is stored, but its answer is lost on the way.
        None if posted.fetch_add(1, Ordering::SeqCst) == 0 => (500, String::new()),
        None => taken(),
    })
    .await;
    desk.put(&["odd"]);
    desk.world.sync().await;
    assert_eq!(desk.posts(), 1);
    desk.put(&["odd", "two", "three"]);
    let summary = desk.world.sync().await;
    assert_eq!(outcome(&summary), (2, false), "{refusal:?}: {:?}", desk.rows().await);
    desk.nights_until(code, 1).await;
    assert_eq!(desk.row("odd").await, row("odd", "dead", code), "{refusal:?}");
    let posts = desk.posts();
    // What was sent is not forgotten: a retry asks once more before it sends.
    let odd = key("odd");
    desk.answers(move |request| match request.starts_with("GET") {
        true => (200, json!([{ "ref": odd, "id": 7 }]).to_string()),
        false => taken(),
    });
    desk.world.retry().await;
    assert_eq!(desk.row("odd").await, row("odd", "delivered", ""), "{refusal:?}");
    assert_eq!(desk.posts(), posts, "{refusal:?}: it stood there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_cannot_be_looked_up_stops_no_other_and_is_a_dead_letter_that_is_asked_for_again() {
    one_look_up_fails((400, "unknown campaign"), "TL0508").await;
    one_look_up_fails((200, "<html>"), "TL0509").await;
    one_look_up_fails((500, "broken"), "TL0704").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_fails_for_one_address_for_ever_is_that_calls_dead_letter() {
    let table = format!("requests_in_flight = 1\n{CREATE}{PERSON}");
    let desk = Scripted::new(&table, |request| match request.split_once("?q=") {
        Some((_, asked)) if asked.starts_with("odd") => (500, "broken".to_owned()),
        Some(_) => nobody(),
        None => taken(),
    })
    .await;
    desk.put(&["odd1", "odd2", "odd3", "odd4", "one", "two"]);
    let summary = desk.world.sync().await;
    assert_eq!(outcome(&summary), (2, false), "{:?}", desk.rows().await);
    desk.nights_until("TL0704", 4).await;
    for id in ["odd1", "odd2", "odd3", "odd4"] {
        assert_eq!(desk.row(id).await, row(id, "dead", "TL0704"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_which_no_question_can_be_made_is_a_dead_letter_of_its_own() {
    let person = PERSON.replace(
        "{{ call.email }}",
        "{{ call.email }}{% if call.duration_seconds == 60 %}{{ call.email - 1 }}{% endif %}",
    );
    let desk = Scripted::new(&format!("{CREATE}{person}"), |request| match request.starts_with("GET") {
        true => nobody(),
        false => taken(),
    })
    .await;
    desk.put(&["one"]);
    desk.world.put("odd.json", &session("odd", "odd@example.com", "2026-11-20T10:00:00", 60));
    let summary = desk.world.sync().await;
    assert_eq!(outcome(&summary), (1, false));
    assert_eq!(summary.delivery.dead.get("TL0609"), Some(&1), "{:?}", desk.rows().await);
}

/// Somebody whose record has no address, beside others who have one.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_what_tells_people_apart_holds_nobody_up() {
    let person = format!("{PERSON}key = [\"/email\"]\nkey_is = \"{{{{ call.email }}}}\"\n");
    let people = |request: &str| -> Option<Value> {
        let (_, asked) = request.split_once("?q=")?;
        Some(match asked.starts_with("odd") {
            true => json!({ "people": [{ "id": 1 }] }),
            false => json!({ "people": [{ "id": 2, "email": asked.replace("%40", "@") }] }),
        })
    };
    for names in [["odd", "one"], ["one", "odd"]] {
        let table = format!("requests_in_flight = 1\n{CREATE}{person}");
        let desk = Scripted::new(&table, move |request| match people(request) {
            Some(found) => (200, found.to_string()),
            None => taken(),
        })
        .await;
        desk.put(&names);
        assert_eq!(outcome(&desk.world.sync().await), (2, false), "{names:?}: {:?}", desk.rows().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_in_its_window_a_call_is_measured_by_a_question_that_was_answered_before() {
    let desk = Scripted::new(&format!("{CREATE}{PERSON}"), |request| match request.split_once("?q=") {
        Some((_, asked)) if asked.starts_with("odd") => (500, "broken".to_owned()),
        Some(_) => nobody(),
        None => taken(),
    })
    .await;
    // Both in one run: the second try of `odd` has nobody beside it.
    desk.put(&["odd", "one"]);
    assert_eq!(outcome(&desk.world.sync().await), (1, false));
    let row = desk.world.deliveries().await.into_iter().find(|row| row.source_id == "odd").expect("it");
    assert!(row.attempts > 3, "counted {} times", row.attempts);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_no_calls_fault_however_long_it_lasts() {
    let desk = Scripted::new(&format!("{CREATE}{PERSON}"), |_| (503, String::new())).await;
    desk.put(&["one", "two", "three", "four"]);
    for _ in 0..7 {
        assert_eq!(desk.world.sync().await.delivery.waiting, 4);
    }
    assert!(desk.world.deliveries().await.iter().all(|row| row.attempts == 0));
    desk.answers(|request| match request.starts_with("GET") {
        true => nobody(),
        false => taken(),
    });
    assert_eq!(desk.world.sync().await.delivery.delivered, 4);
}

/// As many calls as one window takes with one request at a time, and some more.
const WINDOW: usize = 25;

/// The search worked for a while, in the same process, and then leads nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_breaks_down_later_puts_no_call_on_nobody() {
    for (status, body) in [(404, "{}"), (410, "{}"), (302, ""), (400, "{}"), (200, "<html>")] {
        let posted = Arc::new(AtomicUsize::new(0));
        let table = format!("requests_in_flight = 1\nunmatched = \"deliver\"\n{CREATE}{PERSON}");
        let desk = Scripted::new(&table, move |request| match request.starts_with("GET") {
            true if posted.load(Ordering::SeqCst) >= WINDOW => (status, body.to_owned()),
            true => (200, json!({ "people": [{ "id": 3 }] }).to_string()),
            false => {
                posted.fetch_add(1, Ordering::SeqCst);
                taken()
            }
        })
        .await;
        let names: Vec<String> = (0..WINDOW + 3).map(|number| format!("s{number:02}")).collect();
        desk.put(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let summary = desk.world.sync().await;
        assert_eq!(outcome(&summary), (WINDOW as u64, true), "{status}: {:?}", desk.rows().await);
        assert_eq!((desk.posts(), summary.delivery.waiting), (WINDOW, 3), "{status}");
    }
}

/// Only 400 and 422 are about what was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_refused_for_one_caller_alone_finds_nobody_only_where_its_address_is_the_cause() {
    for (status, delivered) in [(400, 2), (422, 2), (404, 1), (410, 1), (409, 1)] {
        let desk = Scripted::new(&format!("{CREATE}{PERSON}"), move |request| match request.split_once("?q=") {
            Some((_, asked)) if asked.starts_with("odd") => (status, "{}".to_owned()),
            Some(_) => nobody(),
            None => taken(),
        })
        .await;
        desk.put(&["odd", "one"]);
        let summary = desk.world.sync().await;
        assert_eq!(outcome(&summary), (delivered, false), "{status}: {:?}", desk.rows().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crm_that_is_down_is_not_asked_for_every_call_of_a_window() {
    let desk = Scripted::new(&format!("{CREATE}{PERSON}"), |_| (503, String::new())).await;
    let names: Vec<String> = (0..100).map(|number| format!("s{number:02}")).collect();
    desk.put(&names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(desk.world.sync_briefly().await.delivery.waiting, 100);
    let asked = desk.crm.requests().len();
    assert!((1..=18).contains(&asked), "16 at once and three to see that it is down: {asked}");
}

/// It asks for a stop when it is asked a question, and never answers.
async fn hears_a_stop(table: &str, prepare: impl AsyncFn(&RestWorld<HubSpot>, &dyn Fn(bool))) {
    let is_silent = Arc::new(AtomicBool::new(false));
    let stop: Arc<Mutex<Stop>> = Arc::default();
    let (silent, ask) = (Arc::clone(&is_silent), Arc::clone(&stop));
    let crm = Stub::start(move |request| match (request.starts_with("GET"), silent.load(Ordering::SeqCst)) {
        (true, true) => {
            ask.lock().expect("nobody panics").ask();
            Response::new(Body::from_stream(pending::<Result<Bytes, Infallible>>()))
        }
        (true, false) => Response::new(Body::from("[]")),
        (false, _) => (StatusCode::BAD_GATEWAY, "").into_response(),
    })
    .await;
    let text = format!("[rest.desk]\nbase_url = \"{}/api\"\ntimeout_s = 600\n{CREATE}{table}", crm.endpoint);
    let mut world = RestWorld::<HubSpot>::start(Default::default(), |_| text).await;
    world.put("a.json", &told("s1", "ada@example.com"));
    prepare(&world, &|silent| is_silent.store(silent, Ordering::SeqCst)).await;
    world.stop = Stop::default();
    *stop.lock().expect("nobody panics") = world.stop.clone();
    let ended = tokio::time::timeout(Duration::from_secs(60), world.sync()).await;
    let summary = ended.expect("a run that ends long before the question's time is over");
    assert_eq!((summary.delivery.waiting, summary.delivery.delivered), (1, 0));
    let row = &world.deliveries().await[0];
    assert!(["due", "unknown"].contains(&row.state.as_str()), "it is given back: {}", row.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_not_answered_does_not_keep_a_stop_waiting() {
    hears_a_stop(PERSON, async |_, silent| silent(true)).await;
    hears_a_stop(LOOK_UP, async |world, silent| {
        world.sync_briefly().await;
        silent(true);
        world.clock.advance(Duration::from_secs(3600));
    })
    .await;
}
