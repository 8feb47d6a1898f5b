-- Of active functions with one app and slug the latest stays active.

-- +goose Up
UPDATE functions SET archived_at = now() AT TIME ZONE 'UTC'
WHERE id IN (
  SELECT id FROM (
    SELECT id, row_number() OVER (PARTITION BY app_id, slug ORDER BY created_at DESC, ctid DESC) AS place
    FROM functions
    WHERE archived_at IS NULL AND app_id IS NOT NULL
  ) AS ranked
  WHERE place > 1
);
CREATE UNIQUE INDEX IF NOT EXISTS functions_app_id_slug_active_key ON functions (app_id, slug) WHERE archived_at IS NULL;
