package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

const (
	hexKey   = "0123456789abcdef0123456789abcdef"
	wrongKey = "fedcba9876543210fedcba9876543210"
	eventKey = "an-event-key"
)

// TestStartMode runs a function of each SDK on a server that asks for keys, in
// both ways of writing the signing key.
func TestStartMode(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"plain key": hexKey, "prefixed key": "signkey-prod-" + hexKey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := ownDeployment(t, deploymentConfig{mode: harness.ModeStart, signingKey: key, eventKey: eventKey})
			for _, s := range sdks {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					startModeRuns(t, d, s.name)
				})
			}
		})
	}
}

// startModeRuns covers what needs a key: calls to the app, events from the app
// and to the server, and the API.
func startModeRuns(t *testing.T, d *deployment, name string) {
	caught := newTrial(t, d, name)
	caught.complete(caught.start("/step-caught", nil), `{"caught":"always bad","recovered":true}`)

	sends := newTrial(t, d, name)
	checkSent(sends, sends.end(sends.start("/send", nil)))

	signalled(newTrial(t, d, name))
	if _, cannot := noRealtime[name]; !cannot {
		published(newTrial(t, d, name))
	}

	if _, cannot := noUseAPI[name]; !cannot {
		fetches := newTrial(t, d, name)
		run := fetches.end(fetches.start("/large-state", nil))
		require.Equal(t, "Completed", run.Status, "%.500s", run.Output)
	}
}

// TestStartModeRefuses shows that a server with keys does nothing without them.
func TestStartModeRefuses(t *testing.T) {
	t.Parallel()
	d := ownDeployment(t, deploymentConfig{mode: harness.ModeStart, signingKey: hexKey, eventKey: eventKey})

	requireStatus := func(t *testing.T, want int, err error) {
		t.Helper()
		var status *harness.StatusError
		require.ErrorAs(t, err, &status)
		require.Equal(t, want, status.Status)
	}
	for name, key := range map[string]string{"no key": "", "wrong key": wrongKey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := d.server.Client()
			client.SigningKey = key
			_, err := client.AppFunctions(t.Context(), "ts4")
			requireStatus(t, http.StatusUnauthorized, err)
			_, err = client.Signal(t.Context(), "any", nil)
			requireStatus(t, http.StatusUnauthorized, err)
		})
	}
	t.Run("wrong event key", func(t *testing.T) {
		t.Parallel()
		client := d.server.Client()
		client.EventKey = "another-event-key"
		_, err := client.Send(t.Context(), harness.Event{Name: "any"})
		requireStatus(t, http.StatusUnauthorized, err)
	})
	for _, s := range sdks {
		t.Run("app with wrong key: "+s.name, func(t *testing.T) {
			t.Parallel()
			wrongKeyApp(t, s)
		})
	}
}

// wrongKeyApp has a server ask an app with another key to register. Between the
// two sits a proxy that tells when that has been refused.
func wrongKeyApp(t *testing.T, s sdk) {
	ctx, cancel := context.WithTimeout(t.Context(), trialTimeout)
	defer cancel()
	appPort, err := harness.FreePort()
	require.NoError(t, err)
	proxy := newRecordingProxy(t, appPort)
	binary, err := suite.binary()
	require.NoError(t, err)
	server, err := harness.StartServer(ctx, harness.ServerConfig{
		Binary: binary, Mode: harness.ModeStart, Dir: t.TempDir(),
		SDKURLs: []string{proxy.URL + mounts[""]}, SigningKey: hexKey, EventKey: eventKey,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Kill() })

	path, args, err := s.command()
	require.NoError(t, err)
	app, err := harness.StartApp(ctx, harness.AppConfig{
		Name: s.name, Path: path, Args: args, Home: t.TempDir(), Port: appPort,
		Env: append([]string{
			"INNGEST_BASE_URL=" + server.URL(),
			"INNGEST_SIGNING_KEY=" + wrongKey,
			"INNGEST_EVENT_KEY=" + eventKey,
		}, s.cloud...),
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = app.Kill() })

	_, err = harness.Await(ctx, "a refused sync", func(context.Context) (struct{}, error) {
		if proxy.refused() == 0 {
			return struct{}{}, errors.New("none yet")
		}
		return struct{}{}, nil
	})
	require.NoError(t, err)
	functions, err := server.Client().AppFunctions(ctx, s.name)
	require.NoError(t, err)
	require.Empty(t, functions)
}

// recordingProxy passes requests to an app and counts the PUT requests that
// the app answered with an error.
type recordingProxy struct {
	*httptest.Server
	mu    sync.Mutex
	count int
}

func newRecordingProxy(t *testing.T, port int) *recordingProxy {
	target := &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	p := &recordingProxy{}
	p.Server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // where the app says it is served
		},
		ModifyResponse: func(res *http.Response) error {
			if res.Request.Method == http.MethodPut && res.StatusCode >= 400 {
				p.mu.Lock()
				p.count++
				p.mu.Unlock()
			}
			return nil
		},
	})
	t.Cleanup(p.Close)
	return p
}

func (p *recordingProxy) refused() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}
