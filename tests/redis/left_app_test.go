package redis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

const appDir = "../sdk/ts4"

// leftApps are the apps in the program whose runs the original left, with where they
// were then: that names their functions (sdk-protocol §4.2), wherever they move.
var leftApps = map[string]string{
	"rq":           "http://localhost:18310/api/inngest",
	"state-lab":    "http://localhost:18210/api/inngest",
	"state-lab-ck": "http://localhost:18210/api/ck",
}

// leftApp is that program, a real SDK app.
type leftApp struct {
	*harness.App
	bodies [][]byte // registrations in order: of each app where it was, and where it is
}

// shared is the program that most tests use: whichever server calls it.
var shared struct {
	once    sync.Once
	app     *leftApp
	failure error
}

// sharedLeftApp starts the program when a test first asks for it; it ends with the
// test binary.
func sharedLeftApp(t *testing.T) *leftApp {
	t.Helper()
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // not the test's: others use it, too
		defer cancel()
		if shared.failure = harness.InstallNodePackages(ctx, appDir); shared.failure == nil {
			shared.app, shared.failure = startLeftApp(ctx, homes.dir, "1", "1s")
		}
	})
	require.NoError(t, shared.failure)
	return shared.app
}

// startLeftApp starts the program; dev is the server that its SDK talks to, "1" for
// none, and nap how long its functions sleep.
func startLeftApp(ctx context.Context, home, dev, nap string) (*leftApp, error) {
	port, err := harness.FreePort()
	if err != nil {
		return nil, err
	}
	app, err := harness.StartApp(ctx, harness.AppConfig{
		Name: "left", Path: "node", Args: []string{filepath.Join(appDir, "left.mjs")}, Home: home, Port: port, Env: []string{"INNGEST_DEV=" + dev, "NAP=" + nap},
	})
	if err != nil {
		return nil, err
	}
	a := &leftApp{App: app}
	for name, was := range leftApps {
		now := a.URL() + "/api/" + name
		body, err := a.registration(ctx, now)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("registration of %s: %w", name, err), app.Kill())
		}
		a.bodies = append(a.bodies, bytes.ReplaceAll(body, []byte(now), []byte(was)), body)
	}
	return a, nil
}

// registration asks an app for its functions (sdk-protocol §5.1), and makes of the
// answer the body with which it would register itself.
func (a *leftApp) registration(ctx context.Context, url string) ([]byte, error) {
	body, err := json.Marshal(map[string]string{"url": url})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Inngest-Sync-Kind", "in_band")
	req.Header.Set("X-Inngest-Server-Kind", "dev")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer struct {
		AppID     string          `json:"app_id"`
		Framework string          `json:"framework"`
		Functions json.RawMessage `json:"functions"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("status %d: %w", res.StatusCode, err)
	}
	if answer.AppID == "" {
		return nil, fmt.Errorf("status %d: no registration", res.StatusCode)
	}
	return json.Marshal(map[string]any{
		"url": url, "deployType": "ping", "framework": answer.Framework, "appName": answer.AppID, "functions": answer.Functions, "sdk": leftSDK, "v": "0.1",
	})
}

const leftSDK = "js:v4.24.0"

// register makes the apps known to a server.
func (a *leftApp) register(ctx context.Context, server *harness.Client) error {
	for _, body := range a.bodies {
		if err := server.Register(ctx, leftSDK, body); err != nil {
			return err
		}
	}
	return nil
}

// ran are the steps of a run that have run, in order of their names.
func (a *leftApp) ran(ctx context.Context, run string) ([]string, error) {
	calls, err := a.Calls(ctx, run)
	steps := make([]string, len(calls))
	for i, call := range calls {
		steps[i] = call.Step
	}
	slices.Sort(steps)
	return steps, err
}
