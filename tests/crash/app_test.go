package crash_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

const (
	appName    = "crash"
	sdkVersion = "crash:v1.0.0"
	servePath  = "/api/inngest"
	retries    = 20
)

// app answers the server's calls as an SDK would. It notes each call in its
// journal before it answers.
type app struct {
	journal  *journal
	meetings meetings

	mu     sync.Mutex
	latest int              // number of the call that came last
	open   map[int]struct{} // calls that are being answered
}

func newApp(j *journal) *app { return &app{journal: j, open: map[int]struct{}{}} }

// begin counts a call; end must be called when it is answered.
func (a *app) begin() (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.latest++
	n := a.latest
	a.open[n] = struct{}{}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.open, n)
	}
}

// last is the number of the call that came last.
func (a *app) last() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.latest
}

// answered tells whether all calls up to a number are.
func (a *app) answered(last int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := range a.open {
		if n <= last {
			return false
		}
	}
	return true
}

// playApp is the app as a process of its own.
func playApp(port, path string) error {
	journal, err := openJournal(path)
	if err != nil {
		return err
	}
	if err := journal.write(&entry{Mark: opened}); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	return http.Serve(listener, newApp(journal))
}

// request is what the app reads of a call (sdk-protocol §7.3).
type request struct {
	Ctx struct {
		RunID      string `json:"run_id"`
		RequestID  string `json:"request_id"`
		Attempt    int    `json:"attempt"`
		Generation int    `json:"generation_id"`
	} `json:"ctx"`
	Event struct {
		Name string `json:"name"`
		Data struct {
			payload
			RunID      string          `json:"run_id"`
			FunctionID string          `json:"function_id"`
			Result     json.RawMessage `json:"result"`
			Event      struct {
				Data payload `json:"data"`
			} `json:"event"`
			Meta struct {
				Status string `json:"status"`
			} `json:"_inngest"`
		} `json:"data"`
	} `json:"event"`
	Events []struct {
		Data payload `json:"data"`
	} `json:"events"`
	Steps map[string]json.RawMessage `json:"steps"`
}

// payload is the data of the events that trials send.
type payload struct {
	N    int    `json:"n"`
	K    string `json:"k"`              // keys of flow control have its value
	Meet *meet  `json:"meet,omitempty"` // whom the first step waits for
}

// ServeHTTP answers GET /health and calls.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer a.begin()()
	if r.Method != http.MethodPost {
		return
	}
	header := w.Header()
	header.Set("X-Inngest-Sdk", sdkVersion)
	header.Set("X-Inngest-Req-Version", "2")
	header.Set("Content-Type", "application/json")
	status, answer, err := a.call(r)
	if err != nil {
		status, answer = http.StatusInternalServerError, map[string]string{"name": "Error", "message": err.Error()}
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the server may be dead
}

func (a *app) call(r *http.Request) (status int, answer any, err error) {
	if r.Header.Get("X-Inngest-Signature") == "" {
		return 0, nil, errors.New("the call is not signed")
	}
	function := strings.TrimPrefix(r.URL.Query().Get("fnId"), appName+"-")
	fn, ok := scripts[function]
	if !ok {
		return 0, nil, fmt.Errorf("no function %q", function)
	}
	var req request
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		return 0, nil, err
	}
	note := entry{
		Run: req.Ctx.RunID, Function: function, N: req.Event.Data.N,
		Request: req.Ctx.RequestID, Attempt: req.Ctx.Attempt, Generation: req.Ctx.Generation, Memos: req.Steps,
	}
	if fn.flow != nil {
		note.Call, note.K, note.Batch = ulid.Make().String(), req.Event.Data.K, req.numbers()
	}
	status, answer = proceed(fn, &req, &note)
	if err := a.journal.write(&note); err != nil {
		return 0, nil, err
	}
	if fn.flow == nil {
		time.Sleep(duration(note.N)) // what the code takes
		return status, answer, nil
	}
	return status, answer, a.flow(&req, &note)
}

// proceed does the first step that has no memo, or answers the result.
func proceed(fn script, req *request, note *entry) (status int, answer any) {
	for _, s := range fn.steps {
		if _, done := req.Steps[s.id]; !done {
			return http.StatusPartialContent, []opcode{do(s, req, note)}
		}
	}
	if note.Function == audit {
		ended := req.Event.Data
		note.Ended = &end{
			Run: ended.RunID, Function: strings.TrimPrefix(ended.FunctionID, appName+"-"), N: ended.Event.Data.N, K: ended.Event.Data.K,
			Status: ended.Meta.Status, Result: ended.Result,
		}
	}
	if note.Function == witness {
		note.Event = req.Event.Name
	}
	note.Result = req.Steps
	return http.StatusOK, req.Steps
}

func do(s step, req *request, note *entry) opcode {
	n := req.Event.Data.N
	op := opcode{Op: "StepRun"}
	switch {
	case s.op != nil:
		op = s.op(n)
	case failsOnce(s, n) && req.Ctx.Attempt == 0:
		note.Failed = s.id
		op = opcode{Op: "StepError", Error: map[string]string{"name": "Error", "message": firstFailure}}
	default:
		note.Ran, note.By = s.id, ulid.Make().String()
		op.Data = map[string]any{"by": note.By, "n": n}
	}
	op.ID, op.DisplayName = s.id, s.id
	return op
}

// registration is what the app sends to POST /fn/register (sdk-protocol §5).
func registration(url string) ([]byte, error) {
	var functions []map[string]any
	for id, fn := range scripts {
		triggers := []map[string]string{}
		if fn.trigger != "" {
			triggers = append(triggers, map[string]string{"event": fn.trigger})
		}
		function := map[string]any{
			"id": appName + "-" + id, "name": id, "triggers": triggers,
			"steps": map[string]any{"step": map[string]any{
				"id": "step", "name": "step",
				"runtime": map[string]string{"type": "http", "url": url + "?fnId=" + appName + "-" + id + "&stepId=step"},
				"retries": map[string]int{"attempts": retries},
			}},
		}
		maps.Copy(function, fn.flow)
		functions = append(functions, function)
	}
	return json.Marshal(map[string]any{
		"url": url, "deployType": "ping", "framework": "crash", "appName": appName,
		"functions": functions, "sdk": sdkVersion, "v": "0.1",
	})
}
