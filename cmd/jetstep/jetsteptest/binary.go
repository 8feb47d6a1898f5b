// Package jetsteptest builds the jetstep command and runs it as a process, for
// tests that are about processes: exit codes, signals, crashes, SDKs.
//
// A test package calls Main from its TestMain, then Run or Start. Processes
// get an empty home, temporary and working directory and a bare environment,
// and are killed when their test ends. The package makes no assertion about
// what the server does.
//
// Two variables steer it: JETSTEP_BIN names a binary to use instead of
// building one, and JETSTEP_COVER=1 builds one that writes coverage data to
// GOCOVERDIR.
package jetsteptest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// buildDir is where Binary builds, set by Main.
var buildDir string

// Main runs the tests of a package and then removes the binary that they
// built, if any. It returns the exit code.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "jetsteptest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	buildDir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Binary is the path of the jetstep command, built when it is first asked for.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("JETSTEP_BIN"); path != "" {
		return path, nil
	}
	if buildDir == "" {
		return "", fmt.Errorf("TestMain must call jetsteptest.Main")
	}
	path := filepath.Join(buildDir, "jetstep")
	cmd := exec.Command("go", buildArgs(path, os.Getenv("JETSTEP_COVER") == "1")...)
	// Never the race detector: these tests wait for real time to pass.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building jetstep: %w\n%s", err, out)
	}
	return path, nil
})

func buildArgs(path string, cover bool) []string {
	args := []string{"build", "-o", path}
	if cover {
		args = append(args, "-cover", "-coverpkg=jetstep/...")
	}
	return append(args, "jetstep/cmd/jetstep")
}
