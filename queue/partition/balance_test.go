package partition

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/queue"
)

func TestSurplus(t *testing.T) {
	t.Parallel()
	// holders has a letter for each partition: who has it.
	tests := map[string]struct {
		nodes   []string
		holders string
		gives   string // the partitions that "a" gives up, one in each turn
	}{
		"alone":                      {[]string{"a"}, "aaaa", ""},
		"nothing":                    {[]string{"a", "b"}, "", ""},
		"another one comes":          {[]string{"a", "b"}, "aaaa", "0123"},
		"one more is no surplus":     {[]string{"a", "b"}, "aab", ""},
		"two more are":               {[]string{"a", "b"}, "abaa", "023"},
		"another one has the most":   {[]string{"a", "b", "c"}, "aabbb", ""},
		"both have the most":         {[]string{"a", "b", "c"}, "aabb", "01"},
		"has nothing":                {[]string{"a", "b"}, "bbbb", ""},
		"leases of one that is gone": {[]string{"a", "b"}, "abcccccc", ""},
		"free ones do not count":     {[]string{"a", "b"}, "a ", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &bus.Cluster{Nodes: test.nodes, Holders: map[int]string{}}
			for p, holder := range test.holders {
				if holder != ' ' {
					c.Holders[p] = string(holder)
				}
			}
			var gives string
			for turn := range test.gives + " " {
				if p, ok := surplus(c, "a", turn); ok {
					gives += string(rune('0' + p))
				}
			}
			require.Equal(t, test.gives, gives[:min(len(gives), len(test.gives))])
			require.Equal(t, test.gives == "", gives == "")
		})
	}
}

// beside starts another process on the NATS of a site.
func beside(s *site, name string) *Node {
	s.t.Helper()
	b, err := bus.Open(s.t.Context(), bus.Config{URLs: []string{s.bus.ClientURL()}})
	require.NoError(s.t, err)
	s.t.Cleanup(b.Close)
	n := NewNode(Config{Bus: b, Name: name, History: newRecorder()})
	n.clock = s.now
	n.Start(context.Background())
	s.t.Cleanup(n.Close)
	return n
}

// A process that comes gets its share, what was begun in another one goes on in it,
// and when it goes the others have its share.
func TestPartitionsAreBalanced(t *testing.T) {
	t.Parallel()
	s := newSiteIn(t, bus.Config{StoreDir: t.TempDir(), Partitions: 4, ListenHost: "127.0.0.1", ListenPort: -1}, nil)
	require.Equal(t, 4, s.node.count())
	s.register(on("fn", "begin"))
	for range 8 {
		s.send("begin", `{}`)
	}
	s.eventually(func() bool { return s.node.Stats().Ready == 8 })

	n := beside(s, "other")
	balanced := func(of ...*Node) func() bool {
		return func() bool {
			for _, n := range of {
				if n.count() != 4/len(of) || len(n.Unready()) != 4-n.count() {
					return false
				}
			}
			return true
		}
	}
	s.eventually(balanced(s.node, n), "not balanced")
	s.eventually(func() bool {
		for p := range 4 {
			if s.node.Elsewhere(p) == n.Elsewhere(p) {
				return false
			}
		}
		return true
	}, "not known who has which")
	s.eventually(func() bool { return s.node.Stats().Runs+n.Stats().Runs == 8 }, "runs are lost")
	for n.Stats().Runs > 0 {
		lease := leaseOf(s, n)
		require.NoError(t, n.Commit(t.Context(), complete(lease, `1`)))
	}
	n.Close()
	s.eventually(balanced(s.node), "not taken over")
	for p := range 4 {
		s.eventually(func() bool { return !s.node.Elsewhere(p) })
	}
}

// A partition is not given up while a job of it is leased, and jobs that were
// withheld meanwhile are handed out then.
func TestPartitionStaysWhileItsRunsAreCalled(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	fn := on("fn", "begin")
	fn.Concurrency = &function.Concurrency{Steps: []function.StepLimit{{Limit: 2, Scope: function.ScopeFunction}}}
	s.register(fn)
	first := s.begin("begin")
	s.send("begin", `{}`)
	s.eventually(func() bool { return s.node.Stats().Ready == 1 })
	o := s.node.owner(0)

	next := make(chan queue.Lease, 1)
	go func() {
		if lease, err := s.node.Lease(context.Background(), queue.LaneCall); err == nil {
			next <- lease
		}
	}()
	waiting, giveUp := context.WithCancel(t.Context())
	emptied := make(chan bool, 1)
	go func() { emptied <- o.empty(waiting, patience) }()
	s.eventually(func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.withheld) == 1 || len(o.leased) == 2 // if it was asked for before
	})
	giveUp()
	require.False(t, <-emptied)
	second := <-next
	s.advance(time.Minute)
	require.False(t, o.empty(t.Context(), time.Second), "a call that lasts is not waited for")

	go func() { emptied <- o.empty(context.Background(), patience) }()
	s.commit(complete(first, `1`))
	s.node.Release(second)
	require.True(t, <-emptied)
	require.Zero(t, s.node.Stats().Leased)
}
