package partition

import (
	"encoding/json"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/queue/queuetest"
	"jetstep/state"
	"jetstep/state/statetest"
)

// harness is a node as the conformance suites want it.
type harness struct {
	*Node
	site *site
}

func openHarness(partitions int) func(t *testing.T) statetest.Harness {
	return func(t *testing.T) statetest.Harness {
		s := newSite(t, partitions)
		s.register(on("suite", "suite/start"))
		return harness{s.node, s}
	}
}

func (h harness) Start(t *testing.T, data json.RawMessage) ulid.ULID {
	t.Helper()
	e := newEvent("suite/start", string(data))
	h.site.publish(e)
	return runIDOf(h.site, "suite", e)
}

// runIDOf finds the run that an event started.
func runIDOf(s *site, slug string, e *bus.Event) (id ulid.ULID) {
	s.t.Helper()
	key := function.IdempotencyKey(function.FunctionID(slug, slug), e.ID)
	s.eventually(func() bool {
		s.rec.mu.Lock()
		defer s.rec.mu.Unlock()
		for _, run := range s.rec.scheduled {
			if run.Idempotency == key {
				id = run.ID
				return true
			}
		}
		return false
	}, "event %s started no run", e.ID)
	return id
}

func (h harness) Publish(t *testing.T, name string, data json.RawMessage) {
	if err := h.site.bus.Publish(t.Context(), []*bus.Event{newEvent(name, string(data))}); err != nil {
		t.Errorf("publish: %v", err)
	}
}

func (h harness) Signal(t *testing.T, name string, data json.RawMessage) (ulid.ULID, error) {
	return h.Node.Signal(t.Context(), name, data)
}

func (h harness) Waiter(t *testing.T, signal string) (run ulid.ULID, ok bool) {
	h.site.in(h.partitionOf(signalKey(signal)), func(o *Owner) {
		var s state.SignalPut
		s, ok = o.index.Signal(signal)
		run = s.RunID
	})
	return run, ok
}

func (h harness) Jobs(t *testing.T, run ulid.ULID) []state.Job {
	t.Helper()
	r, err := h.Load(t.Context(), run)
	require.NoError(t, err)
	return r.Jobs
}

func (h harness) Ended(_ *testing.T, run ulid.ULID) (state.Status, json.RawMessage, bool) {
	e, ok := h.site.rec.end(run)
	return e.status, json.RawMessage(e.output), ok
}

func TestStoreContract(t *testing.T) {
	t.Parallel()
	t.Run("1 partition", func(t *testing.T) { t.Parallel(); statetest.Run(t, openHarness(1)) })
	t.Run("4 partitions", func(t *testing.T) { t.Parallel(); statetest.Run(t, openHarness(4)) })
}

func TestQueueContract(t *testing.T) {
	t.Parallel()
	t.Run("1 partition", func(t *testing.T) { t.Parallel(); queuetest.Run(t, openHarness(1)) })
	t.Run("4 partitions", func(t *testing.T) { t.Parallel(); queuetest.Run(t, openHarness(4)) })
}
