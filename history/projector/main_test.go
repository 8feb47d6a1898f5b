package projector

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/history/database"
	"jetstep/tests/harness"
)

// server is the PostgreSQL of all tests of the package, started by the first
// that needs it.
var (
	server    *harness.Postgres
	databases atomic.Int64

	start = sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		var err error
		server, err = harness.StartPostgres(ctx)
		return err
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	if server != nil {
		if err := server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// ownPostgres is a server that a test may stop.
func ownPostgres(t *testing.T) *harness.Postgres {
	t.Helper()
	own, err := harness.StartPostgres(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = own.Close() })
	return own
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

const postgres, sqlite = "postgres", "sqlite"

// each runs a test against an empty database of either kind.
func each(t *testing.T, test func(*testing.T, database.Options)) {
	t.Helper()
	for _, kind := range []string{postgres, sqlite} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, options(t, kind))
		})
	}
}

func options(t testing.TB, kind string) database.Options {
	t.Helper()
	if kind == sqlite {
		return database.Options{Dir: t.TempDir(), Log: quiet}
	}
	require.NoError(t, start())
	url, err := server.CreateDatabase(t.Context(), fmt.Sprintf("db%d", databases.Add(1)))
	require.NoError(t, err)
	return database.Options{URI: url, Log: quiet, MaxOpen: 8}
}

func open(t testing.TB, o database.Options) *database.Store {
	t.Helper()
	store, err := database.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	return store
}
