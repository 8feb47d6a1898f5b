ALTER TABLE spans ADD COLUMN debug_run_id text;
ALTER TABLE spans ADD COLUMN debug_session_id text;
