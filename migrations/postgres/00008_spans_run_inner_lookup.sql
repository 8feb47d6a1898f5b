-- +goose NO TRANSACTION
-- A table of millions of rows stays writable while its index is built.

-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_spans_run_inner_lookup ON spans (account_id, env_id, start_time DESC, run_id)
  INCLUDE (dynamic_span_id, app_id, function_id)
  WHERE name = 'executor.run' AND debug_run_id IS NULL AND (status IS NULL OR status <> 'Skipped');
