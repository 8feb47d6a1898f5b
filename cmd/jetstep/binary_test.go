package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/cmd/jetstep/jetsteptest"
)

// These tests run the real binary: cli-config §18 as far as it is about the
// process.

func port(n int) string { return strconv.Itoa(n) }

func TestBinaryExitCodes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"no keys":       {[]string{"start"}, 1, "Error: signing-key is required\n", ""},
		"odd key":       {[]string{"start", "--signing-key", "abc"}, 1, "Error: signing-key must be hex string with even number of chars\n", ""},
		"key not hex":   {[]string{"start", "--signing-key", "zz"}, 1, "Error: signing-key must be valid hex string: encoding/hex: invalid byte: U+007A 'z'\n", ""},
		"no event key":  {[]string{"start", "--signing-key", "abcd"}, 1, "Error: at least one event-key is required\n", ""},
		"pool":          {[]string{"start", "--signing-key", "abcd", "--event-key", "x", "--postgres-max-open-conns", "1"}, 1, "Error: postgres-max-open-conns (1) must be greater than 1\n", ""},
		"not a command": {[]string{"nope"}, 3, "", "No help topic for 'nope'\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := jetsteptest.Run(t, jetsteptest.Command{Args: c.args})
			require.Equal(t, c.code, p.Wait())
			require.Equal(t, c.stdout, p.Stdout.String())
			require.Equal(t, c.stderr, p.Stderr.String())
		})
	}
}

// requireOneRecord checks the line of a server that cannot run.
func requireOneRecord(t *testing.T, p *jetsteptest.Process, text string) {
	t.Helper()
	require.Equal(t, 1, p.Wait())
	require.Empty(t, p.Stdout.String())
	r, err := jetsteptest.ParseRecord([]byte(p.Stderr.String()))
	require.NoError(t, err, p.Stderr.String())
	require.Equal(t, "ERROR", r.Level)
	require.Contains(t, r.Msg, text)
}

func TestBinaryCannotRun(t *testing.T) {
	t.Parallel()
	start := []string{"start", "--signing-key", "abcd", "--event-key", "x", "--host", "127.0.0.1"}
	t.Run("port in use", func(t *testing.T) {
		t.Parallel()
		busy := busyPort(t)
		p := jetsteptest.Run(t, jetsteptest.Command{Args: append(start, "--port", port(busy))})
		requireOneRecord(t, p, fmt.Sprintf("cannot listen on port %d: ", busy))
	})
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		p := jetsteptest.Run(t, jetsteptest.Command{Args: append(start, "--port", "0", "--data-dir", file)})
		requireOneRecord(t, p, "cannot use data directory "+file)
	})
	t.Run("directory in use", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		args := append(start, "--port", "0", "--data-dir", dir)
		first := jetsteptest.Start(t, jetsteptest.Command{Args: args})
		first.URL()
		second := jetsteptest.Run(t, jetsteptest.Command{Args: args})
		requireOneRecord(t, second, fmt.Sprintf("in use by another jetstep (process %d)", first.Pid()))
	})
}

func TestBinaryTwoDevs(t *testing.T) {
	t.Parallel()
	busy := busyPort(t)
	p := jetsteptest.Start(t, jetsteptest.Command{Args: []string{"dev", "--host", "127.0.0.1", "-p", port(busy)}})
	moved := p.AwaitRecord("Port conflict, using new port")
	require.Equal(t, "dev server api", moved.Attrs["name"])
	require.EqualValues(t, busy, moved.Attrs["from"])
	require.Equal(t, fmt.Sprintf("http://localhost:%v", moved.Attrs["to"]), p.URL())
}

func TestBinaryServes(t *testing.T) {
	t.Parallel()
	signals := map[string]syscall.Signal{"dev": syscall.SIGINT, "dev quit": syscall.SIGQUIT, "start": syscall.SIGTERM}
	for name, sig := range signals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"dev", "--host", "127.0.0.1", "--port", "0"}
			if name == "start" {
				args[0] = "start"
				args = append(args, "--signing-key", "signkey-prod-abcd", "--event-key", "k", "extra")
			}
			dir := t.TempDir()
			p := jetsteptest.Start(t, jetsteptest.Command{Args: args, Dir: dir,
				Env: []string{"LOG_HANDLER=text", "JETSTEP_TICK=5", "TZ=America/New_York"}})
			url := p.URL()
			resp, err := http.Get(url + "/health")
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode)

			_, portText, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
			require.NoError(t, err)
			probe := jetsteptest.Run(t, jetsteptest.Command{Args: []string{"alpha", "doctor", "healthcheck"}, Env: []string{"INNGEST_PORT=" + portText}})
			require.Equal(t, 0, probe.Wait())
			require.Empty(t, probe.Stdout.String()+probe.Stderr.String())

			began := time.Now()
			p.Signal(sig)
			require.Equal(t, 0, p.Wait())
			require.Less(t, time.Since(began), 20*time.Second, "an idle server does not use up its timeout")
			require.Empty(t, p.Stdout.String(), "the banner is for terminals")
			requireJSONLines(t, p.Stderr.String())
			require.Contains(t, p.Stderr.String(), `"options":["tick"]`)

			_, err = os.Stat(filepath.Join(dir, ".jetstep", "nats"))
			require.Equal(t, name != "start", os.IsNotExist(err), "only start keeps data in the working directory")
		})
	}
}

// requireJSONLines checks cli-config §18: nothing but records.
func requireJSONLines(t *testing.T, text string) {
	t.Helper()
	for line := range bytes.Lines([]byte(text)) {
		r, err := jetsteptest.ParseRecord(line)
		require.NoError(t, err, string(line))
		require.NotEmpty(t, r.Msg)
		require.NotEmpty(t, r.Level)
		require.Equal(t, time.UTC, r.Time.Location(), string(line))
	}
}

func TestBinaryConfigFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "inngest.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"port":0,"host":"127.0.0.1","sdk-url":["a"],"no-discovery":true,"bogus":1}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "jetstep.json"), []byte(`{`), 0o600))
	p := jetsteptest.Start(t, jetsteptest.Command{Args: []string{"dev"}, Dir: dir, Env: []string{"INNGEST_SDK_URL=b,c"}})
	require.Equal(t, file, p.AwaitRecord("using config").Attrs["file"])
	require.Equal(t, []any{"bogus"}, p.AwaitRecord("the config file has unknown keys").Attrs["keys"])
	p.AwaitRecord("skipping a config file that cannot be read")
	require.Equal(t, "b, c", p.AwaitRecord("jetstep is running").Attrs["apps"])
}

func TestBinaryLogLevel(t *testing.T) {
	t.Parallel()
	p := jetsteptest.Start(t, jetsteptest.Command{Env: []string{"LOG_LEVEL=warn"},
		Args: []string{"dev", "--host", "127.0.0.1", "-p", "0", "--tick", "5", "--log-level", "debug", "--verbose"}})
	p.AwaitRecord("options are accepted but have no effect yet")
	p.Signal(syscall.SIGTERM)
	require.Equal(t, 0, p.Wait())
	require.Equal(t, 1, strings.Count(p.Stderr.String(), "\n"), "the environment beats both flags")
}
