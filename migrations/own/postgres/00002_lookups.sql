-- By what old runs are deleted.

-- +goose Up
CREATE INDEX jetstep_traces_run_id ON traces (run_id);
CREATE INDEX jetstep_event_batches_run_id ON event_batches (run_id);
