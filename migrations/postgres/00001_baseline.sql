-- Everything as of version 18 of the legacy migrations (database §3). Tables that
-- such a database has are left as they are.

-- +goose Up
-- Left over from the pre-v1.18 migration tool; empty in databases born on v1.18 or later.
CREATE TABLE IF NOT EXISTS migrations (
  version bigint  NOT NULL,
  dirty   boolean NOT NULL,
  PRIMARY KEY (version)
);

CREATE TABLE IF NOT EXISTS apps (
  id           char(36)     NOT NULL,
  name         varchar      NOT NULL,
  sdk_language varchar      NOT NULL,
  sdk_version  varchar      NOT NULL,
  framework    varchar,
  metadata     varchar      NOT NULL DEFAULT '{}',
  status       varchar      NOT NULL,
  error        text,
  checksum     varchar      NOT NULL,
  created_at   timestamp    NOT NULL DEFAULT CURRENT_TIMESTAMP,
  archived_at  timestamp,
  url          varchar      NOT NULL,
  method       varchar(32)  NOT NULL DEFAULT 'serve',
  app_version  varchar(128),
  PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS functions (
  id          char(36)  NOT NULL,
  app_id      char(36),
  name        varchar   NOT NULL,
  slug        varchar   NOT NULL,
  config      varchar   NOT NULL,
  created_at  timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  archived_at timestamp
);

CREATE TABLE IF NOT EXISTS events (
  internal_id  bytea,
  account_id   char(36),
  workspace_id char(36),
  source       varchar(255),
  source_id    char(35),
  received_at  timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  event_id     varchar   NOT NULL,
  event_name   varchar   NOT NULL,
  event_data   varchar   NOT NULL DEFAULT '{}',
  event_user   varchar   NOT NULL DEFAULT '{}',
  event_v      varchar,
  event_ts     timestamp NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_events_internal_id ON events (internal_id);
CREATE INDEX IF NOT EXISTS idx_events_internal_id_received_range ON events (internal_id, received_at DESC);
CREATE INDEX IF NOT EXISTS idx_events_received_name ON events (received_at, event_name);

CREATE TABLE IF NOT EXISTS event_batches (
  id           char(26)  NOT NULL,
  account_id   uuid,
  workspace_id uuid,
  app_id       uuid,
  workflow_id  uuid,
  run_id       char(26)  NOT NULL,
  started_at   timestamp NOT NULL,
  executed_at  timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  event_ids    bytea     NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS function_runs (
  run_id           bytea     NOT NULL,
  run_started_at   timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  function_id      char(36),
  function_version integer   NOT NULL,
  trigger_type     varchar   NOT NULL DEFAULT 'event',
  event_id         bytea     NOT NULL,
  batch_id         bytea,
  original_run_id  bytea,
  cron             varchar
);
CREATE INDEX IF NOT EXISTS idx_function_runs_run_id ON function_runs (run_id);
CREATE INDEX IF NOT EXISTS idx_function_runs_event_id ON function_runs (event_id);
CREATE INDEX IF NOT EXISTS idx_function_runs_timebound ON function_runs (run_started_at DESC, function_id);

CREATE TABLE IF NOT EXISTS function_finishes (
  run_id               bytea,
  status               varchar   NOT NULL,
  output               varchar   NOT NULL DEFAULT '{}',
  completed_step_count integer   NOT NULL DEFAULT 1,
  created_at           timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX IF NOT EXISTS idx_function_finishes_run_id ON function_finishes (run_id);

CREATE TABLE IF NOT EXISTS history (
  id                     bytea,
  created_at             timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  run_started_at         timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  function_id            char(36),
  function_version       integer   NOT NULL,
  run_id                 bytea     NOT NULL,
  event_id               bytea     NOT NULL,
  batch_id               bytea,
  group_id               varchar,
  idempotency_key        varchar   NOT NULL,
  type                   varchar   NOT NULL,
  attempt                integer   NOT NULL,
  latency_ms             integer,
  step_name              varchar,
  step_id                varchar,
  url                    varchar,
  cancel_request         varchar,
  sleep                  varchar,
  wait_for_event         varchar,
  wait_result            varchar,
  invoke_function        varchar,
  invoke_function_result varchar,
  result                 varchar,
  step_type              varchar
);
CREATE INDEX IF NOT EXISTS idx_history_id ON history (id);
CREATE INDEX IF NOT EXISTS idx_history_run_id_created ON history (run_id, created_at);

CREATE TABLE IF NOT EXISTS traces (
  timestamp           timestamp NOT NULL,
  timestamp_unix_ms   bigint    NOT NULL,
  trace_id            varchar   NOT NULL,
  span_id             varchar   NOT NULL,
  parent_span_id      varchar,
  trace_state         varchar,
  span_name           varchar   NOT NULL,
  span_kind           varchar   NOT NULL,
  service_name        varchar   NOT NULL,
  resource_attributes bytea     NOT NULL,
  scope_name          varchar   NOT NULL,
  scope_version       varchar   NOT NULL,
  span_attributes     bytea     NOT NULL,
  duration            integer   NOT NULL,
  status_code         varchar   NOT NULL,
  status_message      text,
  events              bytea     NOT NULL,
  links               bytea     NOT NULL,
  run_id              char(26)
);
CREATE INDEX IF NOT EXISTS idx_traces_trace_id ON traces (trace_id);

CREATE TABLE IF NOT EXISTS trace_runs (
  run_id        char(26) NOT NULL,
  account_id    char(36) NOT NULL,
  workspace_id  char(36) NOT NULL,
  app_id        char(36) NOT NULL,
  function_id   char(36) NOT NULL,
  trace_id      bytea    NOT NULL,
  queued_at     bigint   NOT NULL,
  started_at    bigint   NOT NULL,
  ended_at      bigint   NOT NULL,
  status        integer  NOT NULL,
  source_id     varchar  NOT NULL,
  trigger_ids   bytea    NOT NULL,
  output        bytea,
  is_debounce   boolean  NOT NULL,
  batch_id      bytea,
  cron_schedule text,
  has_ai        boolean  NOT NULL DEFAULT false,
  PRIMARY KEY (run_id)
);

CREATE TABLE IF NOT EXISTS spans (
  span_id          text        NOT NULL,
  trace_id         text        NOT NULL,
  parent_span_id   text,
  name             text        NOT NULL,
  start_time       timestamptz NOT NULL,
  end_time         timestamptz NOT NULL,
  attributes       jsonb,
  links            jsonb,
  dynamic_span_id  text,
  account_id       text        NOT NULL,
  app_id           text        NOT NULL,
  function_id      text        NOT NULL,
  run_id           text        NOT NULL,
  env_id           text        NOT NULL,
  output           jsonb,
  debug_run_id     text,
  debug_session_id text,
  status           text,
  input            jsonb,
  event_ids        jsonb,
  PRIMARY KEY (trace_id, span_id)
);
CREATE INDEX IF NOT EXISTS idx_spans_run_id ON spans (run_id);
CREATE INDEX IF NOT EXISTS idx_spans_run_id_dynamic_start_time ON spans (run_id, dynamic_span_id, start_time);
CREATE INDEX IF NOT EXISTS idx_spans_status ON spans (status);
CREATE INDEX IF NOT EXISTS idx_spans_run_status ON spans (run_id, status);
CREATE INDEX IF NOT EXISTS idx_spans_account_status_time ON spans (account_id, status, start_time);

CREATE TABLE IF NOT EXISTS queue_snapshot_chunks (
  snapshot_id char(26) NOT NULL,
  chunk_id    integer  NOT NULL,
  data        bytea,
  PRIMARY KEY (snapshot_id, chunk_id)
);

CREATE TABLE IF NOT EXISTS worker_connections (
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
