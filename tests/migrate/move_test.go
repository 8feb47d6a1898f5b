package migrate_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
	"jetstep/tests/harness"
)

const (
	signingKey = "0123456789abcdef0123456789abcdef"
	eventKey   = "an-event-key"
	eachKind   = 8 // runs of each function
)

// TestMoved: runs that sleep, and that wait for events, signals and other runs, go on
// on the other path, each once, however often their migration was killed.
func TestMoved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command    string
		from, onto func(*site) []string // options of servers
	}{
		"redis to nats": {"redis-to-nats", (*site).onRedis, (*site).onNATS},
		"nats to redis": {"nats-to-redis", (*site).onNATS, (*site).onRedis},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			// Where runs go, their functions are known.
			require.NoError(t, s.serve(c.onto(s)...).Stop(time.Minute))
			old := s.serve(c.from(s)...)
			for fn := range functions {
				for n := range eachKind {
					s.send(old, "moving/"+fn, n, fmt.Sprint(fn, "-", n))
				}
			}
			s.await("all runs to begin", func() error { return s.all(s.app.began, eachKind) })
			s.await("runs that were called to begin", func() error { return s.atLeast(s.app.began, "waits", 2*eachKind) })
			s.await("all to wait", func() error { return s.atLeast(s.app.asked, "", 5*eachKind) })
			require.NoError(t, old.Stop(time.Minute))

			sides := []string{"--redis-uri", s.redis.URL(0), "--data-dir", s.data}
			copying := append([]string{"migrate", c.command}, sides...)
			killedAtRandom(t, s.ctx, s.dir, copying...)
			out, code := run(t, s.ctx, s.dir, copying...)
			require.Zero(t, code, out)
			out, code = run(t, s.ctx, s.dir, append([]string{"migrate", "verify"}, sides...)...)
			require.Zero(t, code, out)
			require.Contains(t, out, " 0 differ")

			server := s.serve(c.onto(s)...)
			for n := range eachKind {
				s.send(server, "moving/go", n, fmt.Sprint("go-", n))
				s.send(server, "moving/go", 1000+n, fmt.Sprint("go-", 1000+n))
				s.signal(server, fmt.Sprint("signal-", n))
			}
			s.await("all runs to end", func() error { return s.atLeast(s.app.ended, "", 5*eachKind) })
			s.app.mu.Lock()
			defer s.app.mu.Unlock()
			for run, times := range s.app.began {
				require.Equal(t, 1, times, "the first step of %s", run)
			}
			// A run of waits has an event of its own id: sent again, it starts nothing.
			require.Len(t, s.app.ended, 5*eachKind)
		})
	}
}

// site is a Redis, a data directory and an app.
type site struct {
	t         *testing.T
	ctx       context.Context
	redis     *harness.Redis
	dir, data string
	app       *app
}

func newSite(t *testing.T) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), trialTimeout)
	t.Cleanup(cancel)
	s := &site{t: t, ctx: ctx, redis: startRedis(t, ctx), dir: t.TempDir(), data: t.TempDir(), app: newApp()}
	t.Cleanup(s.app.Close)
	return s
}

func (s *site) onRedis() []string {
	return []string{"--engine", "redis", "--redis-uri", s.redis.URL(0), "--data-dir", s.t.TempDir()}
}

func (s *site) onNATS() []string { return []string{"--data-dir", s.data} }

// serve starts a server that knows the app.
func (s *site) serve(args ...string) *harness.Server {
	s.t.Helper()
	path, err := binary.Path()
	require.NoError(s.t, err)
	server, err := harness.StartServer(s.ctx, harness.ServerConfig{
		Binary: path, Mode: harness.ModeStart, Dir: s.t.TempDir(), SigningKey: signingKey, EventKey: eventKey, Args: args,
	})
	require.NoError(s.t, err)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("server %v:\n%s", args, server.Log().Tail(40))
		}
		_ = server.Kill()
	})
	client := harness.Client{URL: server.URL(), SigningKey: signing.HashKey(signingKey)} // as SDKs send it
	s.await("registration", func() error { return s.app.Register(s.ctx, &client) })
	return server
}

func (s *site) send(server *harness.Server, name string, n int, id string) {
	s.t.Helper()
	s.await("event "+name, func() error {
		_, err := server.Client().Send(s.ctx, harness.Event{Name: name, Data: map[string]int{"n": n}, ID: id})
		return err
	})
}

func (s *site) signal(server *harness.Server, name string) {
	s.t.Helper()
	s.await("signal "+name, func() error {
		_, err := server.Client().Signal(s.ctx, name, name)
		return err
	})
}

// await tries until something is so.
func (s *site) await(what string, probe func() error) {
	s.t.Helper()
	_, err := harness.Await(s.ctx, what, func(context.Context) (struct{}, error) { return struct{}{}, probe() })
	require.NoError(s.t, err)
}

// all tells whether that many runs of each function are among them.
func (s *site) all(of map[string]int, count int) error {
	for name := range functions {
		if err := s.atLeast(of, name, count); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) atLeast(of map[string]int, name string, count int) error {
	if n := s.app.count(of, name); n < count { // of any function if it has no name
		return fmt.Errorf("%d of %d runs of %s", n, count, name)
	}
	return nil
}
