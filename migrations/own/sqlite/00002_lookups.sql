-- The original has these look-ups indexed on PostgreSQL only.

-- +goose Up
CREATE INDEX jetstep_events_internal_id ON events (internal_id);
CREATE INDEX jetstep_function_runs_run_id ON function_runs (run_id);
CREATE INDEX jetstep_function_runs_event_id ON function_runs (event_id);
CREATE INDEX jetstep_function_finishes_run_id ON function_finishes (run_id);
CREATE INDEX jetstep_history_run_id ON history (run_id);
