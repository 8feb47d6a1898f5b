package api_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"jetstep/tests/harness"
)

const (
	startTimeout = 3 * time.Minute // building included

	signingKey = "0123456789abcdef0123456789abcdef"
	eventKey   = "an-event-key"
)

// suite is what the tests share, each made when first asked for: a server in
// dev mode with SQLite, and one in start mode with PostgreSQL.
var suite struct {
	dir        string
	binary     func() (string, error)
	dev, start func() (*harness.Server, error)
	stops      []func()
}

func TestMain(m *testing.M) { os.Exit(runSuite(m)) }

func runSuite(m *testing.M) int {
	dir, err := os.MkdirTemp("", "jetstep-api-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	suite.dir = dir
	suite.binary = sync.OnceValues(func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		return harness.BuildServer(ctx, dir)
	})
	suite.dev = sync.OnceValues(func() (*harness.Server, error) { return serve("dev", harness.ServerConfig{Mode: harness.ModeDev}) })
	suite.start = sync.OnceValues(startWithPostgres)
	code := m.Run()
	for _, stop := range slices.Backward(suite.stops) {
		stop()
	}
	return code
}

func serve(name string, config harness.ServerConfig) (*harness.Server, error) {
	binary, err := suite.binary()
	if err != nil {
		return nil, err
	}
	config.Binary, config.Dir = binary, filepath.Join(suite.dir, name)
	if err := os.Mkdir(config.Dir, 0o755); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	server, err := harness.StartServer(ctx, config)
	if err == nil {
		suite.stops = append(suite.stops, func() { _ = server.Kill() })
	}
	return server, err
}

func startWithPostgres() (*harness.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	postgres, err := harness.StartPostgres(ctx)
	if err != nil {
		return nil, err
	}
	suite.stops = append(suite.stops, func() { _ = postgres.Close() })
	uri, err := postgres.CreateDatabase(ctx, "jetstep")
	if err != nil {
		return nil, err
	}
	return serve("start", harness.ServerConfig{
		Mode: harness.ModeStart, SigningKey: signingKey, EventKey: eventKey, Args: []string{"--postgres-uri", uri},
	})
}

// target is a server that requests are sent to.
type target struct {
	*harness.Server
	key, eventKey string
}

// targets are all servers; requests to them carry the right keys.
func targets(t *testing.T) map[string]target {
	t.Helper()
	dev, err := suite.dev()
	if err != nil {
		t.Fatal(err)
	}
	start, err := suite.start()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]target{
		"dev with SQLite": {Server: dev, eventKey: "any"}, "start with PostgreSQL": {Server: start, key: signingKey, eventKey: eventKey},
	}
}

// client follows no redirect and waits for no slow answer.
var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}
