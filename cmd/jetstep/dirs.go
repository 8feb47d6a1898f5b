package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jetstep/cmd/jetstep/internal/config"
)

// lockName is a file in each claimed directory that holds the owner's process
// id and, where the system has them, its lock.
const lockName = "jetstep.lock"

// errLocked is returned by lockFile when another process holds the lock.
var errLocked = errors.New("locked")

// dirs are the directories that belong to this process while it runs. Two
// embedded servers on the same files would destroy them.
type dirs struct {
	locks     []*os.File
	temporary string // removed by release
}

// claimDirs makes the directories for what opts store, with mode 0750, and
// locks them. In opts the paths become absolute, and an empty data directory a
// temporary one. With an external NATS and PostgreSQL nothing is stored here.
func claimDirs(opts *config.Options) (*dirs, error) {
	d := &dirs{}
	if !opts.NATS.Embedded() && !opts.SQLite() {
		return d, nil
	}
	if err := d.claim(opts); err != nil {
		return nil, errors.Join(err, d.release())
	}
	return d, nil
}

func (d *dirs) claim(opts *config.Options) error {
	if opts.DataDir == "" {
		temporary, err := os.MkdirTemp("", "jetstep-dev-")
		if err != nil {
			return fmt.Errorf("cannot make a temporary directory: %w", err)
		}
		d.temporary, opts.DataDir = temporary, temporary
	}
	if opts.NATS.StoreDir == "" {
		opts.NATS.StoreDir = filepath.Join(opts.DataDir, "nats")
	}
	if opts.SQLiteDir == "" {
		opts.SQLiteDir = opts.DataDir
	}
	for _, dir := range []*string{&opts.DataDir, &opts.NATS.StoreDir, &opts.SQLiteDir} {
		absolute, err := filepath.Abs(*dir)
		if err != nil {
			return fmt.Errorf("cannot use data directory %s: %w", *dir, err)
		}
		*dir = absolute
	}
	if err := d.lock(opts.DataDir); err != nil {
		return err
	}
	if opts.NATS.Embedded() {
		if err := d.claimWithin(opts.DataDir, opts.NATS.StoreDir); err != nil {
			return err
		}
	}
	if opts.SQLite() {
		return d.claimWithin(opts.DataDir, opts.SQLiteDir)
	}
	return nil
}

// claimWithin makes a directory, and locks one that is not below the data
// directory, which is locked.
func (d *dirs) claimWithin(dataDir, dir string) error {
	if isBelow(dir, dataDir) {
		return makeDir(dir)
	}
	return d.lock(dir)
}

func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("cannot use data directory %s: %w", dir, err)
	}
	return nil
}

func (d *dirs) lock(dir string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("cannot use data directory %s: %w", dir, err)
	}
	d.locks = append(d.locks, f)
	switch err := lockFile(f); {
	case errors.Is(err, errLocked):
		owner, _ := io.ReadAll(io.LimitReader(f, 20)) // only decorates the message
		return fmt.Errorf("data directory %s is in use by another jetstep (process %s)", dir, strings.TrimSpace(string(owner)))
	case err != nil:
		return fmt.Errorf("cannot lock data directory %s: %w", dir, err)
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("cannot write to data directory %s: %w", dir, err)
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		return fmt.Errorf("cannot write to data directory %s: %w", dir, err)
	}
	return nil
}

// release gives the directories up and removes the temporary one. The lock
// files stay: removing one could remove the lock of a process that just came.
func (d *dirs) release() error {
	var errs []error
	for _, f := range d.locks {
		unlockFile(f)
		errs = append(errs, f.Close())
	}
	if d.temporary != "" {
		errs = append(errs, removeAll(d.temporary))
	}
	return errors.Join(errs...)
}

// How often, and how long, removing a directory is tried.
const (
	removePause   = 20 * time.Millisecond
	removeTimeout = 3 * time.Second
)

// removeAll removes a directory in which files may still be made for a moment:
// NATS cannot be stopped while it is starting.
func removeAll(dir string) error {
	for deadline := time.Now().Add(removeTimeout); ; time.Sleep(removePause) {
		err := os.RemoveAll(dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// isTemporary tells whether path is gone after release.
func (d *dirs) isTemporary(path string) bool {
	return d.temporary != "" && isBelow(path, d.temporary)
}

// isBelow tells whether path is dir or in it, as far as the names tell.
func isBelow(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
