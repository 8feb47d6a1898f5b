package drain_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

const (
	appName    = "drain"
	sdkVersion = "drain:v1.0.0"
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

// limit is how many steps of the function limited run at once.
const limit = 2

// functions are what runs of each do after their first step, and its flow control.
var functions = map[string]struct {
	op   func(n int) *op
	flow map[string]any
}{
	"limited": {flow: map[string]any{"concurrency": limit}},
	"sleeps":  {op: func(int) *op { return &op{Op: "Sleep", Name: "3s"} }},
	"waits": {op: func(int) *op {
		return &op{Op: "WaitForEvent", Name: "drain/go", Opts: map[string]any{
			"event": "drain/go", "timeout": "1h", "if": "event.data.n == async.data.n",
		}}
	}},
	"hears": {op: func(n int) *op {
		return &op{Op: "WaitForSignal", Opts: map[string]any{"signal": fmt.Sprint("signal-", n), "timeout": "1h", "conflict": "fail"}}
	}},
	"calls": {op: func(n int) *op {
		return &op{Op: "InvokeFunction", Opts: map[string]any{
			"function_id": appName + "-callee", "timeout": "1h", "payload": map[string]any{"data": map[string]any{"n": n}},
		}}
	}},
	"callee": {},
	"single": {flow: map[string]any{"singleton": map[string]any{"mode": "skip"}}, op: func(int) *op {
		return &op{Op: "WaitForEvent", Name: "drain/go", Opts: map[string]any{
			"event": "drain/go", "timeout": "1h", "if": "event.data.n == async.data.n",
		}}
	}},
}

// app answers the server's calls as an SDK would.
type app struct {
	*httptest.Server

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
	name := strings.TrimPrefix(r.URL.Query().Get("fnId"), appName+"-")
	var req request
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer a.begin(name)()
	status, answer := a.answer(r, name, &req)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the server may be dead
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

func (a *app) answer(r *http.Request, name string, req *request) (int, any) {
	run := fmt.Sprint(name, " ", req.Event.Data.N)
	if _, done := req.Steps["first"]; !done {
		if name == "limited" {
			a.linger(r)
		}
		a.note(func() { a.began[run]++ })
		return http.StatusPartialContent, []op{{ID: "first", DisplayName: "first", Op: "StepRun", Data: req.Event.Data.N}}
	}
	if _, napped := req.Steps["nap"]; name == "calls" && !napped {
		return http.StatusPartialContent, []op{{ID: "nap", DisplayName: "nap", Op: "Sleep", Name: "4s"}}
	}
	memo, done := req.Steps["second"]
	if f := functions[name].op; f != nil && !done {
		second := f(req.Event.Data.N)
		second.ID, second.DisplayName = "second", "second"
		return http.StatusPartialContent, []op{*second}
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

// registration is what the app sends to POST /fn/register (sdk-protocol §5).
func (a *app) registration() ([]byte, error) {
	var list []map[string]any
	for name, fn := range functions {
		id := appName + "-" + name
		config := map[string]any{
			"id": id, "name": name, "triggers": []map[string]string{{"event": "drain/" + name}},
			"steps": map[string]any{"step": map[string]any{
				"id": "step", "name": "step", "retries": map[string]int{"attempts": 20},
				"runtime": map[string]string{"type": "http", "url": a.URL + "?fnId=" + id + "&stepId=step"},
			}},
		}
		for key, value := range fn.flow {
			config[key] = value
		}
		list = append(list, config)
	}
	return json.Marshal(map[string]any{
		"url": a.URL, "deployType": "ping", "framework": "drain", "appName": appName, "functions": list, "sdk": sdkVersion, "v": "0.1",
	})
}
