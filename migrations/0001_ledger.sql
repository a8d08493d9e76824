-- The ledger: what was read, what it was converted to, where it is to go, and what became of it.
-- Times are milliseconds since 1970 in UTC; days are YYYY-MM-DD in the configured time zone.

CREATE TABLE raw (
    id           INTEGER PRIMARY KEY,
    source       TEXT NOT NULL,
    url          TEXT NOT NULL,
    version      TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    modified_at  INTEGER NOT NULL,
    digest       BLOB,
    state        TEXT NOT NULL CHECK (state IN ('converted', 'quarantined', 'gone')),
    call_key     TEXT,
    code         TEXT,
    what         TEXT,
    help         TEXT,
    notes        TEXT,
    day          TEXT,
    seen_at      INTEGER NOT NULL,
    UNIQUE (source, url)
);
CREATE INDEX raw_by_call ON raw (call_key) WHERE call_key IS NOT NULL;
CREATE INDEX raw_by_day ON raw (day, call_key);
CREATE INDEX raw_quarantined ON raw (id) WHERE state = 'quarantined';

CREATE TABLE call (
    call_key     TEXT PRIMARY KEY,
    source       TEXT NOT NULL,
    source_id    TEXT NOT NULL,
    revision     INTEGER NOT NULL,
    started_at   INTEGER,
    day          TEXT,
    digest       BLOB NOT NULL,
    evidence_at  INTEGER NOT NULL,
    evidence_raw BLOB NOT NULL,
    evidence_url TEXT NOT NULL,
    first_seen   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL
);
CREATE INDEX call_by_source_id ON call (source_id);
CREATE INDEX call_by_day ON call (day);

-- Apart from `call`, so that listing and reporting never read the large rows.
CREATE TABLE call_body (
    call_key     TEXT PRIMARY KEY REFERENCES call (call_key) ON DELETE CASCADE,
    -- Of the JSON before compression, so that a claim can bound what it takes into memory.
    head_bytes   INTEGER NOT NULL,
    tail_bytes   INTEGER NOT NULL,
    head         BLOB NOT NULL,
    tail         BLOB NOT NULL
);

CREATE TABLE revision (
    call_key     TEXT NOT NULL,
    revision     INTEGER NOT NULL,
    raw_url      TEXT NOT NULL,
    raw_version  TEXT NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (call_key, revision)
) WITHOUT ROWID;

CREATE TABLE delivery (
    id                 INTEGER PRIMARY KEY,
    call_key           TEXT NOT NULL REFERENCES call (call_key) ON DELETE CASCADE,
    destination        TEXT NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('due', 'leased', 'delivered', 'skipped', 'dead')),
    order_at           INTEGER NOT NULL,
    desired_revision   INTEGER NOT NULL,
    -- The desired revision when it was last claimed: a newer one that came since makes it due again.
    leased_revision    INTEGER NOT NULL DEFAULT 0,
    delivered_revision INTEGER NOT NULL DEFAULT 0,
    delivered_digest   BLOB,
    delivered_at       INTEGER,
    remote_id          TEXT,
    writes             INTEGER NOT NULL DEFAULT 0,
    adopted            INTEGER NOT NULL DEFAULT 0,
    person_object      TEXT,
    person_id          TEXT,
    matched_by         BLOB,
    match_json         TEXT,
    record_json        TEXT,
    code               TEXT,
    what               TEXT,
    help               TEXT,
    attempts           INTEGER NOT NULL DEFAULT 0,
    isolation          INTEGER NOT NULL DEFAULT 0,
    rematched          INTEGER NOT NULL DEFAULT 0,
    next_at            INTEGER NOT NULL DEFAULT 0,
    owner              TEXT,
    fence              INTEGER NOT NULL DEFAULT 0,
    lease_until        INTEGER,
    intent_at          INTEGER,
    intent_revision    INTEGER,
    intent_digest      BLOB,
    intent_settled     INTEGER NOT NULL DEFAULT 0,
    updated_at         INTEGER NOT NULL,
    UNIQUE (call_key, destination)
);
CREATE INDEX delivery_due ON delivery (destination, order_at) WHERE state = 'due';
CREATE INDEX delivery_leased ON delivery (owner) WHERE state = 'leased';
CREATE INDEX delivery_by_state ON delivery (destination, state, code);

CREATE TABLE attempt (
    id           INTEGER PRIMARY KEY,
    delivery_id  INTEGER NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    at           INTEGER NOT NULL,
    took_ms      INTEGER NOT NULL,
    operation    TEXT NOT NULL,
    batch_rows   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    outcome      TEXT NOT NULL,
    code         TEXT,
    what         TEXT
);
CREATE INDEX attempt_by_delivery ON attempt (delivery_id);

-- Who is making a person for an e-mail address (kept as a digest), so that two calls or two processes make one.
CREATE TABLE person_claim (
    destination  TEXT NOT NULL,
    matched_by   BLOB NOT NULL,
    owner        TEXT NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (destination, matched_by)
) WITHOUT ROWID;

CREATE TABLE hold (
    destination  TEXT PRIMARY KEY,
    code         TEXT NOT NULL,
    what         TEXT NOT NULL,
    help         TEXT NOT NULL,
    since        INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE owner (
    id           TEXT PRIMARY KEY,
    started_at   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE run (
    id           INTEGER PRIMARY KEY,
    owner        TEXT NOT NULL,
    command      TEXT NOT NULL,
    started_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    summary      TEXT
);
