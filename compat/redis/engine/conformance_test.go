package engine_test

import (
	"cmp"
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
	"jetstep/compat/redis/redistest"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/queue/queuetest"
	"jetstep/state"
	"jetstep/state/statetest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

var (
	account     = uuid.MustParse("00000000-0000-4000-a000-000000000000")
	environment = uuid.MustParse("00000000-0000-4000-b000-000000000000")
	app         = uuid.MustParse("1f05a43e-2ac4-5b36-8b78-6045be577c3c")
)

const slug = "suite"

// site is a node with the little world around it: functions, events, and a
// memory of how runs ended.
type site struct {
	*engine.Node
	t      *testing.T
	client redis.UniversalClient
	limits engine.Limits

	mu    sync.Mutex
	ended map[ulid.ULID]*state.Finish
	sent  []state.Outgoing
}

func open(t *testing.T) *site { return openOn(t, redistest.Open(t), engine.Limits{}) }

func openOn(t *testing.T, client redis.UniversalClient, limits engine.Limits) *site {
	s := &site{t: t, client: client, limits: limits, ended: map[ulid.ULID]*state.Finish{}}
	s.Node = engine.Open(engine.Config{
		Redis: client, Functions: s, World: s, Account: account, Environment: environment,
		Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(s.Close)
	return s
}

func (s *site) Attempts(uuid.UUID) int  { return 5 }
func (s *site) App(uuid.UUID) uuid.UUID { return app }

func (s *site) Limits(uuid.UUID) engine.Limits { return s.limits }

// functionID is that of the one function.
func functionID() uuid.UUID { return function.FunctionID(slug, slug) }

// Ended implements engine.World.
func (s *site) Ended(run *state.Run, f *state.Finish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[run.ID] = f
}

// Publish implements engine.World: the function that an event invokes is started.
func (s *site) Publish(ctx context.Context, events []state.Outgoing) error {
	for _, out := range events {
		s.mu.Lock()
		s.sent = append(s.sent, out)
		s.mu.Unlock()
		e := newEvent(s.t, out.Name, out.Data)
		source := cmp.Or(out.ID, e.ID.String())
		if err := s.Match(ctx, e); err != nil {
			return err
		}
		if out.Name != "inngest/function.invoked" {
			continue
		}
		var data struct {
			Inngest struct {
				Function    string `json:"fn_id"`
				Correlation string `json:"correlation_id"`
			} `json:"_inngest"`
		}
		if err := json.Unmarshal(out.Data, &data); err != nil {
			return err
		}
		if data.Inngest.Function != slug {
			text := "could not find function with ID: " + data.Inngest.Function
			if err := s.FailInvoke(ctx, data.Inngest.Correlation, text); err != nil {
				return err
			}
			continue
		}
		what := start(e)
		what.Source = source
		if _, _, err := s.Node.Start(ctx, what); err != nil {
			return err
		}
	}
	return nil
}

func newEvent(t *testing.T, name string, data json.RawMessage) *engine.Event {
	id := ulid.Make()
	if len(data) == 0 {
		data = json.RawMessage("{}")
	}
	whole, err := jcs.Encode(map[string]any{"id": id.String(), "name": name, "data": data, "ts": time.Now().UnixMilli(), "user": struct{}{}})
	require.NoError(t, err)
	whole, err = jcs.Canonicalize(whole)
	require.NoError(t, err)
	return &engine.Event{ID: id, Name: name, JSON: whole}
}

func start(e *engine.Event) *engine.Start {
	return &engine.Start{
		FunctionID: functionID(), FunctionVersion: 1, Slug: slug, AppID: app, Source: e.ID.String(),
		Events: []json.RawMessage{e.JSON}, EventIDs: []ulid.ULID{e.ID},
	}
}

// suite is a site as the conformance suites want it.
type suite struct{ *site }

func openHarness(t *testing.T) statetest.Harness { return suite{open(t)} }

func (h suite) Start(t *testing.T, data json.RawMessage) ulid.ULID {
	t.Helper()
	id, ended, err := h.Node.Start(t.Context(), start(newEvent(t, "suite/start", data)))
	require.NoError(t, err)
	require.False(t, ended)
	return id
}

func (h suite) Publish(t *testing.T, name string, data json.RawMessage) {
	if err := h.Match(t.Context(), newEvent(t, name, data)); err != nil {
		t.Errorf("publish: %v", err)
	}
}

func (h suite) Signal(t *testing.T, name string, data json.RawMessage) (ulid.ULID, error) {
	return h.Node.Signal(t.Context(), name, data)
}

func (h suite) Waiter(t *testing.T, signal string) (ulid.ULID, bool) {
	run, ok, err := h.Node.Waiter(t.Context(), signal)
	require.NoError(t, err)
	return run, ok
}

func (h suite) Jobs(t *testing.T, run ulid.ULID) []state.Job {
	t.Helper()
	r, err := h.Load(t.Context(), run)
	require.NoError(t, err)
	return r.Jobs
}

func (h suite) Ended(_ *testing.T, run ulid.ULID) (state.Status, json.RawMessage, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, ok := h.ended[run]
	if !ok {
		return 0, nil, false
	}
	return f.Status, f.Output, true
}

func TestStoreContract(t *testing.T) {
	t.Parallel()
	statetest.Run(t, openHarness)
}

func TestQueueContract(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, openHarness)
}
