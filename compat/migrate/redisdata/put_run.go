package redisdata

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
	"jetstep/compat/redis/runs"
)

// writing is a run on its way into a Redis.
type writing struct {
	item    *migrate.Item
	built   *built
	outcome migrate.Outcome
	stop    bool // nothing is left to be done
}

func (w *writing) end(r migrate.Result, reason string) {
	w.outcome, w.stop = migrate.Outcome{Result: r, Reason: reason}, true
}

// putRuns writes runs, each piece of all of them at once: the idempotency keys,
// which also say which have ended here; the states; what waits, and what the runs
// hold; the jobs. A run that has jobs is complete, and may have gone on; one that
// has none yet was begun by a Put that broke off.
func (s *Side) putRuns(ctx context.Context, items []*migrate.Item) ([]migrate.Outcome, error) {
	all := make([]*writing, len(items))
	for i, item := range items {
		w := &writing{item: item}
		var err error
		if w.built, err = s.build(item.Run); err != nil {
			w.end(migrate.Refused, err.Error())
		}
		all[i] = w
	}
	for _, piece := range []func(context.Context, []*writing) error{
		s.claimRuns, s.createRuns, s.saveWaits, s.lockSingletons, s.restoreJobs,
	} {
		var left []*writing
		for _, w := range all {
			if !w.stop {
				left = append(left, w)
			}
		}
		if len(left) == 0 {
			break
		}
		if err := piece(ctx, left); err != nil {
			return nil, fmt.Errorf("write %d runs: %w", len(left), err)
		}
	}
	outcomes := make([]migrate.Outcome, len(items))
	for i, w := range all {
		outcomes[i] = w.outcome
	}
	return outcomes, nil
}

// claimRuns gives the runs their keys. Also one whose key counts no more where it
// comes from gets it for a day: should it end, and be written again, it has ended.
func (s *Side) claimRuns(ctx context.Context, all []*writing) error {
	var of []*writing
	var writes []write
	day := time.Now().Add(format.ClaimTTL * time.Second).UnixMilli()
	for _, w := range all {
		id := &w.built.state.Metadata.ID
		if id.Key == "" {
			continue
		}
		claim := format.Claim{RunID: id.RunID}
		name := format.ClaimKey(id.AccountID, id.Key)
		of = append(of, w)
		writes = append(writes, write{name, claim.Encode(), day, false, func(there string) migrate.Outcome {
			have, err := format.DecodeClaim(name, there)
			switch {
			case err == nil && have == claim:
				return migrate.Outcome{Result: migrate.There}
			case err == nil && have.RunID == claim.RunID:
				return migrate.Outcome{Result: migrate.WentOn, Reason: "it has ended in the target"}
			}
			return migrate.Outcome{Result: migrate.Conflicts, Reason: "the target has another run of its idempotency key: " + there}
		}})
	}
	outcomes, err := s.writeExpiring(ctx, writes)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		if o.Result != migrate.Written && o.Result != migrate.There {
			of[i].end(o.Result, o.Reason)
		}
	}
	return nil
}

// createRuns makes the states. Of those that are there it finds out whether they
// are complete.
func (s *Side) createRuns(ctx context.Context, all []*writing) error {
	batch := s.runs.Batch(time.Now())
	for _, w := range all {
		batch.Create(&w.built.state)
	}
	codes, err := batch.Exec(ctx)
	if err != nil {
		return err
	}
	var there []*writing
	for i, w := range all {
		if codes[i] == 1 {
			there = append(there, w)
		}
	}
	jobs := make([]*redis.IntCmd, len(there))
	err = pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, w := range there {
			jobs[i] = p.Exists(ctx, format.RunIndexKey(w.run()))
		}
	})
	if err != nil {
		return err
	}
	var ids []ulid.ULID
	var complete []*writing
	for i, w := range there {
		if jobs[i].Val() == 1 {
			ids, complete = append(ids, w.run()), append(complete, w)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := s.readRuns(ctx, ids)
	if err != nil {
		return err
	}
	for i, w := range complete {
		if found[i].Run == nil {
			w.end(migrate.Conflicts, "the target's cannot be read: "+found[i].Bad.Reason)
			continue
		}
		o := migrate.Differs(w.item, found[i])
		w.end(o.Result, o.Reason)
	}
	return nil
}

func (w *writing) run() ulid.ULID { return w.item.Run.State.ID }

// saveWaits adds the planned steps, the deferred functions, and the pauses.
func (s *Side) saveWaits(ctx context.Context, all []*writing) error {
	batch := s.runs.Batch(time.Now())
	var of []*writing // of each operation; nil for one that cannot be refused
	for _, w := range all {
		ref := runs.Ref{Run: w.run(), Function: w.item.Run.State.FunctionID}
		if len(w.built.pending) > 0 {
			batch.SavePending(ref, w.built.pending)
			of = append(of, nil)
		}
		for _, d := range w.built.defers {
			batch.SaveDefer(ref, d)
			of = append(of, nil)
		}
		for _, p := range w.built.pauses {
			batch.SavePause(p, w.built.displaced[p.DataKey])
			of = append(of, w)
		}
	}
	codes, err := batch.Exec(ctx)
	if err != nil {
		return err
	}
	const taken = -2
	for i, code := range codes {
		if of[i] != nil && code == taken {
			of[i].end(migrate.Conflicts, "another run of the target waits for the same signal")
		}
	}
	return nil
}

// lockSingletons gives the runs the locks that they hold.
func (s *Side) lockSingletons(ctx context.Context, all []*writing) error {
	var of []*writing
	var writes []write
	for _, w := range all {
		if w.built.lock == "" {
			continue
		}
		run := w.run().String()
		of = append(of, w)
		writes = append(writes, write{w.built.lock, run, 0, false, func(there string) migrate.Outcome {
			if there == run {
				return migrate.Outcome{Result: migrate.There}
			}
			return migrate.Outcome{Result: migrate.Conflicts, Reason: fmt.Sprintf("run %s holds its singleton in the target", there)}
		}})
	}
	outcomes, err := s.writeExpiring(ctx, writes)
	if err != nil {
		return err
	}
	return pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, o := range outcomes {
			if !o.Result.OK() {
				of[i].end(o.Result, o.Reason)
				continue
			}
			p.Set(ctx, format.SingletonRunKey(of[i].run()), of[i].built.lock, 0)
		}
	})
}

// restoreJobs adds the jobs of all runs at one moment.
func (s *Side) restoreJobs(ctx context.Context, all []*writing) error {
	batch := s.jobs.Batch(time.Now())
	for _, w := range all {
		for _, j := range w.built.jobs {
			batch.Restore(&j.item, j.score)
		}
	}
	_, err := batch.Exec(ctx)
	return err
}
