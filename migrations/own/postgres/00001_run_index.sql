-- What lists need of a run, kept from its span rows: the tables of the original
-- answer "the failed runs of a function, newest first" only by reading them all.

-- +goose Up
CREATE TABLE jetstep_runs (
  run_id       text    PRIMARY KEY,
  app_id       text    NOT NULL,
  function_id  text    NOT NULL,
  trace_id     text    NOT NULL,
  started_at   bigint,           -- start of the row executor.run, Unix µs; NULL: not seen yet
  ended_at     bigint  NOT NULL, -- greatest end_time of the run's rows, Unix µs
  last_span_id text    NOT NULL, -- the row that ended_at and status are of
  status       text    NOT NULL, -- Scheduled, Running, Completed, Failed, Cancelled, Skipped
  is_deferred  boolean NOT NULL,
  is_debug     boolean NOT NULL,
  cron         text    NOT NULL, -- '' for none
  batch_id     text    NOT NULL  -- '' for none
);
CREATE INDEX jetstep_runs_started  ON jetstep_runs (started_at DESC, run_id);
CREATE INDEX jetstep_runs_status   ON jetstep_runs (status, started_at DESC, run_id);
CREATE INDEX jetstep_runs_function ON jetstep_runs (function_id, status, started_at DESC, run_id);

-- The events of each run, in their order: the original finds the runs of a batch
-- by searching in text.
CREATE TABLE jetstep_run_events (
  event_id bytea   NOT NULL, -- ULID
  run_id   text    NOT NULL,
  place    integer NOT NULL,
  PRIMARY KEY (event_id, run_id)
);
CREATE INDEX jetstep_run_events_run ON jetstep_run_events (run_id, place);

-- How far each source of records has been written, in the same transaction.
CREATE TABLE jetstep_positions (
  source     text   PRIMARY KEY,
  position   bigint NOT NULL,
  updated_at bigint NOT NULL -- Unix ms
);
