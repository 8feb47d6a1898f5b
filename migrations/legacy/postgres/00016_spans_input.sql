ALTER TABLE spans ADD COLUMN input jsonb;
