package partition

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// ending is how a run ended.
type ending struct {
	status state.Status
	output string
	times  int // that it was told
}

// recorder remembers what a node tells.
type recorder struct {
	mu        sync.Mutex
	scheduled map[ulid.ULID]*state.Run
	started   map[ulid.ULID]int
	finished  map[ulid.ULID]ending
	events    map[string]int // by name
	matched   map[string]int // by name, runs started, resumed or ended
	data      map[string][]json.RawMessage
	skipped   map[ulid.ULID]*state.RunSkipped
	decided   map[string]int // starts, by outcome
}

func newRecorder() *recorder {
	return &recorder{
		scheduled: map[ulid.ULID]*state.Run{}, started: map[ulid.ULID]int{}, finished: map[ulid.ULID]ending{},
		events: map[string]int{}, matched: map[string]int{}, data: map[string][]json.RawMessage{},
		skipped: map[ulid.ULID]*state.RunSkipped{}, decided: map[string]int{},
	}
}

func (r *recorder) EventReceived(d *bus.Delivery, matched int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[d.Name]++
	r.matched[d.Name] += matched
	r.data[d.Name] = append(r.data[d.Name], d.Body)
}

func (r *recorder) RunScheduled(run *state.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scheduled[run.ID] = run
}

func (r *recorder) RunStarted(id ulid.ULID, _ time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started[id]++
}

func (r *recorder) RunFinished(id ulid.ULID, status state.Status, output json.RawMessage, _ time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished[id] = ending{status, string(output), r.finished[id].times + 1}
}

func (r *recorder) RunSkipped(op *state.RunSkipped, _ time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipped[op.RunID] = op
}

func (r *recorder) StartDecided(_ uuid.UUID, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decided[outcome]++
}

func (r *recorder) end(id ulid.ULID) (ending, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.finished[id]
	return e, ok
}

func (r *recorder) count(of map[string]int, name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return of[name]
}

// bodies are the events of a name that were received, oldest first.
func (r *recorder) bodies(name string) []json.RawMessage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.data[name]
}

// site is an installation in a directory, without an executor: tests lease
// jobs and commit transitions themselves.
type site struct {
	t    *testing.T
	cfg  bus.Config
	bus  *bus.Bus
	node *Node
	rec  *recorder
	// tune changes the node before it starts.
	tune  func(*Node)
	ahead atomic.Int64 // of the real time, in nanoseconds
}

// advance puts the node's clock forward.
func (s *site) advance(d time.Duration) {
	s.ahead.Add(int64(d))
	for p := range s.bus.Partitions() {
		if o := s.node.owner(p); o != nil {
			o.poke()
		}
	}
}

func (s *site) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

func newSite(t *testing.T, partitions int) *site {
	t.Helper()
	return newSiteIn(t, bus.Config{StoreDir: t.TempDir(), Partitions: partitions}, nil)
}

func newSiteIn(t *testing.T, cfg bus.Config, tune func(*Node)) *site {
	t.Helper()
	s := &site{t: t, cfg: cfg, tune: tune}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *site) start() {
	s.t.Helper()
	b, err := bus.Open(context.Background(), s.cfg)
	require.NoError(s.t, err)
	s.bus, s.rec = b, newRecorder()
	s.node = NewNode(Config{Bus: b, Name: "test", History: s.rec, Logger: slog.New(slog.DiscardHandler)})
	s.node.clock = s.now
	if s.tune != nil {
		s.tune(s.node)
	}
	s.node.Start(context.Background())
	select {
	case <-s.node.Opened():
	case <-time.After(patience):
		s.t.Fatal("partitions did not open")
	}
}

func (s *site) stop() {
	if s.node != nil {
		s.node.Close()
		s.bus.Close()
		s.node = nil
	}
}

// restart ends the process and begins another one on the same directory.
func (s *site) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// replaceOwner makes a partition load again, as after a failed append.
func (s *site) replaceOwner(p int) {
	s.t.Helper()
	old := s.node.owner(p)
	require.NotNil(s.t, old)
	old.fail(errTest)
	s.eventually(func() bool { o := s.node.owner(p); return o != nil && o != old })
}

type testError string

func (e testError) Error() string { return string(e) }

const errTest = testError("made by a test")

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

func (s *site) eventually(condition func() bool, what ...any) {
	s.t.Helper()
	require.Eventually(s.t, condition, patience, time.Millisecond, what...)
}

// register replaces the functions of the app.
func (s *site) register(functions ...function.Function) {
	s.t.Helper()
	app := &function.App{Name: "app", URL: "http://app", Method: function.MethodServe}
	for _, fn := range functions {
		fn.ID, fn.Version, fn.Name = function.FunctionID(fn.Slug, fn.Slug), 1, fn.Slug
		if fn.Steps == nil {
			fn.Steps = []function.Step{{ID: "step", Name: "step", URI: fn.Slug}}
		}
		app.Functions = append(app.Functions, fn)
	}
	_, err := s.bus.Registry().Update(s.t.Context(), function.AppID("app"), func(*function.App) (*function.App, error) { return app, nil })
	require.NoError(s.t, err)
}

func on(slug string, triggers ...string) function.Function {
	fn := function.Function{Slug: slug}
	for _, event := range triggers {
		fn.Triggers = append(fn.Triggers, function.Trigger{Event: event})
	}
	return fn
}

func newEvent(name, data string) *bus.Event {
	id := ulid.Make()
	return &bus.Event{InternalID: id, ID: id.String(), Name: name, Data: json.RawMessage(data), TS: time.Now().UnixMilli()}
}

func (s *site) publish(events ...*bus.Event) {
	s.t.Helper()
	require.NoError(s.t, s.bus.Publish(context.Background(), events))
}

// send publishes an event and returns it.
func (s *site) send(name, data string) *bus.Event {
	s.t.Helper()
	e := newEvent(name, data)
	s.publish(e)
	return e
}

// passed waits until every owner has seen all that was published before.
func (s *site) passed() {
	s.t.Helper()
	name := "passed/" + ulid.Make().String()
	for p := range s.bus.Partitions() {
		s.send(s.nameIn(p, name), `{}`)
	}
	s.eventually(func() bool {
		for p := range s.bus.Partitions() {
			if s.rec.count(s.rec.events, s.nameIn(p, name)) == 0 {
				return false
			}
		}
		return true
	})
}

// settled waits until all that was consumed is in the logs.
func (s *site) settled() {
	s.t.Helper()
	s.eventually(func() bool {
		quiet := true
		for p := range s.bus.Partitions() {
			s.in(p, func(o *Owner) { quiet = quiet && o.marks.empty() && o.writer.idle() })
		}
		return quiet
	})
}

// nameIn is a name that begins with prefix and belongs to partition p.
func (s *site) nameIn(p int, prefix string) string {
	for i := 0; ; i++ {
		name := prefix + string(rune('a'+i%26)) + string(rune('a'+i/26))
		if bus.PartitionOf(name, s.bus.Partitions()) == p {
			return name
		}
	}
}

func (s *site) lease(lane queue.Lane) queue.Lease {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	lease, err := s.node.Lease(ctx, lane)
	require.NoError(s.t, err, "no job in time")
	return lease
}

func (s *site) call() queue.Lease { s.t.Helper(); return s.lease(queue.LaneCall) }

func (s *site) commit(t *state.Transition) {
	s.t.Helper()
	require.NoError(s.t, s.node.Commit(context.Background(), t))
}

func (s *site) load(id ulid.ULID) *state.Run {
	s.t.Helper()
	run, err := s.node.Load(context.Background(), id)
	require.NoError(s.t, err)
	return run
}

// begin starts a run of a function that nothing else starts and leases its
// first job.
func (s *site) begin(name string) queue.Lease {
	s.t.Helper()
	s.send(name, `{}`)
	lease := s.call()
	require.Equal(s.t, state.JobStart, lease.Job.Kind)
	return lease
}

// ended waits for a run's end.
func (s *site) ended(id ulid.ULID) ending {
	s.t.Helper()
	s.eventually(func() bool { _, ok := s.rec.end(id); return ok }, "run %s has not ended", id)
	e, _ := s.rec.end(id)
	return e
}

// in runs f with the lock of a partition's owner.
func (s *site) in(p int, f func(*Owner)) {
	s.t.Helper()
	o := s.node.owner(p)
	require.NotNil(s.t, o)
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o)
}

// complete ends a run as a worker would that got its result.
func complete(lease queue.Lease, output string) *state.Transition {
	return &state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation, Mark: lease.Mark,
		Finish: &state.Finish{Status: state.Completed, Output: json.RawMessage(output)},
	}
}

// waitForEvent is a transition that makes step "w" wait.
func waitForEvent(lease queue.Lease, run *state.Run, event, expression string, due time.Time) *state.Transition {
	return &state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation, Mark: lease.Mark,
		Waits: []state.NewWait{{
			Wait: state.Wait{Kind: state.WaitEvent, Step: "w", Name: event}, If: expression,
			Timeout: state.Job{ID: function.PauseTimeoutJob(run.Key(), "w"), Kind: state.JobPause, Due: due.UnixMilli(), MaxAttempts: 5, Step: "w"},
		}},
	}
}

func busConfig(t *testing.T, partitions int) bus.Config {
	return bus.Config{StoreDir: t.TempDir(), Partitions: partitions}
}
