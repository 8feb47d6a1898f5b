package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
	"jetstep/jcs"
	"jetstep/state"
)

// Load implements state.Store.
func (n *Node) Load(ctx context.Context, id ulid.ULID) (*state.Run, error) {
	stored, err := n.stored(ctx, id)
	if err != nil {
		n.suspectRun(id, err)
		return nil, err
	}
	return stored.run, nil
}

// stored is a run as it is kept and as it is executed.
type stored struct {
	*runs.Run
	run   *state.Run
	items []*jobs.Entry
}

// stored reads a run; state.ErrRunNotFound when it is not there.
func (n *Node) stored(ctx context.Context, id ulid.ULID) (*stored, error) {
	kept, err := n.runs.Load(ctx, id)
	if errors.Is(err, format.ErrNoRun) {
		return nil, state.ErrRunNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", id, err)
	}
	items, damaged, err := n.jobs.OfRun(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", id, err)
	}
	if damaged != nil {
		n.Log.Error("jobs passed over: they cannot be read", "run_id", id, "error", damaged)
	}
	s := &stored{Run: kept, items: items}
	s.run, damaged, err = RunOf(kept, items, n.Functions.Attempts)
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", id, &jobs.Defect{Why: jobs.RunUnreadable, Err: err})
	}
	if damaged != nil {
		// Each is set aside when it is due; the run may have others.
		n.Log.Error("jobs passed over: they cannot be read", "run_id", id, "error", damaged)
	}
	return s, nil
}

// RunOf is a run as it is executed, of what is kept of it and of its jobs'
// items; attempts is Functions.Attempts. Items that are no jobs of runs, or cannot
// be read as such, are left out: damaged says why.
func RunOf(s *runs.Run, items []*jobs.Entry, attempts func(uuid.UUID) int) (_ *state.Run, damaged, err error) {
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
	if err := addEvents(run, s.Events); err != nil {
		return nil, nil, err
	}
	if run.Steps, err = stepsOf(s.Steps); err != nil {
		return nil, nil, err
	}
	if run.Inputs, err = stepsOf(s.Inputs); err != nil {
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
		run.Size += len(event)
		about := readEvent(event)
		if i == 0 {
			run.Trigger = about.Name
		}
		run.Correlations = append(run.Correlations, about.Data.Inngest.Correlation)
	}
	for _, correlation := range run.Correlations {
		if correlation != "" {
			return nil
		}
	}
	run.Correlations = nil
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

func stepsOf(values []runs.Value) ([]state.Step, error) {
	var steps []state.Step
	for _, v := range values {
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
