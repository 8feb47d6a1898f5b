package appsync

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/function"
)

// config is one function as SDKs send it.
func config(app, name string) string {
	return fmt.Sprintf(`{"id":"%[1]s-%[2]s","name":"%[2]s","triggers":[{"event":"%[1]s/%[2]s"}],"steps":{"step":{"id":"step","name":"step",`+
		`"runtime":{"type":"http","url":"http://127.0.0.1:3000/api/inngest?fnId=%[1]s-%[2]s&stepId=step"}}}}`, app, name)
}

// registration is the body of a registration of that app with functions.
func registration(app string, functions ...string) []byte {
	configs := make([]string, len(functions))
	for i, name := range functions {
		configs[i] = config(app, name)
	}
	return registrationOf(app, configs...)
}

func registrationOf(app string, configs ...string) []byte {
	return fmt.Appendf(nil, `{"url":"http://127.0.0.1:3000/api/inngest","deployType":"ping","framework":"nodejs","appName":"%s","functions":[%s],"sdk":"js:v4.24.0","v":"0.1","capabilities":{"trust_probe":"v1"}}`,
		app, strings.Join(configs, ","))
}

// TestRefusals is the order of checks of sdk-protocol §5.3.
func TestRefusals(t *testing.T) {
	t.Parallel()
	blocked := strings.Replace(string(registration("app", "a")), "js:v4.24.0", "js:v3.30.0", 1)
	tests := map[string]struct {
		kind, expected string
		body           string
		want           Refusal
		appError       string
	}{
		"other kind":        {"dev", "cloud", `{`, Refusal{Status: 400, Bare: true, Message: "Expected server kind dev, got cloud"}, ""},
		"other kind, cloud": {"cloud", "dev", `{`, Refusal{Status: 400, Bare: true, Message: "Expected server kind cloud, got dev"}, ""},
		"no JSON":           {"dev", "dev", `{nope`, Refusal{Status: 400, Bare: true, Message: "Invalid request: invalid character 'n' looking for beginning of object key string"}, ""},
		"no name":           {"dev", "", `{}`, Refusal{Status: 400, Message: "App ID required"}, ""},
		"zero bytes":        {"dev", "", `{"appName":"a\u0000"}`, Refusal{Status: 400, Bare: true, Message: "Invalid request: names and URLs cannot have zero bytes"}, ""},
		"blocked":           {"dev", "dev", blocked, Refusal{Status: 400, Code: "sdk_version_denied", Message: "App sync was blocked because this application is using an Inngest JavaScript SDK with a known security vulnerability. Please upgrade to v3.54.0 or later. See more information: https://www.inngest.com/blog/cve-2026-42047"}, "sdk_version_denied"},
		"invalid":           {"dev", "dev", string(registrationOf("app", config("app", "ok"), `{"id":"app-bad","name":"","triggers":[]}`)), Refusal{Status: 400, Message: "At least one function is invalid"}, "A function name is required"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{Kind: test.kind})
			header := http.Header{}
			if test.expected != "" {
				header.Set("X-Inngest-Expected-Server-Kind", test.expected)
			}
			_, err := f.Register(t.Context(), header, []byte(test.body))
			var refusal *Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, test.want, *refusal)
			require.Equal(t, test.want.Message, err.Error())
			if test.appError == "" {
				require.Empty(t, f.registry.apps)
				return
			}
			app := f.registry.app(t, "app")
			require.Contains(t, app.Error, test.appError)
			require.Empty(t, app.Functions)

			_, err = f.Register(t.Context(), header, []byte(test.body))
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, 1, f.registry.writes, "the same again is not stored again")
			require.Equal(t, 1, f.logs.count("app not synced"), "nor logged")
		})
	}
}

func TestHasZero(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		``: false, `"a"`: false, `"\u0001"`: false, `"\u0000"`: true, `"\\u0000"`: false, `"\\\u0000"`: true, `"\\u0000\u0000"`: true,
	} {
		require.Equal(t, want, hasZero([]byte(text)), text)
	}
}

func TestInvalidFunctionsLeaveTheStoredOnes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	_, err := f.Register(t.Context(), nil, registration("app", "a", "b"))
	require.NoError(t, err)
	before := *f.registry.app(t, "app")

	_, err = f.Register(t.Context(), nil, registrationOf("app", config("app", "a"), `{"id":"app-bad","name":"bad","triggers":[{}],"steps":{"step":{"id":"step","name":"step","runtime":{"url":"ftp://x"}}}}`))
	require.Error(t, err)
	after := f.registry.app(t, "app")
	require.Equal(t, before.Functions, after.Functions)
	require.Equal(t, before.CreatedAt, after.CreatedAt)
	require.Contains(t, f.logs.String(), "app-bad: Non-supported step schema: ftp")
	require.Contains(t, f.logs.String(), "app-bad: A trigger must supply an event name or a cron schedule")

	answer, err := f.Register(t.Context(), nil, registration("app", "a", "b"))
	require.NoError(t, err)
	require.True(t, answer.Modified, "the error is cleared and the sync goes on")
	require.Empty(t, f.registry.app(t, "app").Error)
}

func TestRegister(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	first, err := f.Register(t.Context(), nil, registration("cap-app", "a", "b"))
	require.NoError(t, err)
	require.True(t, first.OK)
	require.True(t, first.Modified)
	require.Equal(t, "8f20186b-30e2-5a81-b5cc-e2847bf30195", first.AppID.String())
	app := *f.registry.app(t, "cap-app")
	require.Equal(t, "http://localhost:3000/api/inngest", app.URL)
	require.Equal(t, "js", app.SDKLanguage)
	require.Equal(t, "v4.24.0", app.SDKVersion)
	require.Equal(t, function.MethodServe, app.Method)
	require.Len(t, app.Functions, 2)
	require.Equal(t, 1, app.Functions[0].Version)

	second, err := f.Register(t.Context(), nil, registration("cap-app", "a", "b"))
	require.NoError(t, err)
	require.False(t, second.Modified)
	require.Equal(t, first.AppID, second.AppID)
	require.NotEqual(t, first.SyncID, second.SyncID)
	require.Equal(t, 1, f.registry.writes)

	third, err := f.Register(t.Context(), nil, registration("cap-app", "b", "c"))
	require.NoError(t, err)
	require.True(t, third.Modified)
	changed := f.registry.app(t, "cap-app")
	require.Equal(t, []string{"cap-app-b", "cap-app-c"}, slugs(changed))
	require.Equal(t, app.Functions[1].ID, changed.Functions[0].ID)
	require.Equal(t, 2, changed.Functions[0].Version)
	require.Equal(t, app.CreatedAt, changed.CreatedAt)
	require.Equal(t, 2, f.logs.count("app synced"))
	require.Contains(t, f.logs.String(), "added=[cap-app-c] removed=[cap-app-a]")

	moved := strings.ReplaceAll(string(registration("cap-app", "b", "c")), "3000", "3001")
	_, err = f.Register(t.Context(), nil, []byte(moved))
	require.NoError(t, err)
	require.Equal(t, app.Functions[1].ID, f.registry.app(t, "cap-app").Functions[0].ID, "another URL keeps the id")
	require.Equal(t, []string{"http://localhost:3001/api/inngest"}, f.registry.urls())
}

func TestEnvAndPlatformEnterTheChecksum(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	_, err := f.Register(t.Context(), nil, registration("app", "a"))
	require.NoError(t, err)
	answer, err := f.Register(t.Context(), http.Header{"X-Inngest-Env": {"branch"}, "X-Inngest-Platform": {"vercel"}}, registration("app", "a"))
	require.NoError(t, err)
	require.True(t, answer.Modified)
	require.Equal(t, "vercel", f.registry.app(t, "app").Platform)
}

func TestAppWithoutFunctions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	for range 2 {
		answer, err := f.Register(t.Context(), nil, registration("app"))
		require.NoError(t, err)
		require.True(t, answer.Modified)
		require.Equal(t, "No functions registered within your app", f.registry.app(t, "app").Error)
	}
	require.Equal(t, 1, f.registry.writes)
}

func TestFeatureObservationsAreKeptWhenNothingElseChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	for i, observations := range []string{`{"a":1}`, `{"a":2}`, `{"a":2}`} {
		body := strings.Replace(string(registration("app", "a")), `{"url"`, `{"featureObservations":`+observations+`,"url"`, 1)
		answer, err := f.Register(t.Context(), nil, []byte(body))
		require.NoError(t, err)
		require.Equal(t, i == 0, answer.Modified)
		require.JSONEq(t, observations, string(f.registry.app(t, "app").Metadata))
	}
	require.Equal(t, 1, f.registry.app(t, "app").Functions[0].Version)
	require.Equal(t, 2, f.registry.writes)
	require.Equal(t, 1, f.logs.count("app synced"))
}

func TestRegistrationReplacesThePlaceholder(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	require.NoError(t, f.addPlaceholder(t.Context(), "http://localhost:3000/api/inngest"))
	require.NoError(t, f.addPlaceholder(t.Context(), "http://localhost:3000/other"))
	_, err := f.Register(t.Context(), nil, registration("app", "a"))
	require.NoError(t, err)
	require.Equal(t, []string{"http://localhost:3000/api/inngest", "http://localhost:3000/other"}, f.registry.urls())
	require.Equal(t, "http://localhost:3000/api/inngest", f.registry.app(t, "app").URL)
}

func TestRegistrationAdoptsAPlaceholderWithFunctions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	id := function.AppID("http://localhost:3000/api/inngest")
	f.registry.apps[id] = &function.App{ID: id, URL: "http://localhost:3000/api/inngest", Functions: []function.Function{{ID: id, Slug: "app-a", Version: 6}}}
	answer, err := f.Register(t.Context(), nil, registration("app", "a"))
	require.NoError(t, err)
	require.Equal(t, id, answer.AppID)
	require.Equal(t, 7, f.registry.app(t, "app").Functions[0].Version)
}

func TestRegistryFailure(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	f.registry.failing = errors.New("no leader")
	_, err := f.Register(t.Context(), nil, registration("app", "a"))
	require.ErrorContains(t, err, "no leader")
	var refusal *Refusal
	require.NotErrorAs(t, err, &refusal)
}
