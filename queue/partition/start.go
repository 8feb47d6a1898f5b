package partition

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/state"
)

// start asks the run's partition for a run of fn by the event; correlation
// names the invoking step, if any.
func (t *tx) start(fn *function.Function, m *match, correlation string) {
	s := &state.Start{
		FunctionID:  fn.ID,
		Idempotency: function.IdempotencyKey(fn.ID, m.event.ID),
		Events:      []json.RawMessage{m.canonical},
		EventIDs:    []ulid.ULID{m.event.InternalID},
		Trigger:     m.Name,
		Mark:        m.Seq,
	}
	if correlation != "" {
		s.Correlations = []string{correlation}
	}
	if m.event.TS > t.now {
		s.NotBefore = m.event.TS
	}
	switch {
	case m.event.ID != m.event.InternalID.String():
		s.ClaimFor = claimExplicit.Milliseconds()
	case m.event.Seeded:
		s.ClaimFor = claimSeeded.Milliseconds()
	}
	t.sendStart(fn, m.StoredAt, m.event.ID, s)
}

// sendStart names the run and sends the start to its partition. The same
// function, key and time always give the same run. The idempotency key of s is of
// that function and key.
func (t *tx) sendStart(fn *function.Function, at time.Time, key string, s *state.Start) {
	spread, shared := fn.FlowPartitionKey()
	if !shared {
		spread = s.Idempotency
	}
	to := t.o.node.partitionOf(spread)
	s.RunID = runID(to, at, fn.ID, key)
	t.send(to, state.Message{Kind: state.MessageStart, Start: s})
}

// runID is a ULID of that time whose first byte of entropy is the partition
// and whose others come from what the run was started by.
func runID(partition int, at time.Time, fn uuid.UUID, key string) ulid.ULID {
	sum := sha256.Sum256(append(fn[:], key...))
	var id ulid.ULID
	_ = id.SetTime(uint64(at.UnixMilli())) // fails only after the year 10889
	id[6] = byte(partition)
	copy(id[7:], sum[:])
	return id
}

// claimKey is what a key of a function is claimed under. An idempotency key names
// its function itself, and can be told from what it is claimed under.
func claimKey(fn uuid.UUID, idempotency string) (key [16]byte) {
	if key, ok := state.ClaimKey(idempotency); ok {
		return key
	}
	sum := sha256.Sum256(append(fn[:], idempotency...))
	copy(key[:], sum[:])
	return key
}

func newRun(fn *function.Function, s *state.Start, now int64) state.Run {
	run := state.Run{
		ID:              s.RunID,
		FunctionID:      fn.ID,
		FunctionVersion: fn.Version,
		Slug:            fn.Slug,
		Idempotency:     s.Idempotency,
		Events:          s.Events,
		EventIDs:        s.EventIDs,
		Trigger:         s.Trigger,
		Correlations:    s.Correlations,
		Cron:            s.Cron,
		QueuedAt:        now,
		Version:         state.Undecided,
		Steps:           s.Steps,
		Inputs:          s.Inputs,
		Original:        s.Original,
		Debug:           s.Debug,
	}
	run.Size = run.Payload()
	run.Jobs = []state.Job{{
		ID:          function.StartJob(run.Key()),
		Kind:        state.JobStart,
		Due:         max(now, s.NotBefore),
		MaxAttempts: fn.Retries() + 1,
	}}
	return run
}

// armCancels makes the watches of the function's cancelOn for a run.
func (t *tx) armCancels(s *starting, run *state.Run) []*state.Watch {
	var watches []*state.Watch
	for _, c := range s.fn.Cancel {
		until, err := c.Expires(time.UnixMilli(t.now))
		if err != nil {
			t.o.log.Warn("cancelOn timeout is unusable: one year counts", "function_id", s.fn.Slug, "error", err)
		}
		w := &state.Watch{Event: c.Event, RunID: run.ID, Since: s.Mark, Expires: until.UnixMilli()}
		if c.If != "" {
			bound, err := s.in.Bind(c.If)
			if err != nil {
				t.o.log.Warn("cancelOn expression is unusable: it never matches", "function_id", s.fn.Slug, "error", err)
				continue
			}
			if bound == "false" {
				continue
			}
			w.If = bound
		}
		w.ID = state.CancelWatchID(run.ID, len(watches))
		watches = append(watches, w)
		run.Cancels = append(run.Cancels, c.Event)
	}
	return watches
}

// invocation is what an invoked event says of its caller (sdk-protocol §12.7).
type invocation struct {
	Inngest struct {
		FunctionID    string `json:"fn_id"`
		CorrelationID string `json:"correlation_id"`
		// RunID is set when whoever invokes starts the run, see StartNow.
		RunID string `json:"run_id"`
	} `json:"_inngest"`
}

// startInvoked starts the function that an event invokes. An unknown one ends
// the caller's step with an error.
func (t *tx) startInvoked(m *match, catalog *bus.Catalog) int {
	var call invocation
	if err := json.Unmarshal(m.event.Data, &call); err != nil {
		t.o.log.Warn("invoke event without a target", "event_id", m.InternalID, "error", err)
		return 0
	}
	if call.Inngest.RunID != "" {
		return 1
	}
	fn, ok := catalog.Lookup(call.Inngest.FunctionID)
	if ok {
		t.start(fn.Function, m, call.Inngest.CorrelationID)
		return 1
	}
	text := state.InvokeUnknown(call.Inngest.FunctionID)
	t.o.log.Warn("invoke of an unknown function", "function_id", call.Inngest.FunctionID, "event_id", m.InternalID)
	t.refuseAloud(call.Inngest.CorrelationID, text)
	return 0
}

// answered is what an invoke leads to: a memo, and, when a run was made and an
// event told of its end, what these are.
type answered struct {
	memo  json.RawMessage
	event ulid.ULID // internal id
	child ulid.ULID
}

// answerInvoke sends the result of an invoked function to the waiting step.
func (t *tx) answerInvoke(correlation string, a answered) {
	run, step, ok := state.ParseCorrelation(correlation)
	if !ok {
		return
	}
	t.send(t.o.node.partitionOfRun(run), state.Message{
		Kind: state.MessageResume, RunID: run, Step: step, Memo: a.memo, Cause: a.event, Child: a.child,
	})
}
