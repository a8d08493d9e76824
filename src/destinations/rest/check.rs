//! What can be told of a table without the network: settings that contradict each other, or that no answer could fit.
//!
//! Invariant: nothing that passes here can mean a promise that the requests do not keep.

use super::config::{Ask, DoublesRule, Section, Send};
use crate::problem::{CONFIG_BAD_VALUE, CONFIG_CONTRADICTION, Problem, nearest};

/// Those that an API takes a record or a question by.
const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

/// `place` is how problems call the table.
pub fn check(place: &str, section: &Section) -> Result<(), Problem> {
    let table = Table { place };
    table.send("create", &section.create)?;
    section.update.iter().try_for_each(|update| table.send("update", update))?;
    section.person.iter().try_for_each(|ask| table.ask("person", ask))?;
    section.look_up.iter().try_for_each(|ask| table.ask("look_up", ask))?;
    table.doubles(section)
}

struct Table<'a> {
    place: &'a str,
}

impl Table<'_> {
    fn send(&self, name: &str, send: &Send) -> Result<(), Problem> {
        self.method(name, &send.method)?;
        self.places(&format!("{name}.id"), &send.id)?;
        self.places(&format!("{name}.error"), &send.error)?;
        if let Some(ok) = &send.ok {
            self.pointer(&format!("{name}.ok.pointer"), &ok.pointer)?;
        }
        let Some(exists) = &send.exists else { return Ok(()) };
        if let Some(says) = &exists.says {
            self.pointer(&format!("{name}.exists.says.pointer"), &says.pointer)?;
        }
        self.places(&format!("{name}.exists.id"), &exists.id)
    }

    fn ask(&self, name: &str, ask: &Ask) -> Result<(), Problem> {
        self.method(name, &ask.method)?;
        self.pointer(&format!("{name}.items"), &ask.items)?;
        ask.key.iter().try_for_each(|key| self.pointer(&format!("{name}.key"), key))?;
        ask.id.iter().try_for_each(|id| self.pointer(&format!("{name}.id"), id))?;
        match ask.id.is_empty() {
            true => {
                let what = format!("{}: {name}.id names no place", self.place);
                Err(Problem::new(CONFIG_BAD_VALUE, what, "say where an item's id stands, e.g. id = [\"/id\"]"))
            }
            false => Ok(()),
        }
    }

    fn method(&self, name: &str, method: &str) -> Result<(), Problem> {
        if METHODS.contains(&method) {
            return Ok(());
        }
        let help = match nearest(&method.to_ascii_uppercase(), METHODS.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", METHODS.join(", ")),
        };
        let what = format!("{}: {name}.method cannot be `{method}`", self.place);
        Err(Problem::new(CONFIG_BAD_VALUE, what, help))
    }

    /// Places in an answer, of which some may be headers.
    fn places(&self, name: &str, places: &[String]) -> Result<(), Problem> {
        places.iter().filter(|place| !place.starts_with("header:")).try_for_each(|place| self.pointer(name, place))
    }

    fn pointer(&self, name: &str, pointer: &str) -> Result<(), Problem> {
        if pointer.is_empty() || pointer.starts_with('/') {
            return Ok(());
        }
        let what = format!("{}: {name} is `{pointer}`, which is no place in JSON", self.place);
        let help = format!("places begin with a slash: `/{}`", pointer.replace('.', "/"));
        Err(Problem::new(CONFIG_BAD_VALUE, what, help))
    }

    fn doubles(&self, section: &Section) -> Result<(), Problem> {
        let exists = section.create.exists.as_ref();
        let tells = exists.is_some_and(|exists| !exists.status.is_empty() || exists.says.is_some());
        let (what, help) = match section.doubles {
            DoublesRule::Refused if !tells => (
                "doubles is \"refused\", but create.exists does not say how a second record is refused",
                "send one record twice by hand and write what the second is answered, e.g. exists = { status = [409] }; \
                 where the API takes it, write a look_up instead",
            ),
            DoublesRule::LookUpFirst if section.look_up.is_none() => (
                "doubles is \"look_up_first\", but there is no look_up",
                "write the table look_up, or take doubles out",
            ),
            _ => return Ok(()),
        };
        Err(Problem::new(CONFIG_CONTRADICTION, format!("{}: {what}", self.place), help))
    }
}
