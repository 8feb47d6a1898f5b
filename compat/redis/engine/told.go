package engine

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/state"
)

// Teller is told what becomes of runs, in the facts of the native path's log, so
// that the history is written from them in the same way. A fact may be told twice;
// after a crash some are not. Each run repeats at its end what matters of it.
type Teller interface {
	// Tell takes facts that hold together. It may wait while much is told.
	Tell(ctx context.Context, r *state.Record)
	// Sync returns once all that was told before is durable.
	Sync(ctx context.Context) error
}

// toldRuns is of how many runs a process remembers that it has told of their
// beginning.
const toldRuns = 1 << 16

// told is the memory of which runs' beginnings were told.
type told struct {
	mu     sync.Mutex
	places map[ulid.ULID]struct{}
	line   []ulid.ULID // a ring, once it is full
	next   int
	ending map[ulid.ULID]struct{} // runs whose end is told, and whose state is there still
}

// beginEnd notes that a run's end is being told, and tells whether it was before.
func (t *told) beginEnd(run ulid.ULID) (again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ending == nil {
		t.ending = map[ulid.ULID]struct{}{}
	}
	_, again = t.ending[run]
	t.ending[run] = struct{}{}
	return again
}

// ended forgets a run whose state is gone.
func (t *told) ended(run ulid.ULID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.ending, run)
}

// know remembers a run, and tells whether it was known.
func (t *told) know(run ulid.ULID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.places[run]; known {
		return true
	}
	if t.places == nil {
		t.places = map[ulid.ULID]struct{}{}
	}
	t.places[run] = struct{}{}
	if len(t.line) < toldRuns {
		t.line = append(t.line, run)
		return false
	}
	delete(t.places, t.line[t.next])
	t.line[t.next] = run
	t.next = (t.next + 1) % toldRuns
	return false
}

// Tell tells the history of something that is decided outside of the engine.
func (n *Node) Tell(ctx context.Context, ops ...state.Op) { n.tell(ctx, time.Now(), ops...) }

func (n *Node) tell(ctx context.Context, at time.Time, ops ...state.Op) {
	if n.Teller != nil && len(ops) > 0 {
		n.Teller.Tell(ctx, &state.Record{At: at.UnixMilli(), Ops: ops})
	}
}

// tellBegun tells of a run that was made, or that was there.
func (n *Node) tellBegun(ctx context.Context, s *Start, id *format.Identifier, existed bool, now time.Time) {
	if n.Teller == nil || n.told.know(id.RunID) {
		return
	}
	put := &state.RunPut{Run: state.Run{
		ID: id.RunID, FunctionID: id.FunctionID, FunctionVersion: id.Version, Slug: s.Slug, Idempotency: id.Key,
		Events: s.Events, EventIDs: s.EventIDs, Cron: s.Cron, QueuedAt: int64(id.RunID.Time()), Version: state.Undecided,
		Steps: s.Steps, Inputs: s.Inputs, Debug: s.Debug,
	}}
	put.Run.Trigger, put.Run.Correlations = aboutEvents(s.Events)
	if id.OriginalRun != nil {
		put.Run.Original = *id.OriginalRun
	}
	if id.BatchID != nil {
		put.Run.Flow = &state.Flow{BatchID: *id.BatchID}
	}
	if existed {
		n.tell(ctx, now, &state.Recalled{}, put)
		return
	}
	put.Run.Jobs = []state.Job{{ID: function.StartJob(runKey(id)), Kind: state.JobStart}}
	n.tell(ctx, now, put)
}

// aboutEvents are the name of the first event, and who waits for the run.
func aboutEvents(events []json.RawMessage) (trigger string, correlations []string) {
	waited := false
	for i, event := range events {
		about := readEvent(event)
		if i == 0 {
			trigger = about.Name
		}
		correlations = append(correlations, about.Data.Inngest.Correlation)
		waited = waited || about.Data.Inngest.Correlation != ""
	}
	if !waited {
		correlations = nil
	}
	return trigger, correlations
}

// recall tells of a run that began elsewhere, or before this process did.
func (n *Node) recall(ctx context.Context, s *stored, now time.Time) {
	if n.Teller != nil && !n.told.know(s.run.ID) {
		n.tell(ctx, now, &state.Recalled{}, beginningOf(s.run, s.Metadata))
	}
}

// tellEnd tells of a run's end, with facts that belong to it, and waits until that
// is durable: the run's state goes then, and nobody could tell it again.
func (n *Node) tellEnd(ctx context.Context, s *stored, end *state.RunFinished, facts []state.Op) error {
	if n.Teller == nil {
		return nil
	}
	if again := n.told.beginEnd(s.run.ID); !again {
		now := time.Now()
		n.recall(ctx, s, now)
		n.tell(ctx, now, append(facts, end)...)
	}
	return n.Teller.Sync(ctx)
}

// beginningOf is a run without what its calls led to.
func beginningOf(run *state.Run, m *format.Metadata) *state.RunPut {
	r := state.Run{
		ID: run.ID, FunctionID: run.FunctionID, FunctionVersion: run.FunctionVersion, Slug: run.Slug, Idempotency: run.Idempotency,
		Events: run.Events, EventIDs: run.EventIDs, Trigger: run.Trigger, Correlations: run.Correlations, Cron: run.Cron,
		QueuedAt: run.QueuedAt, StartedAt: run.StartedAt, Version: run.Version, HasAI: run.HasAI, Size: run.Size,
		Original: run.Original, Endpoint: run.Endpoint, Debug: run.Debug,
	}
	if batch := m.ID.BatchID; batch != nil {
		r.Flow = &state.Flow{BatchID: *batch}
	}
	return &state.RunPut{Run: r}
}

// facts are what the transition says, and what has become of it.
func (c *commit) facts() []state.Op {
	change := c.changed()
	var ops []state.Op
	if c.Called != nil {
		ops = append(ops, c.Called)
	}
	if c.detached {
		ops = append(ops, &state.EndpointDetached{RunID: c.RunID, FunctionID: c.run.FunctionID})
	}
	// A report of steps that are known is one that was repeated.
	known := len(c.Saves) > 0 && len(change.Steps)+len(change.JobsPut)+len(change.DefersPut) == 0
	if c.Reported != nil && !known {
		ops = append(ops, c.Reported)
	}
	if c.Ended != nil && c.saved[c.Ended.Step] != runs.SavedOther {
		ops = append(ops, c.Ended)
	}
	if change.StartedAt != 0 || len(change.Steps)+len(change.JobsPut)+len(change.DefersPut) > 0 {
		ops = append(ops, change)
	}
	return append(ops, c.invocations()...)
}

// changed is what is different in the run for the history.
func (c *commit) changed() *state.RunChanged {
	change := &state.RunChanged{RunID: c.RunID}
	if c.run.StartedAt == 0 {
		change.StartedAt = c.Transition.StartedAt
	}
	for _, s := range c.Saves {
		if saved, ok := c.saved[s.Step]; ok && saved != runs.SavedOther {
			change.Steps = append(change.Steps, state.Step{ID: s.Step, Memo: s.Memo})
		}
	}
	for _, job := range c.Transition.Jobs {
		if job.Step != "" && job.ID != c.Job && !c.finished(job.Step) {
			change.JobsPut = append(change.JobsPut, job)
		}
	}
	for i := range c.Transition.Waits {
		if w := &c.Transition.Waits[i]; !c.finished(w.Wait.Step) {
			change.JobsPut = append(change.JobsPut, w.Timeout)
		}
	}
	change.DefersPut = c.deferred()
	return change
}

// deferred are the defers that the transition adds or takes back.
func (c *commit) deferred() []state.Defer {
	known := map[string]state.Defer{}
	for _, d := range c.run.Defers {
		known[d.ID] = d
	}
	var put []state.Defer
	for _, d := range c.Transition.Defers {
		if _, there := known[d.ID]; !there {
			known[d.ID] = d
			put = append(put, d)
		}
	}
	for _, id := range c.AbortDefers {
		if d, there := known[id]; there && d.Status == state.DeferAfterRun {
			d.Status = state.DeferAborted
			put = append(put, d)
		}
	}
	return put
}

// invocations are the events by which the transition invokes functions: of those
// the history has the ids.
func (c *commit) invocations() []state.Op {
	var ops []state.Op
	for i := range c.Transition.Waits {
		w := &c.Transition.Waits[i]
		if w.Wait.Kind != state.WaitInvoke || c.finished(w.Wait.Step) {
			continue
		}
		run := c.RunID.String()
		ops = append(ops, &state.Sent{Message: state.Message{Event: &state.SentEvent{
			InternalID: invocationOf(c.RunID, w.Wait.Step),
			Data:       []byte(`{"_inngest":{"correlation_id":"` + run + `.` + w.Wait.Step + `"}}`),
		}}})
	}
	return ops
}

// cause is what ends a wait.
type cause struct {
	event ulid.ULID // internal id, zero for none
	child ulid.ULID // the invoked run that ended, zero for none
}

// tellEnded tells how a wait ended. What follows from it is done later, again if
// need be, and so is this.
func (n *Node) tellEnded(ctx context.Context, m *format.Metadata, p *format.Pause, memo []byte, by cause) {
	wait, _ := WaitOf(p)
	n.tell(ctx, time.Now(),
		&state.StepEnded{
			RunID: p.Run.RunID, FunctionID: p.Run.FunctionID, Step: p.DataKey, Kind: wait.Kind, EventID: by.event, ChildRunID: by.child,
			About: state.About{EventID: m.ID.EventID, Idempotency: m.ID.Key},
		},
		&state.RunChanged{RunID: p.Run.RunID, Steps: []state.Step{{ID: p.DataKey, Memo: memo}}},
	)
}

// endOf is the fact that a run ended, with what the run was.
func endOf(s *stored, f *state.Finish, by string) *state.RunFinished {
	run := s.run
	op := &state.RunFinished{
		RunID: run.ID, Status: f.Status, Output: f.Output, FunctionID: run.FunctionID, QueuedAt: run.QueuedAt, StartedAt: run.StartedAt,
		EventIDs: run.EventIDs, Cron: run.Cron, HasAI: run.HasAI, Original: run.Original, CancelledBy: causeOf(by),
		Idempotency: run.Idempotency,
	}
	if batch := s.Metadata.ID.BatchID; batch != nil {
		op.BatchID = *batch
	}
	return op
}

// Those on whose behalf runs are cancelled, with an id behind it.
const (
	ByEvent        = "event:"
	ByCancellation = "cancellation:"
)

// causeOf is the id of the event or bulk cancellation that ended a run, zero for
// something else.
func causeOf(by string) ulid.ULID {
	for _, kind := range []string{ByEvent, ByCancellation} {
		if id, ok := strings.CutPrefix(by, kind); ok {
			parsed, _ := ulid.ParseStrict(id)
			return parsed
		}
	}
	return ulid.ULID{}
}
