-- The original has these look-ups indexed on PostgreSQL only.

-- +goose Up
CREATE INDEX jetstep_events_internal_id ON events (internal_id);
CREATE INDEX jetstep_function_runs_run_id ON function_runs (run_id);
CREATE INDEX jetstep_function_runs_event_id ON function_runs (event_id);
CREATE INDEX jetstep_function_finishes_run_id ON function_finishes (run_id);
CREATE INDEX jetstep_history_run_id ON history (run_id);
CREATE INDEX jetstep_events_received ON events (received_at, event_name);
-- By what old runs are deleted.
CREATE INDEX jetstep_traces_run_id ON traces (run_id);
CREATE INDEX jetstep_event_batches_run_id ON event_batches (run_id);
