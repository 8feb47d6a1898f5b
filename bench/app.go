package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
	Completed atomic.Int64 // runs that answered their result
	// Called, if set, is told the run's event data on each first call.
	Called atomic.Pointer[func(data []byte)]

	buffers sync.Pool
}

// The functions of the app, by id; each is triggered by bench/<id>.
var appFunctions = map[string]appFunction{
	"noop":  {},
	"three": {steps: 3},
	"sleep": {sleep: "24h"},
	"nap":   {sleep: "5s"},
}

// appFunction is a function of so many steps, or of one sleep.
type appFunction struct {
	steps int
	sleep string
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
	if done == 0 {
		if called := a.Called.Load(); called != nil {
			(*called)(eventData(body.Bytes()))
		}
	}
	switch {
	case done < fn.steps:
		id := strconv.Itoa(done + 1)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, `[{"id":"step-`+id+`","op":"StepRun","name":"step","opts":{},"displayName":"step","data":{"n":`+id+`}}]`)
	case fn.sleep != "" && done == 0:
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, `[{"id":"nap","op":"Sleep","name":"`+fn.sleep+`","opts":{},"displayName":"nap"}]`)
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
	for id := range appFunctions {
		functions = append(functions, map[string]any{
			"id": a.name + "-" + id, "name": id,
			"triggers": []map[string]string{{"event": "bench/" + id}},
			"steps": map[string]any{"step": map[string]any{
				"id": "step", "name": "step",
				"runtime": map[string]string{"type": "http", "url": a.URL() + "?fnId=" + a.name + "-" + id + "&stepId=step"},
			}},
		})
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
