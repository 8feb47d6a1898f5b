// Package bench runs `jetstep bench` itself, with small amounts: what it
// measures must be measurable, and true.
package bench

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/bench"
	"jetstep/tests/harness"
)

// binary is the server, built or named by the environment.
func binary(t *testing.T) string {
	t.Helper()
	path, err := harness.BuildServer(t.Context(), t.TempDir())
	require.NoError(t, err)
	return path
}

func TestBench(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out bytes.Buffer
	results, err := bench.Run(ctx, bench.Options{
		Binary: binary(t), Scale: 0.02, EventKey: "bench", Scenarios: []string{"start", "ingest", "noop", "three", "latency"},
	}, &out)
	require.NoError(t, err, out.String())
	measured := map[string]float64{}
	for _, r := range results {
		measured[r.Scenario+" "+r.What] = r.Value
		require.Contains(t, out.String(), r.String())
	}
	for _, what := range []string{
		"start cold start to healthy", "ingest events accepted", "noop runs completed", "noop calls of the SDK",
		"three runs completed", "three calls of the SDK", "latency event to first call, p50", "latency event to first call, p99",
	} {
		require.Positive(t, measured[what], what)
	}
	require.InDelta(t, 4*measured["three runs completed"], measured["three calls of the SDK"], 0.2*measured["three calls of the SDK"],
		"a run of three steps takes four calls")
	require.GreaterOrEqual(t, measured["latency event to first call, p99"], measured["latency event to first call, p50"])
}

// A small history is made and read by both APIs.
func TestBenchHistory(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out bytes.Buffer
	results, err := bench.Run(ctx, bench.Options{
		Binary: binary(t), Scale: 0.005, EventKey: "bench", Scenarios: []string{"history"},
	}, &out)
	require.NoError(t, err, out.String())
	measured := map[string]float64{}
	for _, r := range results {
		measured[r.What] = r.Value
	}
	for _, list := range []string{"newest", "failed", "function", "function+status", "until", "middle"} {
		require.Positive(t, measured["list "+list+", GraphQL, p95"], list)
		require.Positive(t, measured["list "+list+", REST, p95"], list)
	}
	for _, what := range []string{"runs completed", "in the database after", "trace, GraphQL, p95", "older trace, GraphQL, p95", "trace, REST, p95"} {
		require.Positive(t, measured[what], what)
	}
}

// A server at a URL is measured without being started or killed.
func TestBenchOfAServer(t *testing.T) {
	t.Parallel()
	path := binary(t)
	dir := t.TempDir()
	target, _, err := bench.StartTarget(t.Context(), path, dir)
	require.NoError(t, err)
	t.Cleanup(target.Stop)
	var out bytes.Buffer
	results, err := bench.Run(t.Context(), bench.Options{URL: target.URL, EventKey: target.EventKey, Bearer: target.Bearer, Scale: 0.01}, &out)
	require.NoError(t, err, out.String())
	require.NotEmpty(t, results)
	require.NotContains(t, out.String(), "cold start", "only a child can be started")
}

func TestBenchErrors(t *testing.T) {
	t.Parallel()
	_, err := bench.Run(t.Context(), bench.Options{Scenarios: []string{"nope"}}, &bytes.Buffer{})
	require.ErrorContains(t, err, `unknown scenario "nope"`)
	_, err = bench.Run(t.Context(), bench.Options{Binary: filepath.Join(t.TempDir(), "none"), Scenarios: []string{"start"}}, &bytes.Buffer{})
	require.ErrorContains(t, err, "no such file")
}

func TestResultText(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{1234.56: "1235", 12.345: "12.35", 0.1234: "0.123"} {
		text := bench.Result{Scenario: "noop", What: "runs", Value: value, Unit: "runs/s"}.String()
		found := regexp.MustCompile(`[\d.]+`).FindString(text)
		require.Equal(t, want, found)
		_, err := strconv.ParseFloat(found, 64)
		require.NoError(t, err)
	}
}
