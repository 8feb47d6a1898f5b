//go:build unix

package bus

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes an exclusive lock that ends with the process. It reports
// errLocked when another process, or another Bus of this one, has it.
func tryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
