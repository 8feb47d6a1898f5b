package executor

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/state"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	timeout := func(step string, kind state.WaitKind, name string, due time.Duration) state.NewWait {
		return state.NewWait{
			Wait:    state.Wait{Kind: kind, Step: step, Name: name},
			Timeout: state.Job{ID: k("-" + step), Kind: state.JobPause, Due: at.Add(due).UnixMilli(), MaxAttempts: 2, Step: step},
		}
	}
	wait := func(w state.NewWait, change func(*state.NewWait)) []state.NewWait {
		change(&w)
		return []state.NewWait{w}
	}
	sleep := func(step string, due time.Duration) state.Job {
		return state.Job{ID: k("-" + step), Kind: state.JobSleep, Due: at.Add(due).UnixMilli(), MaxAttempts: 2, Step: step}
	}
	boom := driver.UserError{Name: "Error", Message: "bang", Stack: "s"}
	cases := map[string]struct {
		change func(*situation)
		answer *driver.Response
		want   *state.Transition
	}{
		// §9.3
		"result":        {nil, &driver.Response{Kind: driver.KindDone, Output: raw(`{"b":1,"a":2.0}`)}, first(state.Transition{Finish: &state.Finish{Status: state.Completed, Output: raw(`{"a":2,"b":1}`)}})},
		"no result":     {nil, &driver.Response{Kind: driver.KindDone}, first(state.Transition{Finish: &state.Finish{Status: state.Completed}})},
		"not the first": {func(s *situation) { s.run.StartedAt = 5 }, &driver.Response{Kind: driver.KindDone}, &state.Transition{RunID: goldenRun, Job: "1w0yzca941u2b", Finish: &state.Finish{Status: state.Completed}}},

		// §12.1; the captured id of K-a
		"step": {nil, ops(2, withData(driver.OpStepRun, stepA, `1`)), first(state.Transition{
			Version: version(2), Saves: []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}},
			Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true)},
		})},
		"step without data": {nil, ops(1, op(driver.OpStepRun, stepA)), first(state.Transition{
			Version: version(1), Saves: []state.Save{{Step: stepA, Memo: raw(`{"data":null}`)}},
			Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true)},
		})},
		"legacy step": {nil, &driver.Response{Kind: driver.KindSteps, Ops: []driver.Opcode{withData(driver.OpStep, stepA, `{"data":{"z":1,"a":1}}`)}}, first(state.Transition{
			Version: version(0), Saves: []state.Save{{Step: stepA, Memo: raw(`{"data":{"a":1,"z":1}}`)}},
			Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true)},
		})},
		"version is fixed": {func(s *situation) { s.run.Version = 1 }, ops(2, op(driver.OpNone, "")), first(state.Transition{})},
		"AI step": {nil, ops(2, withOpts(driver.OpStepRun, stepA, "", `{"type":"step.ai.wrap"}`)), first(state.Transition{
			Version: version(2), HasAI: true, Saves: []state.Save{{Step: stepA, Memo: raw(`{"data":null}`)}},
			Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true)},
		})},

		// §12.2, §12.3; the captured id of K-bad-failure
		"step error": {nil, ops(2, withError(driver.OpStepError, stepBad, boom)), first(state.Transition{
			Version: version(2), Then: state.JobRetry, RetryAt: at.Add(15 * time.Second).UnixMilli(),
		})},
		"step error, retry after": {nil, &driver.Response{Kind: driver.KindSteps, Ops: []driver.Opcode{withError(driver.OpStepError, stepBad, boom)}, Version: 2, RetryAt: at.Add(3 * time.Second)}, first(state.Transition{
			Version: version(2), Then: state.JobRetry, RetryAt: at.Add(3 * time.Second).UnixMilli(),
		})},
		"step error, last attempt": {func(s *situation) { s.job.Attempt = 1 }, ops(2, withError(driver.OpStepError, stepBad, boom)), first(state.Transition{
			Version: version(2), Saves: []state.Save{{Step: stepBad, Memo: raw(`{"error":{"message":"bang","name":"Error","stack":"s"}}`)}},
			Discoveries: []state.Discovery{next("2vmn28dxp0rpv", state.JobEdgeError, stepBad, true)},
		})},
		"step error, no retry": {nil, &driver.Response{Kind: driver.KindSteps, Ops: []driver.Opcode{withError(driver.OpStepError, stepBad, boom)}, Version: 2, NoRetry: true}, first(state.Transition{
			Version: version(2), Saves: []state.Save{{Step: stepBad, Memo: raw(`{"error":{"message":"bang","name":"Error","noRetry":true,"stack":"s"}}`)}},
			Discoveries: []state.Discovery{next("2vmn28dxp0rpv", state.JobEdgeError, stepBad, true)},
		})},
		"step failed, with the header": {nil, &driver.Response{Kind: driver.KindSteps, Ops: []driver.Opcode{withError(driver.OpStepFailed, stepBad, driver.UserError{Name: "Step failed", Message: "gobad", Data: raw(`5`)})}, Version: 2, NoRetry: true}, first(state.Transition{
			Version: version(2), Saves: []state.Save{{Step: stepBad, Memo: raw(`{"error":{"data":5,"message":"gobad","name":"Step failed"}}`)}},
			Discoveries: []state.Discovery{next("2vmn28dxp0rpv", state.JobEdgeError, stepBad, true)},
		})},
		"finished steps stay finished when another fails": {nil, ops(2, withData(driver.OpStepRun, stepA, `1`), withError(driver.OpStepError, stepBad, boom)), first(state.Transition{
			// The job itself goes on: no other call beside it.
			Version: version(2), ForcePlan: true, Saves: []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}},
			Then: state.JobRetry, RetryAt: at.Add(15 * time.Second).UnixMilli(),
		})},

		// §12.4, §14.2, §14.3; the captured ids of K-p1-plan and of the group
		"planned in parallel": {func(s *situation) { s.job.Outgoing = stepBad }, ops(2, op(driver.OpStepPlanned, stepP1), op(driver.OpStepPlanned, stepP2)), first(state.Transition{
			Version: version(2), ForcePlan: true, Pending: []string{stepP1, stepP2},
			Jobs: []state.Job{
				{ID: "215lecdu1e4tz", Kind: state.JobEdge, Due: at.UnixMilli() - 1, MaxAttempts: 2, Step: stepP1, Outgoing: stepBad, Group: groupP1P2},
				{ID: "1a23h2yc506yz", Kind: state.JobEdge, Due: at.UnixMilli() - 1, MaxAttempts: 2, Step: stepP2, Outgoing: stepBad, Group: groupP1P2},
			},
		})},
		"planned in parallel, version 1": {nil, ops(1, op(driver.OpStepPlanned, stepP1), op(driver.OpStepPlanned, stepP2)), first(state.Transition{
			Version: version(1), ForcePlan: true,
			Jobs: []state.Job{
				{ID: "215lecdu1e4tz", Kind: state.JobEdge, Due: at.UnixMilli() - 1, MaxAttempts: 2, Step: stepP1},
				{ID: "1a23h2yc506yz", Kind: state.JobEdge, Due: at.UnixMilli() - 1, MaxAttempts: 2, Step: stepP2},
			},
		})},
		"planned alone": {nil, ops(2, op(driver.OpStepPlanned, stepP1)), first(state.Transition{
			Version: version(2),
			Jobs:    []state.Job{{ID: "215lecdu1e4tz", Kind: state.JobEdge, Due: at.UnixMilli() - 1, MaxAttempts: 2, Step: stepP1}},
		})},
		"two finished steps plan nothing": {nil, ops(2, withData(driver.OpStepRun, stepA, `1`), withData(driver.OpStepRun, stepZ, `2`)), first(state.Transition{
			Version: version(2), ForcePlan: true,
			Saves:       []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}, {Step: stepZ, Memo: raw(`{"data":2}`)}},
			Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true), next("25z2v3tlk7qtb", state.JobEdge, stepZ, true)},
		})},
		"planned step of a group ends": {func(s *situation) { s.run.Version, s.job.Step, s.job.Group = 2, stepP1, groupP1P2 }, ops(2, withData(driver.OpStepRun, stepP1, `1`)), first(state.Transition{
			Saves:       []state.Save{{Step: stepP1, Memo: raw(`{"data":1}`)}},
			Discoveries: []state.Discovery{next("1vwzwzzff7a4q", state.JobEdge, stepP1, false)},
		})},
		"planned step of a group fails": {func(s *situation) {
			s.run.Version, s.job.Step, s.job.Group, s.job.Attempt = 2, stepP1, groupP1P2, 1
		}, ops(2, withError(driver.OpStepError, stepP1, boom)), first(state.Transition{
			Saves:       []state.Save{{Step: stepP1, Memo: raw(`{"error":{"message":"bang","name":"Error","stack":"s"}}`)}},
			Discoveries: []state.Discovery{next(k("-"+stepP1+"-failure"), state.JobEdgeError, stepP1, false)},
		})},
		"group of a version 1 run is none": {func(s *situation) { s.run.Version, s.job.Step, s.job.Group = 1, stepP1, groupP1P2 }, ops(1, withData(driver.OpStepRun, stepP1, `1`)), first(state.Transition{
			Saves:       []state.Save{{Step: stepP1, Memo: raw(`{"data":1}`)}},
			Discoveries: []state.Discovery{next(k("-"+stepP1), state.JobEdge, stepP1, true)},
		})},
		// §14.5
		"race": {nil, ops(2, withOpts(driver.OpStepPlanned, stepP1, "", `{"parallelMode":"race"}`), withOpts(driver.OpStepPlanned, stepP2, "", `{"ParallelMode":"RACE"}`)), first(state.Transition{
			Version: version(2), ForcePlan: true, Pending: []string{stepP1, stepP2},
			Jobs: []state.Job{
				{ID: "215lecdu1e4tz", Kind: state.JobEdge, Due: at.UnixMilli() - 1, MaxAttempts: 2, Step: stepP1, Group: groupP1P2, Race: true},
				{ID: "1a23h2yc506yz", Kind: state.JobEdge, Due: at.UnixMilli() - 1, MaxAttempts: 2, Step: stepP2, Group: groupP1P2, Race: true},
			},
		})},
		"step of a race ends": {func(s *situation) { s.run.Version, s.job.Step, s.job.Group, s.job.Race = 2, stepP1, groupP1P2, true }, ops(2, withOpts(driver.OpStepRun, stepP1, "", `{"parallelMode":"race"}`)), first(state.Transition{
			Saves:       []state.Save{{Step: stepP1, Memo: raw(`{"data":null}`)}},
			Discoveries: []state.Discovery{next(k("-"+stepP1), state.JobEdge, stepP1, true)},
		})},

		// §12.5
		"sleep, Go":                            {nil, ops(2, withOpts(driver.OpSleep, stepZ, "z", `{"duration":"1s"}`)), first(state.Transition{Version: version(2), Jobs: []state.Job{sleep(stepZ, time.Second)}})},
		"sleep, JS":                            {nil, ops(2, withOpts(driver.OpSleep, stepZ, "1h30m", `{}`)), first(state.Transition{Version: version(2), Jobs: []state.Job{sleep(stepZ, 90*time.Minute)}})},
		"sleep of none":                        {nil, ops(2, op(driver.OpSleep, stepZ)), first(state.Transition{Version: version(2), Jobs: []state.Job{sleep(stepZ, 0)}})},
		"sleep of a fraction never ends early": {nil, ops(2, withOpts(driver.OpSleep, stepZ, "1.5ms", ``)), first(state.Transition{Version: version(2), Jobs: []state.Job{sleep(stepZ, 2*time.Millisecond)}})},
		"sleep too long": {nil, ops(2, withOpts(driver.OpSleep, stepZ, "400d", ``)), first(state.Transition{
			Version: version(2), Finish: failedWith("InngestErrTimeoutTooLong", `The sleep "400d" ends more than one year in the future; sleeps may last at most one year.`),
		})},

		// §12.6
		"wait, Go": {nil, ops(2, withOpts(driver.OpWaitForEvent, stepW, "w", `{"event":"g/never","timeout":"1s"}`)), first(state.Transition{
			Version: version(2), Waits: []state.NewWait{timeout(stepW, state.WaitEvent, "g/never", time.Second)},
		})},
		"wait, JS": {nil, ops(2, withOpts(driver.OpWaitForEvent, stepW, "cap/go", `{"timeout":"10s","if":"event.data.k == async.data.k"}`)), first(state.Transition{
			Version: version(2), Waits: wait(timeout(stepW, state.WaitEvent, "cap/go", 10*time.Second), func(w *state.NewWait) { w.If = `"v" == async.data.k` }),
		})},
		"wait without a timeout": {nil, ops(2, withOpts(driver.OpWaitForEvent, stepW, "cap/go", ``)), first(state.Transition{
			Version: version(2), Waits: []state.NewWait{timeout(stepW, state.WaitEvent, "cap/go", 0)},
		})},
		"wait too long": {nil, ops(2, withOpts(driver.OpWaitForEvent, stepW, "cap/go", `{"timeout":"400d"}`)), first(state.Transition{
			Version: version(2), Finish: failedWith("InngestErrTimeoutTooLong", `The wait-for-event timeout "400d" expires more than one year in the future; timeouts may last at most one year.`),
		})},
		"a fatal error takes nothing along": {nil, ops(2, withData(driver.OpStepRun, stepA, `1`), op(driver.OpStepPlanned, stepP1), withOpts(driver.OpSleep, stepZ, "400d", ``)), first(state.Transition{
			Version: version(2), ForcePlan: true, Saves: []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}},
			Finish: failedWith("InngestErrTimeoutTooLong", `The sleep "400d" ends more than one year in the future; sleeps may last at most one year.`),
		})},

		// §12.8
		"signal": {nil, ops(2, withOpts(driver.OpWaitForSignal, stepW, "sig-1", `{"signal":"sig-1","timeout":"20s"}`)), first(state.Transition{
			Version: version(2), Waits: []state.NewWait{timeout(stepW, state.WaitSignal, "sig-1", 20*time.Second)},
		})},
		"signal that displaces": {nil, ops(2, withOpts(driver.OpWaitForSignal, stepW, "sig-1", `{"signal":"sig-1","timeout":"20s","conflict":"replace"}`)), first(state.Transition{
			Version: version(2), Waits: wait(timeout(stepW, state.WaitSignal, "sig-1", 20*time.Second), func(w *state.NewWait) { w.Replace = true }),
		})},

		// §12.7
		"invoke": {nil, ops(2, withOpts(driver.OpInvokeFunction, stepW, "inv", `{"payload":{"data":{"x":21},"user":{"u":1},"v":"2"},"function_id":"cap-app-callee","timeout":"1h"}`)), first(state.Transition{
			Version: version(2), Waits: wait(timeout(stepW, state.WaitInvoke, "cap-app-callee", time.Hour), func(w *state.NewWait) {
				w.Invoke = &state.Outgoing{
					Name: "inngest/function.invoked", User: raw(`{"u":1}`), V: "2",
					Data: raw(`{"_inngest":{"correlation_id":"` + goldenRun.String() + `.` + stepW + `","expire":1795650134628,"fn_id":"cap-app-callee","gid":"01000000-0000-0000-0000-000000000000","name":"inv","source_app_id":"` + goldenApp.String() + `","source_fn_id":"` + goldenFn.String() + `","source_fn_v":3},"x":21}`),
				}
			}),
		})},
		"mixed group": {nil, ops(2, withOpts(driver.OpSleep, stepZ, "1s", ``), withOpts(driver.OpWaitForEvent, stepW, "e", `{"timeout":"1s"}`), withOpts(driver.OpDeferAdd, "d", "", `{"fn_slug":"later","input":{}}`)), first(state.Transition{
			Version: version(2), ForcePlan: true, Pending: []string{stepZ, stepW},
			Jobs: []state.Job{func() state.Job {
				j := sleep(stepZ, time.Second)
				j.Group = function.CoalesceKey(goldenRun.String(), []string{stepW, stepZ})
				return j
			}()},
			Waits: wait(timeout(stepW, state.WaitEvent, "e", time.Second), func(w *state.NewWait) {
				w.Wait.Group = function.CoalesceKey(goldenRun.String(), []string{stepW, stepZ})
				w.Timeout.Group = w.Wait.Group
			}),
			Defers: []state.Defer{{ID: "d", Slug: "later", Status: state.DeferAfterRun, Input: raw(`{}`)}},
		})},

		// §12.11, §12.12
		"run complete": {nil, ops(2, withData(driver.OpRunComplete, "c", `[1,2,3]`)), first(state.Transition{
			Version: version(2), Finish: &state.Finish{Status: state.Completed, Output: raw(`[1,2,3]`)},
		})},
		"run complete with buffered steps": {nil, ops(2, withData(driver.OpStepRun, stepA, `1`), withData(driver.OpRunComplete, "c", `{"b":1,"a":1}`)), first(state.Transition{
			Version: version(2), Saves: []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}},
			Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true)},
			Finish:      &state.Finish{Status: state.Completed, Output: raw(`{"a":1,"b":1}`)},
		})},
		"run complete without data": {nil, ops(2, withData(driver.OpRunComplete, "c", `null`)), first(state.Transition{Version: version(2), Finish: &state.Finish{Status: state.Completed}})},
		"API run complete":          {nil, ops(2, withData(driver.OpSyncRunComplete, "c", `{"data":{"status":200,"body":"b"}}`)), first(state.Transition{Version: version(2), Finish: &state.Finish{Status: state.Completed, Output: raw(`{"body":"b","status":200}`)}})},
		"API run complete, bare":    {nil, ops(2, withData(driver.OpSyncRunComplete, "c", `7`)), first(state.Transition{Version: version(2), Finish: &state.Finish{Status: state.Completed, Output: raw(`7`)}})},

		// §12.13, §14.6
		"discovery request": {nil, ops(2, op(driver.OpDiscoveryRequest, stepA)), first(state.Transition{
			Version: version(2), Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true)},
		})},
		"nothing": {nil, ops(2), first(state.Transition{Version: version(2)})},
		"none":    {nil, ops(2, op(driver.OpNone, "")), first(state.Transition{Version: version(2)})},

		// §15.1, §15.4
		"function error": {nil, failure(500, `{"message":"m","name":"X"}`, false), first(state.Transition{Then: state.JobRetry, RetryAt: at.Add(15 * time.Second).UnixMilli()})},
		"function error, last attempt": {func(s *situation) { s.job.Attempt = 1 }, failure(400, `{"message":"four","name":"X"}`, false), first(state.Transition{
			Finish: &state.Finish{Status: state.Failed, Output: raw(`{"message":"four","name":"X"}`), Error: raw(`{"error":"invalid status code: 400","message":"four","name":"X"}`)},
		})},
		"function error, no retry": {nil, failure(400, `{"message":"four","name":"X"}`, true), first(state.Transition{
			Finish: &state.Finish{Status: state.Failed, Output: raw(`{"message":"four","name":"X"}`), Error: raw(`{"error":"NonRetriableError","message":"four","name":"X"}`)},
		})},
		"function error without output": {func(s *situation) { s.attempts = 1 }, failure(500, ``, false), first(state.Transition{
			Finish: &state.Finish{Status: state.Failed, Output: raw(`{"error":"invalid status code: 500","message":"Function execution error","name":"Error"}`), Error: raw(`{"error":"invalid status code: 500","message":"Function execution error","name":"Error"}`)},
		})},
		"bad options are retried": {nil, ops(2, withOpts(driver.OpSleep, stepZ, "soonish", ``)), first(state.Transition{
			Version: version(2), Then: state.JobRetry, RetryAt: at.Add(15 * time.Second).UnixMilli(),
		})},
		"bad options, last attempt": {func(s *situation) { s.job.Attempt = 1 }, ops(2, withOpts(driver.OpWaitForEvent, stepW, "", ``)), first(state.Transition{
			Version: version(2), Finish: failedWith("Error", "error handling generator response: An event name must be provided when waiting for an event"),
		})},
		"step error without an error": {func(s *situation) { s.job.Attempt = 1 }, ops(2, op(driver.OpStepError, stepBad)), first(state.Transition{
			Version: version(2), Finish: failedWith("Error", "error handling generator response: step "+stepBad+" reports an error without saying which"),
		})},
		"step failed without an error": {func(s *situation) { s.job.Attempt = 1 }, ops(2, op(driver.OpStepFailed, stepBad)), first(state.Transition{
			Version: version(2), Finish: failedWith("Error", "error handling generator response: step "+stepBad+" failed without an error"),
		})},
		"an error that a priority op makes stops the others": {nil, ops(2, withData(driver.OpStepRun, stepA, `1`), withOpts(driver.OpWaitForEvent, stepW, "", ``)), first(state.Transition{
			Version: version(2), ForcePlan: true, Pending: []string{stepA, stepW}, Then: state.JobRetry, RetryAt: at.Add(15 * time.Second).UnixMilli(),
		})},

		// §14.8
		"too many ops": {func(s *situation) { s.steps = 2 }, ops(2, op(driver.OpStepPlanned, "1"), op(driver.OpStepPlanned, "2"), op(driver.OpStepPlanned, "3")), first(state.Transition{
			Version: version(2), ForcePlan: true, Finish: failedWith("InngestErrFunctionOverflowed", "The function run exceeded the step limit of 2 steps."),
		})},
		"state limit": {func(s *situation) { s.size = s.run.Size + 15 }, ops(2, withData(driver.OpStepRun, stepA, `1`), withData(driver.OpStepRun, stepZ, `2`)), first(state.Transition{
			Version: version(2), ForcePlan: true, Saves: []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}},
			Finish: failedWith("InngestErrStateOverflowed", fmt.Sprintf("The function run exceeded the state size limit of %d bytes.", newRun().Size+15)),
		})},
		"a step that is finished already takes no room": {func(s *situation) {
			s.run.Steps, s.size = []state.Step{{ID: stepA, Memo: raw(`{"data":1}`)}}, s.run.Size
		}, ops(2, withData(driver.OpStepRun, stepA, `1`)), first(state.Transition{
			Version: version(2), Saves: []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}},
			Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true)},
		})},

		// §12.14
		"only defers": {nil, ops(2, withOpts(driver.OpDeferAdd, "df1", "", `{"fn_slug":"app-deferred","input":{"b":1,"a":1}}`), withOpts(driver.OpDeferAbort, "dab", "", `{"target_hashed_id":"df0"}`)), first(state.Transition{
			Version: version(2), AbortDefers: []string{"df0"},
			Defers:      []state.Defer{{ID: "df1", Slug: "app-deferred", Status: state.DeferAfterRun, Input: raw(`{"a":1,"b":1}`)}},
			Discoveries: []state.Discovery{next(k("-df1"), state.JobEdge, "df1", true), next(k("-dab"), state.JobEdge, "dab", true)},
		})},
		"defers with a step": {nil, ops(2, withData(driver.OpStepRun, stepA, `1`), withOpts(driver.OpDeferAdd, "df1", "", `{"fn_slug":"s","input":[]}`), withOpts(driver.OpDeferAbort, "dab", "", `{}`)), first(state.Transition{
			Version: version(2), Defers: []state.Defer{{ID: "df1", Slug: "s", Status: state.DeferRejected}},
			Saves:       []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}},
			Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true)},
		})},
		"too many defers": {func(s *situation) { s.run.Defers = make([]state.Defer, maxDefers) }, ops(2, withOpts(driver.OpDeferAdd, "df1", "", `{"fn_slug":"s","input":{}}`), withData(driver.OpRunComplete, "c", `1`)), first(state.Transition{
			Version: version(2), Defers: []state.Defer{{ID: "df1", Slug: "s", Status: state.DeferRejected}},
			Finish: &state.Finish{Status: state.Completed, Output: raw(`1`)},
		})},

		// §12.9, §12.10
		"gateway": {func(s *situation) {
			s.remote = map[int]remoteResult{0: {answer: driver.GatewayAnswer{Memo: raw(`{"data":{"status_code":200}}`)}}}
		}, ops(2, op(driver.OpGateway, stepA)), first(state.Transition{
			Version: version(2), Saves: []state.Save{{Step: stepA, Memo: raw(`{"data":{"status_code":200}}`)}},
			Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true)},
		})},
		"gateway fails": {func(s *situation) { s.remote = map[int]remoteResult{0: {err: &driver.GatewayError{Message: "m"}}} }, ops(2, op(driver.OpGateway, stepA)), first(state.Transition{
			Version: version(2), Then: state.JobRetry, RetryAt: at.Add(15 * time.Second).UnixMilli(),
		})},
		"AI gateway fails for good": {func(s *situation) {
			s.job.Attempt = 1
			s.remote = map[int]remoteResult{0: {err: &driver.GatewayError{Memo: raw(`{"error":{"name":"AIGatewayError"}}`)}}}
		}, ops(2, op(driver.OpAIGateway, stepA)), first(state.Transition{
			Version: version(2), HasAI: true, Saves: []state.Save{{Step: stepA, Memo: raw(`{"error":{"name":"AIGatewayError"}}`)}},
			Discoveries: []state.Discovery{next("e63lltc8x9ye", state.JobEdge, stepA, true)},
		})},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSituation()
			if c.change != nil {
				c.change(s)
			}
			before, err := json.Marshal(s.run)
			require.NoError(t, err)
			got, _ := decide(s, c.answer)
			again, _ := decide(s, c.answer)
			require.Equal(t, got, again, "it is pure")
			require.NotNil(t, got.Called)
			got.Called = nil // see TestWhatIsToldOfACall
			require.Equal(t, c.want, got)
			after, err := json.Marshal(s.run)
			require.NoError(t, err)
			require.Equal(t, string(before), string(after), "the run is only looked at")
		})
	}
}
