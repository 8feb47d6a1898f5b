-- Of apps with one name the best keeps it: active first, then by active
-- functions, age and id. The others are archived and renamed.

-- +goose Up
WITH ranked AS (
  SELECT id, row_number() OVER (
    PARTITION BY name
    ORDER BY archived_at IS NULL DESC,
      (SELECT count(*) FROM functions WHERE functions.app_id = apps.id AND functions.archived_at IS NULL) DESC,
      created_at DESC, id DESC
  ) AS place
  FROM apps WHERE name <> ''
)
UPDATE apps SET
  name = apps.name || ' (id:' || apps.id || ')',
  archived_at = coalesce(apps.archived_at, now() AT TIME ZONE 'UTC')
FROM ranked WHERE ranked.id = apps.id AND ranked.place > 1;
CREATE UNIQUE INDEX IF NOT EXISTS apps_name_unique_key ON apps (name) WHERE name <> '';
