// Package tracetest reads the span rows of the captured database, for tests
// that need real traces. It owns nothing and is only for tests.
package tracetest

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
)

// Fixtures is the directory of the captured database, below the root of the
// module.
const Fixtures = "tests/testdata/fixtures/postgres"

// TB is the part of testing.TB that is needed.
type TB interface {
	require.TestingT
	Helper()
}

// jsonb is a column whose value is wrapped, so that null in JSON can be told
// from no value.
type jsonb struct {
	Value json.RawMessage `json:"$jsonb"`
}

func (j *jsonb) raw() json.RawMessage {
	if j == nil {
		return nil
	}
	return j.Value
}

type row struct {
	SpanID       string    `json:"span_id"`
	TraceID      string    `json:"trace_id"`
	ParentID     string    `json:"parent_span_id"`
	DynamicID    string    `json:"dynamic_span_id"`
	Name         string    `json:"name"`
	Start        time.Time `json:"start_time"`
	End          time.Time `json:"end_time"`
	Attributes   *jsonb    `json:"attributes"`
	Output       *jsonb    `json:"output"`
	Input        *jsonb    `json:"input"`
	RunID        string    `json:"run_id"`
	AppID        string    `json:"app_id"`
	FunctionID   string    `json:"function_id"`
	DebugRun     string    `json:"debug_run_id"`
	DebugSession string    `json:"debug_session_id"`
}

// Rows reads all span rows; root is the path to the root of the module.
func Rows(t TB, root string) []trace.Row {
	t.Helper()
	var rows []trace.Row
	Table(t, root, "spans", func(r row) {
		rows = append(rows, trace.Row{
			SpanID: r.SpanID, TraceID: r.TraceID, ParentID: r.ParentID, DynamicID: r.DynamicID, Name: r.Name,
			Start: r.Start, End: r.End, Attributes: r.Attributes.raw(), Output: r.Output.raw(), Input: r.Input.raw(),
			RunID: r.RunID, AppID: r.AppID, FunctionID: r.FunctionID, DebugRunID: r.DebugRun, DebugSessionID: r.DebugSession,
		})
	})
	return rows
}

// OfRun are the rows of one run.
func OfRun(rows []trace.Row, run string) []trace.Row {
	var found []trace.Row
	for _, row := range rows {
		if row.RunID == run {
			found = append(found, row)
		}
	}
	return found
}

// Table calls do with each row of a table of the captured database.
func Table[T any](t TB, root, table string, do func(T)) {
	t.Helper()
	file, err := os.Open(filepath.Join(root, Fixtures, "data", table+".jsonl"))
	require.NoError(t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var row T
		require.NoError(t, json.Unmarshal(lines.Bytes(), &row))
		do(row)
	}
	require.NoError(t, lines.Err())
}
