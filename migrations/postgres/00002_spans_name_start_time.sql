-- +goose NO TRANSACTION
-- A table of millions of rows stays writable while its index is built.

-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_spans_name_start_time_dynamic_span_id ON spans (name, start_time, dynamic_span_id);
