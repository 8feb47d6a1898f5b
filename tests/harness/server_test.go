package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// standIn says what part of a server or an app this test binary plays when it
// is started as one.
const standIn = "HARNESS_STAND_IN"

func TestMain(m *testing.M) {
	switch os.Getenv(standIn) {
	case "server":
		err := playServer(os.Args[1:])
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case "app":
		err := playApp(os.Getenv("PORT"))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// playServer listens on another port than the one asked for, as dev may.
func playServer(args []string) error {
	if strings.Contains(strings.Join(args, " "), "--fail") {
		return errors.New("refusing to start")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, `{"level":"INFO","msg":"starting server","caller":"api","addr":%q}`+"\n", listener.Addr())
	fmt.Fprintln(os.Stderr, args)
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":200,"message":"OK"}`)
	}))
}

func playApp(port string) error {
	if port == "1" {
		return errors.New("not on this port")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/calls", func(w http.ResponseWriter, r *http.Request) {
		if token := r.FormValue("token"); token == "bad" {
			fmt.Fprint(w, "not JSON")
		} else {
			fmt.Fprintf(w, `[{"token":%q,"step":"a","attempt":1},{"step":"b"},{"step":"a"}]`, token)
		}
	})
	return http.ListenAndServe("127.0.0.1:"+port, mux)
}

func TestListenURL(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"level":"INFO","msg":"starting server","caller":"api","addr":"0.0.0.0:8288"}`: "http://127.0.0.1:8288",
		`{"level":"INFO","msg":"starting server","caller":"api","addr":"[::]:4000"}`:    "http://127.0.0.1:4000",
		`{"level":"INFO","msg":"starting server","caller":"connect","addr":"[::]:1"}`:   "",
		`{"level":"INFO","msg":"something else","caller":"api","addr":"[::]:1"}`:        "",
		`{"level":"INFO","msg":"starting server","caller":"api","addr":"8288"}`:         "",
		`plain text`: "",
	} {
		url, ok := listenURL(line)
		require.Equal(t, want, url, line)
		require.Equal(t, want != "", ok, line)
	}
}

func TestStartServer(t *testing.T) {
	t.Setenv(standIn, "server")
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	config := ServerConfig{
		Binary: self, Mode: ModeStart, Dir: t.TempDir(), SDKURLs: []string{"http://app"},
		SigningKey: "s", EventKey: "e", Args: []string{"--more"},
	}
	server, err := StartServer(ctx, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Kill() })
	require.NotZero(t, server.Config().Port)
	require.Equal(t, "s", server.Client().SigningKey)
	require.NoError(t, server.Client().Health(ctx))
	started := server.Log().Mentioning("--sdk-url http://app --more")
	require.Contains(t, started, "start --host 127.0.0.1")
	require.Contains(t, started, "--signing-key s --event-key e")

	config.Mode = ModeDev
	require.NotContains(t, config.arguments(), "--signing-key")
	require.Contains(t, config.arguments(), "--no-discovery")

	config.Args = []string{"--fail"}
	_, err = StartServer(ctx, config)
	require.ErrorContains(t, err, "refusing to start")
}

func TestStartApp(t *testing.T) {
	t.Setenv(standIn, "app")
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	port, err := FreePort()
	require.NoError(t, err)

	config := AppConfig{Name: "app", Path: self, Home: t.TempDir(), Port: port}
	app, err := StartApp(ctx, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = app.Kill() })
	calls, err := app.AwaitCalls(ctx, "t 1", "a", 2)
	require.NoError(t, err)
	require.Equal(t, []Call{{Token: "t 1", Step: "a", Attempt: 1}, {Step: "a"}}, calls)
	_, err = app.Calls(ctx, "bad")
	require.ErrorContains(t, err, "calls of app")
	soon, cancelSoon := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancelSoon()
	_, err = app.AwaitCalls(soon, "t", "a", 3)
	require.ErrorContains(t, err, "it ran 2 time(s)")

	require.NoError(t, app.Kill())
	require.NoError(t, app.Restart(ctx))
	_, err = app.Calls(ctx, "again")
	require.NoError(t, err)

	config.Port = 1
	_, err = StartApp(ctx, config)
	require.ErrorContains(t, err, "not on this port")
}
