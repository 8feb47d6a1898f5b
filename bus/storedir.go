package bus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrStoreInUse is wrapped by Open's error when another process has the store
// directory open: two servers would destroy each other's streams.
var ErrStoreInUse = errors.New("store directory is in use by another process")

var errLocked = errors.New("locked")

// lockName is the file in the store directory that its user keeps locked.
const lockName = "jetstep.lock"

// storeDir is a store directory that this process has for itself.
type storeDir struct{ lock *os.File }

// openStoreDir makes the directory if need be and locks it.
func openStoreDir(path string) (*storeDir, error) {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("nats store directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("nats store directory: %w", err)
	}
	if err := tryLock(f); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("%w: %s", ErrStoreInUse, path)
		}
		return nil, fmt.Errorf("nats store directory: lock %s: %w", f.Name(), err)
	}
	return &storeDir{lock: f}, nil
}

// close gives the directory free. The file stays: removing it would let two
// processes lock two files of the same name.
func (d *storeDir) close() {
	_ = d.lock.Close() // a lock file has no content to lose
}
