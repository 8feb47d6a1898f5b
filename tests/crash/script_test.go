package crash_test

import (
	"fmt"
	"strconv"
	"time"
)

// script is a function of the app: steps that are done one after the other.
// Its result is the memos of all of them.
type script struct {
	trigger string // event name, "" if it is only invoked
	steps   []step
	flow    map[string]any // configuration of its flow control, nil for none
}

// step is code, or an op that the server carries out.
type step struct {
	id string
	op func(n int) opcode // nil for code
}

// opcode is what the app answers for a step (sdk-protocol §11).
type opcode struct {
	ID          string         `json:"id"`
	Op          string         `json:"op"`
	Name        string         `json:"name,omitempty"`
	DisplayName string         `json:"displayName"`
	Opts        map[string]any `json:"opts"`
	Data        any            `json:"data,omitempty"`
	Error       any            `json:"error,omitempty"`
}

// The functions. audit is told of the end of every run of the others.
const (
	work   = "work"
	audit  = "audit"
	waits  = "waits"
	calls  = "calls"
	callee = "callee"
	hears  = "hears"
)

// answerEvent resumes a run of waits.
const answerEvent = "crash/answer"

// waitTimeout is so long that a wait which missed its event is stuck.
const waitTimeout = "1h"

var scripts = withFlows(map[string]script{
	work:   {trigger: "crash/work", steps: []step{code("a"), {"nap", nap}, code("b"), code("c")}},
	audit:  {trigger: "inngest/function.finished"},
	waits:  {trigger: "crash/waits", steps: []step{code("before"), {"wait", waitForAnswer}, code("after")}},
	calls:  {trigger: "crash/calls", steps: []step{code("before"), {"call", invoke}, code("after")}},
	callee: {steps: []step{code("x"), {"nap", nap}, code("y")}},
	hears:  {trigger: "crash/hears", steps: []step{code("before"), {"hear", waitForSignal}, code("after")}},
})

func code(id string) step { return step{id: id} }

func (s step) is(id string) bool { return s.id == id }

// nap sleeps between 200 ms and one second.
func nap(n int) opcode {
	length := 200*time.Millisecond + time.Duration(n*37%800)*time.Millisecond
	return opcode{Op: "Sleep", Name: strconv.FormatInt(length.Milliseconds(), 10) + "ms"}
}

func waitForAnswer(int) opcode {
	return opcode{Op: "WaitForEvent", Name: answerEvent, Opts: map[string]any{
		"event": answerEvent, "timeout": waitTimeout, "if": "event.data.n == async.data.n",
	}}
}

func invoke(n int) opcode {
	return opcode{Op: "InvokeFunction", Opts: map[string]any{
		"function_id": appName + "-" + callee, "timeout": waitTimeout, "payload": map[string]any{"data": map[string]any{"n": n}},
	}}
}

func waitForSignal(n int) opcode {
	return opcode{Op: "WaitForSignal", Opts: map[string]any{"signal": signalName(n), "timeout": waitTimeout, "conflict": "fail"}}
}

func signalName(n int) string { return fmt.Sprintf("signal-%d", n) }

// failsOnce tells whether the code of a step fails at its first attempt, which
// makes some runs wait for a retry when the server is killed.
func failsOnce(s step, n int) bool { return s.is("b") && n%8 == 0 }

// firstFailure is what it says then.
const firstFailure = "not at the first attempt"

// duration is how long the code of a step runs, so that calls are under way
// when a process is killed.
func duration(n int) time.Duration { return time.Duration(n*13%20) * time.Millisecond }
