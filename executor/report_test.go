package executor

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/state"
)

// reportOf is the transition that ops reported at a time lead to.
func reportOf(t *testing.T, list ...driver.Opcode) (*state.Transition, error) {
	t.Helper()
	r := endpointRig(t, nil)
	r.store.run.Version = 2
	s := newSituation()
	s.run, s.attempts, s.job = r.store.run, 4, state.Job{}
	s.remote = map[int]remoteResult{}
	for i, o := range list {
		if o.Op == driver.OpGateway {
			s.remote[i] = remoteResult{err: &driver.GatewayError{Name: "GatewayError", Message: "down", Memo: raw(`{"error":{}}`)}}
		}
	}
	return report(s, ops(2, list...))
}

const completed = `{"status":200,"headers":{"content-type":"application/json"},"body":"null","version":2}`

// sdk-protocol §19.2.
func TestReport(t *testing.T) {
	t.Parallel()
	run := endpointRig(t, nil).store.run
	key := run.Key()
	a := withData(driver.OpStepRun, stepA, `1`)
	savedA := []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}}
	boom := driver.UserError{Name: "Error", Message: "m"}
	retry := []state.Job{{
		ID: function.SyncRetryJob(key, stepBad), Kind: state.JobEdge, Attempt: 1, MaxAttempts: 4, Due: at.Add(15 * time.Second).UnixMilli(),
	}}
	named := withError(driver.OpStepError, completeID, boom)
	named.Userland.ID = "complete"
	large := `"` + strings.Repeat("x", MaxStepOutput) + `"`
	cases := map[string]struct {
		ops     []driver.Opcode
		want    state.Transition
		dropped error
	}{
		"steps": {ops: []driver.Opcode{a, withData(driver.OpStep, stepZ, `2`)},
			want: state.Transition{Saves: append(savedA[:1:1], state.Save{Step: stepZ, Memo: raw(`2`)})}},
		"nothing": {ops: []driver.Opcode{op(driver.OpNone, "")}},
		"the end": {ops: []driver.Opcode{a, withData(driver.OpRunComplete, completeID, completed)},
			want: state.Transition{Saves: savedA, Finish: &state.Finish{
				Status: state.Completed, Output: raw(`{"body":"null","duration":0,"headers":{"content-type":"application/json"},"status":200}`)}}},
		"an end that counts as failed": {ops: []driver.Opcode{withData(driver.OpRunComplete, completeID, `{"data":{"status_code":404,"body":"eA==","duration":9}}`)},
			want: state.Transition{Finish: &state.Finish{
				Status: state.Failed, Output: raw(`{"body":"x","duration":9,"headers":{},"status":404}`),
				Error: raw(`{"error":"invalid status code: 404","message":"invalid status code: 404","name":"Error"}`)}}},
		"an end that says nothing": {ops: []driver.Opcode{op(driver.OpRunComplete, completeID)},
			want: state.Transition{Finish: &state.Finish{Status: state.Completed}}},
		"defers": {ops: []driver.Opcode{withOpts(driver.OpDeferAdd, "d1", "", `{"fn_slug":"s","input":{}}`), withOpts(driver.OpDeferAbort, "d2", "", `{"target_hashed_id":"d0"}`)},
			want: state.Transition{Defers: []state.Defer{{ID: "d1", Slug: "s", Status: state.DeferAfterRun, Input: raw(`{}`)}}, AbortDefers: []string{"d0"}}},
		"a sleep": {ops: []driver.Opcode{a, withOpts(driver.OpSleep, stepZ, "1s", "")},
			want: state.Transition{Saves: savedA, Detach: true, Jobs: []state.Job{{
				ID: function.SleepJob(key, stepZ), Kind: state.JobSleep, Due: at.Add(time.Second).UnixMilli(), MaxAttempts: 4, Step: stepZ}}}},
		"planned together": {ops: []driver.Opcode{a, op(driver.OpStepPlanned, stepP1), op(driver.OpStepPlanned, stepP2)},
			want: state.Transition{Saves: savedA, Detach: true, ForcePlan: true, Pending: []string{stepP1, stepP2}, Jobs: []state.Job{
				{ID: function.PlanJob(key, stepP1), Kind: state.JobEdge, Due: at.UnixMilli() - 1, MaxAttempts: 4, Step: stepP1, Group: function.CoalesceKey(run.ID.String(), []string{stepP1, stepP2})},
				{ID: function.PlanJob(key, stepP2), Kind: state.JobEdge, Due: at.UnixMilli() - 1, MaxAttempts: 4, Step: stepP2, Group: function.CoalesceKey(run.ID.String(), []string{stepP1, stepP2})},
			}}},
		"a wish to be called": {ops: []driver.Opcode{a, op(driver.OpDiscoveryRequest, "again")},
			want: state.Transition{Saves: savedA, Detach: true, Discoveries: []state.Discovery{{Always: true, Job: state.Job{
				ID: function.DiscoveryJob(key, "again"), Kind: state.JobEdge, Due: at.UnixMilli(), MaxAttempts: 4}}}}},
		"a step to be tried again": {ops: []driver.Opcode{withError(driver.OpStepError, stepBad, boom)},
			want: state.Transition{Detach: true, Jobs: retry}},
		"a gateway to be tried again": {ops: []driver.Opcode{withOpts(driver.OpGateway, stepBad, "", `{"url":"http://down"}`)},
			want: state.Transition{Detach: true, Jobs: retry}},
		"a step that failed": {ops: []driver.Opcode{withError(driver.OpStepFailed, stepBad, boom)},
			want: state.Transition{Detach: true, Saves: []state.Save{{Step: stepBad, Memo: raw(`{"error":{"message":"m","name":"Error"}}`)}},
				Discoveries: []state.Discovery{{Always: true, Job: state.Job{
					ID: function.FailureJob(key, stepBad), Kind: state.JobEdgeError, Due: at.UnixMilli(), MaxAttempts: 4, Outgoing: stepBad}}}}},
		"the function failed, and may be called again": {ops: []driver.Opcode{withError(driver.OpStepError, completeID, boom)},
			want: state.Transition{Detach: true, Jobs: []state.Job{{
				ID: function.SyncRetryJob(key, completeID), Kind: state.JobEdge, Attempt: 1, MaxAttempts: 4, Due: at.Add(15 * time.Second).UnixMilli()}}}},
		"a step named as the end is": {ops: []driver.Opcode{named}, want: state.Transition{Detach: true, Jobs: []state.Job{{
			ID: function.SyncRetryJob(key, completeID), Kind: state.JobEdge, Attempt: 1, MaxAttempts: 4, Due: at.Add(15 * time.Second).UnixMilli()}}}},
		"the function failed": {ops: []driver.Opcode{withError(driver.OpStepFailed, completeID, boom)},
			want: state.Transition{Detach: true, Finish: &state.Finish{Status: state.Failed, Output: raw(`{"message":"m","name":"Error"}`),
				Error: raw(`{"error":"NonRetriableError","message":"m","name":"Error"}`)}}},
		"the function failed of nothing": {ops: []driver.Opcode{op(driver.OpStepFailed, completeID)},
			want: state.Transition{Detach: true, Finish: &state.Finish{Status: state.Failed, Output: raw(`{"message":"Function execution error","name":"Error"}`),
				Error: raw(`{"error":"NonRetriableError","message":"Function execution error","name":"Error"}`)}}},
		"too long a sleep": {ops: []driver.Opcode{a, withOpts(driver.OpSleep, stepZ, "400d", "")},
			want: state.Transition{Saves: savedA, Detach: true, Finish: &state.Finish{Status: state.Failed,
				Output: raw(`{"error":"InngestErrTimeoutTooLong","message":"The sleep \"400d\" ends more than one year in the future; sleeps may last at most one year.","name":"InngestErrTimeoutTooLong"}`)}}},
		"a step too large": {ops: []driver.Opcode{a, withData(driver.OpStepRun, stepZ, large), withData(driver.OpStepRun, stepW, `1`)},
			want: state.Transition{Saves: savedA}, dropped: ErrStepTooLarge},
		"a step too large, and the end": {ops: []driver.Opcode{withData(driver.OpStepRun, stepZ, large), withData(driver.OpRunComplete, completeID, completed)},
			want: state.Transition{Finish: &state.Finish{
				Status: state.Completed, Output: raw(`{"body":"null","duration":0,"headers":{"content-type":"application/json"},"status":200}`)}}, dropped: ErrStepTooLarge},
		"a step too large, and a sleep": {ops: []driver.Opcode{withData(driver.OpStepRun, stepZ, large), withOpts(driver.OpSleep, stepW, "1s", "")},
			want: state.Transition{Detach: true}, dropped: ErrStepTooLarge},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, dropped := reportOf(t, c.ops...)
			require.ErrorIs(t, dropped, c.dropped)
			require.Equal(t, endpointRun, got.Reported.RunID)
			require.Equal(t, endpointFn, got.Reported.FunctionID)
			c.want.RunID, c.want.Reported = endpointRun, got.Reported
			if c.want.Finish != nil && c.want.Finish.Error == nil && c.want.Finish.Status == state.Failed {
				c.want.Finish.Error = c.want.Finish.Output
			}
			require.Equal(t, &c.want, got)
		})
	}
}

func TestReportIsRecorded(t *testing.T) {
	t.Parallel()
	r := endpointRig(t, nil)
	steps := []json.RawMessage{
		raw(`{"op":"StepRun","id":"` + stepA + `","data":1,"metadata":[{"scope":"step","kind":"k","op":"set","values":{}}]}`),
		raw(`{"op":"Unheard","id":"x"}`),
		raw(`{"op":"Gateway","id":"` + stepZ + `","opts":{"url":"http://up"}}`),
	}
	before := time.Now()
	require.NoError(t, r.Report(t.Context(), endpointRun, steps))
	got := r.store.committed()[0]
	require.Equal(t, []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}, {Step: stepZ, Memo: raw(`{"data":"http://up"}`)}}, got.Saves)
	require.True(t, got.Detach)
	require.GreaterOrEqual(t, got.Patience, before.Add(DefaultPatience).UnixMilli())
	require.Equal(t, 3, got.MetadataSize)
	require.Len(t, got.Reported.Ops, 2)

	r.store.commitErr = errors.New("down")
	require.ErrorIs(t, r.Report(t.Context(), endpointRun, steps), r.store.commitErr)
	r.store.loadErr = state.ErrRunNotFound
	require.ErrorIs(t, r.Report(t.Context(), endpointRun, steps), state.ErrRunNotFound)

	other := newRig(func(context.Context, *driver.Request) (*driver.Response, error) { return nil, nil })
	require.ErrorIs(t, other.Report(t.Context(), goldenRun, steps), ErrRefused)
	require.Empty(t, other.store.committed())
}

func TestReportThatFailsTheRunOfAnAsyncEndpoint(t *testing.T) {
	t.Parallel()
	r := endpointRig(t, nil)
	r.store.run.Endpoint = &state.Endpoint{AppID: endpointApp, Attempts: 1, AsyncAt: 7}
	require.NoError(t, r.Report(t.Context(), endpointRun, []json.RawMessage{
		raw(`{"op":"StepError","id":"` + completeID + `","error":{"name":"E","message":"m"}}`),
	}))
	got := r.store.committed()[0]
	require.Zero(t, got.Patience)
	require.Equal(t, state.Failed, got.Finish.Status, "it has no attempts left")
	require.NoError(t, r.Report(t.Context(), endpointRun, []json.RawMessage{raw(`{"op":"WaitForEvent","id":"w"}`)}))
	require.Equal(t, state.Failed, r.store.committed()[1].Finish.Status)
	require.Contains(t, string(r.store.committed()[1].Finish.Error), "event name must be provided")
}
