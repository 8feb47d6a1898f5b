ALTER TABLE spans ADD COLUMN event_ids jsonb;
