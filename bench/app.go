package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// App is a minimal SDK app: functions whose steps cost nothing, so that what
// is measured is the server. It counts what it is asked.
type App struct {
	name     string
	listener net.Listener
	server   *http.Server

	Calls     atomic.Int64 // requests to run a function
	Completed atomic.Int64 // runs that answered their result, or failed
	// Called and Resumed, if set, are told the run's event data: on the first
	// call, and on the one after a sleep or wait. They are not told of functions
	// that take time: those are there to be in the way.
	Called, Resumed atomic.Pointer[func(data []byte)]
	// Keys counts the calls in flight by the key of the event's data.
	Keys keyCount

	buffers sync.Pool
}

// The functions of the app, by id; each is triggered by bench/<id>.
var appFunctions = map[string]appFunction{
	"noop":   {},
	"rare":   {}, // of which a history has few
	"broken": {fails: true},
	"three":  {steps: 3},
	"sleep":  {sleep: "24h"},
	"nap":    {sleep: napFor.String()},
	"wait":   {wait: true},
	"slow":   {takes: 100 * time.Millisecond},
	"keyed": {takes: time.Millisecond, config: map[string]any{
		"concurrency": []map[string]any{{"limit": 1, "key": "event.data.key"}},
	}},
}

// appFunction is a function of so many steps, of one sleep, or of one wait for
// an event bench/go with the same data.n.
type appFunction struct {
	steps  int
	sleep  string
	wait   bool
	takes  time.Duration  // of each call
	fails  bool           // with an error that is not tried again
	config map[string]any // of its registration, beside what all have
}

// firstOp is what a call answers that finds nothing finished yet, "" for the
// result.
func (f appFunction) firstOp() string {
	switch {
	case f.sleep != "":
		return `{"id":"nap","op":"Sleep","name":"` + f.sleep + `","opts":{},"displayName":"nap"}`
	case f.wait:
		return `{"id":"go","op":"WaitForEvent","name":"go","opts":{"event":"bench/go","timeout":"24h","if":"event.data.n == async.data.n"},"displayName":"go"}`
	}
	return ""
}

// StartApp serves the app on a free loopback port.
func StartApp(name string) (*App, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bench app: %w", err)
	}
	a := &App{name: name, listener: listener}
	a.buffers.New = func() any { return new(bytes.Buffer) }
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
	go func() { _ = a.server.Serve(listener) }() // ends with Close
	return a, nil
}

// Close stops the app.
func (a *App) Close() { _ = a.server.Close() }

// URL is the app's serve endpoint.
func (a *App) URL() string { return "http://" + a.listener.Addr().String() + "/api/inngest" }

// ServeHTTP answers a call of a function.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["X-Inngest-Sdk"] = []string{"bench:v1.0.0"}
	header["X-Inngest-Req-Version"] = []string{"2"}
	header["Content-Type"] = []string{"application/json"}
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusOK)
		return
	}
	body := a.buffers.Get().(*bytes.Buffer)
	body.Reset()
	defer a.buffers.Put(body)
	if _, err := io.Copy(body, r.Body); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	a.Calls.Add(1)
	fn, ok := appFunctions[r.URL.Query().Get("fnId")[len(a.name)+1:]]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	done := finishedSteps(body.Bytes())
	tell := &a.Called
	if done > 0 {
		tell = &a.Resumed
	}
	if tell := tell.Load(); tell != nil && fn.takes == 0 {
		(*tell)(eventData(body.Bytes()))
	}
	if fn.takes > 0 {
		key := eventKey(body.Bytes())
		a.Keys.begin(key)
		time.Sleep(fn.takes)
		a.Keys.end(key)
	}
	switch {
	case fn.fails:
		header["X-Inngest-No-Retry"] = []string{"true"}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"name":"Error","message":"broken"}`)
		a.Completed.Add(1)
	case done < fn.steps:
		id := strconv.Itoa(done + 1)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, `[{"id":"step-`+id+`","op":"StepRun","name":"step","opts":{},"displayName":"step","data":{"n":`+id+`}}]`)
	case done == 0 && fn.firstOp() != "":
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, "["+fn.firstOp()+"]")
	default:
		_, _ = io.WriteString(w, `{"ok":true}`)
		a.Completed.Add(1)
	}
}

// finishedSteps reads ctx.stack.current of a canonical request.
func finishedSteps(body []byte) int {
	const key = `"stack":{"current":`
	i := bytes.Index(body, []byte(key))
	if i < 0 {
		return 0
	}
	n := 0
	for _, c := range body[i+len(key):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// eventData is the data of the request's event, canonical.
func eventData(body []byte) []byte {
	const key = `"event":{"data":`
	i := bytes.Index(body, []byte(key))
	if i < 0 {
		return nil
	}
	rest := body[i+len(key):]
	if end := bytes.Index(rest, []byte(`,"id":`)); end >= 0 {
		return rest[:end]
	}
	return nil
}

// Register tells the server about the app, with the signing key's hash as
// bearer token if there is one.
func (a *App) Register(ctx context.Context, server, bearer string) error {
	functions := make([]map[string]any, 0, len(appFunctions))
	for id, fn := range appFunctions {
		config := map[string]any{
			"id": a.name + "-" + id, "name": id,
			"triggers": []map[string]string{{"event": "bench/" + id}},
			"steps": map[string]any{"step": map[string]any{
				"id": "step", "name": "step",
				"runtime": map[string]string{"type": "http", "url": a.URL() + "?fnId=" + a.name + "-" + id + "&stepId=step"},
			}},
		}
		maps.Copy(config, fn.config)
		functions = append(functions, config)
	}
	body, err := json.Marshal(map[string]any{
		"url": a.URL(), "deployType": "ping", "framework": "bench", "appName": a.name, "functions": functions, "sdk": "bench:v1.0.0", "v": "0.1",
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/fn/register", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Inngest-Sdk", "bench:v1.0.0")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("register the bench app: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("register the bench app: status %d: %s", resp.StatusCode, answer)
	}
	return nil
}
