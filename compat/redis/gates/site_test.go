package gates_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/gates"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/queue"
	"jetstep/state"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const patience = 30 * time.Second

var app = uuid.MustParse("bafc879e-c6cf-58f1-b677-68788dedd7b3")

// registry is what is registered: several sites may share it.
type registry struct {
	mu    sync.Mutex
	known map[uuid.UUID]gates.Known
}

func newRegistry(functions ...*function.Function) *registry {
	r := &registry{known: map[uuid.UUID]gates.Known{}}
	for _, fn := range functions {
		r.put(gates.Known{Function: fn, App: app})
	}
	return r
}

func (r *registry) put(k gates.Known) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[k.ID] = k
}

func (r *registry) remove(id uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, id)
}

func (r *registry) Known(id uuid.UUID) (gates.Known, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.known[id]
	return k, ok
}

func (r *registry) Crons() []gates.Known { return r.all() }

func (r *registry) all() []gates.Known {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []gates.Known
	for _, k := range r.known {
		all = append(all, k)
	}
	return all
}

func (r *registry) Attempts(uuid.UUID) int  { return 5 }
func (r *registry) App(uuid.UUID) uuid.UUID { return app }

func (r *registry) Limits(id uuid.UUID) engine.Limits {
	k, _ := r.Known(id)
	var l engine.Limits
	if k.Function != nil {
		l.FinishWithin, _ = k.Timeouts.FinishLimit()
	}
	return l
}

// world remembers what it is told.
type world struct {
	mu       sync.Mutex
	sent     []state.Outgoing
	accepted []*engine.Event
	skipped  []*state.RunSkipped
	outcomes map[gates.Outcome]int
	ended    map[ulid.ULID]*state.Finish
	failing  error // of what it is asked for
}

func (w *world) Publish(_ context.Context, events []state.Outgoing) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, events...)
	return w.failing
}

func (w *world) Ended(run *state.Run, f *state.Finish) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended[run.ID] = f
}

func (w *world) Accept(_ context.Context, e *engine.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing == nil {
		w.accepted = append(w.accepted, e)
	}
	return w.failing
}

func (w *world) Skipped(_ context.Context, s *state.RunSkipped) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skipped = append(w.skipped, s)
	return w.failing
}

func (w *world) Decided(_ uuid.UUID, o gates.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes[o]++
}

func (w *world) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = err
}

func (w *world) count(o gates.Outcome) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.outcomes[o]
}

func (w *world) finishOf(run ulid.ULID) *state.Finish {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended[run]
}

// site is a process with gates.
type site struct {
	*gates.Gates
	*world
	registry *registry
	t        *testing.T
	client   *redis.Client
}

func open(t *testing.T, functions ...*function.Function) *site {
	return openOn(t, redistest.Open(t), newRegistry(functions...))
}

func openOn(t *testing.T, client *redis.Client, r *registry) *site {
	w := &world{outcomes: map[gates.Outcome]int{}, ended: map[ulid.ULID]*state.Finish{}}
	log := slog.New(slog.DiscardHandler)
	node := engine.Open(engine.Config{
		Redis: client, Functions: r, World: w, Account: function.AccountID, Environment: function.EnvironmentID, Log: log,
	})
	t.Cleanup(node.Close)
	return &site{
		Gates: gates.New(gates.Config{Redis: client, Node: node, Functions: r, World: w, Log: log}),
		world: w, registry: r, t: t, client: client,
	}
}

// newFunction is a function whose configuration is that JSON, in its stored form.
func newFunction(t *testing.T, config string) *function.Function {
	t.Helper()
	fn := &function.Function{ID: uuid.New(), Version: 1, Name: "f", Slug: "app-f"}
	require.NoError(t, json.Unmarshal([]byte(config), fn))
	return fn
}

// newEvent is an event; fields may have its id and ts.
func newEvent(t *testing.T, name string, data any, fields ...any) *engine.Event {
	t.Helper()
	id := ulid.Make()
	all := map[string]any{"id": id.String(), "name": name, "data": data, "ts": time.Now().UnixMilli(), "user": struct{}{}}
	for i := 0; i+1 < len(fields); i += 2 {
		all[fields[i].(string)] = fields[i+1]
	}
	whole, err := jcs.Encode(all)
	require.NoError(t, err)
	whole, err = jcs.Canonicalize(whole)
	require.NoError(t, err)
	return &engine.Event{ID: id, Name: name, JSON: whole}
}

func (s *site) event(fn *function.Function, e *engine.Event) gates.Result {
	s.t.Helper()
	r, err := s.Event(s.t.Context(), fn.ID, e)
	require.NoError(s.t, err)
	return r
}

// lease waits for the call of a run.
func (s *site) lease() queue.Lease {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	lease, err := s.Node.Lease(ctx, queue.LaneCall)
	require.NoError(s.t, err)
	return lease
}

// run is that of the next call.
func (s *site) run() *state.Run {
	s.t.Helper()
	run, err := s.Node.Load(s.t.Context(), s.lease().RunID)
	require.NoError(s.t, err)
	return run
}

// live are the runs that there are.
func (s *site) live() int {
	s.t.Helper()
	keys, err := s.client.Keys(s.t.Context(), "*}:metadata:*").Result()
	require.NoError(s.t, err)
	return len(keys)
}

func (s *site) eventually(condition func() bool, what ...any) {
	s.t.Helper()
	require.Eventually(s.t, condition, patience, 20*time.Millisecond, what...)
}
