package database

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/oklog/ulid/v2"
)

// The records of one run, besides the index of runs.

const finishedRuns = `SELECT r.run_id, r.run_started_at, r.function_id, r.function_version, r.trigger_type, r.event_id,
	r.batch_id, r.original_run_id, r.cron, f.status, f.output, f.completed_step_count, f.created_at
	FROM function_runs AS r LEFT JOIN function_finishes AS f ON f.run_id = r.run_id `

// FunctionRun finds a run with its end (database §13.4), or fails with
// [ErrNotFound], as it does for skipped runs.
func (s *Store) FunctionRun(ctx context.Context, id ulid.ULID) (FunctionRun, error) {
	return first(ctx, s, "run", finishedRuns+`WHERE r.run_id = ? LIMIT 1`, []any{id.Bytes()}, scanFunctionRun)
}

// FunctionRunsOfEvent lists the runs that an event started, alone or in a batch,
// in the order of their ids.
func (s *Store) FunctionRunsOfEvent(ctx context.Context, event ulid.ULID) ([]FunctionRun, error) {
	// Run ids are text in one table and bytes in the other, so those of batches
	// are looked up first.
	ids, err := collect(ctx, s, "runs of an event", `SELECT run_id FROM jetstep_run_events WHERE event_id = ?`,
		[]any{event.Bytes()}, func(row scanner, id *ulid.ULID) error { return row.Scan(ulidOf{id}) })
	if err != nil {
		return nil, err
	}
	args := []any{event.Bytes()}
	where := `WHERE r.event_id = ?`
	if len(ids) > 0 {
		var raw [][]byte
		for _, id := range ids {
			raw = append(raw, id.Bytes())
		}
		marks, more := inList(raw)
		where, args = where+` OR r.run_id IN (`+marks+`)`, append(args, more...)
	}
	return collect(ctx, s, "runs of an event", finishedRuns+where+` ORDER BY r.run_id`, args, scanFunctionRun)
}

func scanFunctionRun(row scanner, r *FunctionRun) error {
	var f FunctionFinish
	var steps *int
	err := row.Scan(ulidOf{&r.RunID}, timeOf{&r.StartedAt}, uuidOf{&r.FunctionID}, &r.FunctionVersion, &r.TriggerType,
		ulidOf{&r.EventID}, ulidOf{&r.BatchID}, ulidOf{&r.OriginalRunID}, textOf{&r.Cron},
		textOf{&f.Status}, textOf{&f.Output}, &steps, timeOf{&f.CreatedAt})
	if f.Status != "" {
		f.RunID, f.CompletedStepCount = r.RunID, *steps
		r.Finish = &f
	}
	return err
}

// History lists the history of a run in the order of its entries' ids.
func (s *Store) History(ctx context.Context, run ulid.ULID) ([]HistoryEntry, error) {
	return collect(ctx, s, "history", `SELECT `+historyColumns+` FROM history WHERE run_id = ? ORDER BY created_at, id`,
		[]any{run.Bytes()}, scanHistory)
}

func scanHistory(row scanner, h *HistoryEntry) error {
	return row.Scan(ulidOf{&h.ID}, timeOf{&h.CreatedAt}, timeOf{&h.RunStartedAt}, uuidOf{&h.FunctionID}, &h.FunctionVersion,
		ulidOf{&h.RunID}, ulidOf{&h.EventID}, ulidOf{&h.BatchID}, textOf{&h.GroupID}, &h.IdempotencyKey, &h.Type, &h.Attempt,
		&h.LatencyMS, textOf{&h.StepName}, textOf{&h.StepID}, textOf{&h.URL}, textOf{&h.StepType},
		jsonOf{&h.CancelRequest}, jsonOf{&h.Sleep}, jsonOf{&h.WaitForEvent}, jsonOf{&h.WaitResult},
		jsonOf{&h.InvokeFunction}, jsonOf{&h.InvokeResult}, jsonOf{&h.Result})
}

// Spans lists all rows of a run by start, end and id (database §13.1).
func (s *Store) Spans(ctx context.Context, run ulid.ULID) ([]Span, error) {
	return collect(ctx, s, "spans", `SELECT `+spanColumns+` FROM spans WHERE run_id = ? ORDER BY start_time, end_time, span_id`,
		[]any{run.String()}, scanSpan)
}

// debugRuns is how many runs of a session of debugging are read at most.
const debugRuns = 100

// DebugRuns finds the latest runs of a debug run, or of a debug session, latest
// first (graphql §18).
func (s *Store) DebugRuns(ctx context.Context, id ulid.ULID, session bool) ([]ulid.ULID, error) {
	column := "debug_run_id"
	if session {
		column = "debug_session_id"
	}
	return collect(ctx, s, "debug runs", `SELECT DISTINCT run_id FROM spans WHERE run_id IN (SELECT run_id FROM jetstep_runs WHERE is_debug)
		AND name = 'executor.run' AND `+column+` = ? ORDER BY run_id DESC LIMIT `+strconv.Itoa(debugRuns),
		[]any{id.String()}, func(row scanner, id *ulid.ULID) error { return row.Scan(ulidOf{id}) })
}

func scanSpan(row scanner, s *Span) error {
	var deferred *bool
	err := row.Scan(&s.SpanID, &s.TraceID, textOf{&s.ParentSpanID}, &s.Name, timeOf{&s.StartTime}, timeOf{&s.EndTime},
		jsonOf{&s.Attributes}, jsonOf{&s.Links}, textOf{&s.DynamicSpanID}, uuidOf{&s.AccountID}, uuidOf{&s.AppID},
		uuidOf{&s.FunctionID}, ulidOf{&s.RunID}, uuidOf{&s.EnvID}, jsonOf{&s.Output}, textOf{&s.DebugRunID},
		textOf{&s.DebugSessionID}, textOf{&s.Status}, jsonOf{&s.Input}, idListOf{&s.EventIDs}, &deferred)
	s.IsDeferred = deferred != nil && *deferred
	return err
}

// SpanOutput is what a row of a run put out, and what it was given; nil for none.
type SpanOutput struct {
	SpanID        string
	Output, Input json.RawMessage
}

// Outputs finds the outputs and inputs of rows of a run by their span ids
// (database §13.2); rows that are not there are left out.
func (s *Store) Outputs(ctx context.Context, run ulid.ULID, spanIDs []string) ([]SpanOutput, error) {
	if len(spanIDs) == 0 {
		return nil, nil
	}
	marks, args := inList(spanIDs)
	return collect(ctx, s, "outputs", `SELECT span_id, output, input FROM spans WHERE run_id = ? AND span_id IN (`+marks+`)
		ORDER BY span_id`, append([]any{run.String()}, args...), func(row scanner, o *SpanOutput) error {
		return row.Scan(&o.SpanID, jsonOf{&o.Output}, jsonOf{&o.Input})
	})
}

// RunOutputs finds what runs returned: of the rows with output, one marked as
// the function's first, then the one that ended last (database §13.3).
func (s *Store) RunOutputs(ctx context.Context, runs []ulid.ULID) (map[ulid.ULID]json.RawMessage, error) {
	found, marked := map[ulid.ULID]json.RawMessage{}, map[ulid.ULID]bool{}
	if len(runs) == 0 {
		return found, nil
	}
	ids := make([]string, len(runs))
	for i, id := range runs {
		ids[i] = id.String()
	}
	marks, args := inList(ids)
	err := s.query(ctx, "outputs of runs", `SELECT run_id, output, attributes FROM spans
		WHERE run_id IN (`+marks+`) AND output IS NOT NULL ORDER BY end_time, span_id`, args, func(row scanner) error {
		var run ulid.ULID
		var output, attributes json.RawMessage
		if err := row.Scan(ulidOf{&run}, jsonOf{&output}, jsonOf{&attributes}); err != nil {
			return err
		}
		var a struct {
			Output bool `json:"_inngest.is.function.output"`
		}
		_ = json.Unmarshal(attributes, &a) // attributes of another form mark nothing
		if a.Output || !marked[run] {
			found[run], marked[run] = output, a.Output || marked[run]
		}
		return nil
	})
	return found, err
}
