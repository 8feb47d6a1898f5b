package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// BinaryVariable names an environment variable with the path of a jetstep
// binary to test instead of a fresh build, for example one built with -race.
const BinaryVariable = "JETSTEP_TEST_BINARY"

// BuildServer builds cmd/jetstep of the enclosing module into dir and returns
// the path of the binary, or what [BinaryVariable] says.
func BuildServer(ctx context.Context, dir string) (string, error) {
	if path := os.Getenv(BinaryVariable); path != "" {
		return filepath.Abs(path)
	}
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(gomod)))
	out := filepath.Join(dir, "jetstep")
	return out, GoBuild(ctx, root, "./cmd/jetstep", out)
}

// GoBuild builds a package of the module in dir.
func GoBuild(ctx context.Context, dir, pkg, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s in %s: %w\n%s", pkg, dir, err, output)
	}
	return nil
}

// lockStamp, inside node_modules, holds the checksum of the lock file from
// which node_modules was installed.
const lockStamp = ".jetstep-lock-sha256"

// InstallNodePackages runs `npm ci` in dir unless node_modules is already what
// package-lock.json says. Test binaries that do it at the same time wait for
// each other.
func InstallNodePackages(ctx context.Context, dir string) error {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the TypeScript apps need Node.js 20 or later with npm: %w", err)
		}
	}
	lock, err := os.Open(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	defer lock.Close() // releases the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	stamp := filepath.Join(dir, "node_modules", lockStamp)
	want, current, err := compareStamp(lock.Name(), stamp)
	if err != nil || current {
		return err
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w\n%s", dir, err, output)
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}

// compareStamp returns the checksum of the lock file and whether the stamp
// already says so.
func compareStamp(lock, stamp string) (sum string, current bool, err error) {
	content, err := os.ReadFile(lock)
	if err != nil {
		return "", false, err
	}
	digest := sha256.Sum256(content)
	sum = hex.EncodeToString(digest[:])
	stamped, err := os.ReadFile(stamp)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	return sum, string(stamped) == sum, nil
}
