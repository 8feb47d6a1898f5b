package drain_test

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"jetstep/tests/harness"
)

const appName = "drain"

// limit is how many steps of the function limited run at once, and how many runs of
// the function places are in progress.
const limit = 2

// functions are what runs of each do after their first step, and its flow control.
var functions = map[string]struct {
	op   func(n int) *harness.Op
	flow map[string]any
}{
	"limited": {flow: map[string]any{"concurrency": limit}},
	"sleeps":  {op: func(int) *harness.Op { return &harness.Op{Op: "Sleep", Name: "3s"} }},
	"waits":   {op: awaitsGo},
	"hears": {op: func(n int) *harness.Op {
		return &harness.Op{Op: "WaitForSignal", Opts: map[string]any{"signal": fmt.Sprint("signal-", n), "timeout": "1h", "conflict": "fail"}}
	}},
	"calls": {op: func(n int) *harness.Op {
		return &harness.Op{Op: "InvokeFunction", Opts: map[string]any{
			"function_id": appName + "-callee", "timeout": "1h", "payload": map[string]any{"data": map[string]any{"n": n}},
		}}
	}},
	"callee": {},
	"places": {flow: map[string]any{"concurrency": map[string]any{"fn": []any{map[string]any{"limit": limit}}}}, op: awaitsGo},
	// Three events make a run.
	"gathers": {flow: map[string]any{"batchEvents": map[string]any{"maxSize": 3, "timeout": "1h"}}},
	"single":  {flow: map[string]any{"singleton": map[string]any{"mode": "skip"}}, op: awaitsGo},
}

// awaitsGo waits for the event drain/go of its run's number.
func awaitsGo(int) *harness.Op {
	return &harness.Op{Op: "WaitForEvent", Name: "drain/go", Opts: map[string]any{
		"event": "drain/go", "timeout": "1h", "if": "event.data.n == async.data.n",
	}}
}

// app answers the server's calls as an SDK would.
type app struct {
	*harness.PlayedApp

	mu    sync.Mutex
	now   map[string]int   // calls being answered, by function
	most  map[string]int   // how many there were at most
	began map[string]int   // runs whose first step ran, as "waits 3"
	ended map[string][]any // results, by run as in began
	sizes map[string]int   // how many events runs have
	live  map[string]int   // runs in progress, by function
	peaks map[string]int   // how many there were at most
	slow  bool             // the first step of limited takes until it is not
	moved *sync.Cond
}

func newApp() *app {
	a := &app{
		now: map[string]int{}, most: map[string]int{}, began: map[string]int{}, ended: map[string][]any{}, slow: true,
		sizes: map[string]int{}, live: map[string]int{}, peaks: map[string]int{},
	}
	a.moved = sync.NewCond(&a.mu)
	configs := map[string]map[string]any{}
	for name, fn := range functions {
		configs[name] = fn.flow
	}
	a.PlayedApp = harness.Play(harness.PlayedConfig{Name: appName, Retries: 20, Functions: configs, Answer: a.answer})
	return a
}

func (a *app) answer(r *http.Request, name string, call *harness.Execution) (int, any) {
	defer a.begin(name)()
	return a.proceed(r, name, call)
}

// begin counts a call until the function is called.
func (a *app) begin(name string) func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now[name]++
	a.most[name] = max(a.most[name], a.now[name])
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.now[name]--
	}
}

func (a *app) proceed(r *http.Request, name string, call *harness.Execution) (int, any) {
	run := fmt.Sprint(name, " ", call.Event.Data.N)
	if _, done := call.Steps["first"]; !done {
		if name == "limited" {
			a.linger(r)
		}
		a.note(func() { a.beginRun(name, run, len(call.Events)) })
		return http.StatusPartialContent, []harness.Op{{ID: "first", DisplayName: "first", Op: "StepRun", Data: call.Event.Data.N}}
	}
	if _, napped := call.Steps["nap"]; name == "calls" && !napped {
		return http.StatusPartialContent, []harness.Op{{ID: "nap", DisplayName: "nap", Op: "Sleep", Name: "4s"}}
	}
	memo, done := call.Steps["second"]
	if f := functions[name].op; f != nil && !done {
		second := f(call.Event.Data.N)
		second.ID, second.DisplayName = "second", "second"
		return http.StatusPartialContent, []harness.Op{*second}
	}
	a.note(func() { a.endRun(name, run, string(memo)) })
	return http.StatusOK, run
}

// beginRun notes that a run's first step runs, perhaps again.
func (a *app) beginRun(function, run string, events int) {
	if a.began[run]++; a.began[run] > 1 {
		return
	}
	a.sizes[run] = events
	a.live[function]++
	a.peaks[function] = max(a.peaks[function], a.live[function])
}

// endRun notes that a run ends, perhaps again.
func (a *app) endRun(function, run, memo string) {
	if len(a.ended[run]) == 0 {
		a.live[function]--
	}
	a.ended[run] = append(a.ended[run], memo)
}

// linger lets a step last: until it is allowed to end, or the caller is gone.
func (a *app) linger(r *http.Request) {
	for r.Context().Err() == nil {
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
		a.mu.Lock()
		slow := a.slow
		a.mu.Unlock()
		if !slow {
			return
		}
	}
}

func (a *app) note(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}
