-- The few runs that lists leave out, which are asked for by a session of debugging.

-- +goose Up
CREATE INDEX jetstep_runs_debug ON jetstep_runs (run_id) WHERE is_debug;
