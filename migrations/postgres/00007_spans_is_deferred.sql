-- +goose Up
ALTER TABLE spans ADD COLUMN IF NOT EXISTS is_deferred boolean;
