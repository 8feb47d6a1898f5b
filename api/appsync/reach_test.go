package appsync

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/function"
)

// goRegistration is registration with the URL as the Go SDK writes it.
func goRegistration(t *testing.T) []byte {
	t.Helper()
	body := strings.Replace(string(registration("app", "a")), `/api/inngest","deployType"`, `/api/inngest?","deployType"`, 1)
	require.Contains(t, body, `/api/inngest?",`)
	return []byte(body)
}

func TestURLThatEndsInAQuestionMarkIsTheOneWithout(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{URLs: []string{appURL + "?"}})
	require.NoError(t, f.addConfigured(t.Context()))
	require.Equal(t, []string{appURL}, f.registry.urls())
	f.apps.serve(appURL, f.sdk(goRegistration(t)))
	require.NoError(t, f.Ping(t.Context(), appURL))
	require.Equal(t, []string{"PUT " + appURL}, f.apps.seen(), "the registration was recognised")
	require.Equal(t, []string{appURL}, f.registry.urls(), "the placeholder is gone")
	require.Equal(t, "app", f.registry.app(t, "app").Name)
	require.NoError(t, f.Remove(t.Context(), appURL+"?"))
	require.Empty(t, f.registry.urls())
}

// TestInBandAppIsAskedAgain: it will never register by itself when it changes.
func TestInBandAppIsAskedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	require.NoError(t, f.addPlaceholder(t.Context(), appURL))
	one := inBandBody("")
	two := strings.Replace(one, config("app", "a"), config("app", "a")+","+config("app", "b"), 1)
	for i, body := range []string{one, one, two} {
		f.apps.serve(appURL, inBandApp(nil, body))
		require.NoError(t, f.Ping(t.Context(), appURL))
		require.Equal(t, []int{1, 1, 2}[i], f.registry.app(t, "app").Functions[0].Version, "ping %d", i)
	}
	require.Len(t, f.registry.app(t, "app").Functions, 2)

	f.apps.seen()
	f.apps.serve(appURL, f.sdk(registration("app", "a")))
	for range 2 {
		require.NoError(t, f.Ping(t.Context(), appURL))
	}
	require.Equal(t, []string{"PUT " + appURL, "PUT " + appURL}, f.apps.seen(), "now it registers by itself")
	require.Equal(t, 3, f.registry.app(t, "app").Functions[0].Version)
}

func TestGoodAnswerClearsAStaleError(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	_, err := f.Register(t.Context(), nil, registration("app", "a"))
	require.NoError(t, err)
	require.NoError(t, f.Ping(t.Context(), appURL))
	require.Equal(t, "unreachable", f.registry.app(t, "app").Error)
	f.apps.serve(appURL, func(*http.Request, string) *http.Response { return respond(200, `{}`) })
	for range 2 {
		require.NoError(t, f.Ping(t.Context(), appURL))
		require.Empty(t, f.registry.app(t, "app").Error)
	}
	require.Equal(t, 1, f.registry.app(t, "app").Functions[0].Version)
	require.Equal(t, 1, f.logs.count("app can be reached again"))
}

func TestNextError(t *testing.T) {
	t.Parallel()
	detail := "1 errors occurred: * A function name is required"
	tests := map[string]struct{ name, was, found, want string }{
		"placeholder, good answer":      {"", "unreachable", "", errNoRegistration},
		"placeholder, invalid function": {"", "unreachable", "invalid_function", "invalid_function"},
		"healthy, good answer":          {"app", "", "", ""},
		"healthy, gone":                 {"app", "", "unreachable", "unreachable"},
		"unreachable, back":             {"app", "unreachable", "", ""},
		"other ping error":              {"app", "unauthorized", "forbidden", "forbidden"},
		"SDK's error, good answer":      {"app", "invalid_function", "", ""},
		"invalid, good answer":          {"app", detail, "", detail},
		"invalid, the SDK says so":      {"app", detail, "invalid_function", detail},
		"no functions, the SDK says so": {"app", function.ErrorNoFunctions, "no_functions", function.ErrorNoFunctions},
		"no functions, good answer":     {"app", function.ErrorNoFunctions, "", function.ErrorNoFunctions},
		"invalid, gone":                 {"app", detail, "unreachable", "unreachable"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, nextError(&function.App{Name: test.name, Error: test.was}, test.found))
		})
	}
}

// TestRegistrationMayFollowTheAnswer: that of another node is seen a bit later.
func TestRegistrationMayFollowTheAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		delay time.Duration
		puts  int
	}{
		"in time":  {time.Second, 1},
		"too late": {3 * time.Second, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, Config{RegistrationWait: DefaultRegistrationWait})
				other := New(Config{Registry: f.registry, Kind: "dev"})
				f.apps.serve(appURL, func(*http.Request, string) *http.Response { return respond(200, `{}`) })
				require.NoError(t, f.addPlaceholder(t.Context(), appURL))
				late := time.AfterFunc(test.delay, func() {
					_, err := other.Register(t.Context(), nil, registration("app", "a"))
					require.NoError(t, err)
				})
				defer late.Stop()
				require.NoError(t, f.Ping(t.Context(), appURL))
				require.Len(t, f.apps.seen(), test.puts)
			})
		})
	}
}
