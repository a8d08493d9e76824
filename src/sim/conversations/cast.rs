//! Who calls when, and which leads come of it.
//!
//! Invariant: each trap has its own calls with their own numbers and addresses, so that no trap disturbs another.

use jiff::{SignedDuration, Timestamp};

use super::{Chance, Form, Plan};

/// Seconds between the beginnings of two calls: several are on at any time.
const STEP_S: i64 = 41;
/// How many numbers callers have; beyond them are numbers that nobody calls from.
const CALLERS: usize = 7000;
const NUMBERS: usize = 10_000;
/// The forms that hold times and the caller's number.
const FULL: [Form; 2] = [Form::Session, Form::Mongo];
const FORMS: [Form; 8] =
    [Form::Session, Form::Bare, Form::Older, Form::Lines, Form::Mongo, Form::Node, Form::Session, Form::Session];

/// One invented call.
pub(super) struct Call {
    pub index: usize,
    pub form: Form,
    pub start: Timestamp,
    pub end: Timestamp,
    pub phone: String,
    /// What the agent took down with its tool: an address.
    pub created: Option<String>,
    /// `lead_generated`, where the form has it.
    pub generated: Option<bool>,
    pub recorded: bool,
    pub gzip: bool,
    /// Whether call metadata are written, and the lead file that they name.
    pub metadata: Option<Option<String>>,
    /// The lead that belongs to it.
    pub lead: Option<String>,
}

/// One lead file.
pub(super) struct LeadFile {
    pub name: String,
    pub body: Body,
}

pub(super) enum Body {
    Lead {
        person: usize,
        phone: Option<String>,
        email: Option<String>,
        at: Timestamp,
        session: Option<String>,
    },
    /// A kind of damage.
    Malformed(usize),
}

pub(super) struct Cast {
    pub calls: Vec<Call>,
    pub leads: Vec<LeadFile>,
}

pub(super) fn cast(plan: &Plan) -> Cast {
    let calls = (0..plan.transcripts).map(|index| call(plan, index)).collect();
    let mut stage = Stage { cast: Cast { calls, leads: Vec::new() }, next_call: 0, leads_max: plan.leads };
    for draw in 0.. {
        let mut chance = Chance::new(plan.seed, draw, 1);
        if stage.cast.leads.len() >= plan.leads || !stage.plant(plan, &mut chance) {
            break;
        }
    }
    stage.cast
}

fn call(plan: &Plan, index: usize) -> Call {
    let mut chance = Chance::new(plan.seed, index as u64, 2);
    let start = plan.start + SignedDuration::from_secs(index as i64 * STEP_S + chance.below(15) as i64);
    let end = start + SignedDuration::from_millis(40_000 + chance.below(160_000) as i64);
    Call {
        index,
        form: FORMS[chance.below(FORMS.len() as u64) as usize],
        start,
        end,
        phone: number(index % CALLERS),
        created: None,
        generated: [None, Some(false)][chance.below(2) as usize],
        recorded: chance.below(3) == 0,
        gzip: chance.below(5) == 0,
        metadata: (chance.below(3) == 0).then_some(None),
        lead: None,
    }
}

pub(super) fn number(index: usize) -> String {
    format!("+1555010{index:04}")
}

/// The id under which a call must be known.
pub(super) fn id(call: &Call) -> String {
    match call.form {
        Form::Session | Form::Mongo => session(call),
        Form::Lines if call.index.is_multiple_of(2) => session(call),
        _ => super::transcripts::stem(call),
    }
}

pub(super) fn session(call: &Call) -> String {
    format!("session_{}_{:08x}", call.start.strftime("%Y%m%d_%H%M%S"), call.index)
}

struct Stage {
    cast: Cast,
    next_call: usize,
    leads_max: usize,
}

impl Stage {
    /// Plants one draw; `false` if there are no calls left for it.
    fn plant(&mut self, plan: &Plan, chance: &mut Chance) -> bool {
        let draw = chance.below(1000);
        let partnerless = plan.malformed_of_1000 + plan.partnerless_of_1000;
        if draw < plan.malformed_of_1000 {
            let damage = chance.below(7) as usize;
            let at = self.cast.calls.first().map_or(plan.start, |call| call.start);
            self.add(at, |_| Body::Malformed(damage));
            return true;
        }
        // The traps of two calls reach over the next twelve.
        if self.next_call + 13 > self.cast.calls.len() {
            return false;
        }
        if draw < partnerless {
            self.partnerless(chance);
        } else if draw < partnerless + plan.sharing_of_1000 && self.leads_max - self.cast.leads.len() >= 2 {
            match chance.below(5) {
                0 => self.one_phone_at_one_time(),
                1 => self.again_minutes_later(),
                2 => self.colleagues(),
                3 => self.written_twice(),
                _ => self.two_people_of_one_call(),
            }
        } else {
            self.plain(chance);
        }
        true
    }

    fn take(&mut self, form: Option<Form>) -> usize {
        let index = self.next_call;
        self.next_call += 1;
        let call = &mut self.cast.calls[index];
        call.generated = Some(true).filter(|_| index.is_multiple_of(2));
        call.form = form.unwrap_or(call.form);
        index
    }

    /// A call with a number and times.
    fn take_full(&mut self) -> usize {
        self.take(Some(FULL[self.next_call % 2]))
    }

    fn add(&mut self, at: Timestamp, body: impl FnOnce(usize) -> Body) -> String {
        let index = self.cast.leads.len();
        let name = format!("lead_{}_{index:05}.json", at.strftime("%Y%m%d_%H%M%S"));
        self.cast.leads.push(LeadFile { name: name.clone(), body: body(index) });
        name
    }

    /// Adds a lead that only its person tells.
    fn lead(&mut self, person: usize, phone: Option<String>, email: Option<String>, at: Timestamp) -> String {
        self.add(at, |_| Body::Lead { person, phone, email, at, session: None })
    }

    fn during(&self, index: usize) -> Timestamp {
        let call = &self.cast.calls[index];
        let half = call.end.duration_since(call.start).as_millis() as i64 / 2;
        call.start + SignedDuration::from_secs((half / 1000).max(1))
    }

    fn plain(&mut self, chance: &mut Chance) {
        match chance.below(5) {
            0 => {
                let index = self.take_full();
                let (session, at) = (session(&self.cast.calls[index]), self.during(index));
                let phone = Some(number(CALLERS + index % (NUMBERS - CALLERS)));
                let body = |_| Body::Lead { person: index, phone, email: None, at, session: Some(session) };
                self.cast.calls[index].lead = Some(self.add(at, body));
            }
            1 => {
                let index = self.take(None);
                let at = self.during(index);
                let name = self.lead(index, None, Some(email(index)), at);
                self.cast.calls[index].metadata = Some(Some(name.clone()));
                self.cast.calls[index].lead = Some(name);
            }
            2 => {
                let index = self.take_full();
                let at = self.during(index);
                self.cast.calls[index].created = Some(email(index));
                self.cast.calls[index].lead = Some(self.lead(index, None, Some(email(index).to_uppercase()), at));
            }
            3 => {
                let index = self.take_full();
                let at = self.cast.calls[index].end + SignedDuration::from_mins(1 + chance.below(8) as i64);
                let phone = Some(spelled(&self.cast.calls[index].phone));
                self.cast.calls[index].lead = Some(self.lead(index, phone, None, at));
            }
            _ => {
                let index = self.take_full();
                let (at, phone) = (self.during(index), Some(spelled(&self.cast.calls[index].phone)));
                self.cast.calls[index].lead = Some(self.lead(index, phone, Some(email(index)), at));
            }
        }
    }

    /// A lead of nobody here, of another time, of another session, or of a call that took none down.
    fn partnerless(&mut self, chance: &mut Chance) {
        let index = self.take_full();
        let (at, phone) = (self.during(index), self.cast.calls[index].phone.clone());
        let stranger = Some(number(CALLERS + index % (NUMBERS - CALLERS)));
        match chance.below(5) {
            0 => drop(self.lead(index, stranger, Some(format!("stranger{index}@example.com")), at)),
            1 => drop(self.lead(index, Some(phone), None, at + SignedDuration::from_hours(6))),
            2 => {
                let session = Some(format!("session_elsewhere_{index:08x}"));
                self.add(at, |_| Body::Lead { person: index, phone: Some(phone), email: None, at, session });
            }
            3 => {
                self.cast.calls[index].generated = Some(false);
                self.cast.calls[index].form = Form::Session;
                drop(self.lead(index, Some(phone), None, at));
            }
            _ => drop(self.lead(index, Some("anonymous".to_owned()), None, at)),
        }
    }

    /// Two calls at one time from one number, and a lead of either.
    fn one_phone_at_one_time(&mut self) {
        let (first, second) = (self.take_full(), self.take_full());
        self.cast.calls[second].phone = self.cast.calls[first].phone.clone();
        let end = self.cast.calls[second].start + SignedDuration::from_secs(90);
        self.cast.calls[first].end = end;
        self.cast.calls[second].end = end;
        let (phone, at) = (self.cast.calls[first].phone.clone(), end - SignedDuration::from_secs(30));
        self.lead(first, Some(phone), None, at);
    }

    /// One caller twice within the grace, each time with a lead.
    fn again_minutes_later(&mut self) {
        let first = self.take_full();
        let second = (0..10).map(|_| self.take_full()).last().unwrap_or(first);
        self.cast.calls[second].phone = self.cast.calls[first].phone.clone();
        for (turn, index) in [first, second].into_iter().enumerate() {
            let (at, phone) = (self.during(index), spelled(&self.cast.calls[index].phone));
            self.cast.calls[index].lead = Some(self.lead(index, Some(phone), Some(email(first)), at));
            self.cast.calls[index].generated = [Some(true), None][turn];
        }
    }

    /// Two people at one number at one time, whom the agent took down by their addresses.
    fn colleagues(&mut self) {
        let (first, second) = (self.take_full(), self.take_full());
        self.cast.calls[second].phone = self.cast.calls[first].phone.clone();
        self.cast.calls[first].end = self.cast.calls[second].start + SignedDuration::from_secs(60);
        for index in [first, second] {
            self.cast.calls[index].created = Some(email(index));
        }
        let at = self.cast.calls[second].start + SignedDuration::from_secs(20);
        for index in [second, first] {
            let phone = self.cast.calls[index].phone.clone();
            self.cast.calls[index].lead = Some(self.lead(index, Some(phone), Some(email(index)), at));
        }
    }

    /// The same lead in two files; the later one counts.
    fn written_twice(&mut self) {
        let index = self.take_full();
        let (at, phone) = (self.during(index), self.cast.calls[index].phone.clone());
        self.lead(index, Some(phone.clone()), None, at);
        self.cast.calls[index].lead = Some(self.lead(index, Some(phone), None, at + SignedDuration::from_secs(2)));
    }

    /// Two different leads of one call's number and time.
    fn two_people_of_one_call(&mut self) {
        let index = self.take_full();
        let (at, phone) = (self.during(index), self.cast.calls[index].phone.clone());
        self.lead(index, Some(phone.clone()), Some(email(index)), at);
        self.lead(index, Some(phone), Some(format!("other{index}@example.com")), at);
    }
}

pub(super) fn email(person: usize) -> String {
    format!("person{person}@example.com")
}

/// The number as a person says it: `+1 (555) 010-0123`.
fn spelled(phone: &str) -> String {
    format!("+1 (555) 010-{}", &phone[8..])
}
