package projector

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/history/database"
	"jetstep/state"
)

// patience bounds waits for what should happen soon.
const patience = 60 * time.Second

// site is a bus whose logs a test writes, and the database that they are
// projected to.
type site struct {
	t     *testing.T
	bus   *bus.Bus
	logs  []*bus.Log
	store *database.Store
	last  []uint64 // of each log, the last sequence that was acknowledged
}

func newSite(t *testing.T, o database.Options, partitions int) *site {
	t.Helper()
	s := &site{t: t, bus: openBus(t, partitions), store: open(t, o), last: make([]uint64, partitions)}
	for p := range partitions {
		s.logs = append(s.logs, s.openLog(p))
	}
	return s
}

func openBus(t *testing.T, partitions int) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{StoreDir: t.TempDir(), Partitions: partitions, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

func (s *site) openLog(p int) *bus.Log {
	s.t.Helper()
	log, err := s.bus.OpenLog(p)
	require.NoError(s.t, err)
	s.t.Cleanup(log.Close)
	require.NoError(s.t, log.Replay(s.t.Context(), func(uint64, []byte) error { return nil }))
	return log
}

// append writes records, each as a message of its own, and waits for them.
func (s *site) append(p int, records ...*state.Record) {
	s.t.Helper()
	done := make(chan error, len(records))
	for _, r := range records {
		var e state.Encoder
		e.Add(r)
		s.logs[p].Append("_", append([]byte(nil), e.Bytes()...), func(seq uint64, err error) {
			if err == nil {
				s.last[p] = seq
			}
			done <- err
		})
	}
	for range records {
		require.NoError(s.t, <-done)
	}
}

// runs appends whole runs to a log, with the events that started them.
func (s *site) runs(p, from, to, steps int) {
	s.t.Helper()
	var events []*bus.Event
	for n := from; n < to; n++ {
		s.append(p, recordsOfRun(n, steps)...)
		events = append(events, anEvent(n))
	}
	require.NoError(s.t, s.bus.Publish(s.t.Context(), events))
}

func anEvent(n int) *bus.Event {
	return &bus.Event{InternalID: aRun(n), ID: aRun(n).String(), Name: "shop/order.created", Data: json.RawMessage(`{"n":1}`), TS: benchBegan}
}

// project runs a projector until stop is called.
func (s *site) project(change func(*Config)) (p *Projector, stop func()) {
	s.t.Helper()
	c := Config{Bus: s.bus, Store: s.store, Functions: registered{}, Logger: quiet, Metrics: prometheus.NewRegistry()}
	if change != nil {
		change(&c)
	}
	p, err := New(c)
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	s.t.Cleanup(stop)
	return p, stop
}

// awaitAll waits until the database has everything.
func (s *site) awaitAll() {
	s.t.Helper()
	_, events, err := s.bus.EventBounds(s.t.Context())
	require.NoError(s.t, err)
	for p, last := range s.last {
		s.awaitPosition(LogSource(p), last)
	}
	s.awaitPosition(EventSource, events)
}

func (s *site) awaitPosition(source string, want uint64) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		position, err := s.store.Position(s.t.Context(), source)
		return err == nil && position >= want
	}, patience, 10*time.Millisecond, "%s up to %d", source, want)
}

// requireRuns checks that runs from … to are in the database whole and once.
func (s *site) requireRuns(from, to, steps int) {
	s.t.Helper()
	ctx := s.t.Context()
	for n := from; n < to; n++ {
		id := aRun(n)
		run, err := s.store.Run(ctx, id)
		require.NoError(s.t, err, "run %d", n)
		require.Equal(s.t, database.Completed, run.Status, "run %d", n)
		require.Equal(s.t, []ulid.ULID{id}, run.EventIDs)
		executions, err := s.store.FunctionRunsOfEvent(ctx, id)
		require.NoError(s.t, err)
		require.Len(s.t, executions, 1, "run %d", n)
		require.NotNil(s.t, executions[0].Finish)
		entries, err := s.store.History(ctx, id)
		require.NoError(s.t, err)
		require.Len(s.t, entries, 3+2*(steps+1), "run %d", n)
		traceRun, err := s.store.TraceRun(ctx, id)
		require.NoError(s.t, err)
		require.Equal(s.t, 300, traceRun.Status)
		require.False(s.t, traceRun.StartedAt.IsZero(), "run %d", n)
	}
	events, err := s.store.CountEvents(ctx, database.EventFilter{})
	require.NoError(s.t, err)
	require.Equal(s.t, to-from, events)
}

func TestRunsAreProjectedOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o database.Options) {
		s := newSite(t, o, 2)
		s.runs(0, 0, 20, 2)
		var told sync.Map
		p, _ := s.project(nil)
		p.OnCommit(func(runs []ulid.ULID) {
			for _, id := range runs {
				told.Store(id, true)
			}
		})
		s.runs(1, 20, 60, 2)
		s.awaitAll()
		s.requireRuns(0, 60, 2)
		require.Eventually(t, func() bool {
			lag := p.Lag()
			return p.Projected(0) == s.last[0] && p.Projected(1) == s.last[1] && lag == Lag{}
		}, patience, 10*time.Millisecond)
		_, ok := told.Load(aRun(59))
		require.True(t, ok)
		require.Zero(t, p.Projected(2))
		require.Zero(t, p.Projected(-1))
	})
}

// TestStoppingAnywhere stops and starts projectors while runs are made.
func TestStoppingAnywhere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o database.Options) {
		s := newSite(t, o, 1)
		const runs = 300
		made := make(chan struct{})
		go func() {
			defer close(made)
			for n := 0; n < runs; n += 5 {
				s.runs(0, n, n+5, 1)
			}
		}()
		for stops := 0; ; stops++ {
			_, stop := s.project(nil)
			ended := false
			select {
			case <-made:
				ended = true
			case <-time.After(rand.N(200 * time.Millisecond)):
			}
			if !ended || stops < 5 {
				stop()
				continue
			}
			break
		}
		s.awaitAll()
		s.requireRuns(0, runs, 1)
	})
}

// TestTwoProcesses lets two projectors fight over everything, and then hands
// the partitions from one to the other.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	s := newSite(t, options(t, postgres), 2)
	var first atomic.Bool
	both := atomic.Bool{}
	both.Store(true)
	a, _ := s.project(func(c *Config) { c.Owns = func(int) bool { return both.Load() || first.Load() } })
	b, _ := s.project(func(c *Config) { c.Owns = func(int) bool { return both.Load() || !first.Load() } })
	for n := 0; n < 100; n += 10 {
		s.runs(n/10%2, n, n+10, 1)
	}
	s.awaitAll()
	both.Store(false)
	for n := 100; n < 160; n += 10 {
		first.Store(n/20%2 == 0)
		s.runs(n/10%2, n, n+10, 1)
	}
	s.awaitAll()
	s.requireRuns(0, 160, 1)
	require.Equal(t, max(a.Projected(1), b.Projected(1)), s.last[1])
}

// TestTheDatabaseIsDown stops PostgreSQL while runs are made.
func TestTheDatabaseIsDown(t *testing.T) {
	t.Parallel()
	own := ownPostgres(t)
	url, err := own.CreateDatabase(t.Context(), "down")
	require.NoError(t, err)
	s := newSite(t, database.Options{URI: url, Log: quiet}, 1)
	p, _ := s.project(nil)
	s.runs(0, 0, 20, 1)
	s.awaitAll()
	require.NoError(t, own.Kill())
	before := p.Projected(0)
	s.runs(0, 20, 60, 1)
	require.Eventually(t, func() bool {
		lag := p.Lag()
		return lag.Err != nil && lag.Age > 0
	}, patience, 10*time.Millisecond)
	require.Equal(t, before, p.Projected(0), "a log is kept that is not in the database")
	require.NoError(t, own.Restart(t.Context()))
	s.awaitAll()
	s.requireRuns(0, 60, 1)
	require.Eventually(t, func() bool { return p.Lag() == Lag{} }, patience, 10*time.Millisecond)
}

// TestALogThatBeginsLater projects what is left of a log to a new database, and
// to one that has some of it already.
func TestALogThatBeginsLater(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o database.Options) {
		s := newSite(t, o, 1)
		whole := recordsOfRun(0, 2)
		s.append(0, whole[:2]...)
		gone := recordsOfRun(1, 0)
		s.append(0, gone[0])
		cut := s.last[0]
		// What lives is carried forward, and the log's beginning purged.
		run := whole[0].Ops[0].(*state.RunPut).Run
		run.StartedAt = benchBegan
		s.append(0, gone[1]) // it ended before it was carried
		s.append(0, &state.Record{At: benchBegan + 10, Ops: []state.Op{&state.Carried{}, &state.RunPut{Run: run}}})
		s.append(0, whole[2:]...)
		s.runs(0, 2, 5, 2)
		require.NoError(t, s.logs[0].Purge(t.Context(), cut))

		for range 2 { // again over what is there
			_, stop := s.project(nil)
			s.awaitAll()
			stop()
			for n, entries := range map[int]int{0: 6, 1: 4, 2: 9, 4: 9} {
				run, err := s.store.Run(t.Context(), aRun(n))
				require.NoError(t, err, "run %d", n)
				require.Equal(t, database.Completed, run.Status, "run %d", n)
				found, err := s.store.History(t.Context(), aRun(n))
				require.NoError(t, err)
				require.Len(t, found, entries, "run %d", n)
				execution, err := s.store.FunctionRun(t.Context(), aRun(n))
				require.NoError(t, err)
				require.NotNil(t, execution.Finish)
			}
			require.NoError(t, s.store.SetPosition(t.Context(), LogSource(0), 0))
			require.NoError(t, s.store.SetPosition(t.Context(), EventSource, 0))
			_, last, err := s.bus.EventBounds(t.Context())
			require.NoError(t, err)
			require.NoError(t, s.store.SetPosition(t.Context(), againOf(EventSource), last))
		}
	})
}

// TestCarriedRunsAreKnown has a log that is carried forward while it is
// projected: nothing is written again.
func TestCarriedRunsAreKnown(t *testing.T) {
	t.Parallel()
	s := newSite(t, options(t, sqlite), 1)
	s.project(nil)
	records := recordsOfRun(0, 0)
	s.append(0, records[0])
	s.awaitAll()
	s.append(0, &state.Record{At: benchBegan, Ops: []state.Op{&state.Carried{}, records[0].Ops[0]}})
	s.append(0, records[1])
	require.NoError(t, s.bus.Publish(t.Context(), []*bus.Event{anEvent(0)}))
	s.awaitAll()
	s.requireRuns(0, 1, 0)
}

func TestResume(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at          place
		first, last uint64
		want        place
		told        bool
	}{
		"new stream":             {place{0, 0}, 1, 0, place{0, 0}, false},
		"new database":           {place{0, 0}, 1, 50, place{0, 0}, false},
		"where it was left":      {place{40, 0}, 1, 50, place{40, 0}, false},
		"purged up to there":     {place{40, 0}, 41, 50, place{40, 0}, false},
		"all purged":             {place{50, 0}, 51, 50, place{50, 0}, false},
		"purged further":         {place{40, 10}, 45, 50, place{44, 50}, true},
		"new database, old log":  {place{0, 0}, 30, 50, place{29, 50}, true},
		"lost its end":           {place{60, 0}, 1, 50, place{50, 70}, true},
		"lost all":               {place{60, 0}, 1, 0, place{0, 120}, true},
		"still in what it lost":  {place{60, 200}, 1, 50, place{50, 200}, true},
		"still reading it again": {place{10, 30}, 1, 50, place{10, 30}, false},
	} {
		next, why := resume(c.at, c.first, c.last)
		require.Equal(t, c.want, next, name)
		require.Equal(t, c.told, why != "", name)
	}
}

// TestAStreamThatLostItsEnd has a database that is ahead of the log.
func TestAStreamThatLostItsEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o database.Options) {
		s := newSite(t, o, 1)
		s.runs(0, 0, 10, 0)
		_, stop := s.project(nil)
		s.awaitAll()
		stop()
		// As if the log had been longer: its runs are made once more.
		lost := newSite(t, o, 1)
		lost.store = s.store
		lost.runs(0, 0, 4, 0)
		lost.project(nil)
		require.Eventually(t, func() bool {
			position, err := s.store.Position(t.Context(), LogSource(0))
			return err == nil && position == lost.last[0]
		}, patience, 10*time.Millisecond)
		lost.runs(0, 4, 10, 0)
		lost.awaitAll()
		lost.requireRuns(0, 10, 0)
	})
}

// TestPoison has what cannot be read, and what PostgreSQL does not store.
func TestPoison(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o database.Options) {
		s := newSite(t, o, 1)
		p, _ := s.project(nil)
		broken := make(chan error, 1)
		s.logs[0].Append("_", []byte("no record"), func(_ uint64, err error) { broken <- err })
		require.NoError(t, <-broken)
		bad := recordsOfRun(0, 0)
		finished := bad[1].Ops[2].(*state.RunFinished)
		finished.Output = json.RawMessage(`{"nul":"\u0000","half":"\ud800","fine":"\ud83d\ude00","plain":"\\u0000"}`)
		s.append(0, bad...)
		require.NoError(t, s.bus.Publish(t.Context(), []*bus.Event{
			{InternalID: aRun(0), ID: "e\x00", Name: "shop/\x00order", Data: json.RawMessage(`{"n":"\u0000"}`), TS: 1},
		}))
		s.runs(0, 1, 3, 0)
		s.awaitAll()
		for n := range 3 {
			run, err := s.store.Run(t.Context(), aRun(n))
			require.NoError(t, err, "run %d", n)
			require.Equal(t, database.Completed, run.Status)
		}
		outputs, err := s.store.RunOutputs(t.Context(), []ulid.ULID{aRun(0)})
		require.NoError(t, err)
		var output struct{ Data map[string]string }
		require.NoError(t, json.Unmarshal(outputs[aRun(0)], &output))
		require.Equal(t, "\U0001f600", output.Data["fine"])
		require.Equal(t, `\u0000`, output.Data["plain"])
		_, err = s.store.Event(t.Context(), aRun(0))
		require.NoError(t, err)
		require.Nil(t, p.Lag().Err)
	})
}

// TestSentAgain has an event that a partition sends twice.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o database.Options) {
		s := newSite(t, o, 1)
		s.project(nil)
		e := anEvent(0)
		e.Source = &bus.Source{From: 0, N: 7}
		require.NoError(t, s.bus.Publish(t.Context(), []*bus.Event{e, e}))
		s.awaitAll()
		require.NoError(t, s.bus.Publish(t.Context(), []*bus.Event{e}))
		s.awaitAll()
		n, err := s.store.CountEvents(t.Context(), database.EventFilter{})
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

// TestWaitsForTheSchema begins with a database that is not migrated yet.
func TestWaitsForTheSchema(t *testing.T) {
	t.Parallel()
	store, err := database.New(options(t, sqlite))
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	s := &site{t: t, bus: openBus(t, 1), store: store, last: make([]uint64, 1)}
	s.logs = []*bus.Log{s.openLog(0)}
	s.runs(0, 0, 3, 0)
	p, _ := s.project(nil)
	require.Eventually(t, func() bool { return p.Lag().Err != nil }, patience, 10*time.Millisecond)
	require.NoError(t, store.Migrate(t.Context()))
	s.awaitAll()
	s.requireRuns(0, 3, 0)
}

func TestRetention(t *testing.T) {
	t.Parallel()
	s := newSite(t, options(t, sqlite), 1)
	s.runs(0, 0, 5, 0)
	p, _ := s.project(nil)
	s.awaitAll()
	p.retainSome(t.Context(), Retention{Runs: 2}, time.Now(), false)
	for n := range 5 {
		_, err := s.store.Run(t.Context(), aRun(n))
		require.Equal(t, n < 3, err != nil, fmt.Sprint(n))
	}
	p.retainSome(t.Context(), Retention{Age: time.Hour}, time.UnixMilli(benchBegan).Add(time.Minute), false)
	_, err := s.store.Run(t.Context(), aRun(4))
	require.NoError(t, err)
	p.retainSome(t.Context(), Retention{Age: time.Hour}, time.Now(), false)
	_, err = s.store.Run(t.Context(), aRun(4))
	require.ErrorIs(t, err, database.ErrNotFound)
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	c := Config{Bus: openBus(t, 1), Functions: registered{}, Metrics: registry}
	_, err := New(c)
	require.NoError(t, err)
	_, err = New(c)
	require.Error(t, err)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, families)
}
