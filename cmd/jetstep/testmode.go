package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/api"
	"jetstep/function"
)

// testMode is the variable that adds the routes below /test (http-api §8).
const testMode = "TEST_MODE"

// testMeans is what those routes do.
type testMeans struct{ engine *engine }

// testRoutes are the routes' means if the environment asks for them, nil
// otherwise.
func testRoutes(e *engine, log *slog.Logger) api.Testing {
	if os.Getenv(testMode) != "true" {
		return nil
	}
	log.Warn("the routes below /test are open to all", "variable", testMode)
	return testMeans{e}
}

// QueueSize implements api.Testing.
func (t testMeans) QueueSize(fn uuid.UUID) int { return t.engine.path.QueueSize(fn) }

// Reset implements api.Testing: the runs of all functions are cancelled.
func (t testMeans) Reset(ctx context.Context) error {
	now := time.Now().UTC()
	registry := t.engine.bus.Registry()
	for _, fn := range registry.Catalog().Functions() {
		all := function.Cancellation{ID: ulid.Make(), FunctionID: fn.ID, StartedBefore: now, CreatedAt: now}
		if err := registry.AddCancellation(ctx, all); err != nil {
			return fmt.Errorf("cancel the runs of %s: %w", fn.Slug, err)
		}
	}
	return nil
}
