package export

import (
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"jetstep/history/trace"
)

var (
	run   = ulid.MustParse("01M8AFXH2MZX2KYF8QXVZKBF7M")
	begin = time.UnixMilli(1795648570454).UTC()
)

const (
	call = "a1a2a3a4a5a6a7a8"
	step = "8563bf78013724a8"
)

func row(id ulid.ULID, name, span, dynamic, parent string, after time.Duration, attributes string) trace.Row {
	return trace.Row{
		Name: name, SpanID: span, DynamicID: dynamic, ParentID: parent, TraceID: trace.RunID(id).Trace, RunID: id.String(),
		Start: begin.Add(after), End: begin.Add(after), Attributes: json.RawMessage(`{` + attributes + `}`),
	}
}

// rowsOf are those of a run with one step.
func rowsOf(id ulid.ULID) []trace.Row {
	root := trace.RunID(id).Span
	rows := []trace.Row{
		row(id, trace.NameRun, root, root, trace.NoParent, 0, `"_inngest.dynamic.status":"Queued","_inngest.function.slug":"shop-pay","_inngest.event.trigger.name":"shop/paid"`),
		row(id, trace.NameDiscovery, "d1d2d3d4d5d6d7d8", "d1d2d3d4d5d6d7d8", root, 0, ``),
		row(id, trace.NameExecution, call, call, "d1d2d3d4d5d6d7d8", time.Second,
			`"_inngest.dynamic.status":"Failed","_inngest.started_at":"1795648571000","_inngest.ended_at":"1795648572000","_inngest.request.url":"http://app/x","_inngest.response.status_code":500,"_inngest.step.attempt":1,"_inngest.response.output_size":42`),
		row(id, trace.NameStep, step, step, root, time.Second,
			`"_inngest.dynamic.status":"Completed","_inngest.started_at":"1795648571100","_inngest.ended_at":"1795648571200","_inngest.step.name":"first","_inngest.step.id":"hash","_inngest.step.op":"StepRun"`),
		row(id, trace.NameUserland, "0102030405060708", "0102030405060708", call, time.Second, `"db":"pg"`),
		row(id, trace.NameExtension, "e1e2e3e4e5e6e7e8", root, trace.NoParent, 3*time.Second, `"_inngest.dynamic.status":"Completed","_inngest.ended_at":"1795648573454"`),
	}
	rows[2].Output = json.RawMessage(`{"error":{"name":"TypeError","message":"no"}}`)
	return rows
}

func ranRows() []trace.Row { return rowsOf(run) }

func attributesOf(s *otlp.Span) map[string]any {
	m := map[string]any{}
	for _, a := range s.Attributes {
		if a.Value.GetStringValue() != "" {
			m[a.Key] = a.Value.GetStringValue()
		} else {
			m[a.Key] = a.Value.GetIntValue()
		}
	}
	return m
}

func TestSpansOfARun(t *testing.T) {
	t.Parallel()
	spans, ended := spansOf(run, ranRows())
	require.True(t, ended)
	require.Len(t, spans, 3, "neither discoveries nor spans of user code")
	root, step1, called := spans[0], spans[1], spans[2]
	rootID := trace.RunID(run).Span
	for _, s := range spans {
		require.Equal(t, run.Bytes(), s.TraceId, "the one that SDKs are told")
	}

	require.Equal(t, rootID, hex.EncodeToString(root.SpanId))
	require.Empty(t, root.ParentSpanId)
	require.Equal(t, "shop-pay", root.Name)
	require.Equal(t, otlp.Status_STATUS_CODE_OK, root.Status.Code)
	require.EqualValues(t, begin.UnixNano(), root.StartTimeUnixNano)
	require.EqualValues(t, begin.Add(3*time.Second).UnixNano(), root.EndTimeUnixNano)
	require.Equal(t, map[string]any{"jetstep.run.id": run.String(), "jetstep.function.id": "shop-pay", "jetstep.event.name": "shop/paid"}, attributesOf(root))

	require.Equal(t, call, hex.EncodeToString(called.SpanId))
	require.Equal(t, rootID, hex.EncodeToString(called.ParentSpanId))
	require.Equal(t, "call shop-pay", called.Name)
	require.Equal(t, otlp.Span_SPAN_KIND_CLIENT, called.Kind)
	require.Equal(t, otlp.Status_STATUS_CODE_ERROR, called.Status.Code)
	require.Equal(t, "TypeError: no", called.Status.Message)
	require.EqualValues(t, 1795648571000_000_000, called.StartTimeUnixNano)
	require.EqualValues(t, 1795648572000_000_000, called.EndTimeUnixNano)
	require.Equal(t, map[string]any{"url.full": "http://app/x", "http.response.status_code": int64(500), "http.response.body.size": int64(42), "jetstep.attempt": int64(1)}, attributesOf(called))

	require.Equal(t, "first", step1.Name)
	require.Equal(t, rootID, hex.EncodeToString(step1.ParentSpanId))
	require.Equal(t, map[string]any{"jetstep.step.id": "hash", "jetstep.step.name": "first", "jetstep.step.op": "StepRun"}, attributesOf(step1))
}

// TestTraceOfTheSender: the run is in the trace in which its event was sent.
func TestTraceOfTheSender(t *testing.T) {
	t.Parallel()
	const sender = "0af7651916cd43dd8448eb211c80319c"
	for input, want := range map[string]string{
		`[{"meta":{"traceparent":"00-` + sender + `-b7ad6b7169203331-01"}}]`: sender,
		`[{"meta":{"traceparent":"junk"}}]`:                                  hex.EncodeToString(run.Bytes()),
		`[{"meta":{"traceparent":"00-zz-b7ad6b7169203331-01"}}]`:             hex.EncodeToString(run.Bytes()),
		`[{}]`: hex.EncodeToString(run.Bytes()),
		`[]`:   hex.EncodeToString(run.Bytes()),
		`junk`: hex.EncodeToString(run.Bytes()),
	} {
		rows := ranRows()
		rows[0].Input = json.RawMessage(input)
		spans, _ := spansOf(run, rows)
		for _, s := range spans {
			require.Equal(t, want, hex.EncodeToString(s.TraceId), input)
		}
		if want == sender {
			require.Equal(t, "b7ad6b7169203331", hex.EncodeToString(spans[0].ParentSpanId))
		} else {
			require.Empty(t, spans[0].ParentSpanId)
		}
	}
}

// TestIncomplete: what is not known is left out.
func TestIncomplete(t *testing.T) {
	t.Parallel()
	spans, ended := spansOf(run, nil)
	require.Empty(t, spans)
	require.False(t, ended)
	spans, ended = spansOf(run, ranRows()[1:5])
	require.Empty(t, spans, "without the run itself")
	require.False(t, ended)
	_, ended = spansOf(run, ranRows()[:5])
	require.False(t, ended)

	rows := ranRows()
	root := trace.RunID(run).Span
	rows = append(rows[:1], rows[5],
		row(run, trace.NameStep, "s", "s", root, 2*time.Second, `"_inngest.dynamic.status":"Waiting","_inngest.started_at":"1795648579000","_inngest.step.userland.id":"mine"`),
		row(run, trace.NameStep, "0f", "0f", root, 2*time.Second, `"_inngest.dynamic.status":"Errored"`))
	rows[2].Attributes = json.RawMessage(`"{\"_inngest.dynamic.status\":\"Waiting\",\"_inngest.step.userland.id\":\"mine\",\"_inngest.started_at\":\"1795648579000\"}"`)
	rows[3].Output = json.RawMessage(`{"error":{"message":"no name"}}`)
	bad := row(run, trace.NameStep, "0b", "0b", root, 2*time.Second, ``)
	bad.Attributes, bad.Output = json.RawMessage(`broken`), json.RawMessage(`broken`)
	spans, ended = spansOf(run, append(rows, bad))
	require.True(t, ended)
	require.Len(t, spans, 4)
	require.Equal(t, "step", spans[1].Name, "of which nothing can be read")
	require.Equal(t, "no name", spans[2].Status.Message)
	waiting := spans[3]
	require.Equal(t, "mine", waiting.Name)
	require.Nil(t, waiting.Status)
	require.Equal(t, map[string]any{"jetstep.status": "Waiting"}, attributesOf(waiting))
	require.Equal(t, waiting.StartTimeUnixNano, waiting.EndTimeUnixNano, "not before its start")
	require.Empty(t, errorText(json.RawMessage(`x`)))
}
