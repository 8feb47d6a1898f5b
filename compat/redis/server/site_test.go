package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	"jetstep/compat/redis/server"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// registry has functions that tests change.
type registry struct {
	mu        sync.Mutex
	functions []gates.Known
	changed   func()
}

// named is a function that the event of its name triggers.
func named(name string, change func(*gates.Known)) gates.Known {
	fn := gates.Known{App: uuid.New(), Function: &function.Function{
		ID: uuid.New(), Version: 1, Slug: "app-" + name, Name: name, Triggers: []function.Trigger{{Event: name}},
	}}
	if change != nil {
		change(&fn)
	}
	return fn
}

func (r *registry) set(functions ...gates.Known) {
	r.mu.Lock()
	r.functions = functions
	changed := r.changed
	r.mu.Unlock()
	if changed != nil {
		changed()
	}
}

func (r *registry) find(fits func(gates.Known) bool) []gates.Known {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.functions), func(fn gates.Known) bool { return !fits(fn) })
}

func first(list []gates.Known) (gates.Known, bool) {
	if len(list) == 0 {
		return gates.Known{}, false
	}
	return list[0], true
}

func (r *registry) Known(id uuid.UUID) (gates.Known, bool) {
	return first(r.find(func(fn gates.Known) bool { return fn.ID == id }))
}

func (r *registry) Lookup(slug string) (gates.Known, bool) {
	return first(r.find(func(fn gates.Known) bool { return !fn.Removed && (fn.Slug == slug || fn.ID.String() == slug) }))
}

func (r *registry) Crons() []gates.Known { return nil }

func (r *registry) Active() []gates.Known {
	return r.find(func(fn gates.Known) bool { return !fn.Removed })
}

func (r *registry) Triggered(event string) []gates.Known {
	return r.find(func(fn gates.Known) bool { return !fn.Removed && fn.Triggers[0].Matches(event) })
}

func (r *registry) Watch(changed func()) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = changed
	return func() {}
}

// site is a server on a database, and what it says to the world.
type site struct {
	*server.Server
	t        *testing.T
	registry *registry

	mu       sync.Mutex
	sent     []state.Outgoing
	told     []state.Op
	outcomes []gates.Outcome
	accepted []ulid.ULID
}

func (s *site) Publish(_ context.Context, events []state.Outgoing) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, events...)
	return nil
}

func (s *site) Accept(_ context.Context, e *engine.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted = append(s.accepted, e.ID)
	return nil
}

func (s *site) Decided(_ uuid.UUID, outcome gates.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes = append(s.outcomes, outcome)
}

func (s *site) Tell(_ context.Context, r *state.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, r.Ops...)
}

func (s *site) Sync(context.Context) error { return nil }

func open(t *testing.T, functions ...gates.Known) *site {
	return openOn(t, redistest.Open(t), functions...)
}

func openOn(t *testing.T, client redis.UniversalClient, functions ...gates.Known) *site {
	t.Helper()
	s := &site{t: t, registry: &registry{functions: functions}}
	s.Server = server.Open(server.Config{Redis: client, Registry: s.registry, World: s, Teller: s})
	t.Cleanup(s.Close)
	return s
}

// event makes an event with data.
func event(t *testing.T, name, data string) *engine.Event {
	t.Helper()
	id := ulid.Make()
	whole := fmt.Sprintf(`{"data":%s,"id":%q,"name":%q,"ts":%d,"user":{}}`, data, id, name, time.Now().UnixMilli())
	require.True(t, json.Valid([]byte(whole)))
	return &engine.Event{ID: id, Name: name, JSON: json.RawMessage(whole)}
}

// receive tells the server of an event, and how many functions it must concern.
func (s *site) receive(started int, e *engine.Event) {
	s.t.Helper()
	n, err := s.Event(s.t.Context(), e)
	require.NoError(s.t, err)
	require.Equal(s.t, started, n)
}

func (s *site) lease() queue.Lease {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	lease, err := s.Lease(ctx, queue.LaneCall)
	require.NoError(s.t, err)
	return lease
}

// commit concludes a lease.
func (s *site) commit(lease queue.Lease, change func(*state.Transition)) {
	s.t.Helper()
	t := &state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation, Mark: lease.Mark,
	}
	change(t)
	require.NoError(s.t, s.Commit(s.t.Context(), t))
}

func finish(t *state.Transition) {
	t.Finish = &state.Finish{Status: state.Completed, Output: json.RawMessage(`1`)}
}

// gone waits for the end of a run.
func (s *site) gone(run ulid.ULID) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		_, err := s.Load(s.t.Context(), run)
		return errors.Is(err, state.ErrRunNotFound)
	}, patience, 5*time.Millisecond)
}
