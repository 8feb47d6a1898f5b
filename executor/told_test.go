package executor

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/driver"
	"jetstep/queue"
	"jetstep/state"
)

// told is what the history is told of the answer to a run's first call.
func told(s *situation, answer *driver.Response) *state.Called {
	t, _ := decide(s, answer)
	return t.Called
}

func TestWhatIsToldOfACall(t *testing.T) {
	t.Parallel()
	boom := driver.UserError{Name: "Error", Message: "bang"}
	last := func(s *situation) { s.job.Attempt = 1 }
	retry := at.Add(15 * time.Second).UnixMilli()
	cases := map[string]struct {
		change func(*situation)
		answer *driver.Response
		want   state.Called
	}{
		"the function's result": {nil, &driver.Response{Kind: driver.KindDone, Output: raw(`1`)}, state.Called{Result: state.CallDone}},
		"a result as an op": {nil, ops(2, withData(driver.OpRunComplete, "c", `{"data":1}`)), state.Called{
			Result: state.CallDone, Ops: []state.CalledOp{{Op: "RunComplete", ID: "c", Name: "c"}},
		}},
		"steps": {nil, ops(2, withData(driver.OpStepRun, stepA, `1`)), state.Called{
			Ops: []state.CalledOp{{Op: "StepRun", ID: stepA, Name: stepA}},
		}},
		"nothing": {nil, ops(2), state.Called{Ops: []state.CalledOp{}}},
		"an error, tried again": {nil, failure(500, `{"name":"E","message":"m"}`, false), state.Called{
			Result: state.CallFailed, Status: 500, RetryAt: retry, Output: raw(`{"message":"m","name":"E"}`),
		}},
		"an error without a body": {nil, failure(500, ``, false), state.Called{
			Result: state.CallFailed, Status: 500, RetryAt: retry,
			Output: raw(`{"error":"invalid status code: 500","message":"Function execution error","name":"Error"}`),
		}},
		"the last error is the run's": {last, failure(500, `{"name":"E","message":"m"}`, false), state.Called{Result: state.CallFailed, Status: 500}},
		"a step's error, tried again": {nil, ops(2, withError(driver.OpStepError, stepBad, boom)), state.Called{
			RetryAt: retry, Ops: []state.CalledOp{{Op: "StepError", ID: stepBad, Name: stepBad, Error: raw(`{"message":"bang","name":"Error"}`)}},
		}},
		"a step's last error is its memo": {last, ops(2, withError(driver.OpStepError, stepBad, boom)), state.Called{
			Ops: []state.CalledOp{{Op: "StepError", ID: stepBad, Name: stepBad}},
		}},
		"an op that makes no sense": {nil, ops(2, op(driver.OpStepError, stepBad)), state.Called{
			Result: state.CallFailed, RetryAt: retry, Ops: []state.CalledOp{{Op: "StepError", ID: stepBad, Name: stepBad}},
			Output: raw(fmt.Sprintf(`{"error":%[1]q,"message":%[1]q,"name":"Error"}`, "step "+stepBad+" reports an error without saying which")),
		}},
		"a sleep": {nil, ops(2, withOpts(driver.OpSleep, stepZ, "2s", "")), state.Called{
			Ops: []state.CalledOp{{Op: "Sleep", ID: stepZ, Name: "2s", Sleep: 2000}},
		}},
		"a sleep that is over": {nil, ops(2, withOpts(driver.OpSleep, stepZ, "2020-01-01T00:00:00Z", "")), state.Called{
			Ops: []state.CalledOp{{Op: "Sleep", ID: stepZ, Name: "2020-01-01T00:00:00Z"}},
		}},
		"a sleep that fails the run": {nil, ops(2, withOpts(driver.OpSleep, stepZ, "400d", "")), state.Called{
			Result: state.CallFailed, Ops: []state.CalledOp{{Op: "Sleep", ID: stepZ, Name: "400d"}},
		}},
		"a wait for an event": {nil, ops(2, withOpts(driver.OpWaitForEvent, stepW, "wait", `{"event":"e","timeout":"1m","if":"event.data.k == async.data.k"}`)), state.Called{
			Ops: []state.CalledOp{{
				Op: "WaitForEvent", ID: stepW, Name: "wait", Wait: "e", If: "event.data.k == async.data.k", Expires: at.Add(time.Minute).UnixMilli(),
			}},
		}},
		"a wait for a signal": {nil, ops(2, withOpts(driver.OpWaitForSignal, stepW, "wait", `{"signal":"s","timeout":"1m"}`)), state.Called{
			Ops: []state.CalledOp{{Op: "WaitForSignal", ID: stepW, Name: "wait", Wait: "s", Expires: at.Add(time.Minute).UnixMilli()}},
		}},
		"an invoke": {nil, ops(2, withOpts(driver.OpInvokeFunction, stepW, "call", `{"function_id":"app-f","payload":{"data":{"a":1}}}`)), state.Called{
			Ops: []state.CalledOp{{Op: "InvokeFunction", ID: stepW, Name: "call", Wait: "app-f", Expires: at.AddDate(1, 0, 0).UnixMilli()}},
		}},
		"a gateway request": {func(s *situation) {
			s.remote = map[int]remoteResult{1: {
				answer: driver.GatewayAnswer{Memo: raw(`{"data":1}`), Sent: driver.Sent{Status: 201, Size: 3}}, began: at.Add(-time.Second), ended: at,
			}}
		}, ops(2, op(driver.OpDeferAbort, "d"), withOpts(driver.OpGateway, stepA, "get", `{"url":"http://h"}`)), state.Called{Ops: []state.CalledOp{
			{Op: "DeferAbort", ID: "d", Name: "d"}, {Op: "Gateway", ID: stepA, Name: "get", Start: at.UnixMilli() - 1000, End: at.UnixMilli(), GatewayStatus: 201, GatewaySize: 3},
		}}},
		"an AI request that failed": {func(s *situation) {
			s.remote = map[int]remoteResult{0: {err: &driver.GatewayError{Message: "m", Memo: raw(`{"error":{"name":"AIGatewayError"}}`), Sent: driver.Sent{Status: 429, Size: 7}}}}
		}, ops(2, withOpts(driver.OpAIGateway, stepA, "ai", `{"body":{"q":1},"type":"step.ai.infer"}`)), state.Called{
			RetryAt: retry,
			Ops: []state.CalledOp{{
				Op: "AIGateway", ID: stepA, Name: "ai", Type: "step.ai.infer", Input: raw(`{"q":1}`),
				Error: raw(`{"name":"AIGatewayError"}`), GatewayStatus: 429, GatewaySize: 7,
			}},
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSituation()
			s.requestID, s.sent, s.answered = "01M8", at.Add(-9*time.Millisecond), at.Add(-time.Millisecond)
			if c.change != nil {
				c.change(s)
			}
			c.want.RunID, c.want.FunctionID, c.want.Job, c.want.RequestID = goldenRun, goldenFn, s.job, "01M8"
			c.want.LeasedAt, c.want.StartedAt, c.want.EndedAt = at.Add(-time.Second).UnixMilli(), at.UnixMilli()-9, at.UnixMilli()-1
			c.want.About = s.run.About()
			require.Equal(t, &c.want, told(s, c.answer))
		})
	}
}

func TestAllOfAnOpIsTold(t *testing.T) {
	t.Parallel()
	list, err := driver.ParseOps([]byte(`[{"op":"StepRun","id":"` + stepA + `","name":"n","displayName":"Shown","userland":{"id":"mine","index":2},
		"opts":{"type":"step.sendEvent","input":[1,{"a":2}]},"timing":{"a":1795646534628000000,"b":5000000},"data":1,"metadata":[{"kind":"userland.x"}]}]`))
	require.NoError(t, err)
	answer := ops(2, list...)
	answer.URL, answer.SDK, answer.Status, answer.Size, answer.Headers = "http://app?stepId=step", "inngest-js:v4", 206, 99, raw(`{"A":"b"}`)
	got := told(newSituation(), answer)
	require.Equal(t, []state.CalledOp{{
		Op: "StepRun", ID: stepA, Name: "Shown", UserID: "mine", UserIndex: 2, Type: "step.sendEvent",
		Start: 1795646534628, End: 1795646534633, Input: raw(`[1,{"a":2}]`), Metadata: raw(`[{"kind":"userland.x"}]`),
	}}, got.Ops)
	require.Equal(t, []any{"http://app?stepId=step", "inngest-js:v4", 206, 99, raw(`{"A":"b"}`)}, []any{got.URL, got.SDK, got.Status, got.Size, got.Headers})
}

// An app cannot fill the log with ops that no run may have.
func TestOpsThatAreToldAreBounded(t *testing.T) {
	t.Parallel()
	s := newSituation()
	s.steps = 5000 // as a test may set it
	list := make([]driver.Opcode, driver.MaxOps+1)
	for i := range list {
		list[i] = withOpts(driver.OpSleep, fmt.Sprint("s", i), "1s", "")
	}
	tr, trouble := decide(s, ops(2, list...))
	require.NoError(t, trouble)
	require.Len(t, tr.Jobs, len(list))
	require.Len(t, tr.Called.Ops, driver.MaxOps)
	require.EqualValues(t, 1000, tr.Called.Ops[driver.MaxOps-1].Sleep)
}

func TestWhatIsToldOfReportedSteps(t *testing.T) {
	t.Parallel()
	a, bad := withData(driver.OpStepRun, stepA, `1`), op(driver.OpRunComplete, "c")
	r := newRig(nil)
	r.store.run.Jobs = []state.Job{{ID: "job", Attempt: 3}}
	require.NoError(t, r.Checkpoint(t.Context(), Reporter{RunID: goldenRun, Job: "job"}, []driver.Opcode{a, op(driver.OpStepPlanned, stepP1)}))
	require.ErrorIs(t, r.Checkpoint(t.Context(), Reporter{RunID: goldenRun, Job: "gone"}, []driver.Opcode{a, bad}), ErrRefused)
	shown := state.CalledOp{Op: "StepRun", ID: stepA, Name: stepA}
	require.Equal(t, &state.Reported{RunID: goldenRun, FunctionID: goldenFn, JobID: "job", Attempt: 3, Ops: []state.CalledOp{
		shown, {Op: "StepPlanned", ID: stepP1, Name: stepP1},
	}}, r.store.commits[0].Reported)
	require.Equal(t, &state.Reported{RunID: goldenRun, FunctionID: goldenFn, JobID: "gone", Ops: []state.CalledOp{shown}},
		r.store.commits[1].Reported, "what was refused is not told")
}

// A call is timed, told once, and stands in what is committed.
func TestACallIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(_ context.Context, req *driver.Request) (*driver.Response, error) {
			time.Sleep(3 * time.Second)
			return &driver.Response{Kind: driver.KindDone, Status: 200, URL: req.URL}, nil
		})
		var calls []*state.Called
		r.OnCall = func(c *state.Called) { calls = append(calls, c) }
		began := time.Now()
		require.NoError(t, r.execute(t.Context(), queue.Lease{RunID: goldenRun, Job: startJob}))
		require.Len(t, calls, 1)
		require.Same(t, calls[0], r.store.commits[0].Called)
		require.Equal(t, &state.Called{
			RunID: goldenRun, FunctionID: goldenFn, Job: startJob, URL: "http://app", Status: 200, Result: state.CallDone,
			RequestID: request(&situation{run: r.store.run, job: startJob, function: newSituation().function, called: began}).RequestID,
			LeasedAt:  began.UnixMilli(), StartedAt: began.UnixMilli(), EndedAt: began.UnixMilli() + 3000,
			About: r.store.run.About(),
		}, calls[0])
	})
}
