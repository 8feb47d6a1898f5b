CREATE TABLE spans (
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
  PRIMARY KEY (trace_id, span_id)
);
CREATE INDEX idx_spans_run_id ON spans (run_id);
CREATE INDEX idx_spans_run_id_dynamic_start_time ON spans (run_id, dynamic_span_id, start_time);
