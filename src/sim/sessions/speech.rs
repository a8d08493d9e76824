//! Chance that repeats itself, and invented things to say.
//!
//! Invariant: no text here was ever said by anybody.

/// A small generator of repeatable numbers (SplitMix64), one for each purpose, so that adding a use never shifts another.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64, index: u64, purpose: u64) -> Chance {
        let mut chance =
            Chance(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03));
        chance.next();
        chance
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.index(items.len())]
    }
}

const OPENERS: &[&str] = &[
    "We would like to",
    "At the moment we",
    "Honestly, I only",
    "My team and I",
    "So far we",
    "Could you explain how to",
    "Last quarter we tried to",
    "In our office people",
    "The plan was to",
    "Before we decide, we",
];
const VERBS: &[&str] = &[
    "compare",
    "send",
    "approve",
    "collect",
    "rewrite",
    "track",
    "store",
    "print",
    "sign",
    "review",
    "export",
    "share",
    "prepare",
    "archive",
    "translate",
    "price",
    "renew",
    "merge",
    "import",
    "check",
    "duplicate",
    "schedule",
];
const QUALITIES: &[&str] = &[
    "monthly",
    "long",
    "signed",
    "open",
    "internal",
    "late",
    "complex",
    "seasonal",
    "simple",
    "regional",
    "draft",
    "shared",
    "paper",
    "custom",
    "legal",
    "urgent",
    "recurring",
    "final",
];
const THINGS: &[&str] = &[
    "quotes",
    "contracts",
    "offers",
    "invoices",
    "templates",
    "proposals",
    "order forms",
    "price lists",
    "agreements",
    "statements of work",
    "reports",
    "approvals",
    "signatures",
    "renewals",
    "reminders",
    "attachments",
    "terms",
    "catalogues",
];
const TAILS: &[&str] = &[
    "for our customers in the north",
    "because the old tool is slow",
    "without asking the legal team each time",
    "from the warehouse system",
    "with about {n} people",
    "within {n} days",
    "for {n} regions at once",
    "by the end of the month",
    "on a phone while travelling",
    "through the portal",
    "in two languages",
    "after the first meeting",
    "and nobody knows the status",
    "before the trial ends",
    "with a discount of {n} percent",
    "and keep a copy for the auditors",
];
const USE_CASES: &[&str] = &[
    "sales proposals",
    "quotes and order forms",
    "employment contracts",
    "rental agreements",
    "partner onboarding",
    "renewals",
    "grant applications",
    "service contracts",
];
const PAINS: &[&str] = &[
    "slow approvals",
    "no overview of open quotes",
    "copying prices by hand",
    "lost signatures",
    "too many templates",
    "version chaos",
    "manual follow-up",
    "no link to the CRM",
    "expensive couriers",
    "typing errors",
];

/// One invented sentence.
pub(super) fn sentence(chance: &mut Chance, out: &mut String) {
    let number = 2 + chance.below(380);
    out.push_str(chance.pick(OPENERS));
    for link in [" ", " and "].iter().take(1 + chance.index(2)) {
        out.push_str(link);
        out.push_str(chance.pick(VERBS));
        out.push(' ');
        out.push_str(chance.pick(QUALITIES));
        out.push(' ');
        out.push_str(chance.pick(THINGS));
    }
    out.push(' ');
    out.push_str(&chance.pick(TAILS).replace("{n}", &number.to_string()));
    out.push_str(if chance.below(4) == 0 { "? " } else { ". " });
}

/// What one speaker says at a time: one to five sentences.
pub(super) fn speech(chance: &mut Chance) -> String {
    let mut out = String::with_capacity(400);
    for _ in 0..=chance.below(5) {
        sentence(chance, &mut out);
    }
    out.truncate(out.trim_end().len());
    out
}

pub(super) fn use_case(chance: &mut Chance) -> &'static str {
    chance.pick(USE_CASES)
}

pub(super) fn pain_points(chance: &mut Chance, count: usize) -> Vec<String> {
    let first = chance.index(PAINS.len());
    (0..count.min(PAINS.len())).map(|step| PAINS[(first + step * 3) % PAINS.len()].to_owned()).collect()
}
