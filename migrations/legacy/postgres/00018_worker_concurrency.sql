-- The column stands where it does in new databases, so the table is copied.
CREATE TABLE worker_connections_counted (
  account_id             uuid     NOT NULL,
  workspace_id           uuid     NOT NULL,
  app_name               varchar  NOT NULL,
  app_id                 uuid,
  id                     bytea    NOT NULL,
  gateway_id             bytea    NOT NULL,
  instance_id            varchar  NOT NULL,
  status                 smallint NOT NULL,
  worker_ip              varchar  NOT NULL,
  max_worker_concurrency bigint   NOT NULL DEFAULT 0,
  connected_at           bigint   NOT NULL,
  last_heartbeat_at      bigint,
  disconnected_at        bigint,
  recorded_at            bigint   NOT NULL,
  inserted_at            bigint   NOT NULL,
  disconnect_reason      varchar,
  group_hash             bytea    NOT NULL,
  sdk_lang               varchar  NOT NULL,
  sdk_version            varchar  NOT NULL,
  sdk_platform           varchar  NOT NULL,
  sync_id                uuid,
  app_version            varchar,
  function_count         integer  NOT NULL,
  cpu_cores              integer  NOT NULL,
  mem_bytes              bigint   NOT NULL,
  os                     varchar  NOT NULL,
  PRIMARY KEY (id, app_name)
);
INSERT INTO worker_connections_counted (account_id, workspace_id, app_name, app_id, id, gateway_id, instance_id, status, worker_ip, connected_at, last_heartbeat_at, disconnected_at, recorded_at, inserted_at, disconnect_reason, group_hash, sdk_lang, sdk_version, sdk_platform, sync_id, app_version, function_count, cpu_cores, mem_bytes, os)
SELECT account_id, workspace_id, app_name, app_id, id, gateway_id, instance_id, status, worker_ip, connected_at, last_heartbeat_at, disconnected_at, recorded_at, inserted_at, disconnect_reason, group_hash, sdk_lang, sdk_version, sdk_platform, sync_id, app_version, function_count, cpu_cores, mem_bytes, os FROM worker_connections;
DROP TABLE worker_connections;
ALTER TABLE worker_connections_counted RENAME CONSTRAINT worker_connections_counted_pkey TO worker_connections_pkey;
ALTER TABLE worker_connections_counted RENAME TO worker_connections;
