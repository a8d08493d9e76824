//! The world around the program: time, chance, a network that loses and delays, and what is remembered of it all.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use trunkline::clock::Clock;
use trunkline::engine::{Event, Progress};
use trunkline::net::{Transport, TransportError};
use trunkline::sim::call_data_api;
use trunkline::sim::salesforce::Org;

use super::bucket::{Bucket, refusal};

/// Where each remote system is reached.
pub const BUCKET: &str = "http://localhost:9001";
pub const ORG: &str = "http://localhost:9002";
pub const API: &str = "http://localhost:9003";

/// Processes that may run at the same time: one that serves, one that is started by hand or by cron.
pub const SLOTS: usize = 2;

/// The classes of faults; a seed has each with two chances in three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    Kills,
    PowerLoss,
    DiskErrors,
    DiskFull,
    Pauses,
    ClockSteps,
    Network,
    Crm,
    Rows,
    SecondProcess,
    Outage,
}

impl Class {
    pub const ALL: [Class; 11] = [
        Class::Kills,
        Class::PowerLoss,
        Class::DiskErrors,
        Class::DiskFull,
        Class::Pauses,
        Class::ClockSteps,
        Class::Network,
        Class::Crm,
        Class::Rows,
        Class::SecondProcess,
        Class::Outage,
    ];
}

/// How a remote system answers that is of no use to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ill {
    Down,
    /// It takes requests and answers none.
    Silent,
    /// Each answer is a page for people.
    Gibberish,
}

impl Ill {
    pub const ALL: [Ill; 3] = [Ill::Down, Ill::Silent, Ill::Gibberish];

    async fn answer(self) -> Response<Bytes> {
        match self {
            Ill::Down => refusal(503, "down"),
            Ill::Silent => std::future::pending().await,
            Ill::Gibberish => Response::new("<html><body>Welcome</body></html>".into()),
        }
    }
}

/// Time as it is, which only the remote systems know.
#[derive(Clone, Copy)]
pub struct TrueTime {
    pub start: Timestamp,
    pub began: Instant,
}

impl TrueTime {
    pub fn now(&self) -> Timestamp {
        self.start + SignedDuration::try_from(self.began.elapsed()).expect("a span of this age")
    }
}

/// How often what a run is for has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub requests: u64,
    pub lost_before: u64,
    pub lost_after: u64,
    pub cut_after_commit: u64,
    pub late: u64,
    pub kills: u64,
    pub kills_within_step: u64,
    pub power_losses: u64,
    pub pauses: u64,
    pub clock_steps: u64,
    /// Processes that were killed with calls or files in hand.
    pub died_with_something: u64,
    pub store_failures: u64,
    pub lives: u64,
    pub terms: u64,
    pub second_runs: u64,
}

struct Inner {
    random: StdRng,
    skew_ms: i64,
    hash: DefaultHasher,
    /// Kept only where somebody wants the account.
    lines: Option<Vec<String>>,
    paused_until: [Option<Instant>; SLOTS],
    /// The life that a slot is in; requests of an earlier one are not sent.
    life: [u64; SLOTS],
    /// The remote system that is ill.
    ill: Option<(&'static str, Ill)>,
    /// When a session was first read from the bucket, and first written at each remote system.
    arrivals: BTreeMap<(&'static str, String), Instant>,
    quiet: bool,
    strike: Option<(u64, Loss)>,
    /// All words that the program told, for canaries.
    told: String,
}

pub struct World {
    pub time: TrueTime,
    pub classes: Vec<Class>,
    pub org: Org,
    pub api: call_data_api::Api,
    pub bucket: Bucket,
    /// A blow fell on the process of this slot.
    pub bells: [Notify; SLOTS],
    /// Longest delay of a request on its way: what is still on its way later is nobody's to know without a unique key.
    pub late_max: Duration,
    inner: Mutex<Inner>,
    pub figures: Mutex<Figures>,
}

impl World {
    pub fn new(
        seed: u64,
        time: TrueTime,
        classes: Vec<Class>,
        (org, api): (Org, call_data_api::Api),
        late_max: Duration,
        keeps_lines: bool,
    ) -> World {
        let inner = Inner {
            random: StdRng::seed_from_u64(seed ^ 0x5eed),
            skew_ms: 0,
            hash: DefaultHasher::new(),
            lines: keeps_lines.then(Vec::new),
            paused_until: [None; SLOTS],
            life: [0; SLOTS],
            ill: None,
            arrivals: BTreeMap::new(),
            quiet: false,
            strike: None,
            told: String::new(),
        };
        World {
            time,
            classes,
            org,
            api,
            bucket: Bucket::default(),
            bells: [Notify::new(), Notify::new()],
            late_max,
            inner: Mutex::new(inner),
            figures: Mutex::new(Figures::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.figures.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether faults of this class happen now.
    pub fn has(&self, class: Class) -> bool {
        self.classes.contains(&class) && !self.lock().quiet
    }

    pub fn quiet(&self) {
        let mut inner = self.lock();
        inner.quiet = true;
        inner.skew_ms = 0;
        inner.ill = None;
        inner.paused_until = [None; SLOTS];
    }

    /// The request of this number meets this; `None`: no request does any more.
    pub fn strike(&self, strike: Option<(u64, Loss)>) {
        self.lock().strike = strike;
    }

    /// From now on this remote system is ill, or none is.
    pub fn fall_ill(&self, ill: Option<(&'static str, Ill)>) {
        self.lock().ill = ill;
    }

    fn arrived(&self, host: &'static str, sessions: Vec<String>) {
        let mut inner = self.lock();
        for session in sessions {
            inner.arrivals.entry((host, session)).or_insert_with(Instant::now);
        }
    }

    /// How long each session took from the bucket to its first record at a remote system, the shortest first.
    pub fn waits(&self, host: &'static str) -> Vec<Duration> {
        let arrivals = &self.lock().arrivals;
        let of_host = arrivals.iter().filter(|((at, _), _)| *at == host);
        let wait = |((_, session), written): (&(&str, String), &Instant)| {
            Some(*written - *arrivals.get(&(BUCKET, session.clone()))?)
        };
        let mut waits: Vec<Duration> = of_host.filter_map(wait).collect();
        waits.sort();
        waits
    }

    pub fn chance<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.lock().random)
    }

    /// A time that passes between two events of which there is one in `mean`.
    pub fn gap(&self, mean: Duration) -> Duration {
        let unit: f64 = self.chance(|random| random.random_range(1e-6..1.0));
        mean.mul_f64((-unit.ln()).min(6.0))
    }

    pub fn step_clock(&self, by_ms: i64) {
        self.lock().skew_ms = by_ms;
        self.count(|figures| figures.clock_steps += 1);
        self.log(|| format!("clock: {} s off", by_ms / 1000));
    }

    /// Time as the program's machine has it.
    pub fn clock_now(&self) -> Timestamp {
        let skew = self.lock().skew_ms;
        self.time.now() + SignedDuration::from_millis(skew)
    }

    /// Notes what happens. The account is kept only on demand; the hash of it always.
    pub fn log(&self, line: impl FnOnce() -> String) {
        let at = self.time.began.elapsed();
        let line = line();
        let mut inner = self.lock();
        (at.as_millis(), &line).hash(&mut inner.hash);
        if let Some(lines) = &mut inner.lines {
            let s = at.as_secs();
            lines.push(format!("{:02}:{:02}:{:02}.{:03} {line}", s / 3600, s / 60 % 60, s % 60, at.subsec_millis()));
        }
    }

    pub fn hash(&self) -> u64 {
        self.lock().hash.finish()
    }

    /// Everything that happened, where it was kept.
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.clone().unwrap_or_default()
    }

    /// What happened to a call, and to the processes and the disk around it.
    pub fn account(&self, session: &str) -> Vec<String> {
        let inner = self.lock();
        let lines = inner.lines.iter().flatten();
        let concerns = |line: &&String| line.contains(session) || line.contains("] * ");
        // What happened to the world before the call was first heard of tells nothing.
        lines.filter(concerns).skip_while(|line| !line.contains(session)).cloned().collect()
    }

    pub fn tell(&self, text: &str) {
        let mut inner = self.lock();
        inner.told.push_str(text);
        inner.told.push('\n');
    }

    pub fn told(&self) -> String {
        self.lock().told.clone()
    }

    /// Begins a life of a slot.
    pub fn born(&self, slot: usize) -> u64 {
        let mut inner = self.lock();
        inner.life[slot] += 1;
        inner.paused_until[slot] = None;
        inner.life[slot]
    }

    /// The life of a slot is over: nothing of it reaches the network any more.
    pub fn died(&self, slot: usize) {
        self.lock().life[slot] += 1;
    }

    fn lives(&self, slot: usize, life: u64) -> bool {
        self.lock().life[slot] == life
    }

    /// The processes of a slot stand still so long.
    pub fn pause(&self, slot: usize, length: Duration) {
        self.lock().paused_until[slot] = Some(Instant::now() + length);
        self.count(|figures| figures.pauses += 1);
        self.log(|| format!("[{slot}] * stands still for {} s", length.as_secs()));
    }

    /// Waits while the slot stands still.
    async fn gate(&self, slot: usize) {
        loop {
            let until = self.lock().paused_until[slot];
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }
}

/// The clock of a machine whose processes may stand still.
pub struct MachineClock {
    pub world: Arc<World>,
    pub slot: usize,
}

#[async_trait]
impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        self.world.clock_now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
        self.world.gate(self.slot).await;
    }
}

/// Keeps every word that the program tells.
pub struct Ears(pub Arc<World>);

impl Progress for Ears {
    fn event(&self, event: Event) {
        if let Event::Warning(text) | Event::Note(text) | Event::Waiting { reason: text, .. } = event {
            self.0.tell(&text);
        }
    }
}

/// What one request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// No connection.
    Refused,
    /// It never arrives, and nobody tells.
    Before,
    /// It has its effect, and the answer is lost.
    After,
    /// It takes effect shortly before it could not any more, long after it was given up.
    Late,
    /// It is answered so late that the client has gone.
    SlowAnswer,
    /// The process is killed while it is on its way.
    Killed,
}

impl Loss {
    pub const ALL: [Loss; 6] = [Loss::Refused, Loss::Before, Loss::After, Loss::Late, Loss::SlowAnswer, Loss::Killed];
}

/// What becomes of one exchange.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    refused: bool,
    there: Duration,
    lost_there: bool,
    back: Duration,
    lost_back: bool,
}

/// The network as one life of a process sees it.
pub struct Net {
    pub world: Arc<World>,
    pub slot: usize,
    pub life: u64,
}

impl Net {
    fn fate(&self, number: u64, is_write: bool) -> Fate {
        let strike = self.world.lock().strike;
        if let Some((_, loss)) = strike.filter(|(struck, _)| *struck == number) {
            self.world.log(|| format!("#{number} * is struck: {loss:?}"));
            let mut fate = Fate { there: Duration::from_millis(5), back: Duration::from_millis(5), ..Fate::default() };
            match loss {
                Loss::Refused => fate.refused = true,
                Loss::Before => fate.lost_there = true,
                Loss::After => fate.lost_back = true,
                Loss::Late => {
                    fate.there = self.world.late_max;
                    fate.lost_back = true;
                }
                Loss::SlowAnswer => fate.back = Duration::from_secs(400),
                Loss::Killed => self.world.bells[self.slot].notify_one(),
            }
            return fate;
        }
        let (has_network, late_max) = (self.world.has(Class::Network), self.world.late_max);
        self.world.chance(|random| {
            let mut fate = Fate {
                there: Duration::from_millis(random.random_range(1..20)),
                back: Duration::from_millis(random.random_range(1..60)),
                ..Fate::default()
            };
            if !has_network {
                return fate;
            }
            if random.random_bool(0.1) {
                fate.there += Duration::from_millis(random.random_range(1..400));
            }
            if random.random_bool(0.01) {
                // The tail: it may well arrive after the sender has given it up.
                fate.there += late_max.mul_f64(random.random_range(0.1..1.0));
            }
            if random.random_bool(0.01) {
                fate.back += Duration::from_secs(random.random_range(1..60));
            }
            fate.refused = random.random_bool(0.005);
            fate.lost_there = random.random_bool(0.005);
            fate.lost_back = random.random_bool(if is_write { 0.02 } else { 0.005 });
            fate
        })
    }
}

#[async_trait]
impl Transport for Net {
    async fn send(&self, request: Request<Bytes>, deadline: Duration) -> Result<Response<Bytes>, TransportError> {
        let world = &self.world;
        world.gate(self.slot).await;
        if !world.lives(self.slot, self.life) {
            return std::future::pending().await;
        }
        let host = request.uri().authority().map_or_else(String::new, ToString::to_string);
        let is_write = request.method() != Method::GET && !request.uri().path().contains("token");
        let number = {
            let mut figures = world.figures.lock().unwrap_or_else(PoisonError::into_inner);
            figures.requests += 1;
            figures.requests
        };
        let slot = self.slot;
        let fate = self.fate(number, is_write);
        world.log(|| format!("[{slot}] #{number} {}", told(&request)));
        if fate.refused {
            world.count(|figures| figures.lost_before += 1);
            world.log(|| format!("[{slot}] #{number} no connection"));
            return Err(TransportError::NotSent { host, cause: "connection refused".to_owned() });
        }
        let (answer, answered) = oneshot::channel();
        // What is on its way arrives, whatever becomes of the sender.
        tokio::spawn(carry(Arc::clone(world), request, fate, number, answer));
        let got = tokio::time::timeout(deadline, answered).await;
        world.gate(self.slot).await;
        match got {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(_)) => Err(TransportError::Unanswered { host, cause: "connection reset".to_owned() }),
            Err(_) => {
                Err(TransportError::Unanswered { host, cause: format!("no answer within {} s", deadline.as_secs()) })
            }
        }
    }
}

async fn carry(
    world: Arc<World>,
    request: Request<Bytes>,
    fate: Fate,
    number: u64,
    answer: oneshot::Sender<Response<Bytes>>,
) {
    tokio::time::sleep(fate.there).await;
    if fate.lost_there {
        world.count(|figures| figures.lost_before += 1);
        world.log(|| format!("#{number} is lost on its way"));
        return;
    }
    let sessions = sessions_in(request.body());
    if fate.there > Duration::from_secs(10) {
        world.count(|figures| figures.late += 1);
    }
    let authority = request.uri().authority().map_or_else(String::new, ToString::to_string);
    let host = [BUCKET, ORG].into_iter().find(|host| host.ends_with(&authority)).unwrap_or(API);
    let ill = world.lock().ill.filter(|(whose, _)| *whose == host);
    let written = if request.method() == Method::GET { Vec::new() } else { sessions.clone() };
    let response = match (ill, host) {
        (Some((_, ill)), _) => Some(ill.answer().await),
        (None, BUCKET) => match world.has(Class::Network) && world.chance(|random| random.random_bool(0.01)) {
            true => Some(refusal(503, "SlowDown")),
            false => Some(world.bucket.answer(&request)),
        },
        (None, ORG) => world.org.answer(request).await,
        (None, _) => world.api.answer(request).await,
    };
    if let Some(response) = response.as_ref().filter(|response| ill.is_none() && response.status().is_success()) {
        world.arrived(host, if host == BUCKET { sessions_in(response.body()) } else { written });
    }
    let Some(response) = response else {
        world.count(|figures| figures.cut_after_commit += 1);
        world.log(|| format!("#{number} the connection ends {sessions:?}"));
        return;
    };
    let status = response.status().as_u16();
    world.log(|| format!("#{number} -> {status} {sessions:?}, {} bytes", response.body().len()));
    tokio::time::sleep(fate.back).await;
    if fate.lost_back {
        world.count(|figures| figures.lost_after += 1);
        world.log(|| format!("#{number} its answer is lost {sessions:?}"));
        return;
    }
    // Nobody may be there to hear it.
    _ = answer.send(response);
}

fn told(request: &Request<Bytes>) -> String {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut digest = DefaultHasher::new();
    request.body().hash(&mut digest);
    format!(
        "{} {} {:?}, {} bytes ({:x})",
        request.method(),
        path.chars().take(120).collect::<String>(),
        sessions_in(request.body()),
        request.body().len(),
        digest.finish()
    )
}

/// The sessions that a body tells of.
fn sessions_in(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let mut found: Vec<String> = Vec::new();
    for (at, _) in text.match_indices("Session ID: ").map(|(at, word)| (at + word.len(), word)) {
        found.push(text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect());
    }
    for (at, word) in text.match_indices("\"session_id\":\"") {
        found.push(text[at + word.len()..].chars().take_while(|c| *c != '"').collect());
    }
    found
}
