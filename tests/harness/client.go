package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Client speaks the server's public HTTP API (http-api §5, §7, §10). Its keys
// are only needed with a server in start mode.
type Client struct {
	URL        string
	SigningKey string
	EventKey   string // "" sends to the key "test"
}

// StatusError is an answer other than 2xx.
type StatusError struct {
	Method, Path string
	Status       int
	Body         string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: status %d: %s", e.Method, e.Path, e.Status, e.Body)
}

// Event is an event to send. ID is the idempotency key, optional.
type Event struct {
	Name string `json:"name"`
	Data any    `json:"data,omitempty"`
	ID   string `json:"id,omitempty"`
}

// Run is one run as the API shows it. Output is absent while it runs.
type Run struct {
	ID      string          `json:"run_id"`
	Status  string          `json:"status"`
	EventID string          `json:"event_id"`
	Output  json.RawMessage `json:"output"`
	EndedAt *time.Time      `json:"ended_at"`

	OriginalRunID string `json:"original_run_id"` // of a rerun
}

// Ended tells whether the run's status will not change any more.
func (r Run) Ended() bool {
	switch r.Status {
	case "Completed", "Failed", "Cancelled", "Skipped", "Overflowed":
		return true
	}
	return false
}

// Function is a registered function, as far as tests look at it.
type Function struct {
	Slug     string `json:"slug"`
	Triggers []struct {
		Event      string `json:"event"`
		Expression string `json:"expression"`
		Cron       string `json:"cron"`
	} `json:"triggers"`
}

// Health returns nil if GET /health answers 200.
func (c *Client) Health(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodGet, "/health", nil)
	return err
}

// Send sends the events in one request and returns their internal ids, in
// order.
func (c *Client) Send(ctx context.Context, events ...Event) ([]string, error) {
	key := c.EventKey
	if key == "" {
		key = "test"
	}
	var answer struct {
		IDs []string `json:"ids"`
	}
	if err := c.callJSON(ctx, http.MethodPost, "/e/"+url.PathEscape(key), events, &answer); err != nil {
		return nil, err
	}
	if len(answer.IDs) != len(events) {
		return nil, fmt.Errorf("sent %d events, got %d ids", len(events), len(answer.IDs))
	}
	return answer.IDs, nil
}

// ReceivedEvent is an event as the API shows it. ID is the internal one.
type ReceivedEvent struct {
	ID   string          `json:"internal_id"`
	Name string          `json:"name"`
	Data json.RawMessage `json:"data"`
}

// Event returns the event with this internal id.
func (c *Client) Event(ctx context.Context, id string) (ReceivedEvent, error) {
	return getData[ReceivedEvent](ctx, c, "/v1/events/"+id)
}

// Runs returns the runs that the event with this internal id has started.
func (c *Client) Runs(ctx context.Context, eventID string) ([]Run, error) {
	return getData[[]Run](ctx, c, "/v1/events/"+eventID+"/runs")
}

// Run returns one run.
func (c *Client) Run(ctx context.Context, id string) (Run, error) {
	return getData[Run](ctx, c, "/v1/runs/"+id)
}

// AwaitRuns waits until the event has started at least n runs.
func (c *Client) AwaitRuns(ctx context.Context, eventID string, n int) ([]Run, error) {
	what := fmt.Sprintf("%d run(s) of event %s", n, eventID)
	return Await(ctx, what, func(ctx context.Context) ([]Run, error) {
		runs, err := c.Runs(ctx, eventID)
		if err == nil && len(runs) < n {
			err = fmt.Errorf("there are %d", len(runs))
		}
		return runs, err
	})
}

// AwaitEnd waits until the run has ended and returns it.
func (c *Client) AwaitEnd(ctx context.Context, runID string) (Run, error) {
	return Await(ctx, "the end of run "+runID, func(ctx context.Context) (Run, error) {
		run, err := c.Run(ctx, runID)
		if err == nil && !run.Ended() {
			err = fmt.Errorf("its status is %q", run.Status)
		}
		return run, err
	})
}

// AwaitTrace waits until the run's trace says that it has ended, and returns
// its spans with inputs and outputs (http-api §14). Traces follow a little later
// than runs.
func (c *Client) AwaitTrace(ctx context.Context, runID string) (json.RawMessage, error) {
	return Await(ctx, "the trace of run "+runID, func(ctx context.Context) (json.RawMessage, error) {
		trace, err := getData[json.RawMessage](ctx, c, "/v2/runs/"+runID+"/trace?includeOutput=true")
		if err != nil {
			return nil, err
		}
		var decoded struct{ RootSpan struct{ EndedAt string } }
		if err := json.Unmarshal(trace, &decoded); err != nil {
			return nil, err
		}
		if decoded.RootSpan.EndedAt == "" {
			return nil, fmt.Errorf("it has not ended: %.500s", trace)
		}
		return trace, nil
	})
}

// JobKinds returns the kinds of the run's queued jobs, such as "sleep" or
// "pause".
func (c *Client) JobKinds(ctx context.Context, runID string) ([]string, error) {
	jobs, err := getData[[]struct {
		Kind string `json:"kind"`
	}](ctx, c, "/v1/runs/"+runID+"/jobs")
	kinds := make([]string, len(jobs))
	for i, job := range jobs {
		kinds[i] = job.Kind
	}
	return kinds, err
}

// AwaitJob waits until the run has a job of this kind. One of kind "pause" is the
// timeout of a wait, so it is there only once the wait is.
func (c *Client) AwaitJob(ctx context.Context, runID, kind string) error {
	_, err := Await(ctx, "a job of kind "+kind+" of run "+runID, func(ctx context.Context) (struct{}, error) {
		kinds, err := c.JobKinds(ctx, runID)
		if err == nil && !slices.Contains(kinds, kind) {
			err = fmt.Errorf("its jobs are %q", kinds)
		}
		return struct{}{}, err
	})
	return err
}

// Cancel cancels a run.
func (c *Client) Cancel(ctx context.Context, runID string) error {
	_, err := c.call(ctx, http.MethodDelete, "/v1/runs/"+runID, nil)
	return err
}

// Signal sends a signal and returns the id of the run that it resumed.
func (c *Client) Signal(ctx context.Context, name string, data any) (string, error) {
	var answer struct {
		Data struct {
			RunID string `json:"run_id"`
		} `json:"data"`
	}
	body := map[string]any{"signal": name, "data": data}
	err := c.callJSON(ctx, http.MethodPost, "/v1/signals", body, &answer)
	return answer.Data.RunID, err
}

// Register sends the body with which an app makes itself known (sdk-protocol §5);
// sdk is the name and version of its SDK.
func (c *Client) Register(ctx context.Context, sdk string, body []byte) error {
	const path = "/fn/register"
	req, err := c.request(ctx, http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Inngest-Sdk", sdk)
	_, err = answerOf(req, path)
	return err
}

// DevFunctions returns the functions of all apps, from GET /dev, which only a
// server in dev mode has.
func (c *Client) DevFunctions(ctx context.Context) ([]Function, error) {
	var answer struct {
		Functions []Function `json:"functions"`
	}
	err := c.callJSON(ctx, http.MethodGet, "/dev", nil, &answer)
	return answer.Functions, err
}

// AppFunctions returns the functions of one app, in either mode.
func (c *Client) AppFunctions(ctx context.Context, app string) ([]Function, error) {
	var answer []struct {
		Config Function `json:"config"`
	}
	if err := c.callJSON(ctx, http.MethodGet, "/v1/apps/"+url.PathEscape(app)+"/functions", nil, &answer); err != nil {
		return nil, err
	}
	functions := make([]Function, len(answer))
	for i, item := range answer {
		functions[i] = item.Config
	}
	return functions, nil
}

// AwaitApp waits until the app has functions.
func (c *Client) AwaitApp(ctx context.Context, app string) ([]Function, error) {
	return Await(ctx, "the functions of app "+app, func(ctx context.Context) ([]Function, error) {
		functions, err := c.AppFunctions(ctx, app)
		if err == nil && len(functions) == 0 {
			err = errors.New("it has none")
		}
		return functions, err
	})
}

// getData reads the data of a /v1 envelope.
func getData[T any](ctx context.Context, c *Client, path string) (T, error) {
	var answer struct {
		Data T `json:"data"`
	}
	err := c.callJSON(ctx, http.MethodGet, path, nil, &answer)
	return answer.Data, err
}

func (c *Client) callJSON(ctx context.Context, method, path string, body, answer any) error {
	content, err := c.call(ctx, method, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("%s %s: %w in %q", method, path, err, content)
	}
	return nil
}

// call makes a request; a nil body sends none.
func (c *Client) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	var payload io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := c.request(ctx, method, path, payload)
	if err != nil {
		return nil, err
	}
	return answerOf(req, path)
}

func (c *Client) request(ctx context.Context, method, path string, payload io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, payload)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.SigningKey != "" {
		req.Header.Set("Authorization", "Bearer "+c.SigningKey)
	}
	return req, nil
}

// answerOf makes a request to a path of a server.
func answerOf(req *http.Request, path string) ([]byte, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, &StatusError{Method: req.Method, Path: path, Status: res.StatusCode, Body: string(content)}
	}
	return content, nil
}
