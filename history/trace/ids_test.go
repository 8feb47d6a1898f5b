package trace_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
	"jetstep/history/trace/tracetest"
)

func TestIDVectors(t *testing.T) {
	t.Parallel()
	run := trace.RunID(ulid.MustParse("01M8AFNA9B0ERWC92GXE26AVJ6"))
	require.Equal(t, trace.ID{Trace: "6d63241262663d03290a7469e3dd830d", Span: "eb62bd334d2fa170"}, run)
	const step, nap = "0612bcf5b16a1ec368ef4ebb92d6be2f7040260b", "c2640f79b4ed481b838ce4ad75330aa3f825d4d9"
	require.Equal(t, trace.ID{Trace: "15f859e275b769db6092bf5b8a2d7879", Span: "ae22bffa081860a0"}, trace.StepID(step))
	require.Equal(t, trace.ID{Trace: "8bd92c9ea54ab8aafc65e56648ddf5dc", Span: "3549b3c9415fe0e0"}, trace.ErroredStepID(step, 0))
	require.Equal(t, "178a65911607390b", trace.SleepID(nap).Span)
	require.Equal(t, "c9e1efe2f46b2187", trace.SleepDiscoveryID(nap).Span)
	require.Equal(t, "a306159c19d9cbeb", trace.NonStepID("94d7ae18-444d-4124-bc8e-4d80f5dccab4", 0).Span)
	require.Equal(t, "a873f1935e09042f", trace.MetadataID("19b05f418cdea85e", "inngest.timing"))
	require.Equal(t, "704a733165f06c48", trace.ExecutionSpan("01M8ADZCZ4YQ870JKK65JZ0V28"))
	require.Empty(t, trace.ExecutionSpan("no ULID"))
	require.NotEqual(t, trace.DeferID(ulid.ULID{}, "a"), trace.DeferID(ulid.ULID{}, "b"))
}

// TestIDsOfCapturedRows derives every id of the captured database that is not
// random (database §11.5).
func TestIDsOfCapturedRows(t *testing.T) {
	t.Parallel()
	derived := 0
	for _, row := range tracetest.Rows(t, root) {
		var attrs map[string]any
		require.NoError(t, json.Unmarshal(row.Attributes, &attrs))
		text := func(key string) string { s, _ := attrs["_inngest."+key].(string); return s }
		attempt, _ := attrs["_inngest.step.attempt"].(float64)
		run := trace.RunID(ulid.MustParse(row.RunID))
		require.Equal(t, run.Trace, row.TraceID)

		want, got := "", row.DynamicID
		switch row.Name {
		case trace.NameRun:
			want = run.Span
		case trace.NameNonStep:
			want = trace.NonStepID(text("job.group.id"), int(attempt)).Span
		case trace.NameMetadata:
			want = trace.MetadataID(row.ParentID, text("metadata.kind"))
		case trace.NameStep:
			want = stepSpan(text("step.id"), text("internal.location"), text("dynamic.status"), int(attempt))
		}
		if want == "" {
			continue
		}
		derived++
		require.Equal(t, want, got, "%s %s", row.Name, row.SpanID)
	}
	require.Equal(t, 157, derived)
}

// stepSpan is the id of a step's row, empty for those that are random.
func stepSpan(step, location, status string, attempt int) string {
	switch {
	case status == "Errored":
		return trace.ErroredStepID(step, attempt).Span
	case location == "executor.handleGeneratorSleep":
		return trace.SleepID(step).Span
	case location == "executor.emitStepSpan", location == "checkpoint.AsyncStep", strings.HasSuffix(location, "StepPlanned"):
		return trace.StepID(step).Span
	default:
		return ""
	}
}
