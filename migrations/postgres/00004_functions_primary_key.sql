-- Of rows with one id the physically last stays (database §3).

-- +goose Up
DELETE FROM functions AS earlier USING functions AS later
WHERE earlier.id = later.id AND earlier.ctid < later.ctid;
ALTER TABLE functions ADD PRIMARY KEY (id);
