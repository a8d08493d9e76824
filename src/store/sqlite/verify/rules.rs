//! What holds in every ledger, as conditions in SQL that are true where it does not.
//!
//! A table: `docs/verify.md` has a row for each, which a test checks.

use super::SCHEMA_MIN;

/// A rule about one row.
pub(super) struct Rule {
    pub name: &'static str,
    /// The first schema that has what it asks for.
    pub since: u32,
    /// True where the rule is broken; over the tables of the pass that it is in.
    pub broken: &'static str,
    /// What is said of such a row.
    pub what: &'static str,
}

const fn rule(name: &'static str, what: &'static str, broken: &'static str) -> Rule {
    Rule { name, since: SCHEMA_MIN, broken, what }
}

impl Rule {
    const fn since(self, schema: u32) -> Rule {
        Rule { since: schema, ..self }
    }
}

/// Over `call c`.
pub(super) const CALLS: &[Rule] = &[
    rule("call-revision", "its revision is no number from 1 on", "typeof(c.revision) <> 'integer' OR c.revision < 1"),
    rule(
        "revisions",
        "its revisions are not counted from 1 to the newest without a gap",
        "(SELECT count(*) FROM revision r WHERE r.call_key = c.call_key) IS NOT c.revision
         OR (SELECT min(revision) FROM revision r WHERE r.call_key = c.call_key) IS NOT 1
         OR (SELECT max(revision) FROM revision r WHERE r.call_key = c.call_key) IS NOT c.revision",
    ),
    rule(
        "digest",
        "the digest of its content has not 32 bytes",
        "typeof(c.digest) <> 'blob' OR length(c.digest) <> 32",
    ),
    rule(
        "evidence",
        "the file that it is from is not in the ledger",
        "NOT EXISTS (SELECT 1 FROM raw WHERE source = c.source AND url = c.evidence_url)",
    ),
    rule("call-json", "the origins of its values are no JSON", "c.origins IS NOT NULL AND NOT json_valid(c.origins)"),
    rule("day", "its day is no date", "c.day IS NOT NULL AND date(c.day) IS NOT c.day"),
];

/// Over `delivery d LEFT JOIN call c`.
pub(super) const DELIVERIES: &[Rule] = &[
    rule("call-of-delivery", "its call is not there", "c.call_key IS NULL"),
    rule("state", "its state is none", "d.state NOT IN ('due', 'leased', 'delivered', 'skipped', 'dead')"),
    rule(
        "desired",
        "it wants a revision that the call does not have",
        "typeof(d.desired_revision) <> 'integer' OR d.desired_revision < 1 OR d.desired_revision > c.revision",
    ),
    rule(
        "not-ahead",
        "it delivered a revision beyond the one that it wants",
        "typeof(d.delivered_revision) <> 'integer' OR d.delivered_revision NOT BETWEEN 0 AND d.desired_revision
         OR d.leased_revision NOT BETWEEN 0 AND d.desired_revision",
    ),
    rule(
        "lease",
        "it is leased without an owner, a fence or an end, or has an owner without a lease",
        "(d.state = 'leased') <> (d.owner IS NOT NULL) OR typeof(d.fence) <> 'integer' OR d.fence < 0
         OR (d.state = 'leased' AND (typeof(d.lease_until) <> 'integer' OR d.fence < 1))",
    ),
    rule(
        "lease-owner",
        "it is leased by a process that never registered",
        "d.state = 'leased' AND d.owner NOT IN (SELECT id FROM owner)",
    ),
    rule(
        "intent",
        "what was sent last is not whole: it has no digest, time or revision",
        "(d.intent_at IS NULL) <> (d.intent_digest IS NULL) OR (d.intent_at IS NOT NULL AND (typeof(d.intent_at) <> 'integer'
         OR length(d.intent_digest) <> 32 OR typeof(d.intent_revision) <> 'integer'
         OR d.intent_revision NOT BETWEEN 1 AND d.desired_revision))",
    ),
    rule(
        "delivered",
        "it is delivered without a time, a record id, a digest or the revision that it wants",
        "d.state = 'delivered' AND (typeof(d.delivered_at) <> 'integer' OR coalesce(d.remote_id, '') = ''
         OR ((d.delivered_digest IS NULL OR d.delivered_revision <> d.desired_revision)
           AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.delivery_id = d.id AND a.outcome = 'not updated'
             AND a.revision = d.desired_revision)))",
    ),
    rule("record", "a revision was delivered and there is no record id", "d.delivered_revision > 0 AND d.remote_id IS NULL"),
    rule(
        "delivery-digest",
        "a digest has not 32 bytes",
        "coalesce(length(d.delivered_digest), 32) <> 32 OR coalesce(length(d.matched_by), 32) <> 32",
    ),
    rule(
        "reason",
        "it is dead or skipped without a reason",
        "d.state IN ('dead', 'skipped') AND (coalesce(d.code, '') NOT GLOB 'TL[0-9][0-9][0-9][0-9]'
         OR coalesce(d.what, '') = '' OR d.help IS NULL)",
    ),
    rule(
        "delivery-json",
        "its match or its record is no JSON",
        "(d.match_json IS NOT NULL AND NOT json_valid(d.match_json))
         OR (d.record_json IS NOT NULL AND NOT json_valid(d.record_json))",
    ),
    rule(
        "counts",
        "one of its counts or times is none",
        "typeof(d.attempts) <> 'integer' OR d.attempts < 0 OR typeof(d.writes) <> 'integer' OR d.writes < 0
         OR d.isolation NOT IN (0, 1, 2) OR d.rematched NOT IN (0, 1) OR d.adopted NOT IN (0, 1)
         OR d.intent_settled NOT IN (0, 1, 2) OR typeof(d.next_at) <> 'integer' OR typeof(d.order_at) <> 'integer'
         OR typeof(d.updated_at) <> 'integer'",
    ),
    rule(
        "deaths",
        "the deaths of processes that are counted for it contradict its state",
        "typeof(d.deaths) <> 'integer' OR d.deaths NOT BETWEEN 0 AND 3 OR typeof(d.company) <> 'integer' OR d.company < 0
         OR (d.deaths > 0 AND d.company = 0) OR (d.deaths = 3 AND d.state <> 'dead')",
    )
    .since(4),
    rule(
        "waiting",
        "since when it stands as it does, or whether by a replay, is not told",
        "typeof(d.since) <> 'integer' OR d.since < 0 OR typeof(d.replay) <> 'integer' OR d.replay < 0",
    )
    .since(5),
    rule("day-of-delivery", "its day is not that of its call", "c.call_key IS NOT NULL AND d.day IS NOT c.day").since(5),
];

/// Over `raw r`.
pub(super) const FILES: &[Rule] = &[
    rule("file-state", "its state is none", "r.state NOT IN ('converted', 'quarantined', 'gone')"),
    rule(
        "file-call",
        "it was converted, and its call is not there",
        "r.state = 'converted' AND NOT EXISTS (SELECT 1 FROM call c WHERE c.call_key = r.call_key)",
    ),
    rule("file-digest", "its digest has not 32 bytes", "r.state = 'converted' AND coalesce(length(r.digest), 0) <> 32"),
    rule(
        "file-reason",
        "it is in quarantine without a reason",
        "r.state = 'quarantined' AND (coalesce(r.code, '') NOT GLOB 'TL[0-9][0-9][0-9][0-9]' OR coalesce(r.what, '') = ''
         OR r.help IS NULL)",
    ),
];

/// A rule about rows that few ledgers have many of: the places where it is broken.
pub(super) struct Query {
    pub name: &'static str,
    pub since: u32,
    pub places: &'static str,
    pub what: &'static str,
}

const fn query(name: &'static str, what: &'static str, places: &'static str) -> Query {
    Query { name, since: SCHEMA_MIN, places, what }
}

impl Query {
    const fn since(self, schema: u32) -> Query {
        Query { since: schema, ..self }
    }
}

pub(super) const REST: &[Query] = &[
    query(
        "revision-call",
        "a revision of a call that is not there",
        "SELECT DISTINCT 'call ' || r.call_key FROM revision r LEFT JOIN call c USING (call_key) WHERE c.call_key IS NULL",
    ),
    query(
        "revision-file",
        "the file of a revision is not in the ledger",
        "SELECT 'session ' || c.source_id || ', revision ' || v.revision FROM revision v JOIN call c USING (call_key)
         WHERE NOT EXISTS (SELECT 1 FROM raw WHERE source = c.source AND url = v.raw_url)",
    ),
    query(
        "hold",
        "a destination is held without a reason",
        "SELECT 'destination ' || destination FROM hold WHERE code NOT GLOB 'TL[0-9][0-9][0-9][0-9]' OR what = ''",
    ),
    query(
        "run",
        "the summary of a run is no JSON",
        "SELECT 'run ' || id FROM run WHERE summary IS NOT NULL AND NOT json_valid(summary)",
    ),
    query(
        "attempt",
        "an attempt at a revision that was never wanted",
        "SELECT 'attempt ' || a.id FROM attempt a JOIN delivery d ON d.id = a.delivery_id
         WHERE a.revision NOT BETWEEN 1 AND d.desired_revision",
    ),
    query(
        "file-in-hand",
        "it is in the hands of a process that never registered",
        "SELECT 'file ' || url FROM file_in_hand WHERE owner NOT IN (SELECT id FROM owner)",
    )
    .since(4),
    query(
        "file-deaths",
        "the deaths of processes that are counted for it are no count",
        "SELECT 'file ' || url FROM file_suspect WHERE typeof(deaths) <> 'integer' OR deaths NOT BETWEEN 0 AND 3
         OR typeof(company) <> 'integer' OR company < 1",
    )
    .since(4),
];
