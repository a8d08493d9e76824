//! Whom the CRM knows, and who calls.
//!
//! Invariant: an address belongs to exactly those whom the plan says: nobody else shares it, in any spelling.

use super::Plan;
use super::speech::Chance;

/// An invented person in the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub first_name: String,
    pub last_name: String,
    /// In small letters.
    pub email: String,
    /// Of a lead: the index of the contact that it was converted to.
    pub converted_to: Option<usize>,
}

/// Everybody in the CRM; [`Who`] holds indexes into these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct People {
    pub contacts: Vec<Person>,
    /// Open and converted ones.
    pub leads: Vec<Person>,
}

/// Whose record a call belongs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Contact(usize),
    /// An open lead.
    Lead(usize),
    /// A converted lead and the contact that it became, both with the caller's address.
    ConvertedLead {
        lead: usize,
        contact: usize,
    },
    /// The address alone does not tell: two contacts have it, or a contact and an open lead.
    Several {
        contacts: Vec<usize>,
        leads: Vec<usize>,
    },
    /// The address is in nobody's record.
    Nobody,
    /// The session has no address.
    NoEmail,
}

const FIRST_NAMES: &[&str] = &[
    "Ada", "Bruno", "Chloé", "Dmitri", "Esra", "Femi", "Grete", "Hiro", "Ines", "Jörg", "Kofi", "Lucía", "Mei", "Noor",
    "Olu", "Petra", "Quentin", "Rosa", "Sven", "Tomás", "Uma", "Viktor", "Wanda", "Xenia", "Yusuf", "Zoë",
];
const LAST_NAMES: &[&str] = &[
    "Abel",
    "Brandt",
    "Castro",
    "D'Arcy",
    "Engström",
    "Fox",
    "García",
    "Hale",
    "Ito",
    "Jansen",
    "Kaya",
    "Lind",
    "Moreau",
    "Novak",
    "O'Neil",
    "Park",
    "Quist",
    "Reyes",
    "Sato",
    "Turner",
    "Urban",
    "Vega",
    "Weiss",
    "Young",
    "Zhang",
];

/// How the contacts lie: those with an address of their own, the pairs that share one, those whom leads became, and at
/// last one who shares an address with an open lead.
pub(super) fn all(plan: &Plan) -> People {
    let mut contacts: Vec<Person> =
        (0..plan.contacts).map(|index| person(plan, index, 'c', contact_email(index), None)).collect();
    for pair in 0..plan.shared {
        for half in 0..2 {
            contacts.push(person(plan, 2 * pair + half, 's', shared_email(pair), None));
        }
    }
    let mut leads: Vec<Person> =
        (0..plan.leads).map(|index| person(plan, index, 'l', lead_email(index), None)).collect();
    for index in 0..plan.converted {
        let contact = contacts.len();
        contacts.push(person(plan, index, 'v', converted_email(index), None));
        leads.push(person(plan, index, 'v', converted_email(index), Some(contact)));
    }
    contacts.push(person(plan, 0, 'b', both_email(), None));
    leads.push(person(plan, 0, 'b', both_email(), None));
    People { contacts, leads }
}

/// Who calls in session `index`, and the address that the CRM has for them.
pub(super) fn caller(plan: &Plan, index: usize) -> (Who, Option<String>) {
    let mut chance = Chance::new(plan.seed, index as u64, 1);
    let first_converted = plan.contacts + 2 * plan.shared;
    match chance.below(1000) {
        0..620 if plan.contacts > 0 => {
            let contact = chance.index(plan.contacts);
            (Who::Contact(contact), Some(contact_email(contact)))
        }
        620..800 if plan.leads > 0 => {
            let lead = chance.index(plan.leads);
            (Who::Lead(lead), Some(lead_email(lead)))
        }
        800..850 if plan.converted > 0 => {
            let index = chance.index(plan.converted);
            let who = Who::ConvertedLead { lead: plan.leads + index, contact: first_converted + index };
            (who, Some(converted_email(index)))
        }
        850..870 if plan.shared > 0 => {
            let pair = chance.index(plan.shared);
            let first = plan.contacts + 2 * pair;
            (Who::Several { contacts: vec![first, first + 1], leads: Vec::new() }, Some(shared_email(pair)))
        }
        870..880 => {
            let (contacts, leads) = (vec![first_converted + plan.converted], vec![plan.leads + plan.converted]);
            (Who::Several { contacts, leads }, Some(both_email()))
        }
        880..940 => (Who::Nobody, Some(format!("nobody.n{index}@example.org"))),
        _ => (Who::NoEmail, None),
    }
}

/// The address as a session may write it: mostly as it is, sometimes in capitals or with blanks around.
pub(super) fn as_written(email: &str, chance: &mut Chance) -> String {
    match chance.below(20) {
        0 => email.to_uppercase(),
        1 => format!(" {email} "),
        2 => format!("{}{}", email[..1].to_uppercase(), &email[1..]),
        _ => email.to_owned(),
    }
}

fn person(plan: &Plan, index: usize, kind: char, email: String, converted_to: Option<usize>) -> Person {
    let mut chance = Chance::new(plan.seed, index as u64, 100 + u64::from(u32::from(kind)));
    Person {
        first_name: chance.pick(FIRST_NAMES).to_owned(),
        last_name: chance.pick(LAST_NAMES).to_owned(),
        email,
        converted_to,
    }
}

/// An invented full name.
pub(super) fn full_name(chance: &mut Chance) -> String {
    format!("{} {}", chance.pick(FIRST_NAMES), chance.pick(LAST_NAMES))
}

fn contact_email(index: usize) -> String {
    // Every 50th has an apostrophe, which is legal in an address and awkward in a query.
    if index % 50 == 7 { format!("o'neil.c{index}@example.com") } else { format!("contact.c{index}@example.com") }
}

fn lead_email(index: usize) -> String {
    format!("lead.l{index}@example.org")
}

fn converted_email(index: usize) -> String {
    format!("converted.v{index}@example.com")
}

fn shared_email(pair: usize) -> String {
    format!("desk.s{pair}@example.org")
}

fn both_email() -> String {
    "both.b0@example.org".to_owned()
}
