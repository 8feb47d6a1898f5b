package appsync

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
)

const (
	appURL = "http://localhost:3000/api/inngest"
	key    = "0123456789abcdef0123456789abcdef"
)

// TestPingErrors is the table of sdk-protocol §5.1.
func TestPingErrors(t *testing.T) {
	t.Parallel()
	message := func(text string) *http.Response { return respond(400, `{"message":"`+text+`"}`) }
	tests := map[string]struct {
		answer *http.Response
		want   string
	}{
		"401":                 {respond(401, ``), "unauthorized"},
		"403":                 {respond(403, ``), "forbidden"},
		"404":                 {respond(404, ``), "url_not_found"},
		"404 of another":      {respond(404, ``, headerSDK+": "), "url_not_found"},
		"500":                 {respond(500, ``), "internal_server_error"},
		"503":                 {respond(503, ``), "internal_server_error"},
		"300":                 {respond(300, ``), "http_not_ok"},
		"400":                 {respond(400, `no JSON`), "http_not_ok"},
		"400, no message":     {respond(400, `{}`), "http_not_ok"},
		"400, other message":  {message("Something else"), "Something else"},
		"invalid key":         {message("Your signing key is invalid, sorry"), "invalid_signing_key"},
		"no functions":        {message("No functions registered within your app"), "no_functions"},
		"invalid function":    {message("At least one function is invalid"), "invalid_function"},
		"no key":              {message("You didn't specify your workspace's signing key"), "missing_signing_key"},
		"no branch":           {message("No INNGEST_ENV branch name found"), "missing_branch_env_name"},
		"no SDK":              {respond(200, ``, headerSDK+": "), "not_sdk"},
		"blocked":             {respond(200, ``, headerSDK+": inngest-js:v3.30.0"), "sdk_version_denied"},
		"registers elsewhere": {respond(200, `{"message":"Successfully registered"}`), errNoRegistration},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{})
			f.apps.serve(appURL, func(*http.Request, string) *http.Response { return test.answer })
			require.NoError(t, f.addPlaceholder(t.Context(), appURL))
			require.NoError(t, f.Ping(t.Context(), appURL))
			require.Equal(t, test.want, f.registry.app(t, "").Error)
			require.Equal(t, 1, f.logs.count("app cannot be synced"))
		})
	}
}

func TestPingWithoutAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	_, err := f.Register(t.Context(), nil, registration("app", "a"))
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, f.Ping(t.Context(), appURL))
		require.Equal(t, "unreachable", f.registry.app(t, "app").Error)
	}
	require.Len(t, f.registry.app(t, "app").Functions, 1)
	require.Equal(t, 1, f.logs.count("app cannot be synced"), "once, not at every ping")
	require.Equal(t, 2, f.registry.writes)

	const never = "http://localhost:1/api/inngest"
	require.NoError(t, f.addPlaceholder(t.Context(), never))
	for range 2 {
		require.NoError(t, f.Ping(t.Context(), never))
	}
	require.Equal(t, 2, f.logs.count("app cannot be synced"), "also of one that was never reached, once")

	require.NoError(t, f.addPlaceholder(t.Context(), "ftp://localhost/x"))
	require.NoError(t, f.Ping(t.Context(), "ftp://localhost/x"))
	require.Equal(t, "unsupported_protocol", f.registry.app(t, "").Error)
}

// TestPingRequest is the capture of sdk-protocol §3.1, over a real connection.
func TestPingRequest(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{"unsigned": nil, "signed": {key, "old"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{Kind: "cloud", SigningKeys: keys})
			f.cfg.Client = &http.Client{Timeout: PingTimeout}
			refused := 0
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer w.WriteHeader(http.StatusUnauthorized)
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				want := fmt.Sprintf(`{"url":"http://%s/a?b=1&c=<2>"}`, r.Host)
				if r.Method != http.MethodPut || string(body) != want {
					t.Errorf("%s with body %s", r.Method, body)
				}
				if r.Header.Get("X-Inngest-Server-Kind") != "cloud" || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("headers %v", r.Header)
				}
				signature, signed := r.Header["X-Inngest-Signature"]
				if signed != (keys != nil) {
					t.Errorf("signed: %v", signed)
				}
				if signed {
					if err := signing.Verify(signature[0], body, time.Now(), keys[refused]); err != nil {
						t.Error(err)
					}
				}
				refused++
			}))
			defer app.Close()
			url := app.URL + "/a?b=1&c=<2>"
			require.NoError(t, f.addPlaceholder(t.Context(), url))
			require.NoError(t, f.Ping(t.Context(), url))
			require.Equal(t, "unauthorized", f.registry.app(t, "").Error, "the handler was reached")
			require.Equal(t, max(len(keys), 1), refused, "every key was tried")
		})
	}
}

// TestPingRegistersOutOfBand is what real SDKs do: they register within the
// ping. What the registration says about the app wins.
func TestPingRegistersOutOfBand(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body      []byte
		status    int
		wantError string
	}{
		"well":              {registration("app", "a"), 200, ""},
		"well, bad answer":  {registration("app", "a"), 500, ""},
		"invalid functions": {registrationOf("app", `{"id":"app-a","name":"a"}`), 400, "Functions must contain one step"},
		"no functions":      {registration("app"), 200, "No functions registered within your app"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{})
			f.apps.serve(appURL, func(req *http.Request, _ string) *http.Response {
				_, _ = f.Register(req.Context(), nil, test.body) // the app's error tells
				return respond(test.status, `{"message":"function is invalid"}`)
			})
			require.NoError(t, f.addPlaceholder(t.Context(), appURL))
			for range 2 {
				require.NoError(t, f.Ping(t.Context(), appURL))
				app := f.registry.app(t, "app")
				if test.wantError == "" {
					require.Empty(t, app.Error)
				} else {
					require.Contains(t, app.Error, test.wantError)
				}
			}
			require.Equal(t, []string{appURL}, f.registry.urls(), "the placeholder is gone")
			require.Equal(t, []string{"PUT " + appURL, "PUT " + appURL}, f.apps.seen(), "no second question")
		})
	}
}

// TestPingOfAnAppSyncedElsewhere: in a cluster the registration may have gone
// to another node; only the registry knows then.
func TestPingOfAnAppSyncedElsewhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	other := New(Config{Registry: f.registry, Kind: "dev"})
	f.apps.serve(appURL, func(req *http.Request, _ string) *http.Response {
		_, err := other.Register(req.Context(), nil, registration("app", "a"))
		require.NoError(t, err)
		return respond(200, ``)
	})
	require.NoError(t, f.addPlaceholder(t.Context(), appURL))
	require.NoError(t, f.Ping(t.Context(), appURL))
	require.Empty(t, f.registry.app(t, "app").Error)
	require.Equal(t, []string{"PUT " + appURL}, f.apps.seen())
}

func TestPingErrorOfTheRegistry(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	require.NoError(t, f.addPlaceholder(t.Context(), appURL))
	f.registry.failing = errors.New("no leader")
	require.ErrorContains(t, f.Ping(t.Context(), appURL), "no leader")
	require.Zero(t, f.logs.count("app cannot be synced"))
}
