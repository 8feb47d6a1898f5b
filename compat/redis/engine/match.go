package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
	"jetstep/expr"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

// Event is an event that was accepted.
type Event struct {
	ID   ulid.ULID       // internal
	Name string          //
	JSON json.RawMessage // whole, canonical, "user" always present; what a wait gets
	// position in the line of events of this process.
	position uint64
	// fields are what expressions see, parsed when the first one asks: few events
	// meet a pause.
	fields func() (map[string]any, error)
}

// fieldsOf parses an event, once.
func fieldsOf(event json.RawMessage) func() (map[string]any, error) {
	return sync.OnceValues(func() (fields map[string]any, err error) {
		err = json.Unmarshal(event, &fields)
		return fields, err
	})
}

// keptEvents is how many events a process remembers: a wait that a call asks for
// sees those that came while the call lasted.
const keptEvents = 10_000

// recent are the last events of this process.
type recent struct {
	last   uint64
	events []*Event
}

func (r *recent) add(e *Event) {
	r.last++
	e.position = r.last
	r.events = append(r.events, e)
	if len(r.events) > 2*keptEvents {
		r.events = slices.Clone(r.events[len(r.events)-keptEvents:])
	}
}

func (n *Node) recentEvents(name string, since uint64) []*Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found []*Event
	for i := len(n.recent.events) - 1; i >= 0 && n.recent.events[i].position > since; i-- {
		if e := n.recent.events[i]; e.Name == name {
			found = append(found, e)
		}
	}
	slices.Reverse(found)
	return found
}

// tolerance is how far clocks may differ (redis-state §8.5).
const tolerance = 5 * time.Second

// Match ends the waits that an event satisfies and cancels the runs that it
// cancels. To start runs is not its business. An event whose matching failed may
// be matched again.
func (n *Node) Match(ctx context.Context, e *Event) error {
	e.fields = fieldsOf(e.JSON)
	n.mu.Lock()
	n.recent.add(e)
	n.mu.Unlock()
	if e.Name == state.EventFinished {
		if err := n.matchInvoke(ctx, e); err != nil {
			return fmt.Errorf("match event %s: %w", e.ID, err)
		}
	}
	damaged := func(err error) { n.damagedPause(ctx, e.Name, err) }
	err := n.runs.EachPauseOf(ctx, n.Environment, e.Name, func(p *format.Pause) error {
		if !satisfies(p, e) {
			return nil
		}
		if p.Cancel {
			return n.passOver(p, n.cancel(ctx, p, e))
		}
		return n.passOver(p, n.resume(ctx, p, e.JSON, cause{event: e.ID}))
	}, damaged)
	if jobs.IsWrongType(err) {
		_, err = jobs.SetKeyAside(ctx, n.Redis, n.Observer, format.PauseEventsKey(n.Environment, e.Name), format.Hash)
	}
	if err != nil {
		return fmt.Errorf("match event %s: %w", e.ID, err)
	}
	return nil
}

// satisfies tests one pause against an event (redis-state §8.5). What cannot be
// evaluated does not match.
func satisfies(p *format.Pause, e *Event) bool {
	now := time.Now()
	switch {
	case p.CreatedAt.After(now.Add(tolerance)),
		p.Cancel && e.ID.Compare(p.Run.RunID) <= 0,
		p.Expires <= now.UnixMilli(),
		p.Trigger == e.ID.String():
		return false
	case p.Expression == "":
		return true
	}
	compiled, err := expr.CompileInterpolated(p.Expression)
	if err != nil {
		return false
	}
	fields, err := e.fields()
	if err != nil {
		return false
	}
	result, err := compiled.Eval(map[string]any{"async": fields})
	if err != nil {
		return false
	}
	matched, err := result.Bool()
	return err == nil && matched
}

// matchInvoke ends the wait for a function that was invoked.
func (n *Node) matchInvoke(ctx context.Context, e *Event) error {
	about := readEvent(e.JSON)
	if about.Data.Correlation == "" {
		return nil
	}
	p, err := n.runs.Invoke(ctx, n.Environment, about.Data.Correlation)
	if jobs.IsDefect(err) {
		n.Log.Error("invoke passed over: its pause cannot be read", "correlation_id", about.Data.Correlation, "error", err)
		return nil // its timeout ends the wait
	}
	if err != nil || p == nil || p.Expires <= time.Now().UnixMilli() {
		return err
	}
	f := &state.Finish{Status: state.Failed, Output: about.Data.Result, Error: about.Data.Error}
	switch about.Data.Inngest.Status {
	case state.Completed.String():
		f.Status = state.Completed
	case state.Cancelled.String():
		f.Status = state.Cancelled
	}
	child, _ := ulid.ParseStrict(about.Data.RunID) // zero of an event that names none
	return n.passOver(p, n.resume(ctx, p, state.InvokeMemo(f), cause{event: e.ID, child: child}))
}

// ErrNoWaiter is a signal that nobody waits for.
var ErrNoWaiter = errors.New("nobody waits for the signal")

// Signal gives a signal to the run that waits for it, and tells which that is.
func (n *Node) Signal(ctx context.Context, name string, data json.RawMessage) (ulid.ULID, error) {
	p, err := n.runs.Signal(ctx, n.Environment, name)
	if err != nil {
		return ulid.ULID{}, err
	}
	if p == nil || p.Expires <= time.Now().UnixMilli() {
		return ulid.ULID{}, ErrNoWaiter
	}
	if len(data) > 0 {
		if data, err = jcs.Canonicalize(data); err != nil {
			return ulid.ULID{}, fmt.Errorf("signal %s: %w", name, err)
		}
	}
	if err := n.resume(ctx, p, state.SignalMemo(name, data), cause{}); err != nil {
		return ulid.ULID{}, fmt.Errorf("signal %s: %w", name, err)
	}
	return p.Run.RunID, nil
}

// Waiter is the run that waits for a signal.
func (n *Node) Waiter(ctx context.Context, signal string) (run ulid.ULID, ok bool, err error) {
	p, err := n.runs.Signal(ctx, n.Environment, signal)
	if err != nil || p == nil {
		return run, false, err
	}
	return p.Run.RunID, true, nil
}

// FailInvoke ends the wait for a function that does not exist.
func (n *Node) FailInvoke(ctx context.Context, correlation, message string) error {
	p, err := n.runs.Invoke(ctx, n.Environment, correlation)
	if err != nil || p == nil {
		return err
	}
	return n.resume(ctx, p, state.InvokeErrorMemo("Error", message), cause{})
}

// resume ends a wait with what it waited for: the first to save the step does
// (redis-state §8.8). Pause and timeout go before the call that follows is
// there; should the process die in between, the timeout finds that nothing
// follows.
func (n *Node) resume(ctx context.Context, p *format.Pause, memo json.RawMessage, by cause) error {
	ref := runs.Ref{Run: p.Run.RunID, Function: p.Run.FunctionID}
	m, err := n.runs.Metadata(ctx, ref.Run)
	if errors.Is(err, format.ErrNoRun) {
		n.orphan(p)
		return nil
	}
	if err != nil {
		return err
	}
	saved, pending, err := n.runs.SaveStep(ctx, ref, runs.Value{Step: p.DataKey, JSON: string(memo)}, 0)
	if err != nil {
		return err
	}
	switch saved {
	case runs.SavedOther:
		return nil // somebody was first, and goes on with it
	case runs.SavedGone:
		return n.runs.DeletePause(ctx, p)
	}
	n.tellEnded(ctx, m, p, memo, by)
	follows := !pending || m.RequestVersion < 2 || p.CoalesceKey == "" || p.ParallelMode == format.ModeRace
	if follows && m.ForcePlan && m.RequestVersion >= 2 {
		no := false
		if _, err := n.runs.Update(ctx, ref.Run, runs.Update{ForcePlan: &no}); err != nil {
			return err
		}
	}
	if err := n.runs.DeletePause(ctx, p); err != nil {
		return err
	}
	return n.goOn(ctx, m, p, follows)
}

// goOn drops a wait's timeout and adds the call that follows, at one moment.
func (n *Node) goOn(ctx context.Context, m *format.Metadata, p *format.Pause, follows bool) error {
	now := time.Now()
	batch := n.jobs.Batch(now)
	job := resumed(&m.ID, p, n.Functions.Attempts(m.ID.FunctionID))
	job.Due = now.UnixMilli()
	if follows {
		// Before the timeout goes: a run without any job gives its singleton's key up.
		item, err := n.itemOf(&m.ID, job, nil)
		if err != nil {
			return err
		}
		batch.Enqueue(item)
	}
	timeout, err := n.jobs.Get(ctx, function.PauseTimeoutJob(runKey(&m.ID), p.DataKey))
	switch {
	case err == nil && timeout.Item.Data.Kind == format.KindPause:
		batch.Drop(timeout)
	case err != nil && !errors.Is(err, jobs.ErrGone):
		return err
	}
	if _, err := batch.Exec(ctx); err != nil {
		return err
	}
	if timeout != nil {
		n.letGo(timeout.Item.ID)
	}
	n.expectIn(m.ID.FunctionID.String(), job)
	return nil
}

// cancel ends the run of a pause that an event matches (redis-state §8.7).
func (n *Node) cancel(ctx context.Context, p *format.Pause, e *Event) error {
	err := n.Cancel(ctx, p.Run.RunID, ByEvent+e.ID.String())
	if errors.Is(err, state.ErrRunNotFound) {
		n.orphan(p)
		return nil
	}
	return err
}

// Cancel ends a run as cancelled; by says on whose behalf.
func (n *Node) Cancel(ctx context.Context, run ulid.ULID, by string) error {
	s, err := n.stored(ctx, run)
	if errors.Is(err, state.ErrRunNotFound) {
		// The end of it may have broken off.
		if err := n.dropJobs(ctx, run, nil); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	f := &state.Finish{Status: state.Cancelled, Error: state.ErrorObject("Error", "function cancelled")}
	return n.finish(ctx, s, f, by)
}
