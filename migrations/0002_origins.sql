-- Where the values of a call came from that are not from its newest file: a JSON object, field to file. NULL where all
-- are from one file.
ALTER TABLE call_body ADD COLUMN origins TEXT;
