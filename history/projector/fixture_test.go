package projector

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/history/database"
	"jetstep/history/trace"
	"jetstep/history/trace/tracetest"
	"jetstep/state"
)

const root = "../.."

// captured is a span of the original, its rows merged, with the keys of its
// attributes cut.
type captured struct {
	trace.Row
	attrs map[string]any
	rows  []trace.Row
}

func (c *captured) text(key string) string { s, _ := c.attrs[key].(string); return s }
func (c *captured) is(key string) bool     { b, _ := c.attrs[key].(bool); return b }
func (c *captured) int(key string) int     { n, _ := c.attrs[key].(float64); return int(n) }

func (c *captured) millis(key string) int64 {
	n, _ := strconv.ParseInt(c.text(key), 10, 64)
	return n
}

func (c *captured) id(key string) ulid.ULID {
	id, _ := ulid.ParseStrict(c.text(key))
	return id
}

// capturedSpans merges the rows of a run, earliest first.
func capturedSpans(t *testing.T, rows []trace.Row) []*captured {
	t.Helper()
	byID := map[string]*captured{}
	for _, row := range rows {
		key := row.DynamicID
		s := byID[key]
		if s == nil {
			s = &captured{Row: row, attrs: map[string]any{}}
			byID[key] = s
		}
		s.rows = append(s.rows, row)
	}
	spans := slices.Collect(maps.Values(byID))
	for _, s := range spans {
		slices.SortFunc(s.rows, func(a, b trace.Row) int {
			if order := a.Start.Compare(b.Start); order != 0 {
				return order
			}
			return a.End.Compare(b.End)
		})
		s.Row = s.rows[0]
		for _, row := range s.rows {
			var attrs map[string]any
			require.NoError(t, json.Unmarshal(row.Attributes, &attrs))
			for key, value := range attrs {
				s.attrs[strings.TrimPrefix(key, "_inngest.")] = value
			}
			if row.Name != trace.NameExtension {
				s.Name = row.Name
			}
			if row.Output != nil {
				s.Output = row.Output
			}
		}
	}
	slices.SortFunc(spans, func(a, b *captured) int { return a.Start.Compare(b.Start) })
	return spans
}

// original turns a captured run into the records that Jetstep would have made
// of it.
type original struct {
	t       *testing.T
	run     state.Run
	spans   []*captured
	records []*state.Record
	finish  *state.RunFinished
	skipped bool
}

func recordsOf(t *testing.T, rows []trace.Row) *original {
	t.Helper()
	o := &original{t: t, spans: capturedSpans(t, rows)}
	for _, s := range o.spans {
		if s.Name == trace.NameRun {
			o.begin(s)
		}
	}
	for _, s := range o.spans {
		switch s.Name {
		case trace.NameExecution:
			o.call(s)
		case trace.NameStep:
			o.step(s)
		}
	}
	slices.SortStableFunc(o.records, func(a, b *state.Record) int { return int(a.At - b.At) })
	o.end()
	return o
}

func (o *original) add(at int64, ops ...state.Op) {
	o.records = append(o.records, &state.Record{At: at, Ops: ops})
}

func (o *original) begin(s *captured) {
	run, err := ulid.ParseStrict(s.RunID)
	require.NoError(o.t, err)
	fn := uuid.MustParse(s.FunctionID)
	o.run = state.Run{
		ID: run, FunctionID: fn, FunctionVersion: s.int("function.version"), Slug: s.text("function.slug"),
		Trigger: s.text("event.trigger.name"), Cron: s.text("cron.schedule"), QueuedAt: s.millis("scheduled_at"),
		Original: s.id("run.replay_original_run_id"),
	}
	for _, id := range s.attrs["event.ids"].([]any) {
		event, err := ulid.ParseStrict(id.(string))
		require.NoError(o.t, err)
		o.run.EventIDs = append(o.run.EventIDs, event)
	}
	require.NoError(o.t, json.Unmarshal(s.Input, &o.run.Events))
	if batch := s.id("batch.id"); !batch.IsZero() {
		o.run.Flow = &state.Flow{BatchID: batch}
	}
	if reason := s.text("run.skip_reason"); reason != "" {
		require.Equal(o.t, "Singleton", reason)
		o.skipped = true
		o.add(o.run.QueuedAt, &state.RunSkipped{
			RunID: run, FunctionID: fn, FunctionVersion: o.run.FunctionVersion, Slug: o.run.Slug, EventIDs: o.run.EventIDs,
			Trigger: o.run.Trigger, Reason: state.SkipSingleton, Existing: s.id("run.skip_existing_run_id"),
		})
		return
	}
	o.add(o.run.QueuedAt, &state.RunPut{Run: o.run})
	o.add(s.millis("started_at"), &state.RunChanged{RunID: run, StartedAt: s.millis("started_at")})
	status := map[string]state.Status{"Completed": state.Completed, "Failed": state.Failed, "Cancelled": state.Cancelled}[s.text("dynamic.status")]
	o.finish = &state.RunFinished{
		RunID: run, Status: status, FunctionID: fn, QueuedAt: o.run.QueuedAt, StartedAt: s.millis("started_at"),
		EventIDs: o.run.EventIDs, Cron: o.run.Cron, Output: trace.Inner(s.Output), Original: o.run.Original,
	}
	if s.Output == nil {
		o.finish.Output = nil
	}
}

// end puts the run's end into the record of the last call, or after it.
func (o *original) end() {
	if o.skipped {
		return
	}
	for _, s := range o.spans {
		if s.Name != trace.NameRun {
			continue
		}
		at := s.millis("ended_at")
		if o.finish.Status != state.Cancelled {
			last := o.records[len(o.records)-1]
			last.Ops = append(last.Ops, o.finish)
			return
		}
		o.add(at, o.finish)
	}
}

func (o *original) call(s *captured) {
	called := &state.Called{
		RunID: o.run.ID, FunctionID: o.run.FunctionID, RequestID: s.text("request.id"), URL: s.text("request.url"),
		Job: state.Job{
			ID: s.text("job.id"), Due: s.millis("queued_at"), Attempt: s.int("step.attempt"), Generation: s.int("step.attempt"), MaxAttempts: 1,
		},
		LeasedAt: s.millis("started_at"), StartedAt: s.millis("started_at"), EndedAt: s.millis("ended_at"),
		Status: s.int("response.status_code"), Size: s.int("response.output_size"), Headers: json.RawMessage(s.text("response.headers")),
	}
	var started int64
	for _, row := range s.rows { // a sleep's row repeats when it began
		var attrs map[string]any
		require.NoError(o.t, json.Unmarshal(row.Attributes, &attrs))
		if at, ok := attrs["_inngest.started_at"].(string); ok && started == 0 {
			started, _ = strconv.ParseInt(at, 10, 64)
		}
	}
	called.StartedAt, called.LeasedAt = started, started
	change := &state.RunChanged{RunID: o.run.ID}
	switch {
	case s.is("is.function.output") && s.text("dynamic.status") == statusFailed:
		called.Result, called.Output = state.CallFailed, trace.Inner(s.Output)
	case s.is("is.function.output"):
		called.Result, called.Output = state.CallDone, trace.Inner(s.Output)
	}
	var ops []struct{ Op, ID string }
	require.NoError(o.t, json.Unmarshal([]byte(s.text("response.step.ops")), &ops))
	retried := s.is("retryable")
	for _, op := range ops {
		shown := o.op(op.Op, op.ID, called)
		switch op.Op {
		case opPlanned, opSleep, opEvent, opSignal, opInvoke:
			change.JobsPut = append(change.JobsPut, state.Job{ID: "of " + op.ID, Step: op.ID})
		case opRun, opFailed:
			change.Steps = append(change.Steps, state.Step{ID: op.ID, Memo: s.Output})
		case opError:
			shown.Error, retried = trace.Inner(s.Output), true
		}
		called.Ops = append(called.Ops, *shown)
	}
	if retried {
		called.RetryAt = called.EndedAt + 1000
	}
	o.add(called.EndedAt, called, change)
}

// op is what an answer says of a step, from the step's span.
func (o *original) op(name, id string, called *state.Called) *state.CalledOp {
	op := &state.CalledOp{Op: name, ID: id}
	for _, s := range o.spans {
		if s.Name != trace.NameStep || s.text("step.id") != id {
			continue
		}
		op.Name, op.UserID, op.UserIndex, op.Type = s.text("step.name"), s.text("step.userland.id"), s.int("step.userland.index"), s.text("step.run.type")
		op.Sleep, op.Expires = int64(s.int("step.sleep.duration")), s.millis("step.wait.expiry")
		op.Wait = s.text("step.wait_for_event.name") + s.text("step.signal.name") + s.text("step.invoke.function.id")
		op.If = s.text("step.wait_for_event.if")
		if name == opRun || name == opError || name == opFailed {
			op.Start, op.End = s.millis("started_at"), s.millis("ended_at")
		}
		if name == opError && s.int("step.attempt") == called.Job.Attempt {
			break
		}
	}
	return op
}

// step adds what is told of a step outside of the call that began it.
func (o *original) step(s *captured) {
	ended := s.millis("ended_at")
	if s.is("checkpoint") {
		op := o.op(opRun, s.text("step.id"), &state.Called{})
		o.add(ended, &state.Reported{RunID: o.run.ID, FunctionID: o.run.FunctionID, Ops: []state.CalledOp{*op}},
			&state.RunChanged{RunID: o.run.ID, Steps: []state.Step{{ID: op.ID, Memo: s.Output}}})
		return
	}
	kinds := map[string]state.WaitKind{opSleep: 0, opEvent: state.WaitEvent, opSignal: state.WaitSignal, opInvoke: state.WaitInvoke}
	kind, ok := kinds[s.text("step.op")]
	if !ok || ended == 0 {
		return
	}
	memo := s.Output
	if memo == nil {
		memo = json.RawMessage("null")
	}
	event := s.id("step.wait_for_event.matched_id")
	if kind == state.WaitInvoke {
		event = s.id("step.invoke.finish.event.id")
	}
	o.add(ended, &state.StepEnded{
		RunID: o.run.ID, FunctionID: o.run.FunctionID, Step: s.text("step.id"), Kind: kind, TimedOut: s.is("step.wait.expired"),
		EventID: event, ChildRunID: s.id("step.invoke.run.id"),
	}, &state.RunChanged{RunID: o.run.ID, Steps: []state.Step{{ID: s.text("step.id"), Memo: memo}}})
}

// registered is a function of the captured app.
type registered struct{}

var fixtureApp = uuid.MustParse("1ab94682-28f9-509b-8002-4ca7eb068275")

func (registered) Executable(id uuid.UUID) (*function.Function, uuid.UUID, bool) {
	return &function.Function{ID: id, Version: 2, Name: "a name", Slug: "fixture-app-a-name"}, fixtureApp, true
}

// shown is a tree, a line for each node, without ids and times.
func shown(b *strings.Builder, n *trace.Node, indent string, rows []trace.Row) {
	output := "-"
	if n.OutputID != "" {
		ref, err := trace.ParseOutputID(n.OutputID)
		if err == nil {
			out := trace.FindOutput(rows, ref)
			if output = string(out.Data); output == "" {
				output = "-" // of a skipped run only the input, which is not recorded
			}
			if out.Error != nil {
				output = "error " + out.Error.Message
			}
		}
	}
	response := 0
	if n.Response != nil {
		response = n.Response.StatusCode
	}
	info, err := json.Marshal(n.StepInfo)
	if err != nil {
		info = []byte(err.Error())
	}
	fmt.Fprintf(b, "%s%s %s %d op=%s type=%s step=%s http=%d out=%s ended=%v skipped=%v %s\n", indent, n.Name, n.Status, n.Attempts, n.StepOp,
		n.StepType, n.StepID, response, output, !n.EndedAt.IsZero(), n.SkipReason != nil, timeless(string(info)))
	lines := make([]string, 0, len(n.Children))
	for _, child := range n.Children {
		var sub strings.Builder
		shown(&sub, child, indent+"  ", rows)
		lines = append(lines, sub.String())
	}
	// What happened in the same millisecond has no order here.
	slices.Sort(lines)
	b.WriteString(strings.Join(lines, ""))
}

// timeless leaves out of a step's info when it happens.
func timeless(info string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(info), &fields) != nil {
		return info
	}
	for _, key := range []string{"Timeout", "Until", "TriggeringEventID"} {
		delete(fields, key)
	}
	text, _ := json.Marshal(fields)
	return string(text)
}

func traceRows(spans []database.Span) []trace.Row {
	rows := make([]trace.Row, len(spans))
	for i, s := range spans {
		rows[i] = trace.Row{
			SpanID: s.SpanID, TraceID: s.TraceID, ParentID: s.ParentSpanID, DynamicID: s.DynamicSpanID, Name: s.Name,
			Start: s.StartTime, End: s.EndTime, Attributes: s.Attributes, Output: s.Output, Input: s.Input,
			RunID: s.RunID.String(), AppID: s.AppID.String(), FunctionID: s.FunctionID.String(),
		}
	}
	return rows
}

// TestTracesOfTheFixture makes records of each captured run, and compares the
// trees of the rows that they lead to with those of the captured rows: in one
// batch and in one batch for each record.
func TestTracesOfTheFixture(t *testing.T) {
	t.Parallel()
	rows := tracetest.Rows(t, root)
	runs := map[string]string{}
	for _, row := range rows {
		if row.Name == trace.NameRun {
			var attrs map[string]any
			require.NoError(t, json.Unmarshal(row.Attributes, &attrs))
			runs[row.RunID] = attrs["_inngest.function.slug"].(string)
		}
	}
	require.Len(t, runs, 28)
	for run, slug := range runs {
		t.Run(slug+" "+run, func(t *testing.T) {
			t.Parallel()
			want := slices.DeleteFunc(tracetest.OfRun(rows, run), func(row trace.Row) bool { return row.Name == trace.NameMetadata })
			o := recordsOf(t, want)
			for _, size := range []int{1, 2, len(o.records)} {
				var got []trace.Row
				for chunk := range slices.Chunk(o.records, size) {
					b := newBatch(registered{}, false)
					for _, r := range chunk {
						b.record(r)
					}
					b.seal()
					got = append(got, traceRows(b.rows.Spans)...)
				}
				compareTrees(t, want, got)
			}
		})
	}
}

func compareTrees(t *testing.T, wantRows, gotRows []trace.Row) {
	t.Helper()
	want, err := trace.Assemble(wantRows)
	require.NoError(t, err)
	got, err := trace.Assemble(gotRows)
	require.NoError(t, err)
	now := time.Date(2026, 11, 25, 23, 17, 30, 0, time.UTC)
	for _, shape := range []func(*trace.Run) *trace.Node{
		(*trace.Run).Preview,
		func(r *trace.Run) *trace.Node { return r.Legacy("", now) },
	} {
		var wanted, made strings.Builder
		shown(&wanted, shape(want), "", wantRows)
		shown(&made, shape(got), "", gotRows)
		require.Equal(t, wanted.String(), made.String())
	}
}
