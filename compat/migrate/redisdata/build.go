package redisdata

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/state"
)

// built is a run in the form of a Redis.
type built struct {
	state   runs.New
	pending []string
	defers  []runs.Defer
	pauses  []*format.Pause
	// displaced are the steps whose signal is another run's.
	displaced map[string]bool
	jobs      []placed
	lock      string // name of the singleton's lock, "" for none
}

// placed is an item with its place in line, 0 for that of a new one.
type placed struct {
	item  format.Item
	score int64
}

// build makes the form of a Redis of a run: as it was, if it comes from one.
func (s *Side) build(r *migrate.Run) (*built, error) {
	if kept, ok := r.Raw.(*raw); ok {
		return rebuild(kept)
	}
	b := &built{pending: r.State.Pending, displaced: map[string]bool{}}
	id := s.identifier(r)
	if err := s.buildState(b, r, id); err != nil {
		return nil, err
	}
	for _, d := range r.State.Defers {
		b.defers = append(b.defers, runs.Defer{
			Defer: format.Defer{FunctionSlug: d.Slug, HashedID: d.ID, Status: int(d.Status)}, Input: string(d.Input), Control: string(d.Meta),
		})
	}
	for i, event := range r.State.Cancels {
		cancel := engine.Cancel{Event: event}
		created := ulid.Time(r.State.ID.Time())
		if i < len(r.Cancels) {
			cancel.Expression, cancel.Expires = r.Cancels[i].If, r.Cancels[i].Expires
			created = cmp.Or(timeOf(r.Cancels[i].CreatedAt), created)
		}
		b.pauses = append(b.pauses, engine.CancelPauseOf(id, cancel, created))
	}
	if r.Singleton != "" {
		b.lock = format.SingletonKey(r.Singleton)
	}
	return b, s.buildJobs(b, r, id)
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// rebuild makes a run again as a Redis had it.
func rebuild(r *raw) (*built, error) {
	events, err := format.Encode(r.kept.Events)
	if err != nil {
		return nil, err
	}
	m := *r.kept.Metadata
	m.DeferSize = 0 // counted as they are added
	b := &built{
		state:   runs.New{Metadata: m, Events: events, Steps: r.kept.Steps, Inputs: r.kept.Inputs},
		pending: r.kept.Pending, defers: r.kept.Defers, pauses: r.kept.Pauses, displaced: r.displaced, lock: r.singleton,
	}
	for _, e := range r.entries {
		b.jobs = append(b.jobs, placed{e.Item, e.Score()})
	}
	return b, nil
}

func (s *Side) identifier(r *migrate.Run) *format.Identifier {
	id := &format.Identifier{
		RunID: r.State.ID, FunctionID: r.State.FunctionID, Version: r.State.FunctionVersion, EventIDs: r.State.EventIDs,
		Key: r.State.Idempotency, AccountID: s.Account, EnvironmentID: s.Environment, AppID: r.AppID, Priority: new(int64),
	}
	if len(id.EventIDs) > 0 {
		id.EventID = id.EventIDs[0]
	}
	if !r.State.Original.IsZero() {
		id.OriginalRun = &r.State.Original
	}
	if flow := r.State.Flow; flow != nil {
		*id.Priority = int64(flow.Priority)
		if !flow.BatchID.IsZero() {
			id.BatchID = &flow.BatchID
		}
	}
	for _, k := range r.Keys {
		id.Concurrency = append(id.Concurrency, format.ConcurrencyKey{
			Key: k.Scope + ":" + k.Scoped.String() + ":" + k.Value, Hash: k.Expr, Limit: k.Limit,
		})
	}
	for _, h := range r.Semaphores {
		release := format.ReleaseAuto
		if h.Manual {
			release = format.ReleaseManual
		}
		id.Semaphores = append(id.Semaphores, format.Semaphore{ID: h.ID, Value: h.Value, Weight: h.Weight, Release: release})
	}
	return id
}

func (s *Side) buildState(b *built, r *migrate.Run, id *format.Identifier) error {
	stored := r.State.StoredEvents()
	events, err := format.Encode(stored)
	if err != nil {
		return err
	}
	names, err := engine.EventMap(stored, r.State.EventIDs)
	if err != nil {
		return err
	}
	debounced := false
	b.state = runs.New{
		Events: events, Steps: values(r.State.Steps), Inputs: values(r.State.Inputs),
		Metadata: format.Metadata{
			ID: *id, Status: format.StatusScheduled, Version: 1, RequestVersion: r.State.Version, StartedAt: r.State.StartedAt,
			ForcePlan: r.State.ForcePlan, HasAI: r.State.HasAI, SpanID: engine.SpanOf(r.State.ID), MetadataSize: int64(r.State.MetadataSize),
			Endpoint: engine.EndpointOf(&r.State),
			Context: engine.WithDebug(format.Context{
				FunctionSlug: r.State.Slug, Cron: r.State.Cron, Debounce: &debounced, EventMap: names, URL: engine.AddressOf(&r.State),
			}, r.State.Debug),
		},
	}
	return nil
}

func values(steps []state.Step) []runs.Value {
	var all []runs.Value
	for _, step := range steps {
		all = append(all, runs.Value{Step: step.ID, JSON: string(step.Memo)})
	}
	return all
}

// buildJobs makes the items of the jobs, and the pauses of those that are timeouts.
func (s *Side) buildJobs(b *built, r *migrate.Run, id *format.Identifier) error {
	for _, job := range r.State.Jobs {
		var pause *format.Pause
		if job.Kind == state.JobPause {
			if pause = b.pauseOf(r, job, id); pause == nil {
				continue // what it is the timeout of has ended
			}
			b.pauses = append(b.pauses, pause)
		}
		item, err := engine.ItemOf(id, job, pause)
		if err != nil {
			return err
		}
		if job.Kind == state.JobStart {
			addStart(item, r, id)
		}
		b.jobs = append(b.jobs, placed{item: *item})
	}
	for _, t := range r.Timeouts {
		kind := format.CancelStartTimeout
		if t.Finish {
			kind = format.CancelFinishTimeout
		}
		item, err := engine.TimeoutItem(id, kind, t.At)
		if err != nil {
			return err
		}
		b.jobs = append(b.jobs, placed{item: *item})
	}
	return nil
}

// pauseOf is the pause of what a job is the timeout of, nil for none.
func (b *built) pauseOf(r *migrate.Run, timeout state.Job, id *format.Identifier) *format.Pause {
	for i, w := range r.State.Waits {
		if w.Step != timeout.Step {
			continue
		}
		var more migrate.Wait
		if i < len(r.Waits) {
			more = r.Waits[i]
		}
		b.displaced[w.Step] = more.Displaced
		created := cmp.Or(timeOf(more.CreatedAt), ulid.Time(id.RunID.Time()))
		p := engine.PauseOf(id, &state.NewWait{Wait: w, Timeout: timeout, If: more.If}, created, more.Ignored)
		if w.Kind == state.WaitInvoke && more.Ignored.IsZero() {
			p.Trigger = ""
		}
		return p
	}
	return nil
}

// addStart adds to a run's first job what its limits need.
func addStart(item *format.Item, r *migrate.Run, id *format.Identifier) {
	item.Data.Concurrency, item.Data.Semaphores = id.Concurrency, id.Semaphores
	if t := r.Throttle; t != nil {
		key := throttleKey(r.State.FunctionID, t.Expr, t.Value)
		item.Data.Throttle = &format.Throttle{Key: key.Value, Limit: t.Limit, Burst: t.Burst, Period: t.Period, ExpressionHash: key.Expression}
	}
	if r.Singleton != "" {
		item.Data.Singleton = &format.Singleton{Key: r.Singleton, Mode: function.SingletonSkip}
	}
}

func jsons(one json.RawMessage) []json.RawMessage { return []json.RawMessage{one} }
