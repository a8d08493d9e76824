-- Ledgers with millions of deliveries: listings by index, replays behind everything else, and how long something waits.

-- 1: made due by a replay, which waits for all that was not.
ALTER TABLE delivery ADD COLUMN replay INTEGER NOT NULL DEFAULT 0;
-- When it began to wait, or when it came to its end.
ALTER TABLE delivery ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE delivery SET since = updated_at;

DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (destination, replay, order_at, id, since) WHERE state = 'due';
CREATE INDEX delivery_dead ON delivery (destination, since) WHERE state = 'dead';
CREATE INDEX delivery_listed ON delivery (state, order_at, id, code);
