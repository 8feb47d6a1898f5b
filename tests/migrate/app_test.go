package migrate_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

const (
	appName    = "moving"
	sdkVersion = "moving:v1.0.0"
)

// op is what the app answers for a step (sdk-protocol §11).
type op struct {
	ID          string         `json:"id"`
	Op          string         `json:"op"`
	Name        string         `json:"name,omitempty"`
	DisplayName string         `json:"displayName"`
	Opts        map[string]any `json:"opts,omitempty"`
	Data        any            `json:"data,omitempty"`
}

// functions are what runs of each do between their first step and their end.
var functions = map[string]func(n int) op{
	"sleeps": func(int) op { return op{Op: "Sleep", Name: "15s"} },
	"waits": func(int) op {
		return op{Op: "WaitForEvent", Name: "moving/go", Opts: map[string]any{
			"event": "moving/go", "timeout": "1h", "if": "event.data.n == async.data.n",
		}}
	},
	"hears": func(n int) op {
		return op{Op: "WaitForSignal", Opts: map[string]any{"signal": fmt.Sprint("signal-", n), "timeout": "1h", "conflict": "fail"}}
	},
	"calls": func(n int) op {
		return op{Op: "InvokeFunction", Opts: map[string]any{
			"function_id": appName + "-waits", "timeout": "1h", "payload": map[string]any{"data": map[string]any{"n": 1000 + n}},
		}}
	},
}

// app answers the server's calls as an SDK would.
type app struct {
	*httptest.Server

	mu    sync.Mutex
	began map[string]int // how often first steps ran, by run as "waits 3"
	asked map[string]int // how often runs asked to wait
	ended map[string]int // how often runs ended
}

func newApp() *app {
	a := &app{began: map[string]int{}, asked: map[string]int{}, ended: map[string]int{}}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	return a
}

// request is what the app reads of a call (sdk-protocol §7.3).
type request struct {
	Event struct {
		Data struct {
			N int `json:"n"`
		} `json:"data"`
	} `json:"event"`
	Steps map[string]json.RawMessage `json:"steps"`
}

func (a *app) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Inngest-Sdk", sdkVersion)
	header.Set("X-Inngest-Req-Version", "2")
	header.Set("Content-Type", "application/json")
	if r.Method != http.MethodPost {
		return
	}
	var req request
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	status, answer := a.answer(strings.TrimPrefix(r.URL.Query().Get("fnId"), appName+"-"), &req)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the server may be dead
}

func (a *app) answer(name string, req *request) (int, any) {
	n := req.Event.Data.N
	run := fmt.Sprint(name, " ", n)
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, done := req.Steps["first"]; !done {
		a.began[run]++
		return http.StatusPartialContent, []op{{ID: "first", DisplayName: "first", Op: "StepRun", Data: n}}
	}
	if _, done := req.Steps["second"]; !done {
		second := functions[name](n)
		second.ID, second.DisplayName = "second", "second"
		a.asked[run]++
		return http.StatusPartialContent, []op{second}
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

// registration is what the app sends to POST /fn/register (sdk-protocol §5).
func (a *app) registration() ([]byte, error) {
	var list []map[string]any
	for name := range functions {
		id := appName + "-" + name
		list = append(list, map[string]any{
			"id": id, "name": name, "triggers": []map[string]string{{"event": "moving/" + name}},
			"steps": map[string]any{"step": map[string]any{
				"id": "step", "name": "step", "retries": map[string]int{"attempts": 20},
				"runtime": map[string]string{"type": "http", "url": a.URL + "?fnId=" + id + "&stepId=step"},
			}},
		})
	}
	return json.Marshal(map[string]any{
		"url": a.URL, "deployType": "ping", "framework": "moving", "appName": appName, "functions": list, "sdk": sdkVersion, "v": "0.1",
	})
}
