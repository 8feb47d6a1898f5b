package migrate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

const (
	trialTimeout = 8 * time.Minute
	// kills is how often a migration is killed before it is let finish.
	kills = 20
)

// What the tests share.
var (
	binary    harness.SharedBinary
	databases harness.SharedPostgres
)

func TestMain(m *testing.M) { os.Exit(databases.Run(withBinary{m})) }

// withBinary are tests that need the server's program.
type withBinary struct{ tests *testing.M }

func (w withBinary) Run() int { return binary.Run(w.tests) }

// startRedis is a Redis of the test's own.
func startRedis(t *testing.T, ctx context.Context) *harness.Redis {
	t.Helper()
	redis, err := harness.StartRedis(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = redis.Close() })
	return redis
}

// killed is the code of a command that did not end by itself.
const killed = -1

// run runs the command to its end, or that of ctx, in a directory; out is what it
// says.
func run(t *testing.T, ctx context.Context, dir string, args ...string) (out string, code int) {
	t.Helper()
	path, err := binary.Path()
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = dir, harness.Environment(dir)
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return string(text), killed
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// killedAtRandom runs a command and kills it, again and again: what it does has to
// be right whenever that is, so that nothing depends on the moment. It tells how
// often the command was faster.
func killedAtRandom(t *testing.T, ctx context.Context, dir string, args ...string) (faster int) {
	t.Helper()
	for range kills {
		after, cancel := context.WithTimeout(ctx, 20*time.Millisecond+rand.N(1500*time.Millisecond))
		_, code := run(t, after, dir, args...) // the end of the context kills it
		cancel()
		require.NoError(t, ctx.Err())
		if code == 0 {
			faster++
			require.NoError(t, removeProgress(dir)) // begun anew, over what is there
		}
	}
	return faster
}

func removeProgress(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.progress.json"))
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}
