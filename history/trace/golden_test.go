package trace_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
	"jetstep/history/trace/tracetest"
)

const root = "../.."

// TestPreviewGolden compares the trees of all captured runs with those that
// the original showed.
func TestPreviewGolden(t *testing.T) {
	t.Parallel()
	rows := tracetest.Rows(t, root)
	files, err := filepath.Glob(filepath.Join(root, tracetest.Fixtures, "expected", "gql-trace-*.json"))
	require.NoError(t, err)
	require.Len(t, files, 27)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var golden struct {
				Variables struct{ R string }
				Response  struct {
					Data struct {
						Run struct{ Trace map[string]any }
					}
				}
			}
			require.NoError(t, json.Unmarshal(text, &golden))
			run, err := trace.Assemble(tracetest.OfRun(rows, golden.Variables.R))
			require.NoError(t, err)
			require.Equal(t, golden.Response.Data.Run.Trace, shown(run.Preview(), 4))
		})
	}
}

// shown is a node as the captured queries select it: depth levels.
func shown(n *trace.Node, depth int) map[string]any {
	m := map[string]any{
		"name": n.Name, "status": string(n.Status), "attempts": float64(n.Attempts), "duration": nil,
		"outputID": orNull(n.OutputID), "queuedAt": moment(n.QueuedAt), "scheduledAt": moment(n.ScheduledAt),
		"startedAt": moment(n.StartedAt), "endedAt": moment(n.EndedAt), "stepOp": orNull(string(n.StepOp)),
		"stepID": orNull(n.StepID), "stepType": n.StepType, "isRoot": n.IsRoot, "parentSpanID": deref(n.ParentID),
		"spanID": n.SpanID, "traceID": n.TraceID, "isUserland": n.Userland != nil, "skipReason": deref(n.SkipReason),
		"skipExistingRunID": deref(n.SkipExistingRun), "metadata": metadata(n.Metadata), "response": nil, "stepInfo": info(n.StepInfo),
	}
	if n.Duration != nil {
		m["duration"] = float64(n.Duration.Milliseconds())
	}
	if n.Response != nil {
		m["response"] = map[string]any{"statusCode": float64(n.Response.StatusCode)}
	}
	if depth > 1 {
		children := []any{}
		for _, child := range n.Children {
			children = append(children, shown(child, depth-1))
		}
		m["childrenSpans"] = children
	}
	return m
}

func metadata(all []trace.Metadata) []any {
	list := []any{}
	for _, m := range all {
		values := map[string]any{}
		for key, raw := range m.Values {
			var value any
			_ = json.Unmarshal(raw, &value)
			values[key] = value
		}
		list = append(list, map[string]any{"scope": m.Scope, "kind": m.Kind, "values": values})
	}
	return list
}

func info(step trace.StepInfo) any {
	switch i := step.(type) {
	case trace.InvokeInfo:
		return map[string]any{
			"__typename": "InvokeStepInfo", "triggeringEventID": i.TriggeringEventID, "functionID": i.FunctionID,
			"timeout": moment(i.Timeout), "returnEventID": deref(i.ReturnEventID), "runID": deref(i.RunID), "timedOut": flag(i.TimedOut),
		}
	case trace.SleepInfo:
		return map[string]any{"__typename": "SleepStepInfo", "sleepUntil": moment(i.Until)}
	case trace.WaitInfo:
		return map[string]any{
			"__typename": "WaitForEventStepInfo", "eventName": i.EventName, "expression": deref(i.Expression),
			"timeout": moment(i.Timeout), "foundEventID": deref(i.FoundEventID), "timedOut": flag(i.TimedOut),
		}
	case trace.SignalInfo:
		return map[string]any{
			"__typename": "WaitForSignalStepInfo", "signal": i.Signal, "timeout": moment(i.Timeout), "timedOut": flag(i.TimedOut),
		}
	case trace.RunInfo:
		return map[string]any{"__typename": "RunStepInfo", "type": deref(i.Type)}
	}
	return nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func deref(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

func flag(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}

func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}
