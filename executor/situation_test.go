package executor

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/state"
)

// The ids of the captured run of sdk-protocol §24.1.
const (
	stepA   = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"
	stepZ   = "395df8f7c51f007019cb30201c49e884b46b92fa"
	stepBad = "1902e3d6fc4e78a0bcc50ba12b882769afbf4a8c"
	stepP1  = "b78f576611ec06f96af3ca654c22172a5d746c40"
	stepP2  = "c5fd961c9f737a955a308050062e7a2c34ee67c3"
	stepW   = "aff024fe4ab0fece4091de044c58c9ae4233383a"

	groupP1P2 = "0357c4d71929fbb8"
)

var (
	goldenRun = ulid.MustParse("01M8AET0YF1VEAYWNXD1BS5P14")
	goldenFn  = uuid.MustParse("7b6161aa-4d50-5d0e-8544-170d69b22f7a")
	goldenApp = uuid.MustParse("e8b1706e-51a0-58c7-9104-eb0a23aee45e")
	at        = time.UnixMilli(1795646534628).UTC()
)

const goldenI = "33u5qx05qmm7c-2hbujhdrmuqpu"

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// newRun is a run that has not been called yet.
func newRun() *state.Run {
	event := `{"data":{"k":"v","n":7},"id":"01M8AET0RJM0TBG77TWB9DFAA4","name":"g/one","ts":1795646534470,"user":{}}`
	return &state.Run{
		ID: goldenRun, FunctionID: goldenFn, FunctionVersion: 3, Slug: "goapp-g1", Idempotency: goldenI,
		Events: []json.RawMessage{raw(event)}, Trigger: "g/one", Version: state.Undecided, Size: len(event),
	}
}

// newSituation is the run's first call, of a function with one retry.
func newSituation() *situation {
	retries := 1
	return &situation{
		run:      newRun(),
		job:      state.Job{ID: "1w0yzca941u2b", Kind: state.JobStart, MaxAttempts: 2},
		function: &function.Function{ID: goldenFn, Slug: "goapp-g1", Version: 3, Steps: []function.Step{{URI: "http://app", Retries: &retries}}},
		appID:    goldenApp, attempts: 2, now: at, called: at.Add(-time.Second), backoff: 15 * time.Second,
		steps: DefaultStepLimit, size: DefaultStateLimit,
		newID: func() uuid.UUID { return uuid.UUID{1} },
	}
}

// ops is a 206 of that request version.
func ops(version int, list ...driver.Opcode) *driver.Response {
	return &driver.Response{Kind: driver.KindSteps, Ops: list, Version: version, HasVersion: true}
}

func op(code driver.OpCode, id string) driver.Opcode { return driver.Opcode{Op: code, ID: id} }

func withOpts(code driver.OpCode, id, name, opts string) driver.Opcode {
	o := op(code, id)
	o.Name = name
	if opts != "" {
		o.Opts = raw(opts)
	}
	return o
}

func withData(code driver.OpCode, id, data string) driver.Opcode {
	o := op(code, id)
	if data != "" {
		o.Data = raw(data)
	}
	return o
}

func withError(code driver.OpCode, id string, err driver.UserError) driver.Opcode {
	o := op(code, id)
	o.Error = &err
	return o
}

// next is a call that follows a step.
func next(id string, kind state.JobKind, step string, always bool) state.Discovery {
	return state.Discovery{
		Always: always,
		Job:    state.Job{ID: id, Kind: kind, Due: at.UnixMilli(), MaxAttempts: 2, Outgoing: step},
	}
}

func k(suffix string) string { return function.Hash(goldenFn.String() + ":" + goldenI + suffix) }

// first is a transition of the run's first call.
func first(t state.Transition) *state.Transition {
	t.RunID, t.Job, t.StartedAt = goldenRun, "1w0yzca941u2b", at.Add(-time.Second).UnixMilli()
	return &t
}

func version(n int) *int { return &n }

// failedWith is a run that failed without another word of the SDK.
func failedWith(name, message string) *state.Finish {
	object := raw(fmt.Sprintf(`{"error":%q,"message":%q,"name":%q}`, name, message, name))
	return &state.Finish{Status: state.Failed, Output: object, Error: object}
}

// failure is an SDK's error answer.
func failure(status int, output string, noRetry bool) *driver.Response {
	r := &driver.Response{Kind: driver.KindError, Status: status, NoRetry: noRetry}
	r.ErrorText = fmt.Sprintf("invalid status code: %d", status)
	if noRetry {
		r.ErrorText = "NonRetriableError"
	}
	r.Error = &driver.RunError{Error: r.ErrorText, Name: "Error", Message: "Function execution error"}
	if output != "" {
		r.Output = raw(output)
		var fields struct{ Name, Message string }
		_ = json.Unmarshal(r.Output, &fields)
		r.Error.Name, r.Error.Message = fields.Name, fields.Message
	}
	return r
}
