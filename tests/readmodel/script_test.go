package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// captureTimeout bounds the script; it waits for the next minute, when the
// function with a cron runs.
const captureTimeout = 150 * time.Second

// capture runs the app of the captured database through what was done with it
// then, on the server.
type capture struct {
	*testing.T
	ctx    context.Context
	server *harness.Server
	client *harness.Client
}

// startCapture starts a server with the database and the app, and waits until
// the functions are known.
func startCapture(t *testing.T, args ...string) *capture {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), captureTimeout, errors.New("the script takes too long"))
	t.Cleanup(cancel)
	require.NoError(t, harness.InstallNodePackages(ctx, "../sdk/ts4"))
	port, err := harness.FreePort()
	require.NoError(t, err)
	server := serve(t, append(args, "--sdk-url", fmt.Sprintf("http://localhost:%d/api/inngest", port))...)
	app, err := harness.StartApp(ctx, harness.AppConfig{
		Name: "captured", Path: "node", Args: []string{filepath.Join("..", "sdk", "ts4", "captured.mjs")}, Home: t.TempDir(), Port: port,
		Env: []string{
			"INNGEST_DEV=0", "INNGEST_BASE_URL=" + server.URL(), "INNGEST_SIGNING_KEY=" + signingKey, "INNGEST_EVENT_KEY=" + eventKey,
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("app log:\n%s", app.Log().Tail(30))
		}
		_ = app.Kill()
	})
	c := &capture{T: t, ctx: ctx, server: server, client: server.Client()}
	_, err = c.client.AwaitApp(ctx, "fixture-app")
	require.NoError(t, err)
	return c
}

// play does what was done when the database was captured, in that order.
func (c *capture) play() {
	c.send("fx/hello", map[string]any{"name": "Ada"}, map[string]any{
		"id": "order-1001", "user": map[string]any{"external_id": "u1"}, "v": "2026-01-01",
	})
	steps := c.send("fx/steps", nil, nil)
	for _, name := range []string{"fx/sleep", "fx/parent", "fx/parallel", "fx/retry"} {
		c.send(name, nil, nil)
	}
	c.send("fx/fail", map[string]any{"x": 1}, nil)
	c.send("fx/nonret", nil, nil)
	c.send("fx/caught", nil, nil)
	c.send("fx/send", nil, nil)
	approved := c.send("fx/wait", map[string]any{"id": "w1"}, nil)
	c.awaitJob(approved, "pause") // so that it is the older one
	c.send("fx/wait", map[string]any{"id": "w2"}, nil)
	cancelled := c.send("fx/cancellable", map[string]any{"id": "c1"}, nil)
	for i := range 3 {
		c.send("fx/batch", map[string]any{"i": i + 1}, nil)
	}
	c.send("fx/debounce", map[string]any{"k": "a", "v": 1}, nil)
	c.send("fx/debounce", map[string]any{"k": "a", "v": 2}, nil)
	held := c.send("fx/single", map[string]any{"k": "s"}, nil)
	c.awaitJob(held, "sleep")
	c.send("fx/single", map[string]any{"k": "s"}, nil)
	unsignalled := c.send("fx/signal", nil, nil)

	c.awaitJob(cancelled, "sleep")
	c.send("fx/approved", map[string]any{"by": "boss", "id": "w1"}, nil)
	c.send("fx/cancel", map[string]any{"id": "c1"}, nil)
	c.send("fx/unmatched", map[string]any{"no": "function"}, nil)

	c.end(unsignalled)
	signalled := c.send("fx/signal", map[string]any{"k": 2}, nil)
	c.awaitJob(signalled, "pause")
	_, err := c.client.Signal(c.ctx, "fx-signal-1", map[string]any{"s": "hello signal"})
	require.NoError(c, err)

	_, answer := query(c.T, c.server, `mutation($r: ULID!){rerun(runID:$r)}`, map[string]any{"r": c.end(steps)})
	require.Nil(c, answer.(map[string]any)["errors"])
	status, _ := request(c.T, c.server, http.MethodPost, "/invoke/fixture-app-child", map[string]any{"data": map[string]any{"n": 5}})
	require.Equal(c, http.StatusOK, status)
	late := c.send("fx/cancellable", map[string]any{"id": "c2"}, nil)
	require.NoError(c, c.client.Cancel(c.ctx, c.awaitJob(late, "sleep")))
}

// send sends an event and returns its internal id.
func (c *capture) send(name string, data, more map[string]any) string {
	c.Helper()
	if data == nil {
		data = map[string]any{}
	}
	event := map[string]any{"name": name, "data": data}
	for key, value := range more {
		event[key] = value
	}
	status, answer := request(c.T, c.server, http.MethodPost, "/e/"+eventKey, event)
	require.Equal(c, http.StatusOK, status, "%v", answer)
	return answer.(map[string]any)["ids"].([]any)[0].(string)
}

// end waits for the end of an event's run and returns its id.
func (c *capture) end(event string) string {
	c.Helper()
	runs, err := c.client.AwaitRuns(c.ctx, event, 1)
	require.NoError(c, err)
	run, err := c.client.AwaitEnd(c.ctx, runs[0].ID)
	require.NoError(c, err)
	return run.ID
}

// awaitJob waits until an event's run has a job of this kind, and returns its
// id.
func (c *capture) awaitJob(event, kind string) string {
	c.Helper()
	runs, err := c.client.AwaitRuns(c.ctx, event, 1)
	require.NoError(c, err)
	require.NoError(c, c.client.AwaitJob(c.ctx, runs[0].ID, kind))
	return runs[0].ID
}
