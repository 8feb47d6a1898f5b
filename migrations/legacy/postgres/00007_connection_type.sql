ALTER TABLE apps ADD COLUMN connection_type VARCHAR NOT NULL DEFAULT 'serverless';
UPDATE apps SET connection_type = 'connect' WHERE is_connect;
ALTER TABLE apps DROP COLUMN is_connect;
