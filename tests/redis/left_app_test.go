package redis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	registrations []registration
}

// registration is what makes an app known.
type registration struct {
	app, was, is string // its name, and where it was, and is
	functions    []leftFunction
	framework    string
}

// leftFunction is what an app says of a function (sdk-protocol §4).
type leftFunction map[string]any

// sharedApp is a program that many tests use, whichever server calls it.
type sharedApp struct {
	env     string // says how long things take in it
	home    string
	once    sync.Once
	app     *leftApp
	failure error
}

const quick = "NAP=1s"

var (
	// These sleep for a moment, so that runs end. There is one for each way to take a
	// database over: the same runs are in all, and an app tells by run what it did.
	taken   = sharedApp{env: quick, home: "taken"}
	drained = sharedApp{env: quick, home: "drained"}
	moved   = sharedApp{env: quick, home: "moved"}
	// asCaptured takes as long as there, so that runs stop where they were captured.
	asCaptured = sharedApp{env: "AS_CAPTURED=1", home: "captured"}
)

// get starts the program when a test first asks for it; it ends with the test binary.
func (s *sharedApp) get(t *testing.T) *leftApp {
	t.Helper()
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // not the test's: others use it, too
		defer cancel()
		home := filepath.Join(homes.dir, s.home)
		if s.failure = errors.Join(os.Mkdir(home, 0o755), harness.InstallNodePackages(ctx, appDir)); s.failure == nil {
			s.app, s.failure = startLeftApp(ctx, home, noServer, s.env)
		}
	})
	require.NoError(t, s.failure)
	return s.app
}

func (s *sharedApp) kill() error {
	if s.app == nil {
		return nil
	}
	return s.app.Kill()
}

// noServer is for an app that talks to no server of its own accord.
const noServer = "1"

// startLeftApp starts the program; dev is the server that its SDK talks to, and env
// says how long things take in it.
func startLeftApp(ctx context.Context, home, dev, env string) (*leftApp, error) {
	port, err := harness.FreePort()
	if err != nil {
		return nil, err
	}
	app, err := harness.StartApp(ctx, harness.AppConfig{
		Name: "left", Path: "node", Args: []string{filepath.Join(appDir, "left.mjs")}, Home: home, Port: port, Env: []string{"INNGEST_DEV=" + dev, env},
	})
	if err != nil {
		return nil, err
	}
	a := &leftApp{App: app}
	for name, was := range leftApps {
		r := registration{app: name, was: was, is: a.URL() + "/api/" + name}
		if err := r.read(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("registration of %s: %w", name, err), app.Kill())
		}
		a.registrations = append(a.registrations, r)
	}
	return a, nil
}

// read asks an app for its functions (sdk-protocol §5.1).
func (r *registration) read(ctx context.Context) error {
	body, err := json.Marshal(map[string]string{"url": r.is})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, r.is, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Inngest-Sync-Kind", "in_band")
	req.Header.Set("X-Inngest-Server-Kind", "dev")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		AppID     string         `json:"app_id"`
		Framework string         `json:"framework"`
		Functions []leftFunction `json:"functions"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return fmt.Errorf("status %d: %w", res.StatusCode, err)
	}
	if answer.AppID == "" {
		return fmt.Errorf("status %d: no registration", res.StatusCode)
	}
	r.functions, r.framework = answer.Functions, answer.Framework
	return nil
}

const leftSDK = "js:v4.24.0"

// register makes the app with these functions known to a server: where it was, which
// names the functions, and then where it is.
func (r *registration) register(ctx context.Context, server *harness.Client, functions []leftFunction) error {
	body, err := json.Marshal(map[string]any{
		"url": r.is, "deployType": "ping", "framework": r.framework, "appName": r.app, "functions": functions, "sdk": leftSDK, "v": "0.1",
	})
	if err != nil {
		return err
	}
	for _, url := range []string{r.was, r.is} {
		if err := server.Register(ctx, leftSDK, bytes.ReplaceAll(body, []byte(r.is), []byte(url))); err != nil {
			return err
		}
	}
	return nil
}

// register makes the apps known to a server, and of functions with schedules only the
// named one: others would start runs of their own.
func (a *leftApp) register(ctx context.Context, server *harness.Client, cron string) error {
	for _, r := range a.registrations {
		if err := r.register(ctx, server, r.without(cron)); err != nil {
			return err
		}
	}
	return nil
}

// without are the functions without those that have schedules, but for one.
func (r *registration) without(cron string) (functions []leftFunction) {
	for _, fn := range r.functions {
		if fn["id"] == cron || !strings.Contains(fmt.Sprint(fn["triggers"]), "cron") {
			functions = append(functions, fn)
		}
	}
	return functions
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
