ALTER TABLE spans ADD COLUMN status text;
CREATE INDEX idx_spans_status ON spans (status);
CREATE INDEX idx_spans_run_status ON spans (run_id, status);
CREATE INDEX idx_spans_account_status_time ON spans (account_id, status, start_time);
