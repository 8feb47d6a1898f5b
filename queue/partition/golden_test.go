package partition

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/state"
)

// call is what a captured trace says of one request.
type call struct {
	step    string // that is targeted
	job     string
	attempt int // generation is one more
	version int
	force   bool
	current int
	stack   []string
}

func callOf(r *driver.Request) call {
	step := r.StepID
	if step == "" {
		step = driver.DiscoveryStep
	}
	return call{step, r.JobID, r.Attempt, r.Version, r.DisableImmediateExecution, r.StackCurrent, r.Stack}
}

// The trace of sdk-protocol §24.1: the Go SDK with an error, a sleep, two
// parallel steps and a wait. Every id, attempt and flag is as captured.
func TestGoldenTrace(t *testing.T) {
	t.Parallel()
	const (
		a   = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"
		z   = "395df8f7c51f007019cb30201c49e884b46b92fa"
		bad = "1902e3d6fc4e78a0bcc50ba12b882769afbf4a8c"
		p1  = "b78f576611ec06f96af3ca654c22172a5d746c40"
		p2  = "c5fd961c9f737a955a308050062e7a2c34ee67c3"
		w   = "aff024fe4ab0fece4091de044c58c9ae4233383a"
	)
	fn := uuid.MustParse("7b6161aa-4d50-5d0e-8544-170d69b22f7a")
	one := 1
	s := newSite(t, 1)
	app := &function.App{Name: "goapp", URL: "http://app", Method: function.MethodServe, Functions: []function.Function{{
		ID: fn, Version: 1, Slug: "goapp-g1", Name: "G One", Triggers: []function.Trigger{{Event: "g/one"}},
		Steps: []function.Step{{ID: "step", URI: "http://app", Retries: &one}},
	}}}
	_, err := s.bus.Registry().Update(t.Context(), function.AppID("goapp"), func(*function.App) (*function.App, error) { return app, nil })
	require.NoError(t, err)

	failing := &driver.UserError{Name: "Step error", Message: "gobad", Data: json.RawMessage(`5`)}
	bothCalled := make(chan struct{})   // p2 ends after p1 was called,
	firstPlanned := make(chan struct{}) // and before p1 ends
	s2 := func(op driver.Opcode, more ...driver.Opcode) *driver.Response {
		return answerSteps(2, append([]driver.Opcode{op}, more...)...)
	}
	calls := s.execute(func(r *driver.Request) *driver.Response {
		switch {
		case r.StepID == p2:
			<-bothCalled
			return s2(driver.Opcode{Op: driver.OpStepRun, ID: p2, Data: json.RawMessage(`2`)})
		case r.StepID == p1:
			close(bothCalled)
			<-firstPlanned
			return s2(driver.Opcode{Op: driver.OpStepRun, ID: p1, Data: json.RawMessage(`1`)})
		}
		switch len(r.Stack) {
		case 0:
			return s2(driver.Opcode{Op: driver.OpStepRun, ID: a, Data: json.RawMessage(`1`)})
		case 1:
			return s2(driver.Opcode{Op: driver.OpSleep, ID: z, Name: "z", Opts: json.RawMessage(`{"duration":"1s"}`)})
		case 2:
			if r.Attempt+1 < r.MaxAttempts {
				return s2(driver.Opcode{Op: driver.OpStepError, ID: bad, Error: failing})
			}
			failed := *failing
			failed.Name = "Step failed"
			answer := s2(driver.Opcode{Op: driver.OpStepFailed, ID: bad, Error: &failed})
			answer.NoRetry = true
			return answer
		case 3:
			return s2(driver.Opcode{Op: driver.OpStepPlanned, ID: p1}, driver.Opcode{Op: driver.OpStepPlanned, ID: p2})
		case 5:
			return s2(driver.Opcode{Op: driver.OpWaitForEvent, ID: w, Name: "w", Opts: json.RawMessage(`{"event":"g/never","timeout":"1s"}`)})
		}
		return answerDone(`"end"`)
	}, nil)

	run := state.Run{
		ID: ulid.MustParse("01M8AET0YF1VEAYWNXD1BS5P14"), FunctionID: fn, FunctionVersion: 1, Slug: "goapp-g1",
		Idempotency: function.IdempotencyKey(fn, "01M8AET0RJM0TBG77TWB9DFAA4"),
		Events:      []json.RawMessage{json.RawMessage(`{"data":{},"id":"01M8AET0RJM0TBG77TWB9DFAA4","name":"g/one","ts":1,"user":{}}`)},
		Trigger:     "g/one", Version: state.Undecided,
	}
	require.Equal(t, "7b6161aa-4d50-5d0e-8544-170d69b22f7a:33u5qx05qmm7c-2hbujhdrmuqpu", run.Key())
	run.Jobs = []state.Job{{ID: function.StartJob(run.Key()), Kind: state.JobStart, MaxAttempts: 2}}
	s.put(run)
	s.eventually(func() bool {
		r, err := s.node.Load(t.Context(), run.ID)
		return err == nil && len(r.Steps) == 4
	}, "p2 did not end")
	close(firstPlanned)
	require.Equal(t, ending{state.Completed, `"end"`, 1}, s.ended(run.ID))

	made := calls.made()
	require.Len(t, made, 9)
	var got []call
	for _, r := range made {
		require.Equal(t, r.Attempt+1, r.Generation)
		require.Equal(t, 2, r.MaxAttempts)
		got = append(got, callOf(r))
	}
	// The two planned steps are called in the same moment.
	if got[5].step == p1 {
		got[5], got[6] = got[6], got[5]
	}
	require.Equal(t, []call{
		{"step", "1w0yzca941u2b", 0, -1, false, 0, []string{}},
		{"step", "e63lltc8x9ye", 0, 2, false, 1, []string{a}},
		{"step", "25z2v3tlk7qtb", 0, 2, false, 2, []string{a, z}},
		{"step", "25z2v3tlk7qtb", 1, 2, false, 2, []string{a, z}},
		{"step", "2vmn28dxp0rpv", 0, 2, false, 3, []string{a, z, bad}},
		{p2, "1a23h2yc506yz", 0, 2, true, 3, []string{a, z, bad}},
		{p1, "215lecdu1e4tz", 0, 2, true, 3, []string{a, z, bad}},
		{"step", "1vwzwzzff7a4q", 0, 2, false, 5, []string{a, z, bad, p2, p1}},
		{"step", "2dgrgx4hjv8u2", 0, 2, false, 6, []string{a, z, bad, p2, p1, w}},
	}, got)
	memos := map[string]string{}
	for _, memo := range made[8].Steps {
		memos[memo.ID] = string(memo.Data)
	}
	require.Equal(t, map[string]string{
		bad: `{"error":{"data":5,"message":"gobad","name":"Step failed"}}`, z: `null`, a: `{"data":1}`, w: `null`,
		p1: `{"data":1}`, p2: `{"data":2}`,
	}, memos)

	// The log tells all of it.
	require.Equal(t, []string{
		"call 1w0yzca941u2b 0: StepRun " + a,
		"call e63lltc8x9ye 0: Sleep " + z + " for 1s",
		"end of " + z,
		"call 25z2v3tlk7qtb 0: StepError " + bad + " again",
		"call 25z2v3tlk7qtb 1: StepFailed " + bad,
		"call 2vmn28dxp0rpv 0: StepPlanned " + p1 + " StepPlanned " + p2,
		"call 1a23h2yc506yz 0: StepRun " + p2,
		"call 215lecdu1e4tz 0: StepRun " + p1,
		"call 1vwzwzzff7a4q 0: WaitForEvent " + w + " for g/never",
		"end of " + w + " by its timeout",
		"call 2dgrgx4hjv8u2 0: done",
		"Completed",
	}, s.story(run.ID))
}

// story is what the log tells of a run, a line for each fact.
func (s *site) story(id ulid.ULID) (lines []string) {
	for _, op := range s.facts(id) {
		switch op := op.(type) {
		case *state.Called:
			line := fmt.Sprintf("call %s %d:", op.Job.ID, op.Job.Attempt)
			for _, shown := range op.Ops {
				line += " " + shown.Op + " " + shown.ID
				if shown.Sleep > 0 {
					line += " for " + (time.Duration(shown.Sleep) * time.Millisecond).String()
				}
				if shown.Wait != "" {
					line += " for " + shown.Wait
				}
			}
			if op.RetryAt > 0 {
				line += " again"
			}
			if op.Result == state.CallDone {
				line += " done"
			}
			lines = append(lines, line)
		case *state.StepEnded:
			line := "end of " + op.Step
			if op.TimedOut {
				line += " by its timeout"
			}
			lines = append(lines, line)
		case *state.RunFinished:
			lines = append(lines, op.Status.String())
		}
	}
	return lines
}

// sdk-protocol §24.2: the same fan-in with request version 1.
func TestGoldenTraceOfVersion1(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	bothPlanned := make(chan struct{})
	calls := s.execute(func(r *driver.Request) *driver.Response {
		switch {
		case r.StepID != "":
			if r.StepID == "p2" {
				<-bothPlanned
			}
			return answerSteps(1, driver.Opcode{Op: driver.OpStepRun, ID: r.StepID})
		case len(r.Stack) == 0:
			return answerSteps(1, driver.Opcode{Op: driver.OpStepPlanned, ID: "p1"}, driver.Opcode{Op: driver.OpStepPlanned, ID: "p2"})
		case len(r.Stack) < 3:
			return answerSteps(1, driver.Opcode{Op: driver.OpSleep, ID: "z", Name: "10ms"})
		}
		return answerDone(`1`)
	}, nil)
	s.send("begin", `{}`)
	s.eventually(func() bool { return len(calls.made()) == 4 }, "the call after p1")
	close(bothPlanned)
	s.eventually(func() bool { s.rec.mu.Lock(); defer s.rec.mu.Unlock(); return len(s.rec.finished) == 1 })
	for i, r := range calls.made() {
		require.Equal(t, i > 0, r.DisableImmediateExecution, "call %d: it stays set", i)
		if i > 0 {
			require.Equal(t, 1, r.Version)
		}
	}
}
