-- What a process is about to touch is noted first, so that one that is killed by it leaves behind what that may have been.
-- A lease is such a note for a call; this is the one for a file.
CREATE TABLE file_in_hand (
    owner        TEXT NOT NULL,
    source       TEXT NOT NULL,
    url          TEXT NOT NULL,
    version      TEXT NOT NULL,
    PRIMARY KEY (owner, source, url)
) WITHOUT ROWID;

-- Files that were in hand when a process died.
CREATE TABLE file_suspect (
    source       TEXT NOT NULL,
    url          TEXT NOT NULL,
    version      TEXT NOT NULL,
    -- It is read with no more than so many in hand, itself among them.
    company      INTEGER NOT NULL,
    -- Processes that died with it alone in hand.
    deaths       INTEGER NOT NULL,
    PRIMARY KEY (source, url)
) WITHOUT ROWID;

-- The same of a delivery; 0: no process died with it in hand.
ALTER TABLE delivery ADD COLUMN company INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
CREATE INDEX delivery_suspect ON delivery (destination, deaths, company) WHERE state = 'due' AND company > 0;
