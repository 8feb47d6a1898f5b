package readmodel_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

const (
	signingKey = "signkey-test-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	eventKey   = "0123456789"

	startTimeout = 5 * time.Minute // of building and starting, each
)

// suite is what the tests share, made when first asked for.
var suite struct {
	binary   func() (string, error)
	postgres harness.SharedPostgres
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runSuite(m))
}

func runSuite(m *testing.M) int {
	dir, err := os.MkdirTemp("", "jetstep-readmodel-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	suite.binary = sync.OnceValues(func() (string, error) { return harness.BuildServer(ctx, dir) })
	return suite.postgres.Run(m)
}

// newPostgres makes an empty database and returns its connection string.
func newPostgres(t *testing.T) string {
	t.Helper()
	uri, err := suite.postgres.NewDatabase(t.Context())
	require.NoError(t, err)
	return uri
}

// serve starts the server in start mode; it ends with the test.
func serve(t *testing.T, args ...string) *harness.Server {
	t.Helper()
	binary, err := suite.binary()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	server, err := harness.StartServer(ctx, harness.ServerConfig{
		Binary: binary, Mode: harness.ModeStart, Dir: t.TempDir(),
		SigningKey: signingKey, EventKey: eventKey, Args: args,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("server log:\n%s", server.Log().Tail(40))
		}
		_ = server.Stop(10 * time.Second)
	})
	return server
}
