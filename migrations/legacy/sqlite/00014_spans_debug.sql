ALTER TABLE spans ADD COLUMN debug_run_id CHAR(36);
ALTER TABLE spans ADD COLUMN debug_session_id CHAR(36);
