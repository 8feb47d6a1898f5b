-- +goose NO TRANSACTION
-- A table of millions of rows stays writable while its index is built.

-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_spans_active_start_time ON spans (start_time)
  WHERE debug_run_id IS NULL AND (status IS NULL OR status <> 'Skipped');
