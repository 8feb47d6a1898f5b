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
			p := start(t, invocation{args: c.args})
			require.Equal(t, c.code, p.wait())
			require.Equal(t, c.stdout, p.stdout.String())
			require.Equal(t, c.stderr, p.stderr.String())
		})
	}
}

// requireOneRecord checks the line of a server that cannot run.
func requireOneRecord(t *testing.T, p *running, text string) {
	t.Helper()
	require.Equal(t, 1, p.wait())
	require.Empty(t, p.stdout.String())
	r, err := parseRecord([]byte(p.stderr.String()))
	require.NoError(t, err, p.stderr.String())
	require.Equal(t, "ERROR", r.Level)
	require.Contains(t, r.Msg, text)
}

func TestBinaryCannotRun(t *testing.T) {
	t.Parallel()
	server := []string{"start", "--signing-key", "abcd", "--event-key", "x", "--host", "127.0.0.1"}
	t.Run("port in use", func(t *testing.T) {
		t.Parallel()
		busy := busyPort(t)
		p := start(t, invocation{args: append(server, "--port", port(busy))})
		requireOneRecord(t, p, fmt.Sprintf("cannot listen on port %d: ", busy))
	})
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		p := start(t, invocation{args: append(server, "--port", "0", "--data-dir", file)})
		requireOneRecord(t, p, "cannot use data directory "+file)
	})
	t.Run("directory in use", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		args := append(server, "--port", "0", "--data-dir", dir)
		first := start(t, invocation{args: args})
		first.url()
		second := start(t, invocation{args: args})
		requireOneRecord(t, second, fmt.Sprintf("in use by another jetstep (process %d)", first.cmd.Process.Pid))
	})
}

func TestBinarySaysThatPartitionsAreFixed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{"dev", "--host", "127.0.0.1", "-p", "0", "--no-discovery", "--data-dir", dir, "--partitions"}
	first := start(t, invocation{args: append(args, "2")})
	first.url()
	first.signal(syscall.SIGTERM)
	require.Equal(t, 0, first.wait())
	second := start(t, invocation{args: append(args, "3")})
	second.url()
	require.EqualValues(t, 2, second.awaitRecord("the number of partitions was fixed when the streams were made").attrs["partitions"])
}

func TestBinaryTwoDevs(t *testing.T) {
	t.Parallel()
	busy := busyPort(t)
	p := start(t, invocation{args: []string{"dev", "--host", "127.0.0.1", "-p", port(busy)}})
	moved := p.awaitRecord("Port conflict, using new port")
	require.Equal(t, "dev server api", moved.attrs["name"])
	require.EqualValues(t, busy, moved.attrs["from"])
	require.Equal(t, fmt.Sprintf("http://localhost:%v", moved.attrs["to"]), p.url())
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
			p := start(t, invocation{args: args, dir: dir,
				env: []string{"LOG_HANDLER=text", "JETSTEP_TICK=5", "TZ=America/New_York"}})
			url := p.url()
			resp, err := http.Get(url + "/health")
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode)

			_, portText, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
			require.NoError(t, err)
			probe := start(t, invocation{args: []string{"alpha", "doctor", "healthcheck"}, env: []string{"INNGEST_PORT=" + portText}})
			require.Equal(t, 0, probe.wait())
			require.Empty(t, probe.stdout.String()+probe.stderr.String())

			began := time.Now()
			p.signal(sig)
			require.Equal(t, 0, p.wait())
			require.Less(t, time.Since(began), 20*time.Second, "an idle server does not use up its timeout")
			require.Empty(t, p.stdout.String(), "the banner is for terminals")
			requireJSONLines(t, p.stderr.String())
			require.Contains(t, p.stderr.String(), `"options":["tick"]`)

			_, err = os.Stat(filepath.Join(dir, ".jetstep", "nats"))
			require.Equal(t, name != "start", os.IsNotExist(err), "only start keeps data in the working directory")
		})
	}
}

// requireJSONLines checks cli-config §18: nothing but records.
func requireJSONLines(t *testing.T, text string) {
	t.Helper()
	for line := range bytes.Lines([]byte(text)) {
		r, err := parseRecord(line)
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
	p := start(t, invocation{args: []string{"dev"}, dir: dir, env: []string{"INNGEST_SDK_URL=b,c"}})
	require.Equal(t, file, p.awaitRecord("using config").attrs["file"])
	require.Equal(t, []any{"bogus"}, p.awaitRecord("the config file has unknown keys").attrs["keys"])
	p.awaitRecord("skipping a config file that cannot be read")
	require.Equal(t, "b, c", p.awaitRecord("jetstep is running").attrs["apps"])
}

func TestBinaryLogLevel(t *testing.T) {
	t.Parallel()
	p := start(t, invocation{env: []string{"LOG_LEVEL=warn"},
		args: []string{"dev", "--host", "127.0.0.1", "-p", "0", "--tick", "5", "--log-level", "debug", "--verbose"}})
	p.awaitRecord("options are accepted but have no effect yet")
	p.signal(syscall.SIGTERM)
	require.Equal(t, 0, p.wait())
	require.Equal(t, 1, strings.Count(p.stderr.String(), "\n"), "the environment beats both flags")
}
