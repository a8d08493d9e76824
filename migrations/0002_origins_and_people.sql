-- Where the values of a call came from that are not from its newest file: a JSON object, field to file. NULL where all
-- are from one file.
ALTER TABLE call ADD COLUMN origins TEXT;

-- The person that the record was delivered to; person_id is that of the last try.
ALTER TABLE delivery ADD COLUMN delivered_person TEXT;
UPDATE delivery SET delivered_person = person_id WHERE state = 'delivered';
