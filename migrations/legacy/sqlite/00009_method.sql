ALTER TABLE apps ADD COLUMN method VARCHAR(32) NOT NULL DEFAULT 'serve';
UPDATE apps SET method = CASE connection_type WHEN 'serverless' THEN 'serve' ELSE connection_type END;
ALTER TABLE apps DROP COLUMN connection_type;
