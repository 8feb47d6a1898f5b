package sdk_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"jetstep/tests/harness"
)

// startTimeout is for installing packages (first run only), building, and
// starting, each.
const startTimeout = 5 * time.Minute

// parallelTests is how many tests wait at the same time, unless -parallel
// says otherwise. They spend their time waiting, not computing.
const parallelTests = "24"

// suite is what the tests share: the binaries, and the server in dev mode. All
// of it is made when first asked for.
var suite struct {
	dir    string
	binary func() (string, error)
	shared func() (*deployment, error)
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runSuite(m))
}

func runSuite(m *testing.M) int {
	dir, err := os.MkdirTemp("", "jetstep-sdk-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if !isSet("test.parallel") {
		if err := flag.Set("test.parallel", parallelTests); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}

	suite.dir = dir
	suite.binary = sync.OnceValues(func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		return harness.BuildServer(ctx, dir)
	})
	started := false
	suite.shared = sync.OnceValues(func() (*deployment, error) {
		started = true
		return deploy(deploymentConfig{mode: harness.ModeDev, dir: filepath.Join(dir, "shared")})
	})
	code := m.Run()
	if started {
		if shared, err := suite.shared(); err == nil {
			shared.stop()
		}
	}
	return code
}

func isSet(name string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}
