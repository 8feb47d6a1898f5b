package command_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/api/command"
	"jetstep/function"
	"jetstep/history/trace"
	"jetstep/history/view"
	"jetstep/state"
)

// The hashed ids of captured steps.
const (
	hashFirst  = "e0996a37c13d44c3b06074939d43fa3759bd32c1"
	hashSecond = "352f7829a2384b001cc12b0c2613c756454a1f6a"
)

func TestRerunOfACapturedRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.latestRun(t, "two-steps") // itself a rerun
	made, err := f.Rerun(t.Context(), command.Rerun{Run: id})
	require.NoError(t, err)
	require.Len(t, f.engine.started, 1)
	start := f.engine.started[0]
	require.Equal(t, made, start.RunID)
	require.Equal(t, "01M8AFXH1GDVC7F2ZK72ESG24S", start.Original.String(), "the first of the chain")
	require.Equal(t, function.IdempotencyKey(start.FunctionID, made.String()), start.Idempotency)
	require.Equal(t, "fx/steps", start.Trigger)
	require.Equal(t, []ulid.ULID{ulid.MustParse("01M8AFXGSSHBK1K6325RADC40H")}, start.EventIDs)
	require.Equal(t, []json.RawMessage{[]byte(`{"data":{},"id":"01M8AFXGSSHBK1K6325RADC40H","name":"fx/steps","ts":1795648570169,"user":{}}`)}, start.Events)
	require.Empty(t, start.Steps)
	require.Empty(t, start.Inputs)
}

// TestRunsToDebug are told what they are made for.
func TestRunsToDebug(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	session, run := ulid.Make(), ulid.Make()
	_, err := f.Rerun(t.Context(), command.Rerun{Run: f.latestRun(t, "two-steps"), Debug: command.Debug{Session: &session, Run: &run}})
	require.NoError(t, err)
	_, err = f.Rerun(t.Context(), command.Rerun{Run: f.latestRun(t, "two-steps")})
	require.NoError(t, err)
	require.Equal(t, &state.Debug{Session: session, Run: run}, f.engine.started[0].Debug)
	require.Nil(t, f.engine.started[1].Debug)

	require.NoError(t, f.Invoke(t.Context(), command.Invocation{Slug: "app-any", Debug: command.Debug{Run: &run}}))
	require.Equal(t, []string{"app-any {} of " + ulid.Zero.String() + " " + run.String()}, f.events.bodies)
}

func TestRerunFromAStep(t *testing.T) {
	t.Parallel()
	first := state.Step{ID: hashFirst, Memo: []byte(`{"data":{"a":1}}`)}
	for name, c := range map[string]struct {
		step, input   string
		steps, inputs []state.Step
	}{
		"the first":      {step: "first"},
		"by name":        {step: "second", steps: []state.Step{first}},
		"by hashed id":   {step: hashSecond, steps: []state.Step{first}},
		"with new input": {step: "second", input: `[{"b":2, "a":1}]`, steps: []state.Step{first}, inputs: []state.Step{{ID: hashSecond, Memo: []byte(`{"input":[{"a":1,"b":2}]}`)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			rerun := command.Rerun{Run: f.latestRun(t, "two-steps"), Step: c.step}
			if c.input != "" {
				rerun.Input = []byte(c.input)
			}
			_, err := f.Rerun(t.Context(), rerun)
			require.NoError(t, err)
			require.Equal(t, c.steps, f.engine.started[0].Steps)
			require.Equal(t, c.inputs, f.engine.started[0].Inputs)
		})
	}
}

// TestRerunFromAStepThatNeverFinished keeps all that did.
func TestRerunFromAStepThatNeverFinished(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Rerun(t.Context(), command.Rerun{Run: f.latestRun(t, "cancellable"), Step: "long"})
	require.NoError(t, err)
	require.Len(t, f.engine.started[0].Steps, 1)
	require.JSONEq(t, `{"data":1}`, string(f.engine.started[0].Steps[0].Memo))
}

// TestRerunOfABatch and of a cron: the first event alone, and the schedule.
func TestRerunOfABatchOrCron(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Rerun(t.Context(), command.Rerun{Run: f.latestRun(t, "batched")})
	require.NoError(t, err)
	require.Len(t, f.engine.started[0].Events, 1)
	require.Zero(t, f.engine.started[0].BatchID)
	_, err = f.Rerun(t.Context(), command.Rerun{Run: f.latestRun(t, "every-minute")})
	require.NoError(t, err)
	require.Equal(t, "* * * * *", f.engine.started[1].Cron)
	require.Equal(t, "inngest/scheduled.timer", f.engine.started[1].Trigger)
}

// TestRerunOfALiveRun takes the state of the engine; the history, which lags,
// only knows names.
func TestRerunOfALiveRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.latestRun(t, "two-steps")
	live := &state.Run{
		ID: id, FunctionID: f.history.FunctionRows[0].ID, Events: []json.RawMessage{[]byte(`{"data":{},"id":"x","name":"e","ts":1,"user":{}}`)},
		EventIDs: []ulid.ULID{eventID}, Trigger: "e", Steps: []state.Step{{ID: hashSecond}, {ID: hashFirst, Memo: []byte(`{"data":9}`)}},
	}
	f.engine.live[id] = live
	_, err := f.Rerun(t.Context(), command.Rerun{Run: id, Step: "first"})
	require.NoError(t, err)
	start := f.engine.started[0]
	require.Equal(t, id, start.Original)
	require.Equal(t, live.Events, start.Events)
	require.Equal(t, live.EventIDs, start.EventIDs)
	require.Equal(t, []state.Step{{ID: hashSecond, Memo: []byte("null")}}, start.Steps)

	live.Original, live.Steps = eventID, live.Steps[1:]
	_, err = f.Rerun(t.Context(), command.Rerun{Run: id, Step: "second"})
	require.NoError(t, err, "it has begun, as the history knows")
	require.Equal(t, eventID, f.engine.started[1].Original)
	require.Equal(t, []state.Step{{ID: hashFirst, Memo: []byte(`{"data":9}`)}}, f.engine.started[1].Steps)
}

// TestRerunWithoutTheInputOfTheRun falls back on the event as it was received.
func TestRerunWithoutTheInputOfTheRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.latestRun(t, "hello")
	for i := range f.history.SpanRows {
		f.history.SpanRows[i].Input = nil
	}
	_, err := f.Rerun(t.Context(), command.Rerun{Run: id})
	require.NoError(t, err)
	require.Contains(t, string(f.engine.started[0].Events[0]), `"name":"fx/hello"`)
	require.Contains(t, string(f.engine.started[0].Events[0]), `"user":{}`)

	f.history.EventRows = nil
	_, err = f.Rerun(t.Context(), command.Rerun{Run: id})
	require.ErrorIs(t, err, command.ErrNoInput)
}

func TestRerunsThatCannotBe(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.latestRun(t, "two-steps")
	_, err := f.Rerun(t.Context(), command.Rerun{Run: unknownID})
	require.ErrorIs(t, err, view.ErrNotFound)
	_, err = f.Rerun(t.Context(), command.Rerun{Run: id, Step: "third"})
	require.ErrorIs(t, err, command.ErrNoSuchStep)

	down := errors.New("no owner")
	f.engine.failing = down
	_, err = f.Rerun(t.Context(), command.Rerun{Run: id})
	require.ErrorIs(t, err, down)
	require.Empty(t, f.engine.started)

	f.forget()
	_, err = f.Rerun(t.Context(), command.Rerun{Run: id})
	require.ErrorIs(t, err, command.ErrNoFunction)
}

// TestRerunFromAStepInALoop has a name that several steps share.
func TestRerunFromAStepInALoop(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.latestRun(t, "hello")
	for _, step := range []string{"a1", "a2"} {
		f.history.SpanRows = append(f.history.SpanRows, trace.Row{
			RunID: id.String(), SpanID: step, DynamicID: step, ParentID: "p", Name: trace.NameStep, Output: []byte(`{"data":1}`),
			Attributes: []byte(`{"_inngest.step.id":"` + step + `","_inngest.step.userland.id":"a","_inngest.dynamic.status":"Completed"}`),
		})
	}
	_, err := f.Rerun(t.Context(), command.Rerun{Run: id, Step: "a"})
	require.ErrorIs(t, err, command.ErrAmbiguousStep)
	_, err = f.Rerun(t.Context(), command.Rerun{Run: id, Step: "a2"})
	require.NoError(t, err)
	require.Equal(t, []state.Step{{ID: "a1", Memo: []byte(`{"data":1}`)}}, f.engine.started[0].Steps)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	fn := f.functionID(t, "hello")
	ask := command.Replay{Function: fn, Statuses: []view.Status{view.Completed}, Until: captured, Limit: 1, DryRun: true}
	done, err := f.Replay(t.Context(), ask)
	require.NoError(t, err)
	require.Len(t, done.Runs, 1)
	require.True(t, done.More)
	require.Zero(t, done.Runs[0].New)
	require.Empty(t, f.engine.started, "a dry run")

	ask.DryRun, ask.After = false, &done.Next
	later, err := f.Replay(t.Context(), ask)
	require.NoError(t, err)
	require.False(t, later.More)
	require.Len(t, later.Runs, 1)
	require.Negative(t, done.Runs[0].Run.Compare(later.Runs[0].Run), "the first that was queued comes first")
	require.Equal(t, f.engine.started[0].RunID, later.Runs[0].New)

	ask.Statuses = []view.Status{view.Failed}
	none, err := f.Replay(t.Context(), ask)
	require.NoError(t, err)
	require.Zero(t, none)
}

func TestReplayWithFailures(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ask := command.Replay{Function: f.functionID(t, "hello"), Statuses: []view.Status{view.Completed}, Until: captured, Limit: 10}
	f.engine.failing = errors.New("no owner")
	_, err := f.Replay(t.Context(), ask)
	require.ErrorIs(t, err, f.engine.failing)

	f.forget() // each run is passed over
	done, err := f.Replay(t.Context(), ask)
	require.NoError(t, err)
	require.Len(t, done.Runs, 2)
	for _, run := range done.Runs {
		require.ErrorIs(t, run.Err, command.ErrNoFunction)
	}
}

// TestReplayThatBreaksOff says how far it came.
func TestReplayThatBreaksOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ask := command.Replay{Function: f.functionID(t, "hello"), Statuses: []view.Status{view.Completed}, Until: captured, Limit: 10}
	f.Engine = &failingLater{engine: f.engine}
	done, err := f.Replay(t.Context(), ask)
	require.NoError(t, err)
	require.Len(t, done.Runs, 1)
	require.True(t, done.More)
	require.Equal(t, done.Runs[0].Run.String(), done.Next.ID)
}

func (f *fixture) functionID(t *testing.T, name string) uuid.UUID {
	t.Helper()
	for _, fn := range f.history.FunctionRows {
		if fn.Slug == "fixture-app-"+name {
			return fn.ID
		}
	}
	require.Fail(t, "no function", name)
	return uuid.UUID{}
}
