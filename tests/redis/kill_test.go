package redis_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// patience bounds a trial: leases of the dead end after half a minute, and a busy
// machine takes its time.
const patience = 8 * time.Minute

// site is an app, a Redis, and processes on it.
type site struct {
	t       *testing.T
	ctx     context.Context
	app     *app
	redis   *harness.Redis
	servers []*harness.Server
}

func open(t *testing.T, processes int) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &site{t: t, ctx: ctx, app: startApp(t)}
	path, err := binary.Path()
	require.NoError(t, err)
	s.redis, err = harness.StartRedis(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.redis.Close() })
	for range processes {
		server, err := harness.StartServer(ctx, harness.ServerConfig{
			Binary: path, Mode: harness.ModeDev, Dir: t.TempDir(),
			Args: []string{"--engine", "redis", "--redis-uri", s.redis.URL(0), "--persist", "--no-poll"},
		})
		require.NoError(t, err)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("server log:\n%s", server.Log().Tail(40))
			}
			_ = server.Kill() // it may have ended
		})
		require.NoError(t, s.app.Register(ctx, server.Client()))
		s.servers = append(s.servers, server)
	}
	return s
}

// kill ends a process with SIGKILL.
func (s *site) kill(i int) { require.NoError(s.t, s.servers[i].Kill()) }

// send sends an event to a process, which answers with 200 or fails the test.
func (s *site) send(i int, name string, n int) {
	s.t.Helper()
	_, err := s.servers[i].Client().Send(s.ctx, harness.Event{Name: name, Data: map[string]any{"n": n}})
	require.NoError(s.t, err)
}

// await waits until check finds nothing wrong.
func (s *site) await(what string, check func(ctx context.Context) error) {
	s.t.Helper()
	_, err := harness.Await(s.ctx, what, func(ctx context.Context) (struct{}, error) { return struct{}{}, check(ctx) })
	require.NoError(s.t, err)
}

// goOn sends what runs wait for, again and again, until all have their results:
// a run hears only what comes after it began to wait.
func (s *site) goOn(through int, runs int) {
	s.t.Helper()
	s.await(fmt.Sprintf("%d runs to end", runs), func(context.Context) error {
		for n := range runs {
			s.app.mu.Lock()
			_, done := s.app.done[n]
			s.app.mu.Unlock()
			if !done {
				s.send(through, "redistest/go", n)
			}
		}
		if done := s.app.finished(); done < runs {
			return fmt.Errorf("%d have", done)
		}
		return nil
	})
}

// TestEitherIsKilled: two processes share a Redis. One is killed while it works,
// the other goes on with all that it had; the killed one comes back, and the other
// one is killed.
func TestEitherIsKilled(t *testing.T) {
	t.Parallel()
	s := open(t, 2)
	const runs = 24
	for n := range runs / 2 {
		s.send(n%2, "redistest/work", n)
	}
	s.awaitFirstStep()
	s.kill(0)
	for n := runs / 2; n < runs; n++ {
		s.send(1, "redistest/work", n)
	}
	// What the dead one had accepted and not begun is in its own stream.
	require.NoError(t, s.servers[0].Restart(s.ctx))
	s.kill(1)
	require.NoError(t, s.servers[1].Restart(s.ctx))
	s.goOn(0, runs)
	require.LessOrEqual(t, s.most(), atOnce, "the limit is of both")
	s.requireEnded(runs)
}

// most is how many calls there were at once.
func (s *site) most() int {
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	return s.app.most
}

// requireEnded wants as many runs to be shown as completed, by the processes that
// told of them.
func (s *site) requireEnded(runs int) {
	s.t.Helper()
	s.await("the end of all runs in the histories", func(ctx context.Context) error {
		completed := map[string]bool{}
		for _, server := range s.servers {
			const document = `query($f:RunsFilterV2!,$o:[RunsV2OrderBy!]!){runs(first:100,filter:$f,orderBy:$o){edges{node{id status}}}}`
			variables := map[string]any{
				"f": map[string]any{"from": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)},
				"o": []any{map[string]any{"field": "QUEUED_AT", "direction": "DESC"}},
			}
			var data struct {
				Runs struct {
					Edges []struct{ Node struct{ ID, Status string } }
				}
			}
			if err := server.Client().GraphQL(ctx, document, variables, &data); err != nil {
				return err
			}
			for _, edge := range data.Runs.Edges {
				if edge.Node.Status == "COMPLETED" {
					completed[edge.Node.ID] = true
				}
			}
		}
		if len(completed) != runs {
			return fmt.Errorf("%d of %d", len(completed), runs)
		}
		return nil
	})
}

// TestRedisIsKilled: a Redis that goes away ends no process and loses nothing;
// /ready tells.
func TestRedisIsKilled(t *testing.T) {
	t.Parallel()
	s := open(t, 1)
	const runs = 7
	for n := range runs - 1 {
		s.send(0, "redistest/work", n)
	}
	s.awaitFirstStep()
	require.NoError(t, s.redis.Kill())
	s.await("the server to say so", func(ctx context.Context) error { return s.ready(ctx, false) })
	s.send(0, "redistest/work", runs-1) // accepted, and matched once the Redis is back
	require.NoError(t, s.redis.Restart(s.ctx))
	s.await("the server to be ready again", func(ctx context.Context) error { return s.ready(ctx, true) })
	s.goOn(0, runs)
	require.LessOrEqual(t, s.most(), atOnce)
	require.NoError(t, s.servers[0].Exited(), "it never ended")
}

// TestAllAreKilled: while two processes execute, the Redis is killed again and again,
// and each of them in turn. What was accepted is executed to its end, within the
// limits, and not called after it.
func TestAllAreKilled(t *testing.T) {
	t.Parallel()
	s := open(t, 2)
	const rounds, each = 6, 4
	for round := range rounds {
		for n := range each / 2 {
			s.send(n%2, "redistest/work", round*each+n)
		}
		s.awaitFirstStep()
		require.NoError(t, s.redis.Kill())
		for n := each / 2; n < each; n++ { // accepted without it
			s.send(n%2, "redistest/work", round*each+n)
		}
		if round%3 > 0 {
			s.kill(round % 2)
		}
		require.NoError(t, s.redis.Restart(s.ctx))
		if round%3 > 0 {
			require.NoError(t, s.servers[round%2].Restart(s.ctx))
		}
	}
	const runs = rounds * each
	s.goOn(0, runs)
	require.LessOrEqual(t, s.most(), atOnce)
	s.requireEnded(runs)

	s.app.mu.Lock()
	calls := maps.Clone(s.app.calls)
	s.app.mu.Unlock()
	require.NoError(t, s.redis.Kill())
	require.NoError(t, s.redis.Restart(s.ctx))
	s.send(1, "redistest/work", runs)
	s.goOn(1, runs+1)
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	delete(s.app.calls, runs)
	require.Equal(t, calls, s.app.calls, "nobody calls a run that has ended")
}

// awaitFirstStep waits until something was called.
func (s *site) awaitFirstStep() {
	s.t.Helper()
	s.await("the first step", func(context.Context) error {
		if s.most() == 0 {
			return fmt.Errorf("none was called")
		}
		return nil
	})
}

// ready wants the server to be ready, or not.
func (s *site) ready(ctx context.Context, want bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.servers[0].URL()+"/ready", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if ready := res.StatusCode == http.StatusOK; ready != want {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}
