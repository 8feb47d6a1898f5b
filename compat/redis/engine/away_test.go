package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
	"jetstep/tests/harness"
)

// heard is a log, and what a node tells of Redis.
type heard struct {
	mu    sync.Mutex
	lines []string
	away  []bool
}

func (h *heard) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, string(line))
	return len(line), nil
}

func (h *heard) count(text string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, line := range h.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (h *heard) told() []bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]bool{}, h.away...)
}

// openHeard opens a site whose node is listened to.
func openHeard(t *testing.T, client redis.UniversalClient) (*site, *heard) {
	s := &site{t: t, client: client, ended: map[ulid.ULID]*state.Finish{}}
	h := &heard{}
	s.Node = engine.Open(engine.Config{
		Redis: client, Functions: s, World: s, Account: account, Environment: environment, Log: slog.New(slog.NewTextHandler(h, nil)),
		Away: func(away bool) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.away = append(h.away, away)
		},
	})
	t.Cleanup(s.Close)
	return s, h
}

// impatient is a client of a server that gives up soon.
func impatient(t *testing.T, address string) *redis.Client {
	client := redis.NewClient(&redis.Options{
		Addr: address, MaxRetries: -1, DialerRetries: 1, ReadTimeout: time.Second, DialTimeout: time.Second,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// TestAway: while Redis does not do what it is asked, for whatever reason, nothing is
// lost and nobody is told twice; what was being executed is stored once it does
// again, without being executed another time.
func TestAway(t *testing.T) {
	t.Parallel()
	type outage struct {
		begin, end func(*harness.Redis, *redis.Client) error
	}
	do := func(args ...any) func(*harness.Redis, *redis.Client) error {
		return func(_ *harness.Redis, c *redis.Client) error { return c.Do(context.Background(), args...).Err() }
	}
	for name, o := range map[string]outage{
		"it is killed": {
			func(r *harness.Redis, _ *redis.Client) error { return r.Kill() },
			func(r *harness.Redis, _ *redis.Client) error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				return r.Restart(ctx)
			},
		},
		"it hangs": {
			func(r *harness.Redis, _ *redis.Client) error { return r.Freeze() },
			func(r *harness.Redis, _ *redis.Client) error { return r.Thaw() },
		},
		"it is a replica":     {do("replicaof", "127.0.0.1", "1"), do("replicaof", "no", "one")},
		"it is out of memory": {do("config", "set", "maxmemory", "1"), do("config", "set", "maxmemory", "0")},
		"it takes no writes":  {do("config", "set", "min-replicas-to-write", "1"), do("config", "set", "min-replicas-to-write", "0")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t, "")
			admin := impatient(t, server.Address())
			s, h := openHeard(t, impatient(t, server.Address()))
			first, second := s.begin(), s.begin()
			lease := s.lease(queue.LaneCall)
			require.Equal(t, first, lease.RunID)
			stored := make(chan error, 1)
			require.NoError(t, o.begin(server, admin))
			go func() {
				tr := concluded(lease)
				tr.Finish = &state.Finish{Status: state.Completed, Output: json.RawMessage("1")}
				stored <- s.Commit(within(t), tr)
			}()
			waiting := make(chan queue.Lease, 1)
			go func() {
				next, err := s.Lease(within(t), queue.LaneCall)
				if err != nil {
					t.Error(err)
				}
				waiting <- next
			}()
			require.Eventually(t, func() bool { return s.Trouble() != nil }, patience, 20*time.Millisecond)
			select {
			case err := <-stored:
				t.Fatal("the commit came to an end: ", err)
			case <-time.After(2 * time.Second):
			}
			require.NoError(t, o.end(server, admin))
			require.NoError(t, <-stored)
			next := <-waiting
			require.Equal(t, second, next.RunID)
			s.finish(next)
			require.Eventually(t, func() bool { return s.Trouble() == nil }, patience, 20*time.Millisecond)
			require.Len(t, s.ended, 2)
			require.Equal(t, []bool{true, false}, h.told())
			require.Equal(t, 1, h.count("does not do what it is asked"))
			require.Equal(t, 1, h.count("does again what it is asked"))
			s.nothing(queue.LaneCall)
		})
	}
}

// proxy passes what is said to a server on, and at random cuts a connection when the
// server has answered, before that is heard.
type proxy struct {
	listener net.Listener
	server   string
	oneIn    int
	working  sync.WaitGroup
	mu       sync.Mutex
	cuts     int
}

func startProxy(t *testing.T, server string, oneIn int) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, server: server, oneIn: oneIn}
	p.working.Go(p.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		p.working.Wait()
	})
	return p
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		closeBoth := func() { _, _ = client.Close(), server.Close() }
		p.working.Go(func() {
			defer closeBoth()
			_, _ = io.Copy(server, client)
		})
		p.working.Go(func() {
			defer closeBoth()
			p.answer(client, server)
		})
	}
}

func (p *proxy) answer(client io.Writer, server io.Reader) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		if rand.IntN(p.oneIn) == 0 {
			p.mu.Lock()
			p.cuts++
			p.mu.Unlock()
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestCutConnections: many runs of several steps, sleeps and waits, while answers get
// lost all the time: each run ends once, with each step once.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	server := startServer(t, "")
	p := startProxy(t, server.Address(), 40)
	client := redis.NewClient(&redis.Options{Addr: p.listener.Addr().String(), MaxRetries: 2, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	s := openOn(t, client, engine.Limits{Concurrency: 5})
	const total = 20
	const long = 5 * time.Minute // a lease that is lost takes a minute to be found
	ctx, stop := context.WithTimeout(t.Context(), long)
	defer stop()
	ids := map[ulid.ULID]bool{}
	for range total {
		what := start(newEvent(t, "suite/start", nil))
		id := persistently(ctx, t, func() (ulid.ULID, error) {
			id, _, err := s.Start(ctx, what)
			return id, err
		})
		ids[id] = true
	}
	require.Len(t, ids, total, "a start that is tried again starts nothing new")
	var working sync.WaitGroup
	var mu sync.Mutex
	calls := map[string]int{}
	for _, lane := range []queue.Lane{queue.LaneCall, queue.LaneCall, queue.LaneWake, queue.LaneCall} {
		working.Go(func() {
			for {
				lease, err := s.Lease(ctx, lane)
				if err != nil {
					return
				}
				run, err := s.Load(ctx, lease.RunID)
				if err != nil {
					s.Release(lease)
					continue
				}
				mu.Lock()
				calls[fmt.Sprint(lease.RunID, len(run.Steps))]++
				mu.Unlock()
				if err := s.Commit(ctx, s.threeSteps(run, lease)); err != nil {
					s.Release(lease)
				}
			}
		})
	}
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.ended) == total
	}, long, 50*time.Millisecond)
	stop()
	working.Wait()
	for id, finish := range s.ended {
		require.True(t, ids[id])
		require.JSONEq(t, `["one",null,"three"]`, string(finish.Output))
	}
	direct := impatient(t, server.Address())
	left, err := direct.Keys(t.Context(), "{estate:*}:metadata:*").Result()
	require.NoError(t, err)
	require.Empty(t, left)
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Greater(t, p.cuts, 5)
}

// persistently tries until it works.
func persistently[T any](ctx context.Context, t *testing.T, try func() (T, error)) T {
	t.Helper()
	v, err := harness.Await(ctx, "Redis", func(context.Context) (T, error) { return try() })
	require.NoError(t, err)
	return v
}

// threeSteps is what a function with a step, a sleep, and a step answers.
func (s *site) threeSteps(run *state.Run, lease queue.Lease) *state.Transition {
	now := time.Now().UnixMilli()
	t := concluded(lease)
	next := func(step string) {
		t.Discoveries = []state.Discovery{{Always: true, Job: state.Job{
			ID: function.DiscoveryJob(run.Key(), step), Kind: state.JobEdge, Due: now, MaxAttempts: 5, Outgoing: step,
		}}}
	}
	if lease.Job.Kind == state.JobSleep {
		t.Saves = []state.Save{{Step: "two", Memo: json.RawMessage("null")}}
		call := lease.Job
		call.Kind, call.Step, call.Outgoing, call.Due, call.Attempt, call.Generation = state.JobEdge, "", "two", now, 0, 0
		t.Discoveries = []state.Discovery{{Always: true, Job: call}}
		return t
	}
	switch len(run.Steps) {
	case 0:
		t.Saves = []state.Save{{Step: "one", Memo: json.RawMessage(`"one"`)}}
		next("one")
	case 1:
		t.Jobs = []state.Job{{ID: function.SleepJob(run.Key(), "two"), Kind: state.JobSleep, Due: now + 20, MaxAttempts: 5, Step: "two"}}
	case 2:
		t.Saves = []state.Save{{Step: "three", Memo: json.RawMessage(`"three"`)}}
		next("three")
	default:
		var memos []json.RawMessage
		for _, step := range run.Steps {
			memos = append(memos, step.Memo)
		}
		output, err := json.Marshal(memos)
		if err != nil {
			s.t.Error(err)
		}
		t.Finish = &state.Finish{Status: state.Completed, Output: output}
	}
	return t
}
