package harness

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Op is what an app answers for a step (sdk-protocol §11).
type Op struct {
	ID          string         `json:"id"`
	Op          string         `json:"op"`
	Name        string         `json:"name,omitempty"`
	DisplayName string         `json:"displayName"`
	Opts        map[string]any `json:"opts,omitempty"`
	Data        any            `json:"data,omitempty"`
}

// Execution is what a played app reads of a call (sdk-protocol §7.3): the number
// that the event has as its data, and the results of the steps that are done.
type Execution struct {
	Event struct {
		Data struct {
			N int `json:"n"`
		} `json:"data"`
	} `json:"event"`
	Events []json.RawMessage          `json:"events"`
	Steps  map[string]json.RawMessage `json:"steps"`
}

// PlayedConfig says what an app does.
type PlayedConfig struct {
	Name    string // also of its SDK
	Retries int    // of each step
	// Functions are the app's, by name, with what their configuration has besides.
	// Events of the name "<app>/<function>" start them.
	Functions map[string]map[string]any
	// Answer is called for each call of a function: what it returns is the answer.
	Answer func(r *http.Request, function string, call *Execution) (status int, body any)
}

// PlayedApp is an app in the test's own process, which outlives the servers and
// knows what they asked of it. It answers as an SDK would.
type PlayedApp struct {
	*httptest.Server
	config PlayedConfig
}

// Play starts an app.
func Play(c PlayedConfig) *PlayedApp {
	a := &PlayedApp{config: c}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	return a
}

func (a *PlayedApp) sdk() string { return a.config.Name + ":v1.0.0" }

func (a *PlayedApp) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Inngest-Sdk", a.sdk())
	header.Set("X-Inngest-Req-Version", "2")
	header.Set("Content-Type", "application/json")
	if r.Method != http.MethodPost {
		return
	}
	var call Execution
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	status, answer := a.config.Answer(r, strings.TrimPrefix(r.URL.Query().Get("fnId"), a.config.Name+"-"), &call)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the server may be dead
}

// Register makes the app known to a server (sdk-protocol §5).
func (a *PlayedApp) Register(ctx context.Context, server *Client) error {
	c := a.config
	var functions []map[string]any
	for name, more := range c.Functions {
		id := c.Name + "-" + name
		function := map[string]any{
			"id": id, "name": name, "triggers": []map[string]string{{"event": c.Name + "/" + name}},
			"steps": map[string]any{"step": map[string]any{
				"id": "step", "name": "step", "retries": map[string]int{"attempts": c.Retries},
				"runtime": map[string]string{"type": "http", "url": a.URL + "?fnId=" + id + "&stepId=step"},
			}},
		}
		maps.Copy(function, more)
		functions = append(functions, function)
	}
	body, err := json.Marshal(map[string]any{
		"url": a.URL, "deployType": "ping", "framework": c.Name, "appName": c.Name, "functions": functions, "sdk": a.sdk(), "v": "0.1",
	})
	if err != nil {
		return err
	}
	return server.Register(ctx, a.sdk(), body)
}
