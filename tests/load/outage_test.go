package load_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

const (
	// perBatch events are sent every pause.
	perBatch = 20
	pause    = 100 * time.Millisecond

	// leastRuns is how many runs have to end while the database is away.
	leastRuns = 200

	timeout = 4 * time.Minute // beside the outage
)

// outage is how long the database is away, at least.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("JETSTEP_LOAD_OUTAGE")
	if text == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// TestDatabaseOutage kills PostgreSQL under load and starts it again: events are
// accepted and runs end meanwhile, the server says what is wrong, and all runs
// appear afterwards.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	away := outage(t)
	ctx, cancel := context.WithTimeout(t.Context(), away+timeout)
	defer cancel()
	s := startSite(t, ctx)
	load := s.startLoad(ctx)
	s.awaitCompleted(ctx, leastRuns)
	s.awaitHistory(ctx, "ok")

	require.NoError(t, s.postgres.Crash())
	began := time.Now()
	s.awaitHistory(ctx, "unavailable")
	s.awaitCompleted(ctx, s.app.Completed.Load()+leastRuns)
	s.await(ctx, "the metrics to show the lag", func(context.Context) error {
		messages, err := s.lag()
		if err == nil && messages == 0 {
			err = errors.New("no message is behind")
		}
		return err
	})
	s.requireUnavailable(ctx)
	waitUntil(ctx, began.Add(away))

	require.NoError(t, s.postgres.Restart(ctx))
	s.awaitCompleted(ctx, s.app.Completed.Load()+leastRuns)
	sent := load()
	s.awaitCompleted(ctx, int64(sent))
	s.await(ctx, "all runs in the list", func(ctx context.Context) error { return s.listed(ctx, "COMPLETED", sent) })
	s.awaitHistory(ctx, "ok")
	s.await(ctx, "the database to have everything", func(context.Context) error {
		messages, err := s.lag()
		if err == nil && messages > 0 {
			err = fmt.Errorf("%v messages are behind", messages)
		}
		return err
	})
	require.NoError(t, s.listed(ctx, "", sent), "no other runs, and none twice")
	require.EqualValues(t, sent, s.app.Completed.Load(), "no run was executed twice")
	t.Logf("%d runs; the database was away for %v", sent, away)
}

// waitUntil returns at that moment, or when ctx ends.
func waitUntil(ctx context.Context, at time.Time) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(at)):
	}
}

// startLoad sends events until the function that it returns is called, which
// tells how many runs they start. Each has to be accepted.
func (s *site) startLoad(ctx context.Context) (stop func() (runs int)) {
	ctx, cancel := context.WithCancel(ctx)
	sent := 0
	var sender sync.WaitGroup
	sender.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for ctx.Err() == nil {
			if err := s.sendBatch(sent); err != nil {
				s.t.Errorf("while the database may be away: %v", err)
				return
			}
			sent += perBatch
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	return func() int {
		cancel()
		sender.Wait()
		return sent
	}
}

// sendBatch sends events of which half start runs with steps. It is not cut
// off, so that it is known which events were accepted.
func (s *site) sendBatch(first int) error {
	events := make([]harness.Event, perBatch)
	for i := range events {
		name := "bench/noop"
		if i%2 == 0 {
			name = "bench/three"
		}
		events[i] = harness.Event{Name: name, Data: map[string]int{"n": first + i}}
	}
	_, err := s.server.Client().Send(context.WithoutCancel(s.t.Context()), events...)
	return err
}

// requireUnavailable wants reads to say clearly that the history is away.
func (s *site) requireUnavailable(ctx context.Context) {
	s.t.Helper()
	for _, path := range []string{"/v2/runs", "/v1/events"} {
		status, body, err := s.get(ctx, path)
		require.NoError(s.t, err)
		require.Equal(s.t, http.StatusServiceUnavailable, status, "%s: %s", path, body)
		require.NotContains(s.t, strings.ToLower(body), "panic")
	}
}
