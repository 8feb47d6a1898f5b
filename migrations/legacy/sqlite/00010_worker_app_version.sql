ALTER TABLE worker_connections RENAME COLUMN build_id TO app_version;
