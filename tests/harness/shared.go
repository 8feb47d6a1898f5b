package harness

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// SharedBinary is the server's program for all tests of a package, built when one
// first asks for it.
type SharedBinary struct {
	build   sync.Once
	dir     string // "" if it was not built
	path    string
	failure error
}

// Run runs the tests of a package, a [testing.M], and then removes the program. It
// returns the exit code.
func (s *SharedBinary) Run(tests interface{ Run() int }) int {
	code := tests.Run()
	if s.dir == "" {
		return code
	}
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Path is where the program is.
func (s *SharedBinary) Path() (string, error) {
	s.build.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // not the test's: others use it, too
		defer cancel()
		if s.dir, s.failure = os.MkdirTemp("", "jetstep-tests-"); s.failure == nil {
			s.path, s.failure = BuildServer(ctx, s.dir)
		}
	})
	return s.path, s.failure
}

// SharedPostgres is a PostgreSQL server for all tests of a package, started when
// one first asks for a database.
type SharedPostgres struct {
	start     sync.Once
	server    *Postgres // nil: not started
	failure   error
	databases atomic.Int64
}

// Run runs the tests of a package, a [testing.M], and then ends the server. It
// returns the exit code.
func (s *SharedPostgres) Run(tests interface{ Run() int }) int {
	code := tests.Run()
	if s.server == nil {
		return code
	}
	if err := s.server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// NewDatabase makes an empty database and returns its connection string.
func (s *SharedPostgres) NewDatabase(ctx context.Context) (string, error) {
	s.start.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // not the test's: others use it, too
		defer cancel()
		s.server, s.failure = StartPostgres(ctx)
	})
	if s.failure != nil {
		return "", s.failure
	}
	return s.server.CreateDatabase(ctx, "db"+strconv.FormatInt(s.databases.Add(1), 10))
}
