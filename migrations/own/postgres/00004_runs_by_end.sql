-- Lists by when runs ended; of others by their newest row.

-- +goose Up
CREATE INDEX jetstep_runs_ended ON jetstep_runs (ended_at DESC, run_id);
