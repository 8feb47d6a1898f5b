package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/bench"
)

// result is what a command left behind.
type result struct {
	code           int
	stdout, stderr string
}

// runCommand runs a command line inside the test, in an empty directory.
func runCommand(t *testing.T, env []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), process{
		args: append([]string{"jetstep"}, args...), environ: env, dir: t.TempDir(), stdout: &stdout, stderr: &stderr,
		exit: func(code int) { t.Errorf("unexpected exit(%d)", code) },
	})
	return result{code, stdout.String(), stderr.String()}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	version := versionString()
	cases := map[string]struct {
		args   []string
		code   int
		stdout string // contained
		stderr string // exact
	}{
		"bare":                  {nil, 0, "COMMANDS:", ""},
		"help":                  {[]string{"help"}, 0, "COMMANDS:", ""},
		"-h":                    {[]string{"-h"}, 0, "COMMANDS:", ""},
		"help of a command":     {[]string{"help", "dev"}, 0, "--persist", ""},
		"dev --help":            {[]string{"dev", "--help"}, 0, "(accepted, no effect yet)", ""},
		"start --help":          {[]string{"start", "--help"}, 0, "--redis-uri", ""},
		"version":               {[]string{"version"}, 0, version + "\n", ""},
		"--version":             {[]string{"--version"}, 0, "jetstep version " + version + "\n", ""},
		"-v":                    {[]string{"-v"}, 0, "jetstep version " + version + "\n", ""},
		"global flags first":    {[]string{"--json", "-l", "debug", "version"}, 0, version, ""},
		"global flags after":    {[]string{"version", "--verbose", "--log-level", "debug"}, 0, version, ""},
		"unknown command":       {[]string{"nope"}, 3, "", "No help topic for 'nope'\n"},
		"unknown help topic":    {[]string{"help", "nope"}, 3, "", "No help topic for 'nope'\n"},
		"unknown flag":          {[]string{"dev", "--bogus"}, 1, "OPTIONS:", "Incorrect Usage: flag provided but not defined: -bogus\n"},
		"unknown global flag":   {[]string{"--bogus"}, 1, "GLOBAL OPTIONS:", "Incorrect Usage: flag provided but not defined: -bogus\n"},
		"flag of the other one": {[]string{"dev", "--event-key", "x"}, 1, "OPTIONS:", "Incorrect Usage: flag provided but not defined: -event-key\n"},
		"flag without value":    {[]string{"start", "--port"}, 1, "OPTIONS:", "Incorrect Usage: flag needs an argument: --port\n"},
		"flag of another type": {[]string{"start", "--port", "x"}, 1, "OPTIONS:",
			"Incorrect Usage: invalid value \"x\" for flag -port: strconv.ParseInt: parsing \"x\": invalid syntax\n"},
		"bench --help": {[]string{"bench", "--help"}, 0, "Usage of bench:", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runCommand(t, nil, c.args...)
			require.Equal(t, c.code, got.code)
			require.Contains(t, got.stdout, c.stdout)
			require.Equal(t, c.stderr, got.stderr)
		})
	}
}

func TestHiddenOptionsAreNotInHelp(t *testing.T) {
	t.Parallel()
	require.NotContains(t, runCommand(t, nil, "--help").stdout, "alpha")
	require.NotContains(t, runCommand(t, nil, "dev", "--help").stdout, "--postgres-uri")
	require.Contains(t, runCommand(t, nil, "start", "--help").stdout, "--postgres-uri")
}

// TestRefusedOptions checks one line on standard output and exit code 1; the
// texts themselves are tested in package config.
func TestRefusedOptions(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args []string
		env  []string
		want string
	}{
		"plain":       {[]string{"start"}, nil, "Error: signing-key is required\n"},
		"not checked": {[]string{"start", "--signing-key", "abcd", "--event-key", "x", "--connect-gateway-grpc-ip", "nope"}, nil, "invalid connect gateway gRPC IP \"nope\": must be an IP address\n"},
		"file":        {[]string{"dev", "--config", "/none"}, nil, "error reading config file /none: error parsing config file: open /none: no such file or directory\n"},
		"variable":    {[]string{"dev"}, []string{"INNGEST_PORT=x"}, "Error: port must be a whole number, not \"x\" (from INNGEST_PORT)\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, result{code: 1, stdout: c.want}, runCommand(t, c.env, c.args...))
		})
	}
}

func TestBenchOptions(t *testing.T) {
	t.Parallel()
	got, err := benchOptions([]string{"--scale", "0.5", "--scenario", "noop,three", "--scenario", "sleep", "--", "--fsync", "always"}, io.Discard)
	require.NoError(t, err)
	require.NotEmpty(t, got.Binary)
	got.Binary = ""
	require.Equal(t, bench.Options{
		EventKey: "bench", Scale: 0.5, Scenarios: []string{"noop", "three", "sleep"}, Args: []string{"--fsync", "always"},
	}, got)
	_, err = benchOptions([]string{"--bogus"}, io.Discard)
	require.ErrorContains(t, err, "bogus")
	require.ErrorContains(t, benchCommand(io.Discard).Run(t.Context(), []string{"bench", "--scenario", "nope"}), `unknown scenario "nope"`)
}

func TestEnvironmentLastWins(t *testing.T) {
	t.Parallel()
	p := process{environ: []string{"A=1", "AB=3", "A=2"}}
	require.Equal(t, "2", p.env("A"))
	require.Empty(t, p.env("B"))
}

func TestUntilSignal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signals, exits := make(chan os.Signal, 2), make(chan int, 1)
		ctx, stop := untilSignal(context.Background(), signals, func(code int) { exits <- code })
		defer stop()
		require.NoError(t, ctx.Err())
		signals <- os.Interrupt
		<-ctx.Done()
		signals <- syscall.SIGTERM
		synctest.Wait()
		require.Empty(t, exits, "the first signal only asks, and its echo says nothing new")
		time.Sleep(oneSignal + time.Millisecond)
		signals <- os.Interrupt
		require.Equal(t, 1, <-exits)
	})
}

func TestUntilSignalStops(t *testing.T) {
	t.Parallel()
	ctx, stop := untilSignal(context.Background(), make(chan os.Signal), func(int) {})
	stop()
	require.Error(t, ctx.Err())
}
