package redis_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"jetstep/compat/redis/redistest"
	"jetstep/tests/harness"
)

var binary harness.SharedBinary

// homes is where programs that several tests use keep what they write.
var homes suite

// atTheSameTime is how many tests wait at the same time: they compute little.
const atTheSameTime = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	homes.tests = m
	redistest.Main(&homes)
}

// suite is the tests of the package, with what they share.
type suite struct {
	tests *testing.M
	dir   string
}

// Run runs the tests and then ends what they share.
func (s *suite) Run() int {
	var err error
	if s.dir, err = os.MkdirTemp("", "jetstep-left-"); err == nil {
		err = flag.Set("test.parallel", atTheSameTime)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := binary.Run(s.tests)
	if err = errors.Join(taken.kill(), drained.kill(), moved.kill(), asCaptured.kill(), os.RemoveAll(s.dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
