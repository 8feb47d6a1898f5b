package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// serverWith answers /health and /ready with these codes.
func serverWith(t *testing.T, health, ready int) (port string) {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(strings.Repeat("x", 500)))
		}
	}
	mux.HandleFunc("/health", answer(health))
	mux.HandleFunc("/ready", answer(ready))
	mux.HandleFunc("/elsewhere", answer(http.StatusOK))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strconv.Itoa(portOf(server.Listener))
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		health, ready int
		args          []string
		code          int
		stderr        string // URL stands for the server's address
	}{
		"up":               {health: 200, ready: 503},
		"gateway up":       {health: 200, ready: 200, args: []string{"--skip-connect-gateway=false"}},
		"gateway draining": {health: 200, ready: 503, args: []string{"--skip-connect-gateway=false"}, code: 1, stderr: "healthcheck: connect gateway URL/ready: status 503 Service Unavailable\n"},
		"both":             {health: 500, ready: 503, args: []string{"--skip-connect-gateway=false"}, code: 1, stderr: "healthcheck: api URL/health: status 500 Internal Server Error\nhealthcheck: connect gateway URL/ready: status 503 Service Unavailable\n"},
		"only 200 will do": {health: 204, code: 1, stderr: "healthcheck: api URL/health: status 204 No Content\n"},
		"redirect":         {health: 302, code: 1, stderr: "healthcheck: api URL/health: status 302 Found\n"},
		"verbose":          {health: 500, args: []string{"--verbose"}, code: 1, stderr: "healthcheck: api URL/health: status 500 Internal Server Error: " + strings.Repeat("x", 200) + "\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := serverWith(t, c.health, c.ready)
			args := append([]string{"alpha", "doctor", "healthcheck", "--port", port, "--connect-gateway-port", port}, c.args...)
			got := runCommand(t, nil, args...)
			want := strings.ReplaceAll(c.stderr, "URL", "http://127.0.0.1:"+port)
			require.Equal(t, result{code: c.code, stderr: want}, got)
		})
	}
}

func TestHealthcheckOfNothing(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--port", "1"}, {"--scheme", ":"}, {"--host", "::1", "--port", "1"}} {
		got := runCommand(t, nil, append([]string{"alpha", "doctor", "healthcheck"}, args...)...)
		require.Equal(t, 1, got.code)
		require.Empty(t, got.stdout)
		require.Contains(t, got.stderr, "healthcheck: api ")
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	up := serverWith(t, 200, 200)
	require.Equal(t, result{stderr: "• healthcheck ... OK\n"}, runCommand(t, nil, "alpha", "doctor", "--port", up))

	down := serverWith(t, 500, 200)
	got := runCommand(t, nil, "alpha", "dr", "--port", down)
	require.Equal(t, 1, got.code)
	require.Equal(t, "• healthcheck ... FAIL\n  api http://127.0.0.1:"+down+"/health: status 500 Internal Server Error\n"+
		"1 check(s) failed: healthcheck\n", got.stderr)
}
