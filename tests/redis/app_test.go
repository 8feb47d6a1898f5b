package redis_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

const (
	// atOnce is how many steps of the function may be executed at once.
	atOnce = 3
	// stepTakes is how long a step's code takes.
	stepTakes = 30 * time.Millisecond
)

// app has one function: two steps around a sleep and a wait for an event.
type app struct {
	*harness.PlayedApp
	mu   sync.Mutex
	busy int
	most int         // calls at once
	done map[int]int // answers with a result, by number

	calls map[int]int // by number
}

func startApp(t *testing.T) *app {
	a := &app{done: map[int]int{}, calls: map[int]int{}}
	a.PlayedApp = harness.Play(harness.PlayedConfig{
		Name: "redistest", Retries: 10, Answer: a.answer,
		Functions: map[string]map[string]any{"work": {"concurrency": []any{map[string]any{"limit": atOnce}}}},
	})
	t.Cleanup(a.Close)
	return a
}

func (a *app) answer(_ *http.Request, _ string, call *harness.Execution) (int, any) {
	a.enter()
	defer a.leave()
	return a.proceed(call)
}

func (a *app) enter() {
	a.mu.Lock()
	a.busy++
	a.most = max(a.most, a.busy)
	a.mu.Unlock()
	time.Sleep(stepTakes) // what the code takes
}

func (a *app) leave() {
	a.mu.Lock()
	a.busy--
	a.mu.Unlock()
}

// proceed answers the first step that is not done, or the result.
func (a *app) proceed(call *harness.Execution) (status int, answer any) {
	n := call.Event.Data.N
	a.mu.Lock()
	a.calls[n]++
	a.mu.Unlock()
	steps := []harness.Op{
		{ID: "a", Op: "StepRun", Data: n},
		{ID: "nap", Op: "Sleep", Name: "1s"},
		{ID: "wait", Op: "WaitForEvent", Name: "redistest/go", Opts: map[string]any{
			"event": "redistest/go", "timeout": "1h", "if": "event.data.n == async.data.n",
		}},
		{ID: "b", Op: "StepRun", Data: n},
	}
	for _, s := range steps {
		if _, done := call.Steps[s.ID]; !done {
			s.DisplayName = s.ID
			return http.StatusPartialContent, []harness.Op{s}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done[n]++
	return http.StatusOK, n
}

// finished are the numbers whose run has got its result.
func (a *app) finished() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.done)
}

func TestAppAnswersInOrder(t *testing.T) {
	t.Parallel()
	a := &app{done: map[int]int{}, calls: map[int]int{}}
	steps := map[string]json.RawMessage{}
	for _, want := range []string{"a", "nap", "wait", "b"} {
		status, answer := a.proceed(&harness.Execution{Steps: steps})
		require.Equal(t, http.StatusPartialContent, status)
		require.Equal(t, want, answer.([]harness.Op)[0].ID)
		steps[want] = json.RawMessage("null")
	}
	status, _ := a.proceed(&harness.Execution{Steps: steps})
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 1, a.finished())
}
