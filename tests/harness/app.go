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
	"strconv"
)

// AppConfig says how to run an app: a program that listens on 127.0.0.1:$PORT,
// answers GET /health once it does, serves an SDK, and keeps the log of calls
// that [App.Calls] reads.
type AppConfig struct {
	Name string
	Path string
	Args []string
	Dir  string
	Home string   // directory for what the app writes, such as its call log
	Port int      // must be free
	Env  []string // further "KEY=value" pairs, such as the server's address
}

// App is a running app.
type App struct {
	*Process
	config AppConfig
}

// StartApp starts the app and waits until it answers.
func StartApp(ctx context.Context, c AppConfig) (*App, error) {
	a := &App{config: c}
	if err := a.start(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *App) start(ctx context.Context) error {
	c := a.config
	env := append([]string{
		"PORT=" + strconv.Itoa(c.Port),
		"CALLS_FILE=" + c.Home + "/calls.jsonl",
	}, c.Env...)
	process, err := Start(Command{
		Name: c.Name, Path: c.Path, Args: c.Args, Dir: c.Dir, Env: Environment(c.Home, env...),
	})
	if err != nil {
		return err
	}
	a.Process = process
	_, err = Await(ctx, "app "+c.Name, func(ctx context.Context) (struct{}, error) {
		if err := a.Exited(); err != nil {
			return struct{}{}, Permanent(err)
		}
		_, err := a.call(ctx, http.MethodGet, "/health", nil)
		return struct{}{}, err
	})
	if err != nil {
		return errors.Join(err, a.Kill())
	}
	return nil
}

// Restart starts the app again, on the same port and with its old call log,
// after it was killed. Its log starts anew.
func (a *App) Restart(ctx context.Context) error { return a.start(ctx) }

// URL is the app's base URL, without a trailing slash.
func (a *App) URL() string { return "http://127.0.0.1:" + strconv.Itoa(a.config.Port) }

// Call records that the body of a step ran. Attempt is 0-based, At is in Unix
// milliseconds.
type Call struct {
	Token   string          `json:"token"`
	Step    string          `json:"step"`
	Attempt int             `json:"attempt"`
	Run     string          `json:"run"`
	Detail  json.RawMessage `json:"detail"`
	At      int64           `json:"at"`
}

// Calls returns the calls with this token, in order.
func (a *App) Calls(ctx context.Context, token string) ([]Call, error) {
	content, err := a.call(ctx, http.MethodGet, "/calls?token="+url.QueryEscape(token), nil)
	if err != nil {
		return nil, err
	}
	var calls []Call
	if err := json.Unmarshal(content, &calls); err != nil {
		return nil, fmt.Errorf("calls of %s: %w", a.config.Name, err)
	}
	return calls, nil
}

// AwaitCalls waits until the step has run at least n times under this token,
// and returns these calls.
func (a *App) AwaitCalls(ctx context.Context, token, step string, n int) ([]Call, error) {
	what := fmt.Sprintf("%d call(s) of step %q in app %s", n, step, a.config.Name)
	return Await(ctx, what, func(ctx context.Context) ([]Call, error) {
		calls, err := a.Calls(ctx, token)
		if err != nil {
			return nil, err
		}
		var found []Call
		for _, call := range calls {
			if call.Step == step {
				found = append(found, call)
			}
		}
		if len(found) < n {
			return nil, fmt.Errorf("it ran %d time(s)", len(found))
		}
		return found, nil
	})
}

// Post sends a value, as JSON, to the app and returns its answer.
func (a *App) Post(ctx context.Context, path string, value any) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return a.call(ctx, http.MethodPost, path, body)
}

func (a *App) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.URL()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = &StatusError{Method: method, Path: path, Status: res.StatusCode, Body: string(content)}
	}
	return content, err
}
