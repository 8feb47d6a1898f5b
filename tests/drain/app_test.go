package drain_test

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"jetstep/tests/harness"
)

const appName = "drain"

// limit is how many steps of the function limited run at once.
const limit = 2

// functions are what runs of each do after their first step, and its flow control.
var functions = map[string]struct {
	op   func(n int) *harness.Op
	flow map[string]any
}{
	"limited": {flow: map[string]any{"concurrency": limit}},
	"sleeps":  {op: func(int) *harness.Op { return &harness.Op{Op: "Sleep", Name: "3s"} }},
	"waits": {op: func(int) *harness.Op {
		return &harness.Op{Op: "WaitForEvent", Name: "drain/go", Opts: map[string]any{
			"event": "drain/go", "timeout": "1h", "if": "event.data.n == async.data.n",
		}}
	}},
	"hears": {op: func(n int) *harness.Op {
		return &harness.Op{Op: "WaitForSignal", Opts: map[string]any{"signal": fmt.Sprint("signal-", n), "timeout": "1h", "conflict": "fail"}}
	}},
	"calls": {op: func(n int) *harness.Op {
		return &harness.Op{Op: "InvokeFunction", Opts: map[string]any{
			"function_id": appName + "-callee", "timeout": "1h", "payload": map[string]any{"data": map[string]any{"n": n}},
		}}
	}},
	"callee": {},
	"single": {flow: map[string]any{"singleton": map[string]any{"mode": "skip"}}, op: func(int) *harness.Op {
		return &harness.Op{Op: "WaitForEvent", Name: "drain/go", Opts: map[string]any{
			"event": "drain/go", "timeout": "1h", "if": "event.data.n == async.data.n",
		}}
	}},
}

// app answers the server's calls as an SDK would.
type app struct {
	*harness.PlayedApp

	mu    sync.Mutex
	now   map[string]int   // calls being answered, by function
	most  map[string]int   // how many there were at most
	began map[string]int   // runs whose first step ran, as "waits 3"
	ended map[string][]any // results, by run as in began
	slow  bool             // the first step of limited takes until it is not
	moved *sync.Cond
}

func newApp() *app {
	a := &app{now: map[string]int{}, most: map[string]int{}, began: map[string]int{}, ended: map[string][]any{}, slow: true}
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
		a.note(func() { a.began[run]++ })
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
	a.note(func() { a.ended[run] = append(a.ended[run], string(memo)) })
	return http.StatusOK, run
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
