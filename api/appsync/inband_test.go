package appsync

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
	"jetstep/jcs"
)

// inBandBody is what JS 3.54 answers, shortened (sdk-protocol §5.1).
func inBandBody(url string) string {
	return `{"app_id":"app","capabilities":{"trust_probe":"v1","connect":"v1"},"env":null,"framework":"nodejs","functions":[` + config("app", "a") +
		`],"inspection":{},"sdk_author":"inngest","sdk_language":"js","sdk_version":"3.54.2","sdk":"js:v3.54.2","url":"` + url + `"}`
}

// inBandApp does not register by itself, but answers when asked in band.
func inBandApp(sign func(body string) string, body string) fakeApp {
	return func(req *http.Request, _ string) *http.Response {
		if req.Header.Get("X-Inngest-Sync-Kind") != "in_band" {
			return respond(200, `{"message":"Successfully registered"}`)
		}
		resp := respond(200, body, "X-Inngest-Sync-Kind: in_band")
		if sign != nil {
			resp.Header.Set(signing.Header, sign(body))
		}
		return resp
	}
}

func TestInBandSync(t *testing.T) {
	t.Parallel()
	raw := func(body string) string { return signing.Sign(key, []byte(strings.TrimSpace(body)), time.Now()) }
	canonical := func(body string) string {
		text, err := jcs.Canonicalize([]byte(body))
		require.NoError(t, err)
		return signing.Sign(key, text, time.Now())
	}
	tests := map[string]struct {
		keys []string
		app  fakeApp
		err  string
	}{
		"unsigned":          {nil, inBandApp(nil, inBandBody("http://127.0.0.1:3000/api/inngest")), ""},
		"signed":            {[]string{key}, inBandApp(raw, inBandBody("http://127.0.0.1:3000/api/inngest")+"\n"), ""},
		"signed, canonical": {[]string{key}, inBandApp(canonical, inBandBody("http://127.0.0.1:3000/api/inngest")), ""},
		"fallback key":      {[]string{"fe", key}, inBandApp(raw, inBandBody("")), ""},
		"other URL":         {nil, inBandApp(nil, inBandBody("http://app.internal/api/inngest")), ""},
		"not signed":        {[]string{key}, inBandApp(nil, inBandBody("")), "sig_verification_failed"},
		"other key":         {[]string{"fe"}, inBandApp(raw, inBandBody("")), "sig_verification_failed"},
		"no JSON":           {nil, inBandApp(nil, `x`), errNoRegistration},
		"bad functions":     {nil, inBandApp(nil, `{"app_id":"app","functions":{}}`), errNoRegistration},
		"no name":           {nil, inBandApp(nil, `{"functions":[]}`), errNoRegistration},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{SigningKeys: test.keys})
			f.apps.serve(appURL, test.app)
			require.NoError(t, f.addPlaceholder(t.Context(), appURL))
			require.NoError(t, f.Ping(t.Context(), appURL))
			require.Equal(t, []string{"PUT " + appURL, "PUT " + appURL}, f.apps.seen())
			if test.err != "" {
				require.Equal(t, test.err, f.registry.app(t, "").Error)
				return
			}
			for _, app := range f.registry.Catalog().Apps {
				require.Equal(t, "app", app.Name)
				require.Equal(t, "v3.54.2", app.SDKVersion)
				require.Len(t, app.Functions, 1)
			}
			require.NoError(t, f.Ping(t.Context(), appURL))
		})
	}
}

func TestInBandSyncAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	_, _, _, err := f.InBand(t.Context(), appURL)
	require.ErrorContains(t, err, "connection refused")
	f.apps.serve(appURL, func(*http.Request, string) *http.Response { return respond(500, ``, "X-Inngest-Sync-Kind: in_band") })
	_, _, _, err = f.InBand(t.Context(), appURL)
	require.ErrorIs(t, err, errNotInBand)
}

func TestInBandSyncAndTheRegistry(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	require.NoError(t, f.addPlaceholder(t.Context(), appURL))
	f.apps.serve(appURL, inBandApp(nil, inBandBody("")))
	f.registry.failing = errors.New("no leader")
	require.ErrorContains(t, f.Ping(t.Context(), appURL), "no leader")
}
