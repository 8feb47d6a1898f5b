ALTER TABLE apps ADD COLUMN app_version varchar(128);
