package trace_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
	"jetstep/history/trace/tracetest"
)

func TestNoRoot(t *testing.T) {
	t.Parallel()
	_, err := trace.Assemble(nil)
	require.ErrorIs(t, err, trace.ErrNoRoot)
	require.EqualError(t, err, "error retrieving trace: no root span found for run 00000000000000000000000000")
}

// TestOrderDoesNotMatter assembles every captured run from shuffled rows.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	rows := tracetest.Rows(t, root)
	random := rand.New(rand.NewPCG(1, 2))
	for id := range legacyOf {
		own := tracetest.OfRun(rows, id)
		want, err := trace.Assemble(own)
		require.NoError(t, err)
		random.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
		got, err := trace.Assemble(own)
		require.NoError(t, err)
		require.Equal(t, shown(want.Preview(), 9), shown(got.Preview(), 9))
	}
}

// TestStrangeRows: rows that no known writer makes are left out, not fatal.
func TestStrangeRows(t *testing.T) {
	t.Parallel()
	s := running()
	s.add(trace.NameStep, "orphan", "orphan", "nowhere", 2, nil)
	s.add(trace.NameStep, "loop1", "loop1", "loop2", 2, nil)
	s.add(trace.NameStep, "loop2", "loop2", "loop1", 2, nil)
	s.add(trace.NameStep, "self", "self", "self", 2, nil)
	s.add(trace.NameDefer, "defer", "defer", "root", 2, nil)
	s.add(trace.NameMetadata, "lost", "lost", "nowhere", 2, attrs{"metadata.kind": "a", "metadata.values": `{"a":1}`})
	s.add(trace.NameMetadata, "nokind", "nokind", "root", 2, attrs{"metadata.values": `{"a":1}`})
	s.add(trace.NameStep, "bad", "bad", "root", 2, attrs{"step.attempt": "many", "dynamic.status": 7, "step.wait.expiry": 3, "response.status_code": 200})
	(*s)[len(*s)-1].Attributes = json.RawMessage(`[1]`)
	s.add(trace.NameStep, "", "", "root", 3, nil)
	(*s)[len(*s)-1].SpanID = "nodynamic"

	run, err := trace.Assemble(*s)
	require.NoError(t, err)
	tree := run.Preview()
	require.Len(t, tree.Children, 2)
	require.Equal(t, []string{"bad", "nodynamic"}, []string{tree.Children[0].SpanID, tree.Children[1].SpanID})
	require.Equal(t, "executor.step", tree.Children[0].Name)
	require.Empty(t, tree.Metadata)
}

// TestAttributesEncodedTwice reads a column that holds a JSON string.
func TestAttributesEncodedTwice(t *testing.T) {
	t.Parallel()
	s := running().request("d", 0, 2, stepError("Errored"))
	for i := range *s {
		text, err := json.Marshal(string((*s)[i].Attributes))
		require.NoError(t, err)
		(*s)[i].Attributes = text
	}
	run, err := trace.Assemble(*s)
	require.NoError(t, err)
	require.Equal(t, "flaky", run.Preview().Children[0].Name)
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	s := running()
	note := func(id, kind, op, values string) {
		s.add(trace.NameMetadata, id, "m-"+kind, "root2", len(*s), attrs{
			"metadata.kind": kind, "metadata.op": op, "metadata.scope": "run", "metadata.values": values,
		})
	}
	note("1", "userland.b", "merge", `{"a":1,"b":"x"}`)
	note("2", "userland.b", "merge", `{"a":2}`)
	note("3", "userland.b", "delete", `{"b":null}`)
	note("4", "userland.a", "add", `{"n":1}`)
	note("5", "userland.a", "add", `{"n":2.5,"text":"x"}`)
	note("6", "userland.a", "add", `{"n":0.5,"text":1}`)
	note("7", "userland.c", "merge", `{"old":true}`)
	note("8", "userland.c", "set", `{"new":true}`)
	note("9", "userland.c", "merge", `broken`)
	note("10", "inngest.usage", "set", `{"metadata_bytes":99}`)

	run, err := trace.Assemble(*s)
	require.NoError(t, err)
	require.Equal(t, []any{
		map[string]any{"scope": "run", "kind": "inngest.usage", "values": map[string]any{"metadata_bytes": float64(2 + 2 + 5 + 7)}},
		map[string]any{"scope": "run", "kind": "userland.a", "values": map[string]any{"n": float64(4), "text": float64(1)}},
		map[string]any{"scope": "run", "kind": "userland.b", "values": map[string]any{"a": float64(2)}},
		map[string]any{"scope": "run", "kind": "userland.c", "values": map[string]any{"new": true}},
	}, metadata(run.Preview().Metadata))
}

// TestUserland: spans of user code hang below the step that they ran in.
func TestUserland(t *testing.T) {
	t.Parallel()
	s := running()
	s.request("d", 0, 2, attrs{"dynamic.status": "Completed", "step.id": "s1", "step.name": "first", "step.op": "StepRun", "out": true})
	s.add(trace.NameStep, "twin", "twin", "root", 3, attrs{"dynamic.status": "Completed", "step.id": "s1", "step.name": "first", "step.op": "StepRun", "started_at": 3})
	s.add(trace.NameUserland, "sdk", "sdk", "dx0", 4, attrs{
		"userland": true, "userland.span.name": "inngest.execution", "step.id": "s1", "step.attempt": 0,
	})
	s.add(trace.NameUserland, "mine", "mine", "sdk", 4, attrs{"userland": true, "userland.span.name": "query", "userland.service.name": "db"})
	s.add(trace.NameUserland, "loose", "loose", "dx0", 5, attrs{"userland": true, "userland.span.name": "loose"})
	s.add(trace.NameUserland, "early", "early", "dx0", 5, attrs{"userland": true, "userland.span.name": "early", "step.id": "other"})

	run, err := trace.Assemble(*s)
	require.NoError(t, err)
	require.Equal(t, []string{
		"Run RUNNING 0 - output",
		"  first COMPLETED 0 RUN output",
		"    early RUNNING 0 - -",
		"    loose RUNNING 0 - -",
		"  first COMPLETED 0 RUN -",
		"    inngest.execution RUNNING 0 - -",
		"      query RUNNING 0 - -",
	}, lines(run.Preview(), 0))
	require.Equal(t, "db", run.Preview().Children[1].Children[0].Children[0].Userland.ServiceName)

	require.Equal(t, []string{
		"app-fn RUNNING 0 - -",
		"  first COMPLETED 0 RUN output",
		"    early COMPLETED 0 - -",
		"    loose COMPLETED 0 - -",
		"    query COMPLETED 0 - -",
		"  Queued step QUEUED 0 - -",
	}, lines(run.Legacy("0123", zero), 0))
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	invoke := func(more attrs) *trace.Run {
		a := attrs{
			"started_at": 2, "step.op": "InvokeFunction", "step.name": "call", "step.invoke.function.id": "app-child", "step.wait.expiry": 9,
			"step.invoke.trigger.event.id": runULID, "dynamic.status": "Invoking",
		}
		for key, value := range more {
			a[key] = value
		}
		s := running()
		s.add(trace.NameStep, "i", "i", "root", 2, a)
		run, err := trace.Assemble(*s)
		require.NoError(t, err)
		return run
	}
	child := runULID

	open := invoke(attrs{"step.invoke.run.id": child})
	require.Equal(t, trace.InvokeInfo{TriggeringEventID: runULID, FunctionID: "app-child", Timeout: zero.Add(9 * time.Second), RunID: &child},
		open.Preview().Children[0].StepInfo, "the run is known while the parent waits")
	require.Equal(t, trace.Running, open.Legacy("0123", zero).Children[0].Status)

	late := invoke(attrs{"dynamic.status": "Failed", "step.wait.expired": true, "step.invoke.run.id": child, "ended_at": 9, "out": true})
	require.Equal(t, &child, late.Preview().Children[0].StepInfo.(trace.InvokeInfo).RunID)
	legacy := late.Legacy("0123", zero).Children[0]
	require.Equal(t, trace.Failed, legacy.Status)
	require.Nil(t, legacy.StepInfo.(trace.InvokeInfo).RunID)
	require.True(t, *legacy.StepInfo.(trace.InvokeInfo).TimedOut)
	require.NotEmpty(t, legacy.OutputID)
}

func TestSkippedRun(t *testing.T) {
	t.Parallel()
	rows := tracetest.Rows(t, root)
	run, err := trace.Assemble(tracetest.OfRun(rows, "01M8AFXJQGEVVSKHX6TBTRFQT9"))
	require.NoError(t, err)
	tree := run.Preview()
	require.Equal(t, "executor.run", tree.Name)
	require.Equal(t, trace.Skipped, tree.Status)
	require.Equal(t, "Singleton", *tree.SkipReason)
	require.Equal(t, "01M8AFXHR4NH9PJF5BV8DB259W", *tree.SkipExistingRun)
	require.True(t, tree.StartedAt.IsZero())
	require.Nil(t, tree.Duration)
}
