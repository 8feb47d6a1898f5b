package partition

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// besides is another queue that tells what a test says.
type besides struct {
	claimed, singletons map[string]ulid.ULID
	charged             map[state.GateKey]float64
	cancelled           chan ulid.ULID
	granted             chan struct{}
}

func newBesides() *besides {
	return &besides{
		claimed: map[string]ulid.ULID{}, singletons: map[string]ulid.ULID{},
		cancelled: make(chan ulid.ULID, 8), granted: make(chan struct{}, 64),
	}
}

func (b *besides) Claimed(_ uuid.UUID, key string) (ulid.ULID, bool) {
	run, ok := b.claimed[key]
	return run, ok
}

func (b *besides) Singleton(_ uuid.UUID, text string) (ulid.ULID, bool) {
	run, ok := b.singletons[text]
	return run, ok
}

func (b *besides) Charged(key state.GateKey) float64 { return b.charged[key] }

func (b *besides) Cancel(run, _ ulid.ULID) { b.cancelled <- run }

func (b *besides) Granted() { b.granted <- struct{}{} }

// shared is a site beside another queue.
func shared(t *testing.T, partitions int) (*site, *besides) {
	t.Helper()
	b := newBesides()
	s := newSiteIn(t, busConfig(t, partitions), func(n *Node) { n.foreign = b })
	return s, b
}

// asker is a process that reports.
type asker struct {
	*site
	node *Node
	from string
	n    uint64
}

func foreignJob(n int, keys ...state.FlowKey) queue.ForeignJob {
	return queue.ForeignJob{
		ID: fmt.Sprint("foreign-", n), RunID: ulid.ULID{5: byte(n), 15: byte(n)}, FunctionID: function.FunctionID("fn", "fn"), Due: int64(n), Keys: keys,
	}
}

// report tells the owner of the function's partition, and returns what is granted.
func (a *asker) report(jobs ...queue.ForeignJob) []string {
	a.t.Helper()
	return a.with(nil, jobs...)
}

// running are jobs that are being executed.
func running(jobs ...queue.ForeignJob) []queue.ForeignJob {
	for i := range jobs {
		jobs[i].Running = true
	}
	return jobs
}

// settle lets the time pass in which a new owner admits nothing.
func (s *site) settle() { s.advance(foreignSettle * time.Millisecond) }

// TestForeignJobsCount: what is executed elsewhere takes slots, and gives them
// back.
func TestForeignJobsCount(t *testing.T) {
	t.Parallel()
	s, b := shared(t, 2)
	s.register(limited("fn", "begin", atOnce(`2`)), on("free", "other"))
	a := &asker{s, s.node, "test", 0}
	one, two, three := foreignJob(1), foreignJob(2), foreignJob(3)
	require.Empty(t, a.report(one), "a new owner has not heard of all")
	s.settle()
	s.eventually(func() bool { return len(b.granted) == 1 })
	require.Equal(t, []string{"foreign-1", "foreign-2"}, a.report(one, two, three))
	require.Equal(t, []string{"foreign-2"}, a.report(append(running(one), two, three)...))
	s.numbered("begin", "", 1)
	s.waits(2)
	require.Empty(t, a.report(append(running(one, two), three)...))
	a.report(append(running(two), three)...)
	lease := s.call()
	require.Empty(t, a.report(append(running(two), three)...), "they take turns")
	s.commit(complete(lease, `1`))
	s.eventually(func() bool { return len(a.report(append(running(two), three)...)) == 1 })
	require.Empty(t, a.report())
	s.eventually(func() bool {
		idle := true
		for p := range s.bus.Partitions() {
			s.in(p, func(o *Owner) { idle = idle && o.admission.gate.Idle() && len(o.foreign.jobs) == 0 })
		}
		return idle
	}, "a slot leaked")
	_, limited := s.node.CountedIn(function.FunctionID("free", "free"))
	require.False(t, limited)
	_, limited = s.node.CountedIn(uuid.New())
	require.False(t, limited)
}

// TestForeignTurns: neither queue starves the other while both have a backlog.
func TestForeignTurns(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 1)
	s.register(limited("fn", "begin", atOnce(`1`)))
	a := &asker{s, s.node, "test", 0}
	var backlog []queue.ForeignJob
	for n := range 10 {
		backlog = append(backlog, foreignJob(n+1))
	}
	s.numbered("begin", "", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	s.waits(10)
	a.report(backlog...)
	s.settle()
	here, there := 0, 0
	for here+there < 12 {
		granted := a.report(backlog...)
		if len(granted) == 1 {
			there++
			backlog = backlog[1:]
			a.report(backlog...)
			continue
		}
		require.Empty(t, granted)
		here++
		s.commit(complete(s.call(), `1`))
	}
	require.InDelta(t, here, there, 1)
}

// TestForeignByKey: keys are counted as they are for runs of this queue.
func TestForeignByKey(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 2)
	s.register(limited("fn", "begin", atOnce(`[{"limit":1,"key":"event.data.k","scope":"env"}]`)))
	a := &asker{s, s.node, "test", 0}
	key := func(value string) state.FlowKey {
		return state.FlowKey{Expr: function.Hash("event.data.k"), Value: function.Hash(value)}
	}
	s.settle()
	require.Equal(t, []string{"foreign-1"}, a.report(foreignJob(1, key("a")), foreignJob(2, key("a"))))
	s.numbered("begin", `,"k":"a"`, 1)
	s.waits(2)
	s.numbered("begin", `,"k":"b"`, 2)
	require.Equal(t, s.run("fn", 2), s.call().RunID)
	require.Equal(t, []string{"foreign-1"}, a.report(foreignJob(1, key("a")), foreignJob(2, key("a")), foreignJob(3, key("b"))))
}

// TestForeignThrottle: starts elsewhere are charged, and that is kept.
func TestForeignThrottle(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 1)
	s.register(limited("fn", "begin", func(fn *function.Function) {
		fn.Throttle = &function.Throttle{Limit: 2, Period: "1h"}
	}))
	a := &asker{s, s.node, "test", 0}
	start := func(n int) queue.ForeignJob {
		j := foreignJob(n)
		j.Start = true
		return j
	}
	a.report(start(1), foreignJob(9))
	s.settle()
	s.eventually(func() bool { return len(a.report(start(1), foreignJob(9))) == 2 }, "one start, and a step, which is not throttled")
	s.numbered("begin", "", 1)
	s.commit(complete(s.call(), `1`))
	require.Empty(t, a.report(start(2)))
	s.settled()
	s.restart()
	s.settle()
	again := &asker{s, s.node, "test", 0}
	require.Empty(t, again.report(start(2)))
	s.advance(30 * time.Minute)
	s.eventually(func() bool { return len(again.report(start(2))) == 1 })
}

// TestForeignCharges: what was charged in another queue before counts here.
func TestForeignCharges(t *testing.T) {
	t.Parallel()
	s, b := shared(t, 1)
	ends := float64(s.now().Add(time.Hour).UnixMilli())
	rated, throttled := function.FunctionID("rated", "rated"), function.FunctionID("throttled", "throttled")
	b.charged = map[state.GateKey]float64{
		state.NewValueKey(state.OfRateLimit, rated, "", ""):    ends * nanoseconds,
		state.NewValueKey(state.OfThrottle, throttled, "", ""): ends,
	}
	s.register(
		limited("rated", "rate", func(fn *function.Function) { fn.RateLimit = &function.RateLimit{Limit: 1, Period: "1h"} }),
		limited("throttled", "throttle", func(fn *function.Function) { fn.Throttle = &function.Throttle{Limit: 1, Period: "1h"} }),
	)
	s.settle()
	s.numbered("rate", "", 1)
	s.numbered("throttle", "", 1)
	s.decided("success:1 rate_limited:1")
	s.waits(1)
	s.advance(time.Hour)
	s.commit(complete(s.calls("throttled"), `1`))
	s.numbered("rate", "", 2)
	s.decided("success:2 rate_limited:1")
}

// TestForeignOwnerChanges: a new owner hears first of what is executed.
func TestForeignOwnerChanges(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 1)
	s.register(limited("fn", "begin", atOnce(`2`)))
	a := &asker{s, s.node, "test", 0}
	s.settle()
	jobs := []queue.ForeignJob{foreignJob(1), foreignJob(2)}
	require.Len(t, a.report(jobs...), 2)
	s.numbered("begin", "", 1)
	s.waits(1)
	s.replaceOwner(0)
	a.report(running(jobs...)...)
	s.settle()
	s.waits(1)
	a.report(running(jobs[0])...)
	s.call()
}

// TestForeignProcessDies: what it executed counts no more after a while, and
// another process may have its jobs.
func TestForeignProcessDies(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 1)
	s.register(limited("fn", "begin", atOnce(`1`)))
	dead, alive := &asker{s, s.node, "dead", 0}, &asker{s, s.node, "alive", 0}
	s.settle()
	require.Len(t, dead.report(foreignJob(1)), 1)
	require.Empty(t, alive.report(foreignJob(1)), "it is another's")
	require.Empty(t, alive.report(foreignJob(1), foreignJob(2)))
	s.advance(foreignLapse * time.Millisecond)
	s.eventually(func() bool { return len(alive.report(foreignJob(1))) == 1 })
	require.Empty(t, dead.report(running(foreignJob(3))...))
	require.Equal(t, []string{"foreign-1"}, alive.report(foreignJob(1)), "what was granted stays so")
	alive.report(running(foreignJob(3))...) // it has lost it
	require.Empty(t, dead.report())
	s.in(0, func(o *Owner) {
		require.Len(t, o.foreign.jobs, 1)
		require.False(t, o.admission.gate.Idle())
	})
}

// TestForeignReports: a late report says nothing, and one of nobody is refused.
func TestForeignReports(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 1)
	s.register(limited("fn", "begin", atOnce(`1`)))
	a := &asker{s, s.node, "test", 0}
	s.settle()
	a.report(foreignJob(1))
	_, err := s.node.ReportForeign(t.Context(), 0, &queue.ForeignReport{From: "test", N: a.n})
	require.NoError(t, err)
	require.Len(t, a.report(foreignJob(1)), 1)
	_, err = s.node.ReportForeign(t.Context(), 0, &queue.ForeignReport{})
	require.Error(t, err)
}

// TestForeignNewLimits: limits count what is executed elsewhere from the moment
// they are registered.
func TestForeignNewLimits(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 1)
	s.register(limited("fn", "begin", atOnce(`3`)))
	a := &asker{s, s.node, "test", 0}
	s.settle()
	jobs := []queue.ForeignJob{foreignJob(1), foreignJob(2), foreignJob(3), foreignJob(4)}
	require.Len(t, a.report(jobs...), 3)
	s.register(limited("fn", "begin", atOnce(`1`)))
	require.Empty(t, a.report(append(running(jobs[:3]...), jobs[3])...))
	require.Empty(t, a.report(append(running(jobs[0]), jobs[3])...))
	require.Len(t, a.report(jobs[3]), 1)
	s.register(on("fn", "begin"))
	granted, err := s.node.ReportForeign(t.Context(), 0, &queue.ForeignReport{From: "test", N: 99, Jobs: []queue.ForeignJob{foreignJob(5), foreignJob(6)}})
	require.NoError(t, err)
	require.Len(t, granted, 2)
	s.register(limited("fn", "begin", atOnce(`2`)))
	a.n = 100
	require.Empty(t, a.report(append(running(foreignJob(5), foreignJob(6)), foreignJob(7))...))
}

// TestForeignReportsFromElsewhere: the owner may be in another process.
func TestForeignReportsFromElsewhere(t *testing.T) {
	t.Parallel()
	s, n := elsewhere(t)
	s.register(limited("fn", "begin", atOnce(`1`)))
	s.eventually(func() bool { _, limited := n.CountedIn(function.FunctionID("fn", "fn")); return limited })
	a := &asker{s, n, "elsewhere", 0}
	require.Equal(t, []string{"foreign-1"}, a.report(foreignJob(1, state.FlowKey{Expr: "e", Value: "v"}), foreignJob(2)))
	s.numbered("begin", "", 1)
	s.waits(2)
	a.report(running(foreignJob(1))...)
	s.waits(1)
	a.report()
	s.call()
}

// TestForeignKeysAndSingletons: runs elsewhere exclude runs here.
func TestForeignKeysAndSingletons(t *testing.T) {
	t.Parallel()
	s, b := shared(t, 2)
	theirs := ulid.Make()
	b.claimed[function.IdempotencyKey(function.FunctionID("fn", "fn"), "mine")] = theirs
	b.singletons["a"] = theirs
	s.register(on("fn", "begin"),
		limited("skips", "single", func(fn *function.Function) {
			fn.Singleton = &function.Singleton{Key: "event.data.k", Mode: function.SingletonSkip}
		}),
		limited("cancels", "single", func(fn *function.Function) {
			fn.Singleton = &function.Singleton{Key: "event.data.k", Mode: function.SingletonCancel}
		}))
	repeated, fresh := newEvent("begin", `{}`), newEvent("begin", `{}`)
	repeated.ID = "mine"
	s.publish(repeated, fresh)
	require.Equal(t, runIDOf(s, "fn", fresh), s.call().RunID)

	s.send("single", `{"k":"a"}`)
	s.eventually(func() bool { return s.rec.count(s.rec.decided, StartSkipped) == 1 })
	require.Equal(t, theirs, <-b.cancelled)
	require.Equal(t, "cancels", s.load(s.call().RunID).Slug)
	s.send("single", `{"k":"b"}`)
	require.NotEqual(t, s.call().FunctionID, s.call().FunctionID)
	require.Equal(t, 1, s.rec.count(s.rec.decided, StartIdempotency))

	fn := function.FunctionID("fn", "fn")
	id, err := s.node.NewRunIDFor(fn, "mine")
	require.NoError(t, err)
	there, err := s.node.StartNow(t.Context(), state.Start{
		RunID: id, FunctionID: fn, ClaimFor: 1000, Idempotency: function.IdempotencyKey(fn, "mine"),
		EventIDs: []ulid.ULID{repeated.InternalID}, Events: []json.RawMessage{json.RawMessage(`{}`)},
	})
	require.ErrorIs(t, err, state.ErrRepeated)
	require.Equal(t, theirs, there)
}
