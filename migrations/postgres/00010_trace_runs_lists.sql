-- +goose NO TRANSACTION
-- A table of millions of rows stays writable while its index is built.

-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_trace_runs_acct_ws_queued ON trace_runs (account_id, workspace_id, queued_at DESC, run_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_trace_runs_acct_ws_started ON trace_runs (account_id, workspace_id, started_at DESC, run_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_trace_runs_acct_ws_ended ON trace_runs (account_id, workspace_id, ended_at DESC, run_id);
