package trace_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
)

// TestTimingOfRequests is told where it is not stored, and not counted.
func TestTimingOfRequests(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_800_000_000_000)
	request := `"_inngest.dynamic.status":"Completed","_inngest.step.op":"StepRun","_inngest.step.name":"a","_inngest.queued_at":"1800000000000"`
	row := func(id, parent, name, attributes string) trace.Row {
		return trace.Row{SpanID: id, DynamicID: id, ParentID: parent, Name: name, Start: at, End: at, Attributes: []byte("{" + attributes + "}")}
	}
	rows := []trace.Row{
		row("run", trace.NoParent, trace.NameRun, ""),
		row("discovery", "run", trace.NameDiscovery, ""),
		row("request", "discovery", trace.NameExecution, request+`,"_inngest.scheduled_at":"1800000000010","_inngest.started_at":"1800000000015","_inngest.ended_at":"1800000000045"`),
	}
	shown := func(rows []trace.Row) (root, request *trace.Node) {
		run, err := trace.Assemble(rows)
		require.NoError(t, err)
		root = run.Preview()
		require.Len(t, root.Children, 1)
		return root, root.Children[0]
	}
	root, only := shown(rows)
	require.Empty(t, root.Metadata, "it takes no room")
	require.Len(t, only.Metadata, 1)
	m := only.Metadata[0]
	require.Equal(t, "request inngest.timing", m.Scope+" "+m.Kind)
	require.Equal(t, int64(1_800_000_000_045), m.UpdatedAt.UnixMilli())
	values := map[string]string{}
	for key, value := range m.Values {
		values[key] = string(value)
	}
	require.Equal(t, map[string]string{"network_total_ms": "30", "queue_delay_ms": "0", "system_latency_ms": "5", "total_inngest_ms": "5"}, values)

	stored := row("m", "request", trace.NameMetadata,
		`"_inngest.metadata.kind":"inngest.timing","_inngest.metadata.scope":"request","_inngest.metadata.op":"merge","_inngest.metadata.values":"{\"network_total_ms\":7}"`)
	_, only = shown(append(rows, stored))
	require.Len(t, only.Metadata, 1)
	require.Equal(t, "7", string(only.Metadata[0].Values["network_total_ms"]))

	rows[2] = row("request", "discovery", trace.NameExecution, request+`,"_inngest.started_at":"1800000000015"`)
	_, only = shown(rows)
	require.Empty(t, only.Metadata, "it is being made")
}
