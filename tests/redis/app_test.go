package redis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	sdkVersion = "redistest:v1.0.0"
	// atOnce is how many steps of the function may be executed at once.
	atOnce = 3
	// stepTakes is how long a step's code takes.
	stepTakes = 30 * time.Millisecond
)

// app has one function: two steps around a sleep and a wait for an event.
type app struct {
	*httptest.Server
	mu   sync.Mutex
	busy int
	most int         // calls at once
	done map[int]int // answers with a result, by number
}

func startApp(t *testing.T) *app {
	a := &app{done: map[int]int{}}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

// call is the part of a request that the app reads.
type call struct {
	Event struct {
		Data struct{ N int }
	} `json:"event"`
	Steps map[string]json.RawMessage `json:"steps"`
}

// op is what the app answers for a step (sdk-protocol §11).
type op struct {
	ID          string         `json:"id"`
	Op          string         `json:"op"`
	Name        string         `json:"name,omitempty"`
	DisplayName string         `json:"displayName"`
	Opts        map[string]any `json:"opts"`
	Data        any            `json:"data,omitempty"`
}

func (a *app) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	var c call
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.enter()
	defer a.leave()
	status, answer := a.proceed(&c)
	w.Header().Set("X-Inngest-Sdk", sdkVersion)
	w.Header().Set("X-Inngest-Req-Version", "2")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the server may be dead
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
func (a *app) proceed(c *call) (status int, answer any) {
	n := c.Event.Data.N
	steps := []op{
		{ID: "a", Op: "StepRun", Data: n},
		{ID: "nap", Op: "Sleep", Name: "1s"},
		{ID: "wait", Op: "WaitForEvent", Name: "redistest/go", Opts: map[string]any{
			"event": "redistest/go", "timeout": "1h", "if": "event.data.n == async.data.n",
		}},
		{ID: "b", Op: "StepRun", Data: n},
	}
	for _, s := range steps {
		if _, done := c.Steps[s.ID]; !done {
			s.DisplayName = s.ID
			return http.StatusPartialContent, []op{s}
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

// register makes the app known to a server.
func (a *app) register(ctx context.Context, server string) error {
	const slug = "redistest-work"
	body, err := json.Marshal(map[string]any{
		"url": a.URL, "deployType": "ping", "framework": "redistest", "appName": "redistest", "sdk": sdkVersion, "v": "0.1",
		"functions": []any{map[string]any{
			"id": slug, "name": "work", "triggers": []any{map[string]string{"event": "redistest/work"}},
			"concurrency": []any{map[string]any{"limit": atOnce}},
			"steps": map[string]any{"step": map[string]any{
				"id": "step", "name": "step", "runtime": map[string]string{"type": "http", "url": a.URL + "?fnId=" + slug + "&stepId=step"},
				"retries": map[string]int{"attempts": 10},
			}},
		}},
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/fn/register", bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("register: status %d", res.StatusCode)
	}
	return nil
}

func TestAppAnswersInOrder(t *testing.T) {
	t.Parallel()
	a := &app{done: map[int]int{}}
	steps := map[string]json.RawMessage{}
	for _, want := range []string{"a", "nap", "wait", "b"} {
		status, answer := a.proceed(&call{Steps: steps})
		require.Equal(t, http.StatusPartialContent, status)
		require.Equal(t, want, answer.([]op)[0].ID)
		steps[want] = json.RawMessage("null")
	}
	status, _ := a.proceed(&call{Steps: steps})
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 1, a.finished())
}
