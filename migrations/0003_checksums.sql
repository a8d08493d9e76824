-- CRC-32 of each piece of a call, together with its key, revision and content digest. NULL in what was written before
-- there were any: there the content digest, which every call has, is the proof, until the body is written again. Reckoned
-- here, a checksum would bless whatever damage is there already, and a large ledger would be written anew as a whole.
-- Not in `call_body`: SQLite writes a large tail piece by piece only where no column stands behind it.
ALTER TABLE call ADD COLUMN head_sum INTEGER;
ALTER TABLE call ADD COLUMN tail_sum INTEGER;

-- CRC-32 of the remote record's id and of the person, with the delivery's id: an update or a re-send goes where they say.
ALTER TABLE delivery ADD COLUMN remote_sum INTEGER;
ALTER TABLE delivery ADD COLUMN person_sum INTEGER;

-- 1: the call that was made of this file is damaged in the ledger, so that the file is to be read again.
ALTER TABLE raw ADD COLUMN reread INTEGER NOT NULL DEFAULT 0;
CREATE INDEX raw_to_reread ON raw (source, modified_at) WHERE reread <> 0;
