package database

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/migrations"
)

// table says how rows of type R are written. Its columns are in the order of bind.
type table[R any] struct {
	name     string
	columns  string
	conflict string // "on conflict" clause
	// fresh rows of the table are not there yet, but for an accident: they are
	// copied, and only when that fails written with the clause.
	fresh bool
	// usual are values, as SQL, that most rows have in a column: bind says so
	// with [usual] in place of the value, which then need not be handed over.
	usual map[string]string
	bind  func(encoding, *R, []any) []any // appends the values of a row
}

// usual stands for the usual value of a column.
type usual struct{}

// The usual account and environment (database §1), and ids.
var (
	usualAccount     = uuid.MustParse("00000000-0000-4000-a000-000000000000")
	usualEnvironment = uuid.MustParse("00000000-0000-4000-b000-000000000000")
)

func quoted(id uuid.UUID) string { return "'" + id.String() + "'" }

func (e encoding) unlessUsual(id, most uuid.UUID) any {
	if id == most {
		return usual{}
	}
	return e.uuid(id)
}

// rawOrUsual is an id as bytes; the usual one is zero.
func (e encoding) rawOrUsual(id ulid.ULID) any {
	if id.IsZero() {
		return usual{}
	}
	return e.raw(id)
}

// jsonOrUsual is for columns that say "null" as JSON.
func jsonOrUsual(value json.RawMessage) any {
	if value == nil || string(value) == "null" {
		return usual{}
	}
	return uncopied(value)
}

func bytesOrNull(value []byte) any {
	if value == nil {
		return nil
	}
	return value
}

func intOrNull(n *int) any {
	if n == nil {
		return nil
	}
	return *n
}

func orUsual[T comparable](value, most T) any {
	if value != most {
		return value
	}
	return usual{}
}

// Usual values.
const (
	jsonNull = `'null'`
	zeroID   = `(zero id)` // is written differently by each dialect
)

// rowSource gives rows to whoever writes them.
type rowSource interface {
	len() int
	// append adds the values of row i.
	append(enc encoding, i int, to []any) []any
}

type rowsOf[R any] struct {
	table *table[R]
	rows  []R
}

func (r rowsOf[R]) len() int { return len(r.rows) }
func (r rowsOf[R]) append(enc encoding, i int, to []any) []any {
	return r.table.bind(enc, &r.rows[i], to)
}

// insert writes rows.
func insert[R any](ctx context.Context, tx *transaction, t *table[R], rows []R) error {
	if len(rows) == 0 {
		return nil
	}
	into := target{name: t.name, columns: columnsOf(t.columns), conflict: t.conflict, fresh: t.fresh, usual: t.usual}
	if err := tx.insert(ctx, &into, rowsOf[R]{t, rows}); err != nil {
		return fmt.Errorf("writing %s: %w", t.name, err)
	}
	return nil
}

// target is a table without its type of rows.
type target struct {
	name     string
	columns  []string
	conflict string
	fresh    bool
	usual    map[string]string
}

func columnsOf(list string) []string {
	columns := strings.Split(list, ",")
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	return columns
}

// statement inserts so many rows at once. A row is its values as SQL, in
// brackets; verb may say what becomes of the transaction when a row is refused.
func (t *target) statement(verb, row string, rows int) string {
	return verb + " INTO " + t.name + " (" + strings.Join(t.columns, ", ") + ") VALUES " + strings.Repeat(", "+row, rows)[2:] + " " + t.conflict
}

// chunkOf is the largest of sizes, which end with 1, that is not above n.
func chunkOf(sizes []int, n int) int {
	for _, size := range sizes {
		if size <= n {
			return size
		}
	}
	return 1
}

const appColumns = `id, name, sdk_language, sdk_version, framework, metadata, status, error, checksum, created_at, archived_at, url, method, app_version`

var apps = &table[App]{
	name: "apps", columns: appColumns, conflict: `ON CONFLICT (id) DO UPDATE SET name = excluded.name,
		sdk_language = excluded.sdk_language, sdk_version = excluded.sdk_version, framework = excluded.framework,
		metadata = excluded.metadata, error = excluded.error, checksum = excluded.checksum,
		archived_at = excluded.archived_at, url = excluded.url, method = excluded.method, app_version = excluded.app_version`,
	bind: func(enc encoding, a *App, row []any) []any {
		return append(row,
			a.ID.String(), a.Name, a.SDKLanguage, a.SDKVersion, orNull(a.Framework), string(a.Metadata), "", orNull(a.Error),
			a.Checksum, enc.time(a.CreatedAt), enc.timeOrNull(a.ArchivedAt), a.URL, a.Method, orNull(a.AppVersion),
		)
	},
}

const functionColumns = `id, app_id, name, slug, config, created_at, archived_at`

// functions keep the name and slug that they were first registered with
// (database §5).
var functions = &table[Function]{
	name: "functions", columns: functionColumns,
	conflict: `ON CONFLICT (id) DO UPDATE SET config = excluded.config, archived_at = excluded.archived_at`,
	bind: func(enc encoding, f *Function, row []any) []any {
		return append(row,
			f.ID.String(), enc.uuidOrNull(f.AppID), f.Name, f.Slug, string(f.Config), enc.time(f.CreatedAt), enc.timeOrNull(f.ArchivedAt),
		)
	},
}

const eventColumns = `internal_id, received_at, event_id, event_name, event_data, event_user, event_v, event_ts`

var events = &table[Event]{
	name: "events", columns: eventColumns, fresh: true, usual: map[string]string{"event_user": jsonNull},
	bind: func(enc encoding, e *Event, row []any) []any {
		return append(row,
			enc.raw(e.InternalID), enc.time(e.ReceivedAt), e.ID, e.Name, jsonText(e.Data), jsonOrUsual(e.User),
			orNull(e.Version), enc.time(e.Timestamp),
		)
	},
}

const batchColumns = `id, account_id, workspace_id, app_id, workflow_id, run_id, started_at, executed_at, event_ids`

var batches = &table[Batch]{
	name: "event_batches", columns: batchColumns, conflict: `ON CONFLICT (id) DO NOTHING`,
	bind: func(enc encoding, b *Batch, row []any) []any {
		return append(row,
			enc.ulidText(b.ID), enc.uuidOrNull(b.AccountID), enc.uuidOrNull(b.WorkspaceID), enc.uuidOrNull(b.AppID), enc.uuidOrNull(b.FunctionID),
			enc.ulidText(b.RunID), enc.time(b.StartedAt), enc.time(b.ExecutedAt), joined(b.EventIDs),
		)
	},
}

const functionRunColumns = `run_id, run_started_at, function_id, function_version, trigger_type, event_id, batch_id, original_run_id, cron`

// functionRuns have the environment on SQLite only (database §7).
func functionRuns(enc encoding) *table[FunctionRun] {
	t := &table[FunctionRun]{name: "function_runs", columns: functionRunColumns, fresh: true, usual: map[string]string{
		"batch_id": zeroID, "original_run_id": zeroID, "workspace_id": quoted(usualEnvironment), "trigger_type": "'event'", "function_version": "0",
	}}
	if enc.dialect == migrations.SQLite {
		t.columns += ", workspace_id"
	}
	t.bind = func(enc encoding, r *FunctionRun, row []any) []any {
		row = append(row,
			enc.raw(r.RunID), enc.time(r.StartedAt), enc.uuidOrNull(r.FunctionID), orUsual(r.FunctionVersion, 0), orUsual(r.TriggerType, "event"),
			enc.raw(r.EventID), enc.rawOrUsual(r.BatchID), enc.rawOrUsual(r.OriginalRunID), orNull(r.Cron),
		)
		if enc.dialect == migrations.SQLite {
			if r.WorkspaceID == uuid.Nil {
				return append(row, nil)
			}
			return append(row, enc.unlessUsual(r.WorkspaceID, usualEnvironment))
		}
		return row
	}
	return t
}

const finishColumns = `run_id, status, output, completed_step_count, created_at`

var finishes = &table[FunctionFinish]{
	name: "function_finishes", columns: finishColumns, fresh: true, usual: map[string]string{"completed_step_count": "0"},
	bind: func(enc encoding, f *FunctionFinish, row []any) []any {
		return append(row, enc.raw(f.RunID), f.Status, f.Output, orUsual(f.CompletedStepCount, 0), enc.time(f.CreatedAt))
	},
}

const historyColumns = `id, created_at, run_started_at, function_id, function_version, run_id, event_id, batch_id, group_id,
	idempotency_key, type, attempt, latency_ms, step_name, step_id, url, step_type,
	cancel_request, sleep, wait_for_event, wait_result, invoke_function, invoke_function_result, result`

var historyEntries = &table[HistoryEntry]{
	name: "history", columns: historyColumns, fresh: true,
	usual: map[string]string{
		"batch_id": zeroID, "event_id": zeroID, "cancel_request": jsonNull, "sleep": jsonNull, "wait_for_event": jsonNull,
		"wait_result": jsonNull, "invoke_function": jsonNull, "invoke_function_result": jsonNull, "result": jsonNull,
	},
	bind: func(enc encoding, h *HistoryEntry, row []any) []any {
		return append(row,
			h.ID.Bytes(), enc.time(h.CreatedAt), enc.time(h.RunStartedAt), enc.uuidOrNull(h.FunctionID), h.FunctionVersion,
			enc.raw(h.RunID), enc.rawOrUsual(h.EventID), enc.rawOrUsual(h.BatchID), orNull(h.GroupID), h.IdempotencyKey, h.Type, h.Attempt,
			intOrNull(h.LatencyMS), orNull(h.StepName), orNull(h.StepID), orNull(h.URL), orNull(h.StepType),
			jsonOrUsual(h.CancelRequest), jsonOrUsual(h.Sleep), jsonOrUsual(h.WaitForEvent), jsonOrUsual(h.WaitResult),
			jsonOrUsual(h.InvokeFunction), jsonOrUsual(h.InvokeResult), jsonOrUsual(h.Result),
		)
	},
}

const traceRunColumns = `run_id, account_id, workspace_id, app_id, function_id, trace_id, queued_at, started_at, ended_at,
	status, source_id, trigger_ids, output, is_debounce, batch_id, cron_schedule, has_ai`

// traceRuns that have ended do not become unended (database §9).
var traceRuns = &table[TraceRun]{
	name: "trace_runs", columns: traceRunColumns,
	usual: map[string]string{
		"account_id": quoted(usualAccount), "workspace_id": quoted(usualEnvironment), "source_id": "''", "is_debounce": "false",
		"has_ai": "false", "batch_id": zeroID,
	},
	conflict: `ON CONFLICT (run_id) DO UPDATE SET
		account_id = excluded.account_id, workspace_id = excluded.workspace_id, app_id = excluded.app_id,
		function_id = excluded.function_id, trace_id = excluded.trace_id, queued_at = excluded.queued_at,
		started_at = excluded.started_at, ended_at = excluded.ended_at, status = excluded.status,
		trigger_ids = excluded.trigger_ids, output = excluded.output, batch_id = excluded.batch_id,
		cron_schedule = excluded.cron_schedule, has_ai = trace_runs.has_ai OR excluded.has_ai
		WHERE trace_runs.status NOT IN (50, 300, 400, 500, 600) OR excluded.status IN (50, 300, 400, 500, 600)`,
	bind: func(enc encoding, r *TraceRun, row []any) []any {
		return append(row,
			enc.ulidText(r.RunID), enc.unlessUsual(r.AccountID, usualAccount), enc.unlessUsual(r.WorkspaceID, usualEnvironment),
			enc.uuid(r.AppID), enc.uuid(r.FunctionID),
			[]byte(r.TraceID), unixMilli(r.QueuedAt), unixMilli(r.StartedAt), unixMilli(r.EndedAt), r.Status, usual{},
			joined(r.TriggerIDs), bytesOrNull(r.Output), usual{}, enc.rawOrUsual(r.BatchID), orNull(r.Cron), orUsual(r.HasAI, false),
		)
	},
}

// unixMilli of the zero time is that of the year 1, as the original has it.
func unixMilli(t time.Time) int64 { return t.UnixMilli() }

const spanColumns = `span_id, trace_id, parent_span_id, name, start_time, end_time, attributes, links, dynamic_span_id,
	account_id, app_id, function_id, run_id, env_id, output, debug_run_id, debug_session_id, status, input, event_ids, is_deferred`

var spans = &table[Span]{
	name: "spans", columns: spanColumns, conflict: `ON CONFLICT DO NOTHING`, fresh: true,
	usual: map[string]string{
		"account_id": quoted(usualAccount), "env_id": quoted(usualEnvironment), "links": jsonNull,
		"parent_span_id": "'" + noParent + "'",
	},
	bind: func(enc encoding, s *Span, row []any) []any {
		parent := orNull(s.ParentSpanID)
		if s.ParentSpanID == noParent {
			parent = usual{}
		}
		var deferred any
		if s.IsDeferred {
			deferred = true
		}
		return append(row,
			s.SpanID, s.TraceID, parent, s.Name, enc.time(s.StartTime), enc.time(s.EndTime),
			jsonOrNull(s.Attributes), jsonOrUsual(s.Links), orNull(s.DynamicSpanID),
			enc.unlessUsual(s.AccountID, usualAccount), enc.uuid(s.AppID), enc.uuid(s.FunctionID), enc.text(s.RunID), enc.unlessUsual(s.EnvID, usualEnvironment),
			jsonOrNull(s.Output), orNull(s.DebugRunID), orNull(s.DebugSessionID), orNull(s.Status), jsonOrNull(s.Input),
			idList(s.EventIDs), deferred,
		)
	},
}

// idList is a JSON array of ULIDs, NULL for none.
func idList(ids []ulid.ULID) any {
	if len(ids) == 0 {
		return nil
	}
	text := append(make([]byte, 0, 2+29*len(ids)), '[')
	for i, id := range ids {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(append(text, '"'), id.String()...), '"')
	}
	return string(append(text, ']'))
}

// idListOf scans what idList made, and what the original has encoded twice: a
// JSON string that holds the array (database §4).
type idListOf struct{ to *[]ulid.ULID }

func (l idListOf) Scan(value any) error {
	*l.to = nil
	var raw json.RawMessage
	if err := (jsonOf{&raw}).Scan(value); err != nil || raw == nil {
		return err
	}
	var inner string
	if json.Unmarshal(raw, &inner) == nil {
		raw = json.RawMessage(inner)
	}
	return json.Unmarshal(raw, l.to)
}

// ended tells whether a code of trace_runs is final (database §9).
func ended(status int) bool {
	switch status {
	case 50, 300, 400, 500, 600:
		return true
	}
	return false
}

// latestTraceRuns leaves one row of each run, by the rule of the upsert: a
// statement cannot change a row twice.
func latestTraceRuns(rows []TraceRun) []TraceRun {
	places := map[ulid.ULID]int{}
	var latest []TraceRun
	for _, r := range rows {
		i, ok := places[r.RunID]
		switch {
		case !ok:
			places[r.RunID] = len(latest)
			latest = append(latest, r)
		case ended(r.Status) || !ended(latest[i].Status):
			r.HasAI = r.HasAI || latest[i].HasAI
			latest[i] = r
		}
	}
	return latest
}
