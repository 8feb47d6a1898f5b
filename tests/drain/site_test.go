package drain_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
	"jetstep/tests/harness"
)

const (
	signingKey   = "0123456789abcdef0123456789abcdef"
	eventKey     = "an-event-key"
	trialTimeout = 8 * time.Minute
)

// site is a Redis, an app, and a server of one kind or the other.
type site struct {
	t      *testing.T
	ctx    context.Context
	redis  *harness.Redis
	app    *app
	server *harness.Server
	sent   map[string]int // events, by run as the app names it
}

func newSite(t *testing.T) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), trialTimeout)
	t.Cleanup(cancel)
	redis, err := harness.StartRedis(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = redis.Close() })
	s := &site{t: t, ctx: ctx, redis: redis, app: newApp(), sent: map[string]int{}}
	t.Cleanup(s.app.Close)
	return s
}

// onRedis starts a server that keeps runs in the Redis.
func (s *site) onRedis() { s.start("--engine", "redis", "--redis-uri", s.redis.URL(0)) }

// draining starts a server that drains it.
func (s *site) draining() { s.start("--drain-redis", s.redis.URL(0)) }

func (s *site) start(args ...string) {
	s.t.Helper()
	path, err := binary.Path()
	require.NoError(s.t, err)
	server, err := harness.StartServer(s.ctx, harness.ServerConfig{
		Binary: path, Mode: harness.ModeStart, Dir: s.t.TempDir(), SigningKey: signingKey, EventKey: eventKey, Args: args,
	})
	require.NoError(s.t, err)
	s.server = server
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("server %v:\n%s", args, server.Log().Tail(60))
		}
		_ = server.Kill()
	})
	s.register()
}

func (s *site) register() {
	s.t.Helper()
	client := harness.Client{URL: s.server.URL(), SigningKey: signing.HashKey(signingKey)} // as SDKs send it
	s.await("registration", func(ctx context.Context) error { return s.app.Register(ctx, &client) })
}

// await tries until something is so.
func (s *site) await(what string, probe func(context.Context) error) {
	s.t.Helper()
	_, err := harness.Await(s.ctx, what, func(ctx context.Context) (struct{}, error) { return struct{}{}, probe(ctx) })
	require.NoError(s.t, err)
}

// send sends events that start a run each, numbered from first on.
func (s *site) send(function string, first, count int) {
	s.t.Helper()
	for n := first; n < first+count; n++ {
		s.event("drain/"+function, n, fmt.Sprint(function, "-", n))
		s.sent[fmt.Sprint(function, " ", n)]++
	}
}

func (s *site) event(name string, n int, id string) {
	s.t.Helper()
	s.await("event "+name, func(ctx context.Context) error {
		_, err := s.server.Client().Send(ctx, harness.Event{Name: name, Data: map[string]int{"n": n}, ID: id})
		return err
	})
}

// begun waits until the first steps of runs have run.
func (s *site) begun(function string, first, count int) {
	s.t.Helper()
	s.await(function+" to begin", func(context.Context) error {
		s.app.mu.Lock()
		defer s.app.mu.Unlock()
		for n := first; n < first+count; n++ {
			if run := fmt.Sprint(function, " ", n); s.app.began[run] == 0 {
				return fmt.Errorf("%s has not", run)
			}
		}
		return nil
	})
}

// allEnded waits until all runs have, each once.
func (s *site) allEnded() {
	s.t.Helper()
	s.await("all runs to end", func(context.Context) error {
		s.app.mu.Lock()
		defer s.app.mu.Unlock()
		for run := range s.sent {
			if len(s.app.ended[run]) == 0 {
				return fmt.Errorf("%s has not; %d of %d have", run, len(s.app.ended), len(s.sent))
			}
		}
		return nil
	})
}

// quiet waits until the app is not called any more.
func (s *site) quiet() {
	s.t.Helper()
	s.await("the app's last answers", func(context.Context) error {
		s.app.mu.Lock()
		defer s.app.mu.Unlock()
		for name, n := range s.app.now {
			if n > 0 {
				return fmt.Errorf("%d calls of %s", n, name)
			}
		}
		return nil
	})
}

// metric reads a metric without labels.
func (s *site) metric(ctx context.Context, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL()+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+signingKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s: status %d", name, res.StatusCode)
}

// drained waits until nothing is left in the Redis.
func (s *site) drained() {
	s.t.Helper()
	for _, name := range []string{"jetstep_drain_items", "jetstep_drain_runs"} {
		s.await(name, func(ctx context.Context) error {
			n, err := s.metric(ctx, name)
			if err == nil && n > 0 {
				err = fmt.Errorf("%s is %v", name, n)
			}
			return err
		})
	}
	s.await("the log to say so", func(context.Context) error {
		if s.server.Log().Mentioning("redis is drained") == "" {
			return fmt.Errorf("it does not")
		}
		return nil
	})
}
