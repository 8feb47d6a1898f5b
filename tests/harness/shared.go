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
