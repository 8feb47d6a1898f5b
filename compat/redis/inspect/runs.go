package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/pipeline"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/state"
)

// quietRun is a run that had no job when it was looked at.
type quietRun struct {
	id ulid.ULID
	at time.Time
}

// mostQuiet is how many such runs are remembered before they are looked at again.
const mostQuiet = 1000

// atOnce is how many runs are read at once: each may have many megabytes.
const atOnce = 10

// liveRuns looks at runs: whether they can be read, and whether they go on.
func (i *inspection) liveRuns(ctx context.Context, ids []ulid.ULID) error {
	for len(ids) > atOnce {
		if err := i.liveRuns(ctx, ids[:atOnce]); err != nil {
			return err
		}
		ids = ids[atOnce:]
	}
	if len(ids) == 0 {
		return nil
	}
	loaded, err := i.runs.LoadMany(ctx, ids)
	if err != nil {
		return err
	}
	jobsOf, err := i.haveJobs(ctx, ids)
	if err != nil {
		return err
	}
	for n, id := range ids {
		i.summary.Runs++
		switch r := loaded[n]; {
		case errors.Is(r.Err, format.ErrNoRun):
			continue // it has ended meanwhile, or is being made
		case r.Err != nil:
			f := Finding{Kind: RunUnreadable, Key: format.MetadataKey(id), Reason: r.Err.Error()}
			if err := i.found(f, nil); err != nil {
				return err
			}
		case !jobsOf[n]:
			i.quiet = append(i.quiet, quietRun{id, time.Now()})
		}
	}
	if len(i.quiet) >= mostQuiet {
		return i.quietRuns(ctx)
	}
	return nil
}

// haveJobs tells which runs have jobs, ready or leased. Each wait has one, too: its
// timeout.
func (i *inspection) haveJobs(ctx context.Context, ids []ulid.ULID) ([]bool, error) {
	indexes := make([]*redis.StringSliceCmd, len(ids))
	err := pipeline.Do(ctx, i.Redis, func(p redis.Pipeliner) {
		for n, id := range ids {
			indexes[n] = p.ZRange(ctx, format.RunIndexKey(id), 0, -1)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list jobs of runs: %w", err)
	}
	have := make([]bool, len(ids))
	for n, index := range indexes {
		if len(index.Val()) == 0 {
			continue
		}
		items, err := i.Redis.HMGet(ctx, format.ItemsKey, index.Val()...).Result()
		if err != nil && !jobs.IsWrongType(err) {
			return nil, fmt.Errorf("read jobs of run %s: %w", ids[n], err)
		}
		for _, item := range items {
			have[n] = have[n] || item != nil
		}
	}
	return have, nil
}

// quietRuns looks again at runs that had no job: a run may be just between two.
func (i *inspection) quietRuns(ctx context.Context) error {
	if len(i.quiet) == 0 {
		return nil
	}
	quiet := i.quiet
	i.quiet = nil
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(quiet[len(quiet)-1].at.Add(i.Patience))):
	}
	for len(quiet) > 0 {
		some := quiet[:min(batch, len(quiet))]
		quiet = quiet[len(some):]
		ids := make([]ulid.ULID, len(some))
		for n, q := range some {
			ids[n] = q.id
		}
		have, err := i.haveJobs(ctx, ids)
		if err != nil {
			return err
		}
		for n, id := range ids {
			if have[n] {
				continue
			}
			if err := i.stuck(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// stuck reports a run that has nothing to go on with, if it is there still.
func (i *inspection) stuck(ctx context.Context, id ulid.ULID) error {
	run, err := i.runs.Load(ctx, id)
	if errors.Is(err, format.ErrNoRun) || jobs.IsDefect(err) {
		return nil // it has ended; or that was told
	}
	if err != nil {
		return err
	}
	reason := "it has no job: nothing calls it"
	for _, p := range run.Pauses {
		if !p.Cancel {
			reason = "it waits, and nothing ends the wait but what it waits for: the timeout is lost"
		}
	}
	f := Finding{Kind: RunStuck, Key: format.MetadataKey(id), Reason: reason}
	return i.found(f, func() (bool, error) { return i.call(ctx, run) })
}

// call gives a run its next call, unless it has something else by then. What waits
// loses only its timeout by it: the SDK says again what it waits for, and the wait
// that is there stays.
func (i *inspection) call(ctx context.Context, run *runs.Run) (bool, error) {
	now := time.Now()
	id := &run.Metadata.ID
	job := state.Job{
		ID: function.Hash("repair-" + ulid.Make().String()), Kind: state.JobEdge, Due: now.UnixMilli(), MaxAttempts: i.Attempts,
	}
	if n := len(run.Steps); n > 0 {
		job.Outgoing = run.Steps[n-1].Step
	} else {
		job.Kind = state.JobStart
	}
	item, err := engine.ItemOf(id, job, nil)
	if err != nil {
		return false, err
	}
	if err := i.cleanIndex(ctx, id.RunID); err != nil {
		return false, err
	}
	b := i.jobs.Batch(now)
	b.EnqueueAlone(item)
	codes, err := b.Exec(ctx)
	if err != nil {
		return false, err
	}
	return jobs.Enqueued(codes[0]) == jobs.EnqueuedNow, nil
}

// cleanIndex takes out of a run's index what is no item any more: as long as it is
// there the run seems to go on.
func (i *inspection) cleanIndex(ctx context.Context, id ulid.ULID) error {
	ids, err := i.Redis.ZRange(ctx, format.RunIndexKey(id), 0, -1).Result()
	if err != nil || len(ids) == 0 {
		return err
	}
	items, err := i.Redis.HMGet(ctx, format.ItemsKey, ids...).Result()
	if err != nil {
		return fmt.Errorf("read jobs of run %s: %w", id, err)
	}
	var gone []any
	for n, item := range items {
		if item == nil {
			gone = append(gone, ids[n])
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return i.Redis.ZRem(ctx, format.RunIndexKey(id), gone...).Err()
}
