package drain_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"jetstep/tests/harness"
)

// buildTimeout is for building the server on a busy machine.
const buildTimeout = 5 * time.Minute

// binary builds the server when it is first asked for.
var binary func() (string, error)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "jetstep-drain-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = sync.OnceValues(func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
		defer cancel()
		return harness.BuildServer(ctx, dir)
	})
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
