//! From a call to a record, by templates: what they see, how they are tried, what they may cost.
//!
//! Invariant: a template sees nothing but [`Context`], cannot loop for ever, and is tried on sample calls before it meets a
//! real one. Which field takes which text is the destination's business.

pub mod context;
mod filters;
mod names;
pub mod sample;
mod templates;

pub use context::{Context, PersonView, Wanted, build, single_line};
pub use filters::phone;
pub use templates::{Form, Templates};

use crate::model::Call;

/// Longest id of a call that a CRM takes in a text field of its own.
const CRM_ID_CHARS_MAX: usize = 255;

/// The call's own id where that survives a CRM unchanged, else the call key.
pub fn crm_id(call: &Call) -> &str {
    let id = &call.source_id;
    let printable = id.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let plain = printable && id.trim() == id && !id.contains("  ");
    if plain && (1..=CRM_ID_CHARS_MAX).contains(&id.len()) { id } else { call.key.as_str() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_id_is_used_where_it_survives_a_crm() {
        let check = |id: &str, kept: bool| {
            let call = Call::new("sessions", id);
            let expected = if kept { id } else { call.key.as_str() };
            assert_eq!(crm_id(&call), expected, "{id:?}");
        };
        check("rm_abc123xyz", true);
        check("with one blank", true);
        check(&"x".repeat(255), true);
        check(&"x".repeat(256), false);
        check("two  blanks", false);
        check(" led", false);
        check("trailing ", false);
        check("tab\tin", false);
        check("é", false);
        check("", false);
    }
}
