-- Ledgers with millions of deliveries: listings and reports by index, replays behind everything else, and how long
-- something waits.

-- When the process began that asked for the replay which made it due; 0: no replay did. It waits for all that none did.
ALTER TABLE delivery ADD COLUMN replay INTEGER NOT NULL DEFAULT 0;
-- When it began to wait, or when it came to its end.
ALTER TABLE delivery ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
-- That of its call.
ALTER TABLE delivery ADD COLUMN day TEXT;
UPDATE delivery SET since = updated_at, day = (SELECT c.day FROM call c WHERE c.call_key = delivery.call_key);

CREATE TRIGGER delivery_keeps_day AFTER UPDATE OF day ON call WHEN OLD.day IS NOT NEW.day BEGIN
    UPDATE delivery SET day = NEW.day WHERE call_key = NEW.call_key;
END;

-- What a report asks of a match. Reckoned when the index is written, so that it cannot contradict the match.
ALTER TABLE delivery ADD COLUMN match_verdict TEXT
    GENERATED ALWAYS AS (CASE WHEN json_valid(match_json) THEN json_extract(match_json, '$.verdict') END) VIRTUAL;
ALTER TABLE delivery ADD COLUMN match_rule TEXT
    GENERATED ALWAYS AS (CASE WHEN json_valid(match_json) THEN coalesce(json_extract(match_json, '$.rule'), '') END) VIRTUAL;

DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (destination, replay, order_at, id) WHERE state = 'due';
CREATE INDEX delivery_next ON delivery (destination, replay, next_at, since) WHERE state = 'due';
CREATE INDEX delivery_dead ON delivery (destination, since) WHERE state = 'dead';
CREATE INDEX delivery_listed ON delivery (state, order_at, id, code);
-- Only what has come to its end: what is on its way changes too often, and is little.
CREATE INDEX delivery_reported ON delivery
    (day, state, code, writes, adopted, person_id, desired_revision, match_verdict, match_rule)
    WHERE state IN ('delivered', 'skipped', 'dead');
