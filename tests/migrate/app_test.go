package migrate_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"jetstep/tests/harness"
)

const appName = "moving"

// functions are what runs of each do between their first step and their end.
var functions = map[string]func(n int) harness.Op{
	"sleeps": func(int) harness.Op { return harness.Op{Op: "Sleep", Name: "15s"} },
	"waits": func(int) harness.Op {
		return harness.Op{Op: "WaitForEvent", Name: "moving/go", Opts: map[string]any{
			"event": "moving/go", "timeout": "1h", "if": "event.data.n == async.data.n",
		}}
	},
	"hears": func(n int) harness.Op {
		return harness.Op{Op: "WaitForSignal", Opts: map[string]any{"signal": fmt.Sprint("signal-", n), "timeout": "1h", "conflict": "fail"}}
	},
	"calls": func(n int) harness.Op {
		return harness.Op{Op: "InvokeFunction", Opts: map[string]any{
			"function_id": appName + "-waits", "timeout": "1h", "payload": map[string]any{"data": map[string]any{"n": 1000 + n}},
		}}
	},
}

// app answers the server's calls as an SDK would.
type app struct {
	*harness.PlayedApp

	mu    sync.Mutex
	began map[string]int // how often first steps ran, by run as "waits 3"
	asked map[string]int // how often runs asked to wait
	ended map[string]int // how often runs ended
}

func newApp() *app {
	a := &app{began: map[string]int{}, asked: map[string]int{}, ended: map[string]int{}}
	configs := map[string]map[string]any{}
	for name := range functions {
		configs[name] = nil
	}
	a.PlayedApp = harness.Play(harness.PlayedConfig{Name: appName, Retries: 20, Functions: configs, Answer: a.answer})
	return a
}

func (a *app) answer(_ *http.Request, name string, call *harness.Execution) (int, any) {
	n := call.Event.Data.N
	run := fmt.Sprint(name, " ", n)
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, done := call.Steps["first"]; !done {
		a.began[run]++
		return http.StatusPartialContent, []harness.Op{{ID: "first", DisplayName: "first", Op: "StepRun", Data: n}}
	}
	if _, done := call.Steps["second"]; !done {
		second := functions[name](n)
		second.ID, second.DisplayName = "second", "second"
		a.asked[run]++
		return http.StatusPartialContent, []harness.Op{second}
	}
	a.ended[run]++
	return http.StatusOK, run
}

// count is how many runs of a function are in a count; of all functions if it has no
// name.
func (a *app) count(of map[string]int, name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for run := range of {
		if name == "" || strings.HasPrefix(run, name+" ") {
			n++
		}
	}
	return n
}
