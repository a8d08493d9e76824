//! The switches of the simulated API: mostly what its documentation leaves open.
//!
//! They change while the simulator runs, over `PUT /sim/settings` (merged, unknown keys refused) or in-process.

use serde::{Deserialize, Serialize};

use crate::sim::harness::{Switches, Traffic};

/// Every switch. `Default` takes both generations, asks for no token and never refuses a second payload of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The bearer token that every request must carry; `None` asks for none.
    pub token: Option<String>,
    /// The generation of payloads that is taken.
    pub generation: Generation,
    /// A second payload with the same `callId` is answered as if stored, but is not.
    pub deduplicate: bool,
    /// What a payload that was taken is answered.
    pub post_answer: PostAnswer,
    /// The status of that answer.
    pub post_status: u16,
    /// With `success_false`: the payload is stored all the same.
    pub success_false_stores: bool,
    /// What a look-up is answered.
    pub look_up: LookUp,
    /// How a call looks in a look-up.
    pub look_up_shape: LookUpShape,
    /// How long a stored call stays out of look-ups.
    pub look_up_lag_s: u64,
    /// A look-up that finds nothing is a 404 instead of an empty list.
    pub empty_is_404: bool,
    /// Each conversation item must have a `timestamp`.
    pub item_timestamp_required: bool,
    /// A payload with a lead must say `lead_generated`.
    pub lead_needs_lead_generated: bool,
    /// Latency and limits.
    pub traffic: Traffic,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            token: None,
            generation: Generation::Either,
            deduplicate: false,
            post_answer: PostAnswer::Envelope,
            post_status: 200,
            success_false_stores: false,
            look_up: LookUp::Offered,
            look_up_shape: LookUpShape::Documented,
            look_up_lag_s: 0,
            empty_is_404: false,
            item_timestamp_required: false,
            lead_needs_lead_generated: true,
            traffic: Traffic::default(),
        }
    }
}

impl Switches for Settings {
    fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

/// The two forms of payload that clients are known to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// Each payload is judged by the generation that it looks like.
    Either,
    /// Items of user and assistant only, recording fields left out where they are empty.
    V1,
    /// Items of all roles, recording fields always there.
    V2,
}

/// What a payload that was taken is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostAnswer {
    /// `{"success": true, "data": {…}}`.
    Envelope,
    /// No body.
    Empty,
    /// `OK`, as plain text.
    Text,
    /// `{"success": false}` with the status of a success; nothing is stored unless `success_false_stores`.
    SuccessFalse,
}

/// What a look-up is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookUp {
    /// The calls that were asked for.
    Offered,
    /// 404: no such path.
    NotFound,
    /// 405: not by this method.
    MethodNotAllowed,
    /// 200 with a page, as a front end answers for paths that it does not know.
    HtmlPage,
}

/// How a call looks in a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookUpShape {
    /// The payload with `_id` and `createdAt`, its items as `transcription.items`.
    Documented,
    /// The payload with `_id` and `createdAt`, its items as they were posted.
    AsPosted,
    /// `callDetails` and the ids on one level, without a transcript.
    Flat,
}
