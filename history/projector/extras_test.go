package projector

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
	"jetstep/state"
)

// rowsOf are the rows of spans that records lead to, of one run.
func rowsOf(run ulid.ULID, records ...*state.Record) []trace.Row {
	b := newBatch(registered{}, false)
	for _, r := range records {
		b.record(r)
	}
	b.seal()
	var rows []trace.Row
	for _, row := range traceRows(b.rows.Spans) {
		if row.RunID == run.String() {
			rows = append(rows, row)
		}
	}
	return rows
}

// TestDeferredRuns has a run that defers two others, of which one is made.
func TestDeferredRuns(t *testing.T) {
	t.Parallel()
	parent, child := recordsOfRun(0, 0), recordsOfRun(1, 0)
	last := parent[1].Ops
	put := &state.RunChanged{RunID: aRun(0), DefersPut: []state.Defer{
		{ID: "h1", UserID: "mail", Slug: "app-mail", Status: state.DeferAfterRun}, {ID: "h2", Slug: "app-log", Status: state.DeferAborted},
	}}
	parent[1].Ops = append([]state.Op{last[0], put}, last[1:]...)
	run := &child[0].Ops[0].(*state.RunPut).Run
	run.Trigger = state.EventDeferred
	run.Events = []json.RawMessage{json.RawMessage(fmt.Sprintf(
		`{"data":{"_inngest":{"fn_slug":"app-mail","hashed_id":"h1","parent_fn_slug":"shop-order","parent_run_id":"%s"}},"name":"%s"}`,
		aRun(0), state.EventDeferred))}
	all := append(parent, child...)

	defers := trace.Defers(rowsOf(aRun(0), all...))
	require.ElementsMatch(t, []trace.Defer{
		{HashedID: "h1", UserlandID: "mail", Slug: "app-mail", Status: trace.DeferScheduled, ChildRunID: aRun(1).String()},
		{HashedID: "h2", Slug: "app-log", Status: trace.DeferAborted},
	}, defers)
	require.Equal(t, []string{aRun(0).String()}, trace.DeferredFrom(rowsOf(aRun(1), all...)))
	run.Events = []json.RawMessage{json.RawMessage(`{"data":{}}`)} // sent by someone else
	require.Empty(t, trace.DeferredFrom(rowsOf(aRun(1), child...)))
}

// TestMetadataOfSpans attaches them by an answer and from outside.
func TestMetadataOfSpans(t *testing.T) {
	t.Parallel()
	records := recordsOfRun(0, 1)
	op := &records[1].Ops[0].(*state.Called).Ops[0]
	op.Metadata = json.RawMessage(`[{"scope":"step","kind":"userland.a","op":"merge","values":{"x":1}},
		{"scope":"run","kind":"userland.b","op":"merge","values":{"y":2}},{"scope":"request","kind":"userland.c","op":"merge","values":{"z":3}}]`)
	records = append(records, &state.Record{At: benchBegan + 50, Ops: []state.Op{
		&state.MetadataPut{RunID: aRun(0), FunctionID: benchFunction, Step: op.ID, Attempt: -1, Items: []state.Metadata{
			{Scope: "step", Kind: "userland.a", Op: "add", Values: json.RawMessage(`{"x":2}`)},
		}},
		&state.MetadataPut{RunID: aRun(0), FunctionID: uuid.Nil, Items: []state.Metadata{
			{Scope: "run", Kind: "userland.b", Op: "merge", Values: json.RawMessage(`{"w":4}`)},
		}},
	}})
	run, err := trace.Assemble(rowsOf(aRun(0), records...))
	require.NoError(t, err)
	found := map[string]string{}
	var walk func(*trace.Node)
	walk = func(n *trace.Node) {
		for _, m := range n.Metadata {
			if !strings.HasPrefix(m.Kind, "userland.") {
				continue // told by ourselves
			}
			values, err := json.Marshal(m.Values)
			require.NoError(t, err)
			found[m.Kind] += string(values)
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(run.Preview())
	require.Equal(t, map[string]string{"userland.a": `{"x":3}`, "userland.b": `{"w":4,"y":2}`, "userland.c": `{"z":3}`}, found)
}

// TestDurableEndpoints has a run that its app began, which then goes on by itself.
func TestDurableEndpoints(t *testing.T) {
	t.Parallel()
	records := recordsOfRun(0, 0)
	app := uuid.UUID{7}
	records[0].Ops[0].(*state.RunPut).Run.Endpoint = &state.Endpoint{AppID: app}
	detached := &state.Record{At: benchBegan + 1, Ops: []state.Op{&state.EndpointDetached{RunID: aRun(0), FunctionID: benchFunction}}}
	b := newBatch(registered{}, false)
	b.record(records[0])
	b.seal()
	require.Equal(t, app, b.rows.Spans[0].AppID)
	require.Contains(t, string(b.rows.Spans[0].Attributes), `"_inngest.run.is_durable_endpoint":true`)
	rows := rowsOf(aRun(0), detached)
	require.Len(t, rows, 1)
	require.Equal(t, trace.NameExtension, rows[0].Name)
	require.Contains(t, string(rows[0].Attributes), "mode_changed_at")
	require.Contains(t, string(rows[0].Attributes), statusRunning)
}
