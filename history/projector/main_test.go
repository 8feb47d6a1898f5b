package projector

import (
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/history/database"
	"jetstep/tests/harness"
)

// server is the PostgreSQL of all tests of the package.
var server harness.SharedPostgres

func TestMain(m *testing.M) { os.Exit(server.Run(m)) }

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
	url, err := server.NewDatabase(t.Context())
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
