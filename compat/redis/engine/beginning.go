package engine

import (
	"context"
	"time"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
	"jetstep/compat/redis/script"
	"jetstep/function"
	"jetstep/state"
)

// beginning is a run that begins: its state, what cancels it, its first job.
type beginning struct {
	*Node
	*Start
	id  format.Identifier
	now time.Time

	events, names string // as they are stored
}

// prepare writes what does not depend on the run's id.
func (b *beginning) prepare() (err error) {
	b.events, b.names, err = storedEvents(b.Events, b.EventIDs)
	return err
}

// state is what is stored of the run.
func (b *beginning) state() *runs.New {
	return &runs.New{
		Events: b.events, Steps: valuesOf(b.Steps), Inputs: valuesOf(b.Inputs),
		Metadata: format.Metadata{
			ID: b.id, Status: format.StatusScheduled, Version: 1, RequestVersion: format.RequestUndecided,
			SpanID: SpanOf(b.id.RunID),
			Context: WithDebug(format.Context{
				FunctionSlug: b.Slug, Cron: b.Cron, Debounce: &b.Debounced, EventMap: b.names,
			}, b.Debug),
		},
	}
}

// cancels are the pauses by which events cancel the run. A run of a batch has none:
// it is not of one event.
func (b *beginning) cancels() []*format.Pause {
	var all []*format.Pause
	for _, c := range b.Cancels {
		if c.Expression != "false" && b.id.BatchID == nil {
			all = append(all, CancelPauseOf(&b.id, c, b.now))
		}
	}
	return all
}

func (b *beginning) job() state.Job {
	return state.Job{ID: function.StartJob(runKey(&b.id)), Kind: state.JobStart, Due: max(b.At, b.now.UnixMilli())}
}

// enqueue makes a batch of the run's first job and, if it has to start in time, the
// one that looks whether it has; alone, only if the run has no other job.
func (b *beginning) enqueue(alone bool) (*jobs.Batch, error) {
	item, err := ItemOf(&b.id, b.job(), nil)
	if err != nil {
		return nil, err
	}
	item.Data.Concurrency, item.Data.Semaphores, item.Data.Throttle = b.Flow.Concurrency, b.Flow.Semaphores, b.Flow.Throttle
	if b.Flow.Singleton != "" {
		item.Data.Singleton = &format.Singleton{Key: b.Flow.Singleton, Mode: function.SingletonSkip}
	}
	batch := b.jobs.Batch(b.now)
	if alone {
		batch.EnqueueAlone(item)
	} else {
		batch.Enqueue(item)
	}
	if b.Flow.StartWithin > 0 && b.id.BatchID == nil {
		from := max(int64(b.id.RunID.Time()), b.At)
		timeout, err := TimeoutItem(&b.id, format.CancelStartTimeout, from+b.Flow.StartWithin.Milliseconds())
		if err != nil {
			return nil, err
		}
		batch.Enqueue(timeout)
	}
	return batch, nil
}

// atOnce begins a run that nobody has begun, if one server has all keys. It tells
// whether it did.
func (b *beginning) atOnce(ctx context.Context) (bool, error) {
	operations, err := b.operations()
	if err != nil {
		return false, err
	}
	_, begun, err := b.across.Do(ctx, operations...)
	if err != nil || !begun {
		return false, err
	}
	b.begun(ctx, false)
	return true, nil
}

// operations claim the key of a run, make its state, and add its first job.
func (b *beginning) operations() ([]script.Operation, error) {
	create, err := runs.CreateOperation(b.state())
	if err != nil {
		return nil, err
	}
	all := []script.Operation{runs.ClaimOperation(b.Account, b.id.Key, b.id.RunID), create}
	for _, p := range b.cancels() {
		o, err := runs.PauseOperation(p, b.now)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	batch, err := b.enqueue(false)
	if err != nil {
		return nil, err
	}
	first, err := batch.Operations()
	if err != nil {
		return nil, err
	}
	first[0].Always = false
	return append(all, first...), nil
}

// begin makes the state of a run, whose key it has, and its first job; what is there
// stays. A run that was there before may have begun long ago: its first job is added
// only if it has no other. Who loses the singleton's key to another leaves no run.
func (b *beginning) begin(ctx context.Context) error {
	existed, err := b.runs.Create(ctx, b.state())
	if err != nil {
		return err
	}
	for _, p := range b.cancels() {
		if err := b.runs.SavePause(ctx, p, b.now, false); err != nil {
			return err
		}
	}
	batch, err := b.enqueue(existed)
	if err != nil {
		return err
	}
	codes, err := batch.Exec(ctx)
	if err != nil {
		return err
	}
	if jobs.Enqueued(codes[0]) == jobs.EnqueuedSingleton {
		if err := b.runs.Delete(ctx, &b.id); err != nil {
			return err
		}
		return ErrSingletonTaken
	}
	b.begun(ctx, existed)
	return nil
}

// begun says that the run has begun, or was there.
func (b *beginning) begun(ctx context.Context, existed bool) {
	b.expectIn(b.id.FunctionID.String(), b.job())
	b.tellBegun(ctx, b.Start, &b.id, existed, b.now)
}
