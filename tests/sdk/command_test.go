package sdk_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// What people do to runs and functions through the APIs, as an SDK sees it.
var commandScenarios = []scenario{
	{name: "rerun from the start", whole: rerunFromStart},
	{name: "rerun from a step", whole: rerunFromStep},
	{name: "rerun from a step with new arguments", whole: rerunWithArguments("/arguments"), skip: noArguments},
	{name: "rerun with new arguments while steps are reported", whole: rerunWithArguments("-checkpoint/checkpoint-arguments"), skip: noArguments},
	{name: "rerun of a run that goes on", whole: rerunOfALiveRun},
	{name: "runs to debug", whole: runsToDebug},
	{name: "replay of failed runs", whole: replayFailed},
	{name: "invoke by slug", whole: invokeBySlug},
	{name: "invoke and wait for the id", whole: invokeForID},
	{name: "send again", whole: sendAgain},
	{name: "cancel by graphql", whole: cancelByGraphQL},
}

var noArguments = map[string]string{"go": "its steps have no arguments"}

const sequenceOutput = `{"a":1,"b":2,"c":{"sum":3,"text":"ünïcode <&> \u2028"},"again":["first","second"]}`

// sequenceDone has a run of "sequence" end, and waits until the history knows
// how.
func sequenceDone(t *trial) (run string) {
	t.Helper()
	run = t.start("/sequence", nil)
	t.complete(run, sequenceOutput)
	return run
}

// rerun makes a run again by GraphQL.
func (t *trial) rerun(run string, fromStep map[string]any) string {
	t.Helper()
	var made struct{ Rerun string }
	const document = `mutation($run:ULID!,$from:RerunFromStepInput){rerun(runID:$run,fromStep:$from)}`
	require.NoError(t, t.client.GraphQL(t.ctx, document, map[string]any{"run": run, "from": fromStep}, &made))
	t.seen = append(t.seen, made.Rerun)
	return made.Rerun
}

// rerunV2 makes a run again by REST v2.
func (t *trial) rerunV2(run string, body any) (made string, err error) {
	t.Helper()
	var answer struct{ RunID string }
	err = t.client.V2(t.ctx, http.MethodPost, "/runs/"+run+"/rerun", body, &answer)
	t.seen = append(t.seen, answer.RunID)
	return answer.RunID, err
}

func rerunFromStart(t *trial) {
	first := sequenceDone(t)
	second := t.rerun(first, nil)
	t.complete(second, sequenceOutput)
	third, err := t.rerunV2(second, map[string]any{})
	require.NoError(t, err)
	t.complete(third, sequenceOutput)
	t.attempts(map[string][]int{"a": {0, 0, 0}, "b": {0, 0, 0}, "c": {0, 0, 0}, "again": {0, 0, 0, 0, 0, 0}})

	of := func(run string) harness.Run {
		found, err := t.client.Run(t.ctx, run)
		require.NoError(t, err)
		return found
	}
	require.Equal(t, first, of(second).OriginalRunID)
	require.Equal(t, first, of(third).OriginalRunID, "the first of the chain")
	require.Equal(t, of(first).EventID, of(third).EventID)
}

// runsToDebug are hidden from lists, and shown by their session.
func runsToDebug(t *trial) {
	first := sequenceDone(t)
	var made struct {
		CreateDebugSession struct{ DebugSessionID, DebugRunID string }
	}
	slug := t.sdk + "-sequence"
	require.NoError(t, t.client.GraphQL(t.ctx, `mutation($f:String!){createDebugSession(input:{functionSlug:$f}){debugSessionID debugRunID}}`, map[string]any{"f": slug}, &made))
	ids := map[string]any{"run": first, "s": made.CreateDebugSession.DebugSessionID, "r": made.CreateDebugSession.DebugRunID, "f": slug, "d": map[string]any{"token": t.token}}
	var again struct{ Rerun string }
	require.NoError(t, t.client.GraphQL(t.ctx, `mutation($run:ULID!,$s:ULID,$r:ULID){rerun(runID:$run,debugSessionID:$s,debugRunID:$r)}`, ids, &again))
	t.complete(again.Rerun, sequenceOutput)
	require.NoError(t, t.client.GraphQL(t.ctx, `mutation($f:String!,$d:Map,$s:ULID,$r:ULID){invokeFunction(functionSlug:$f,data:$d,debugSessionID:$s,debugRunID:$r)}`, ids, new(any)))

	type debugged struct {
		DebugRun struct {
			DebugTraces []struct{ RunID, Status string }
		}
		DebugSession struct {
			DebugRuns []struct{ Status, DebugRunID string }
		}
	}
	const document = `query($f:String!,$s:String,$r:String){
		debugRun(query:{functionSlug:$f,debugRunID:$r}){debugTraces{runID status}}
		debugSession(query:{functionSlug:$f,debugSessionID:$s}){debugRuns{status debugRunID}}}`
	shown, err := harness.Await(t.ctx, "both runs of the session", func(ctx context.Context) (debugged, error) {
		var d debugged
		if err := t.client.GraphQL(ctx, document, ids, &d); err != nil {
			return d, err
		}
		for _, run := range d.DebugRun.DebugTraces {
			if run.Status != "COMPLETED" {
				return d, fmt.Errorf("run %s is %s", run.RunID, run.Status)
			}
		}
		if len(d.DebugRun.DebugTraces) != 2 || len(d.DebugSession.DebugRuns) != 2 {
			return d, fmt.Errorf("shown are %v", d)
		}
		return d, nil
	})
	require.NoError(t, err)
	require.Equal(t, again.Rerun, shown.DebugRun.DebugTraces[0].RunID)
	require.Equal(t, made.CreateDebugSession.DebugRunID, shown.DebugSession.DebugRuns[1].DebugRunID)

	var listed []struct{ ID string }
	require.NoError(t, t.client.V2(t.ctx, http.MethodGet, "/apps/"+t.sdk+"/functions/sequence/runs?limit=100", nil, &listed))
	for _, run := range listed {
		for _, hidden := range shown.DebugRun.DebugTraces {
			require.NotEqual(t, hidden.RunID, run.ID)
		}
	}
}

// rerunFromStep keeps what finished before the step. The last step of the
// sequence has a name that another one has, too.
func rerunFromStep(t *trial) {
	first := sequenceDone(t)
	t.complete(t.rerun(first, map[string]any{"stepID": "c"}), sequenceOutput)
	t.attempts(map[string][]int{"a": {0}, "b": {0}, "c": {0, 0}, "again": {0, 0, 0, 0}})

	again, err := t.rerunV2(first, map[string]any{"fromStep": map[string]any{"stepId": "b"}})
	require.NoError(t, err)
	t.complete(again, sequenceOutput)
	t.attempts(map[string][]int{"a": {0}, "b": {0, 0}, "c": {0, 0, 0}, "again": {0, 0, 0, 0, 0, 0}})

	for step, message := range map[string]string{
		"nowhere": "Step not found in original run", "again": "Step name matches multiple steps in original run",
	} {
		_, err := t.rerunV2(first, map[string]any{"fromStep": map[string]any{"stepId": step}})
		var refused *harness.StatusError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, http.StatusBadRequest, refused.Status)
		require.Contains(t, refused.Body, message)
	}
}

// rerunWithArguments gives a step of a function new arguments.
func rerunWithArguments(function string) func(*trial) {
	return func(t *trial) {
		type output struct{ Kept, Sum float64 }
		ended := func(run string) output {
			end := t.end(run)
			require.Equal(t, "Completed", end.Status, "output: %s", end.Output)
			return decode[output](t, end.Output)
		}
		run := t.start(function, nil)
		first := ended(run)
		require.InDelta(t, 3, first.Sum, 0)
		require.Equal(t, output{first.Kept, 42}, ended(t.rerun(run, map[string]any{"stepID": "sum", "input": "[40,2]"})))
		again, err := t.rerunV2(run, map[string]any{"fromStep": map[string]any{"stepId": "sum", "input": []int{5, 6}}})
		require.NoError(t, err)
		require.Equal(t, output{first.Kept, 11}, ended(again))
		require.Equal(t, output{first.Kept, 3}, ended(t.rerun(again, map[string]any{"stepID": "sum"})), "the arguments are those of the function again")
	}
}

// rerunOfALiveRun repeats a run that sleeps, from the start; both go on.
func rerunOfALiveRun(t *trial) {
	run := t.start("/sleeper", nil)
	t.called("started", 1)
	again := t.rerun(run, nil)
	t.called("started", 2)
	t.running(run)
	require.NoError(t, t.client.Cancel(t.ctx, run))
	require.NoError(t, t.client.Cancel(t.ctx, again))
	require.Equal(t, "Cancelled", t.end(again).Status)
}

// replayFailed makes the failed runs of a function again, at first only to see
// which they are. No other test has runs of it.
func replayFailed(t *trial) {
	from := time.Now().Truncate(time.Millisecond) // runs are listed by milliseconds
	runs := []string{t.start("/replayed", nil), t.start("/replayed", nil)}
	for _, run := range runs {
		require.Equal(t, "Failed", t.end(run).Status)
	}
	until := time.Now()
	replay := func(dry bool) (found, made []string) {
		var list []struct{ RunID, NewRunID string }
		body := map[string]any{"from": from, "until": until, "dryRun": dry}
		require.NoError(t, t.client.V2(t.ctx, http.MethodPost, "/apps/"+t.sdk+"/functions/replayed/replays", body, &list))
		for _, item := range list {
			found, made = append(found, item.RunID), append(made, item.NewRunID)
		}
		return found, made
	}
	// Lists may lag behind what is known of one run.
	_, err := harness.Await(t.ctx, "both runs, the earliest first", func(context.Context) (struct{}, error) {
		found, _ := replay(true)
		if !slices.Equal(runs, found) {
			return struct{}{}, fmt.Errorf("there are %v", found)
		}
		return struct{}{}, nil
	})
	require.NoError(t, err)
	t.attempts(map[string][]int{"body": {0, 0}})

	_, made := replay(false)
	require.Len(t, made, 2)
	for _, run := range made {
		require.Equal(t, "Failed", t.end(run).Status)
	}
	t.attempts(map[string][]int{"body": {0, 0, 0, 0}})
}

// invokeBySlug starts a function by an event that names it: POST /invoke, and
// GraphQL.
func invokeBySlug(t *trial) {
	var answer struct {
		ID     string
		Status int
	}
	body := map[string]any{"data": map[string]any{"token": t.token, "n": 21}}
	require.NoError(t, t.client.Post(t.ctx, "/invoke/"+t.sdk+"-callee", body, &answer))
	require.Equal(t, http.StatusOK, answer.Status)
	t.complete(t.onlyRun(answer.ID), `{"doubled":42}`)

	var done struct{ InvokeFunction bool }
	variables := map[string]any{"slug": t.sdk + "-callee", "data": body["data"]}
	require.NoError(t, t.client.GraphQL(t.ctx, `mutation($slug:String!,$data:Map){invokeFunction(functionSlug:$slug,data:$data)}`, variables, &done))
	require.True(t, done.InvokeFunction)
	t.attempts(map[string][]int{"double": {0, 0}})
}

// invokeForID is told the run at once; with the same key it is the same run.
func invokeForID(t *trial) {
	path := "/apps/" + t.sdk + "/functions/callee/invoke"
	var first struct{ RunID string }
	body := map[string]any{"data": map[string]any{"token": t.token, "n": 2}, "idempotencyKey": t.token}
	require.NoError(t, t.client.V2(t.ctx, http.MethodPost, path, body, &first))
	t.complete(first.RunID, `{"doubled":4}`)

	err := t.client.V2(t.ctx, http.MethodPost, path, body, nil)
	var conflict *harness.StatusError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, http.StatusConflict, conflict.Status)
	require.Contains(t, conflict.Body, first.RunID)
	t.attempts(once("double"))
}

func sendAgain(t *trial) {
	event := t.send(harness.Event{Name: t.sdk + "/callee", ID: t.token, Data: map[string]any{"token": t.token, "n": 3}})[0]
	t.complete(t.onlyRun(event), `{"doubled":6}`)
	var again struct{ EventID string }
	require.NoError(t, t.client.V2(t.ctx, http.MethodPost, "/events/"+event+"/resend", nil, &again))
	require.NotEqual(t, event, again.EventID)
	t.complete(t.onlyRun(again.EventID), `{"doubled":6}`)
}

func cancelByGraphQL(t *trial) {
	run := t.start("/sleeper", nil)
	t.called("started", 1)
	const document = `mutation($run:ULID!){cancelRun(runID:$run){id status finishedAt}}`
	var answer struct {
		CancelRun struct{ ID, Status, FinishedAt string }
	}
	for range 2 { // repeating it succeeds (graphql §16)
		require.NoError(t, t.client.GraphQL(t.ctx, document, map[string]any{"run": run}, &answer))
		require.Equal(t, run, answer.CancelRun.ID)
		require.Equal(t, "CANCELLED", answer.CancelRun.Status)
		require.NotEmpty(t, answer.CancelRun.FinishedAt)
	}
	require.Equal(t, "Cancelled", t.end(run).Status)
	done := t.start("/callee", map[string]any{"n": 1})
	t.complete(done, `{"doubled":2}`)
	require.EqualError(t, t.client.GraphQL(t.ctx, document, map[string]any{"run": done}, &answer), "cannot cancel an ended run")
}
