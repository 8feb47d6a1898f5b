-- SQLite adds a primary key by making the table anew. Of rows with one id the
-- last stays (database §3).

-- +goose Up
CREATE TABLE functions_keyed (
  id CHAR(36) NOT NULL,
  app_id CHAR(36),
  name VARCHAR NOT NULL,
  slug VARCHAR NOT NULL,
  config VARCHAR NOT NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  archived_at TIMESTAMP,
  PRIMARY KEY (id)
);
INSERT INTO functions_keyed (id, app_id, name, slug, config, created_at, archived_at)
SELECT id, app_id, name, slug, config, created_at, archived_at FROM functions
WHERE rowid IN (SELECT max(rowid) FROM functions GROUP BY id);
DROP TABLE functions;
ALTER TABLE functions_keyed RENAME TO functions;
