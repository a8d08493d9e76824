//! The stage that every call passes before it is stored or sent.
//!
//! Invariant: store, mapping and destinations accept nothing but a [`RedactedCall`], and a fresh one is made only by
//! [`redact`]. Today the one policy is `none`: it lets everything through under that name (see `docs/redaction.md`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{Call, Turn};

/// The policy that changes nothing.
pub const POLICY_NONE: &str = "none";

/// A call that has passed redaction, with the name of the policy that it passed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RedactedCall {
    policy: String,
    call: Call,
}

impl RedactedCall {
    pub fn call(&self) -> &Call {
        &self.call
    }

    pub fn into_call(self) -> Call {
        self.call
    }

    /// The call without its bulk, and the bulk: what was said and the fields without a place. For the store.
    pub fn split(mut self) -> (RedactedCall, Vec<Turn>, BTreeMap<String, Box<RawValue>>) {
        let turns = std::mem::take(&mut self.call.turns);
        let extra = std::mem::take(&mut self.call.extra);
        (self, turns, extra)
    }

    /// Undoes [`RedactedCall::split`].
    pub fn join(mut self, turns: Vec<Turn>, extra: BTreeMap<String, Box<RawValue>>) -> RedactedCall {
        self.call.turns = turns;
        self.call.extra = extra;
        self
    }

    /// The policy's name, stored with the call so that a later policy can tell what is left to do.
    pub fn policy(&self) -> &str {
        &self.policy
    }
}

/// Passes `call` through the redaction policy.
pub fn redact(call: Call) -> RedactedCall {
    RedactedCall { policy: POLICY_NONE.to_owned(), call }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    #[test]
    fn a_call_carries_its_policy_and_comes_back_whole_from_its_two_parts() {
        let mut call = Call::new("sessions", "s1");
        call.turns.push(Turn::new(Role::User, "Is it green?", None));
        call.extra.insert("odd".into(), RawValue::from_string("1".into()).expect("JSON"));
        let (head, turns, extra) = redact(call).split();
        assert_eq!((head.policy(), turns.len(), extra.len()), (POLICY_NONE, 1, 1));
        assert!(head.call().turns.is_empty() && head.call().extra.is_empty());
        let whole = head.join(turns, extra);
        assert_eq!((whole.policy(), whole.call().turns.len(), whole.call().extra.len()), (POLICY_NONE, 1, 1));
    }
}
