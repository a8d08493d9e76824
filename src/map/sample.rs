//! Calls that templates are tried on before they meet a real one.

use std::collections::BTreeMap;

use super::context::PersonView;
use crate::model::{Action, Call, Campaign, Direction, Insights, Lead, Recording, Role, Status, Turn, TurnDetail};

/// A call with every part.
pub fn call() -> Call {
    let text = || Some("sample".to_owned());
    let at = jiff::Timestamp::UNIX_EPOCH;
    let mut call = Call::new("sessions", "sample");
    (call.started_at, call.ended_at, call.duration_s) = (Some(at), Some(at), Some(90.0));
    (call.direction, call.status) = (Some(Direction::Inbound), Some(Status::Completed));
    (call.caller.email, call.caller.name, call.caller.phone) = (text(), text(), text());
    call.dialled = text();
    call.campaign = Some(Campaign { id: text(), agent_id: text(), client_id: text() });
    call.recording = Some(Recording { url: text(), duration_s: Some(90.0), bytes: Some(1) });
    call.lead = Some(Lead {
        name: text(),
        email: text(),
        company: text(),
        interest: text(),
        phone: text(),
        job_title: text(),
        budget: text(),
        timeline: text(),
        timestamp: text(),
        source: text(),
        status: text(),
    });
    call.insights = Insights {
        use_case: text(),
        team_size: text(),
        pain_points: vec!["sample".to_owned()],
        integration_interest: text(),
        timeline: text(),
        other: BTreeMap::from([("sample".to_owned(), "sample".to_owned())]),
    };
    call.actions = vec![Action { tool: "book_sales_meeting".to_owned(), succeeded: Some(true), ..Action::default() }];
    let detail = TurnDetail { kind: text(), source: text(), confidence: Some(0.5), interrupted: Some(false) };
    call.turns = vec![Turn { detail: Some(Box::new(detail)), ..Turn::new(Role::User, "sample", Some(at)) }];
    call
}

/// A person of this object.
pub fn person(object: &str) -> PersonView {
    PersonView { object: object.to_owned(), id: "003000000000000AAA".to_owned() }
}
