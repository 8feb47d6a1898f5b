package appsync

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// run runs the Syncer in a bubble until the test of it ends.
func run(t *testing.T, f *fixture, test func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	synctest.Wait()
	test()
	cancel()
	running.Wait()
}

// sdk is an app that registers when it is pinged.
func (f *fixture) sdk(body []byte) fakeApp {
	return func(req *http.Request, _ string) *http.Response {
		if req.Method == http.MethodPut {
			_, _ = f.Register(req.Context(), nil, body)
		}
		return respond(200, `{}`)
	}
}

func TestConfiguredURLsAreSyncedAtOnceAndRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Kind: "cloud", URLs: []string{"127.0.0.1:3000/api/inngest", "http://localhost:3001/x"}, Discover: true})
		f.apps.serve(appURL, f.sdk(registration("app", "a")))
		run(t, f, func() {
			require.Len(t, f.apps.seen(), 2)
			require.Empty(t, f.registry.app(t, "app").Error)
			require.Equal(t, "unreachable", f.registry.app(t, "").Error)
			require.Equal(t, 1, f.logs.count("app cannot be synced"), "whoever named it wants to know")

			time.Sleep(DefaultInterval)
			synctest.Wait()
			require.Equal(t, []string{"PUT http://localhost:3001/x"}, f.apps.seen(), "only the one in error")

			f.apps.serve("http://localhost:3001/x", func(*http.Request, string) *http.Response { return respond(401, ``) })
			time.Sleep(2 * DefaultInterval)
			synctest.Wait()
			require.Len(t, f.apps.seen(), 2)
			require.Equal(t, 1, f.logs.count("error=unauthorized"))
			require.NoError(t, f.Remove(t.Context(), "http://localhost:3001/x"))
			time.Sleep(2 * DefaultInterval)
			synctest.Wait()
			require.Empty(t, f.apps.seen(), "a removed app stays removed")
		})
	})
}

func TestHealthyAppsArePolledWhereWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{PollHealthy: true, Interval: time.Minute})
		f.apps.serve(appURL, f.sdk(registration("app", "a")))
		_, err := f.Register(t.Context(), nil, registration("app", "a"))
		require.NoError(t, err)
		connect := []byte(`{"url":"http://localhost:3002","deployType":"connect","appName":"worker","sdk":"go:v1.0.0","functions":[` + config("worker", "a") + `]}`)
		_, err = f.Register(t.Context(), nil, connect)
		require.NoError(t, err)
		run(t, f, func() {
			require.Equal(t, []string{"PUT " + appURL}, f.apps.seen())
			time.Sleep(time.Minute - time.Second)
			synctest.Wait()
			require.Empty(t, f.apps.seen())

			f.apps.serve(appURL, f.sdk(registration("app", "a", "b")))
			time.Sleep(time.Second)
			synctest.Wait()
			require.Len(t, f.registry.app(t, "app").Functions, 2, "changes are found")

			f.apps.serve(appURL, nil)
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			require.Equal(t, 1, f.logs.count("error=unreachable"), "logged once")
			f.apps.serve(appURL, f.sdk(registration("app", "a", "b")))
			time.Sleep(time.Minute)
			synctest.Wait()
			require.Empty(t, f.registry.app(t, "app").Error)
		})
	})
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Discover: true, Ports: []int{4567}})
		f.apps.serve("http://localhost:3000/", func(*http.Request, string) *http.Response { return respond(200, `a page`, headerSDK+": ") })
		f.apps.serve("http://localhost:3000/api/inngest", func(*http.Request, string) *http.Response { return respond(404, ``, headerSDK+": ") })
		run(t, f, func() {
			require.Equal(t, []string{"GET http://localhost:3000/api/inngest", "GET http://localhost:3000/x/inngest",
				"GET http://localhost:3000/.netlify/functions/inngest", "GET http://localhost:3000/.redwood/functions/inngest"}, f.apps.seen())

			f.apps.serve("http://localhost:4567/x/inngest", f.sdk(registration("app", "a")))
			time.Sleep(DefaultInterval)
			synctest.Wait()
			require.Contains(t, f.apps.seen(), "PUT http://localhost:4567/x/inngest")
			require.Equal(t, 1, f.logs.count("app found"))
			require.Len(t, f.registry.app(t, "app").Functions, 1)

			for _, app := range f.registry.Catalog().Apps {
				require.NoError(t, f.archive(t.Context(), app.ID))
			}
			time.Sleep(2 * DefaultInterval)
			synctest.Wait()
			require.NotContains(t, f.apps.seen(), "GET http://localhost:4567/api/inngest", "an app was known once")
		})
	})
}

func TestDiscoveredSDKThatRefusesIsAnAppInError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Discover: true})
		f.apps.serve("http://localhost:8080/api/inngest", func(*http.Request, string) *http.Response { return respond(401, ``) })
		run(t, f, func() {
			require.Equal(t, "unauthorized", f.registry.app(t, "").Error)
			require.Equal(t, []string{"http://localhost:8080/api/inngest"}, f.registry.urls())
		})
	})
}

func TestIntrospect(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{SigningKeys: []string{key}})
	f.apps.serve(appURL, func(req *http.Request, body string) *http.Response {
		require.NotEmpty(t, req.Header.Get("X-Inngest-Signature"))
		require.Empty(t, body)
		return respond(200, `{"function_count":5}`)
	})
	said, err := f.Introspect(t.Context(), appURL)
	require.NoError(t, err)
	require.Equal(t, Introspection{SDK: "inngest-js:v4.24.0", Status: 200, Body: []byte(`{"function_count":5}`)}, said)
	_, err = f.Introspect(t.Context(), "http://localhost:1/")
	require.ErrorContains(t, err, "connection refused")
	_, err = f.Introspect(t.Context(), "://")
	require.Error(t, err)
}

func TestRoundsThatFailAreMadeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{URLs: []string{appURL}})
		f.registry.failing = errors.New("no leader")
		run(t, f, func() {
			require.Equal(t, 1, f.logs.count("no leader"))
			f.registry.mu.Lock()
			f.registry.failing = nil
			f.registry.mu.Unlock()
			time.Sleep(DefaultInterval)
			synctest.Wait()
			require.Equal(t, []string{appURL}, f.registry.urls())
		})
	})
}

func TestConfiguredURL(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"localhost:3000/api/inngest":      "http://localhost:3000/api/inngest",
		"http://127.0.0.1:3000":           "http://localhost:3000",
		"https://app.example:443/x?b=1":   "https://app.example/x?b=1",
		"http://0.0.0.0:80/x?deployId=12": "http://localhost/x",
	} {
		require.Equal(t, want, ConfiguredURL(given))
	}
}
