package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
	"jetstep/compat/redis/script"
	"jetstep/jcs"
	"jetstep/state"
)

// Load implements state.Store.
func (n *Node) Load(ctx context.Context, id ulid.ULID) (*state.Run, error) {
	s, err := n.stored(ctx, id)
	if err != nil {
		n.suspectRun(id, err)
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.held {
		if h.run() == id {
			h.loaded = s
		}
	}
	return s.run, nil
}

// stored is a run as it is kept and as it is executed. Nothing of it is changed
// once it is loaded but what commit says, so that a later reading may share it.
type stored struct {
	*runs.Run
	run   *state.Run
	items []*jobs.Entry
}

// stored reads a run; state.ErrRunNotFound when it is not there.
func (n *Node) stored(ctx context.Context, id ulid.ULID) (*stored, error) {
	function, entries, before := n.known(id)
	if function == uuid.Nil {
		m, err := n.runs.Metadata(ctx, id)
		if errors.Is(err, format.ErrNoRun) {
			return nil, state.ErrRunNotFound
		}
		if err != nil {
			return nil, fmt.Errorf("load run %s: %w", id, err)
		}
		function = m.ID.FunctionID
	}
	s, damaged, err := n.read(ctx, runs.Ref{Run: id, Function: function}, entries, before)
	if errors.Is(err, format.ErrNoRun) {
		return nil, state.ErrRunNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", id, err)
	}
	if damaged != nil {
		// Each is set aside when it is due; the run may have others.
		n.Log.Error("jobs passed over: they cannot be read", "run_id", id, "error", damaged)
	}
	return s, nil
}

// known is what this process has of a run of which it executes a job: its function,
// its items, and how it was read before; all nil when it executes none.
func (n *Node) known(id ulid.ULID) (function uuid.UUID, entries []*jobs.Entry, before *stored) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.held {
		if h.run() != id {
			continue
		}
		function, entries = h.function, append(entries, h.entry)
		if h.loaded != nil {
			before = h.loaded
		}
	}
	if before != nil {
		entries = append(entries, before.items...)
	}
	return function, entries, before
}

// read reads a run with its jobs in one round trip, unless it has pauses; damaged
// tells of jobs that cannot be read. What has not changed is not decoded again.
func (n *Node) read(ctx context.Context, ref runs.Ref, entries []*jobs.Entry, before *stored) (s *stored, damaged, err error) {
	answers, err := n.ask(ctx, readOperations(ref)...)
	var refused redis.Error
	if errors.As(err, &refused) {
		return n.readApart(ctx, ref) // some key is of another type: which, that says
	}
	if err != nil {
		return nil, nil, err
	}
	return n.readFrom(ctx, ref, answers, entries, before)
}

// readOperations are those whose answers readFrom reads.
func readOperations(ref runs.Ref) []script.Operation {
	return append(runs.LoadOperations(ref), jobs.ItemsOperation(ref.Run))
}

// readFrom is read of what was answered.
func (n *Node) readFrom(ctx context.Context, ref runs.Ref, answers []any, entries []*jobs.Entry, before *stored) (s *stored, damaged, err error) {
	var past *runs.Run
	if before != nil {
		past = before.Run
	}
	loaded, err := n.runs.Loaded(ctx, ref, answers, past)
	if err != nil {
		return nil, nil, err
	}
	list, _ := answers[len(answers)-1].([]any)
	items, unread, err := jobs.ItemsIn(ref.Run, list, entries...)
	if err != nil {
		return nil, nil, err
	}
	return n.storedOf(loaded, items, before, unread)
}

// readApart reads a run piece by piece.
func (n *Node) readApart(ctx context.Context, ref runs.Ref) (s *stored, damaged, err error) {
	loaded, err := n.runs.Load(ctx, ref.Run)
	if err != nil {
		return nil, nil, err
	}
	items, unread, err := n.jobs.OfRun(ctx, ref.Run)
	if err != nil {
		return nil, nil, err
	}
	return n.storedOf(loaded, items, nil, unread)
}

func (n *Node) storedOf(loaded *runs.Run, items []*jobs.Entry, before *stored, unread error) (s *stored, damaged, err error) {
	s = &stored{Run: loaded, items: items}
	if s.run, damaged, err = runOf(s.Run, s.items, n.Functions.Attempts, before); err != nil {
		return nil, nil, &jobs.Defect{Why: jobs.RunUnreadable, Err: err}
	}
	return s, errors.Join(unread, damaged), nil
}

// RunOf is a run as it is executed, of what is kept of it and of its jobs'
// items; attempts is Functions.Attempts. Items that are no jobs of runs, or cannot
// be read as such, are left out: damaged says why.
func RunOf(s *runs.Run, items []*jobs.Entry, attempts func(uuid.UUID) int) (_ *state.Run, damaged, err error) {
	return runOf(s, items, attempts, nil)
}

// runOf is RunOf of a run that was read before, nil if it was not.
func runOf(s *runs.Run, items []*jobs.Entry, attempts func(uuid.UUID) int, before *stored) (_ *state.Run, damaged, err error) {
	m := s.Metadata
	run := &state.Run{
		ID: m.ID.RunID, FunctionID: m.ID.FunctionID, FunctionVersion: m.ID.Version, Slug: m.Context.FunctionSlug,
		Idempotency: m.ID.Key, EventIDs: m.ID.EventIDs, Cron: m.Context.Cron,
		QueuedAt: int64(m.ID.RunID.Time()), StartedAt: m.StartedAt, Version: m.RequestVersion,
		ForcePlan: m.ForcePlan, HasAI: m.HasAI, Pending: s.Pending, MetadataSize: int(m.MetadataSize),
	}
	if m.ID.OriginalRun != nil {
		run.Original = *m.ID.OriginalRun
	}
	if before != nil && s.SameInput(before.Run) {
		run.Events, run.Trigger, run.Correlations = before.run.Events, before.run.Trigger, before.run.Correlations
	} else if err := addEvents(run, s.Events); err != nil {
		return nil, nil, err
	}
	for _, event := range run.Events {
		run.Size += len(event)
	}
	var past []runs.Value
	var memos []state.Step
	if before != nil {
		past, memos = before.Steps, before.run.Steps
	}
	if run.Steps, err = stepsOf(s.Steps, past, memos); err != nil {
		return nil, nil, err
	}
	if run.Inputs, err = stepsOf(s.Inputs, nil, nil); err != nil {
		return nil, nil, err
	}
	for _, step := range run.Steps {
		run.Size += len(step.Memo)
	}
	for _, item := range items {
		job, err := jobOf(&item.Item, attempts)
		if err != nil {
			damaged = errors.Join(damaged, err)
			continue
		}
		run.Jobs = append(run.Jobs, job)
	}
	run.Debug = debugOf(&m.Context)
	run.Endpoint = begunBy(m, len(run.Jobs) > 0, attempts)
	for _, p := range s.Pauses {
		if wait, ok := WaitOf(p); ok {
			run.Waits = append(run.Waits, wait)
		} else if p.Cancel {
			run.Cancels = append(run.Cancels, p.Event)
		}
	}
	for _, d := range s.Defers {
		run.Defers = append(run.Defers, state.Defer{
			ID: d.HashedID, Slug: d.FunctionSlug, Status: state.DeferStatus(d.Status), Input: raw(d.Input), Meta: raw(d.Control),
		})
	}
	return run, damaged, nil
}

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

// CanonicalEvent is an event as runs have it: what is stored is not canonical, and
// has no empty "user".
func CanonicalEvent(text json.RawMessage) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	if _, ok := fields["user"]; !ok {
		fields["user"] = json.RawMessage("{}")
	}
	whole, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	return jcs.Canonicalize(whole)
}

// addEvents gives a run its input.
func addEvents(run *state.Run, events []json.RawMessage) error {
	for i, text := range events {
		event, err := CanonicalEvent(text)
		if err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		run.Events = append(run.Events, event)
	}
	run.Trigger, run.Correlations = aboutEvents(run.Events)
	return nil
}

// aboutEvent is what the engine reads of an event.
type aboutEvent struct {
	Name string `json:"name"`
	Data struct {
		Correlation string          `json:"correlation_id"`
		RunID       string          `json:"run_id"`
		Result      json.RawMessage `json:"result"`
		Error       json.RawMessage `json:"error"`
		Inngest     struct {
			Correlation string `json:"correlation_id"`
			FunctionID  string `json:"fn_id"`
			Status      string `json:"status"`
		} `json:"_inngest"`
	} `json:"data"`
}

// readEvent reads what can be read: data may be anything.
func readEvent(event json.RawMessage) aboutEvent {
	var about aboutEvent
	_ = json.Unmarshal(event, &about)
	return about
}

// stepsOf are finished steps with their memos; those that a reading before had in
// the same places are its.
func stepsOf(values, past []runs.Value, memos []state.Step) ([]state.Step, error) {
	var steps []state.Step
	for i, v := range values {
		if i < len(memos) && i < len(past) && past[i] == v {
			steps = append(steps, memos[i])
			continue
		}
		memo, err := jcs.Canonicalize(json.RawMessage(v.JSON))
		if err != nil {
			return nil, fmt.Errorf("step %s: %w", v.Step, err)
		}
		steps = append(steps, state.Step{ID: v.Step, Memo: memo})
	}
	return steps, nil
}

// WaitOf reads a pause as a wait; ok is false for one that cancels.
func WaitOf(p *format.Pause) (w state.Wait, ok bool) {
	w = state.Wait{Step: p.DataKey, Group: p.CoalesceKey, Race: p.ParallelMode == format.ModeRace}
	switch {
	case p.Cancel:
		return w, false
	case p.Correlation != "":
		w.Kind, w.Name = state.WaitInvoke, p.Invoked
	case p.Signal != "":
		w.Kind, w.Name = state.WaitSignal, p.Signal
	default:
		w.Kind, w.Name = state.WaitEvent, p.Event
	}
	return w, true
}
