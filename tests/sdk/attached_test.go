package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// attachedTo lists what is attached to the spans of a run's trace, as
// "<step> <scope> <kind> <values>", the step being "run" for the run itself.
func (t *trial) attachedTo(ctx context.Context, runID string) ([]string, error) {
	root, err := readTrace(ctx, t.client, runID)
	if err != nil {
		return nil, err
	}
	root.Name = "run"
	var found []string
	root.visit(func(s, _ *span) {
		for _, m := range s.Metadata {
			if strings.HasPrefix(m.Kind, "inngest.") && m.Kind != "inngest.score" && m.Kind != "inngest.experiment" {
				continue // the server's own
			}
			for key, value := range m.Values {
				found = append(found, fmt.Sprintf("%s %s %s %s=%s", s.Name, m.Scope, m.Kind, key, value))
			}
		}
	})
	return found, nil
}

// shows waits until all of these are attached to the run.
func (t *trial) shows(runID string, want ...string) {
	t.Helper()
	_, err := harness.Await(t.ctx, "what is attached to run "+runID, func(ctx context.Context) (struct{}, error) {
		found, err := t.attachedTo(ctx, runID)
		if err != nil {
			return struct{}{}, err
		}
		for _, w := range want {
			if !slices.Contains(found, w) {
				return struct{}{}, fmt.Errorf("no %q in %q", w, found)
			}
		}
		return struct{}{}, nil
	})
	require.NoError(t, err)
}

func TestMetadataScoresAndExperiments(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"metadata": {
			`a step userland.mine of="a"`, `a step userland.mine nested={"n":1}`, `run run userland.default of="run"`, `a step userland.mine late=true`,
		},
		"scores": {
			`a step inngest.score inside={"value":true}`, `run run inngest.score accuracy={"value":0.5}`, `a step inngest.score after={"value":2}`,
		},
		"experiment": {
			`colours step inngest.experiment variant="red"`, `colours step inngest.experiment selection_strategy="fixed"`,
			`paint step inngest.experiment name="colours"`, `paint step inngest.experiment variant="red"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t, sharedDeployment(t), "ts4")
			run := tr.start("-attached/"+name, nil)
			require.Equal(t, "Completed", tr.end(run).Status)
			if name == "metadata" {
				// A later set replaces what an earlier one said.
				want = []string{want[2], want[3]}
			}
			tr.shows(run, want...)
		})
	}
}

func TestDeferredRuns(t *testing.T) {
	t.Parallel()
	tr := newTrial(t, sharedDeployment(t), "ts4")
	parent := tr.start("-attached/defers", nil)
	tr.complete(parent, `"parent done"`)
	calls := tr.called("deferred", 2)
	type detail struct {
		Depth  int
		Parent struct{ FnSlug, RunID string }
	}
	var first, second detail
	require.NoError(t, json.Unmarshal(calls[0].Detail, &first))
	require.NoError(t, json.Unmarshal(calls[1].Detail, &second))
	require.Equal(t, 1, first.Depth, "the one that was taken back is not run")
	require.Equal(t, parent, first.Parent.RunID)
	require.Equal(t, "ts4-attached-defers", first.Parent.FnSlug)
	require.Equal(t, 0, second.Depth)
	require.Equal(t, calls[0].Run, second.Parent.RunID, "a deferred run may defer")
	tr.complete(calls[0].Run, `1`)
	tr.complete(calls[1].Run, `0`)
	tr.attempts(map[string][]int{"a": {0}, "b": {0}, "deferred": {0, 0}})

	const query = `query($run:String!){run(runID:$run){defers{userlandDeferID fnSlug status run{id}}}}`
	_, err := harness.Await(tr.ctx, "the deferred runs of "+parent, func(ctx context.Context) (struct{}, error) {
		var answer json.RawMessage
		if err := tr.client.GraphQL(ctx, query, map[string]any{"run": parent}, &answer); err != nil {
			return struct{}{}, err
		}
		got := string(answer)
		if !strings.Contains(got, calls[0].Run) {
			return struct{}{}, errors.New(got)
		}
		for _, want := range []string{
			`{"userlandDeferID":"kept","fnSlug":"ts4-attached-deferred","status":"SCHEDULED","run":{"id":"` + calls[0].Run + `"}}`,
			`{"userlandDeferID":"gone","fnSlug":"ts4-attached-deferred","status":"ABORTED","run":null}`,
		} {
			require.Contains(t, got, want)
		}
		return struct{}{}, nil
	})
	require.NoError(t, err)
}

func TestDeferredRunOfARunThatFails(t *testing.T) {
	t.Parallel()
	tr := newTrial(t, sharedDeployment(t), "ts4")
	run := tr.end(tr.start("-attached/defers-failing", nil))
	require.Equal(t, "Failed", run.Status)
	require.Contains(t, string(run.Output), "after a defer")
	tr.complete(tr.called("deferred", 1)[0].Run, `0`)
	tr.attempts(once("a", "deferred"))
}

// TestOptionsOfCheckpointing: how often steps are reported, and how long a call
// lasts.
func TestOptionsOfCheckpointing(t *testing.T) {
	t.Parallel()
	t.Run("buffered", func(t *testing.T) {
		t.Parallel()
		tr := newTrial(t, sharedDeployment(t), "ts4")
		tr.complete(tr.start("-attached/buffered", nil), `"abcde"`)
		tr.attempts(once("body", "a", "b", "c", "d", "e"))
	})
	t.Run("runtime", func(t *testing.T) {
		t.Parallel()
		tr := newTrial(t, sharedDeployment(t), "ts4")
		tr.complete(tr.start("-attached/runtime", nil), `"abcd"`)
		require.Greater(t, len(tr.called("body", 2)), 1)
		for _, step := range []string{"a", "b", "c", "d"} {
			require.Len(t, tr.called(step, 1), 1, step)
		}
	})
}
