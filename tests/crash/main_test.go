package crash_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"jetstep/tests/harness"
)

// playVariable makes the test binary the app of a trial.
const playVariable = "CRASH_TEST_APP"

// seedOffset makes other trials of the same kinds.
var seedOffset = flag.Uint64("seed", 0, "mixed into the seeds of all trials")

// buildTimeout is for building the server on a busy machine.
const buildTimeout = 5 * time.Minute

// parallelTrials is how many trials run at the same time, unless -parallel says
// otherwise. Each waits more than it computes, but a machine with all of them
// at once would do nothing but start servers.
const parallelTrials = "6"

// binary builds the server when it is first asked for.
var binary func() (string, error)

func TestMain(m *testing.M) {
	if os.Getenv(playVariable) != "" {
		err := playApp(os.Getenv("PORT"), os.Getenv("CALLS_FILE"))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	flag.Parse()
	os.Exit(runSuite(m))
}

func runSuite(m *testing.M) int {
	dir, err := os.MkdirTemp("", "jetstep-crash-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	parallel := false
	flag.Visit(func(f *flag.Flag) { parallel = parallel || f.Name == "test.parallel" })
	if !parallel {
		if err := flag.Set("test.parallel", parallelTrials); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	binary = sync.OnceValues(func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
		defer cancel()
		return harness.BuildServer(ctx, dir)
	})
	return m.Run()
}
