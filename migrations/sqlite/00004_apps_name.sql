-- Of apps with one name the best keeps it: active first, then by active
-- functions, age and id. The others are archived and renamed.

-- +goose Up
UPDATE apps SET
  name = name || ' (id:' || id || ')',
  archived_at = coalesce(archived_at, datetime('now'))
WHERE id IN (
  SELECT id FROM (
    SELECT id, row_number() OVER (
      PARTITION BY name
      ORDER BY archived_at IS NULL DESC,
        (SELECT count(*) FROM functions WHERE functions.app_id = apps.id AND functions.archived_at IS NULL) DESC,
        created_at DESC, id DESC
    ) AS place
    FROM apps WHERE name <> ''
  )
  WHERE place > 1
);
CREATE UNIQUE INDEX IF NOT EXISTS apps_name_unique_key ON apps (name) WHERE name <> '';
