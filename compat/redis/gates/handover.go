package gates

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
	"jetstep/function"
	"jetstep/state"
)

// Elsewhere goes on with debounces and batches that are open in a Redis, together with
// what it has open for the same keys (--drain-redis).
type Elsewhere interface {
	// TakeOver makes things durable there. It must be safe to repeat.
	TakeOver(ctx context.Context, all []state.Moved) ([]state.TakeOutcome, error)
}

// handOver gives a start that waits for events to whoever goes on with it, as what is
// kept. handed is false for one that is to be begun here: nobody else keeps such, or
// its run is here already.
func (g *Gates) handOver(ctx context.Context, known *Known, s *state.Start, kept state.Op) (handed bool, err error) {
	if g.Elsewhere == nil || known.Removed {
		return false, nil
	}
	if _, taken, err := g.runs.Claimed(ctx, g.Node.Account, s.Idempotency); err != nil || taken {
		return false, err
	}
	outcomes, err := g.Elsewhere.TakeOver(ctx, movedAs(kept, s, time.Now()))
	if err != nil {
		return false, fmt.Errorf("hand over what function %s collects: %w", s.FunctionID, errors.Join(err, engine.ErrLater))
	}
	return outcomes[0].Result != state.TakenNot, nil
}

// movedAs is what is kept as others take it over, before what belongs to it: events of a
// batch are not added again for as long as here.
func movedAs(kept state.Op, s *state.Start, now time.Time) []state.Moved {
	moved := []state.Moved{{Fact: kept, Function: s.FunctionID, Joins: true}}
	batch, ok := kept.(*state.BatchPut)
	if !ok {
		return moved
	}
	if batch.Batch.Due <= now.UnixMilli() {
		moved[0].Joins, moved[0].Apart = false, true // it collects no more
	}
	until := now.Add(format.BatchSeenTTL * time.Second).UnixMilli()
	for _, id := range s.EventIDs {
		seen := &state.KeyClaimed{Key: state.CollectedKey(s.FunctionID, id), RunID: id, Expires: until}
		moved = append(moved, state.Moved{Fact: seen, Function: s.FunctionID})
	}
	return moved
}

// HandOver gives all debounces and batches of functions that are registered to whoever
// goes on with them. Broken off at any moment, it can be done again.
func (g *Gates) HandOver(ctx context.Context) error {
	if err := g.handDebounces(ctx); err != nil {
		return fmt.Errorf("hand over the debounces: %w", err)
	}
	err := g.eachBatch(ctx, func(p *format.BatchPayload, job *jobs.Entry) error {
		return g.handed(ctx, job, g.startBatch(ctx, p, dueOf(job)))
	})
	if err != nil {
		return fmt.Errorf("hand over the batches: %w", err)
	}
	return nil
}

// dueOf is when a job is due, in milliseconds: at once if it is lost.
func dueOf(job *jobs.Entry) int64 {
	if job == nil {
		return 0
	}
	return job.Item.At
}

// handed takes the job away of what was handed over. That of what was not stays, and
// so does one that somebody is doing: he finds nothing to do.
func (g *Gates) handed(ctx context.Context, job *jobs.Entry, err error) error {
	switch {
	case errors.Is(err, engine.ErrUnfit):
		return nil // who does its job sets it aside
	case err != nil || job == nil:
		return err
	}
	if err := g.jobs.Dequeue(ctx, job); !jobs.LostRace(err) {
		return err
	}
	return nil
}

// handPage is how many debounces are read at once.
const handPage = 200

func (g *Gates) handDebounces(ctx context.Context) error {
	for cursor := uint64(0); ; {
		all, next, err := g.Redis.HScan(ctx, format.DebouncesKey, cursor, "", handPage).Result()
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(all); i += 2 {
			kept, err := format.Decode[format.Debounced](format.Place{Key: format.DebouncesKey, Member: all[i]}, all[i+1])
			id, unread := format.ParseULID(all[i])
			if _, known := g.Functions.Known(kept.FunctionID); err != nil || unread != nil || !known {
				continue // its job deals with it
			}
			job, err := g.jobOf(ctx, function.DebounceJob(all[i]))
			if err != nil {
				return err
			}
			p := &format.DebouncePayload{DebounceID: id, FunctionID: kept.FunctionID}
			if err := g.handed(ctx, job, g.endDebounce(ctx, p, dueOf(job))); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// jobOf reads a job of the system, nil for one that is not there or cannot be read.
func (g *Gates) jobOf(ctx context.Context, id string) (*jobs.Entry, error) {
	job, err := g.jobs.Get(ctx, id)
	if errors.Is(err, jobs.ErrGone) || jobs.IsDefect(err) {
		return nil, nil
	}
	return job, err
}

// eachBatch visits the batches of functions that are registered, with their jobs, nil
// for one that has none.
func (g *Gates) eachBatch(ctx context.Context, visit func(p *format.BatchPayload, job *jobs.Entry) error) error {
	var found []format.BatchPayload
	pattern := "{queue:*}:batches:*:metadata"
	err := pipeline.EachKey(ctx, g.Redis, pattern, handPage, func(names []string) error {
		for _, name := range names {
			_, parts, _ := format.Identify(name)
			fn, err := format.ParseUUID(parts["function"])
			batch, unread := format.ParseULID(parts["batch"])
			if _, known := g.Functions.Known(fn); err == nil && unread == nil && known {
				found = append(found, format.BatchPayload{FunctionID: fn, BatchID: batch})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range found {
		p := &found[i]
		if p.Pointer, err = g.pointerOf(ctx, p); err != nil {
			return err
		}
		job, err := g.jobOf(ctx, function.BatchJob(g.Node.Environment, p.BatchID.String()))
		if err != nil {
			return err
		}
		if err := visit(p, job); err != nil {
			return err
		}
	}
	return nil
}

// pointerOf is the name of what leads to a batch as long as it collects, by its first
// event.
func (g *Gates) pointerOf(ctx context.Context, p *format.BatchPayload) (string, error) {
	list := format.BatchKey(p.FunctionID, p.BatchID)
	text, err := g.Redis.LIndex(ctx, list, 0).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", err
	}
	first, err := format.Decode[format.Batched](format.Place{Key: list, Member: "0"}, text)
	known, ok := g.Functions.Known(p.FunctionID)
	if err != nil || !ok {
		return format.BatchPointerKey(p.FunctionID), nil // nothing leads to it
	}
	s := &starting{Start: &state.Start{FunctionID: p.FunctionID, EventIDs: []ulid.ULID{first.EventID}}, Known: known}
	s.in = function.Inputs{Event: first.Event}
	return g.batchPointer(s), nil
}

// MendBatches gives those batches a job that have none, because whoever made them died
// before it was there: they start when their time is over, counted from their first
// event.
func (g *Gates) MendBatches(ctx context.Context) error {
	err := g.eachBatch(ctx, func(p *format.BatchPayload, job *jobs.Entry) error {
		known, ok := g.Functions.Known(p.FunctionID)
		if job != nil || !ok || known.EventBatch == nil {
			return nil
		}
		wait, err := known.EventBatch.Wait()
		g.complain(known.Function, known.EventBatch.Timeout, err)
		at := ulid.Time(p.BatchID.Time()).Add(wait)
		return g.expectBatch(ctx, &starting{Known: known}, p.BatchID, p.Pointer, time.Now(), at)
	})
	if err != nil {
		return fmt.Errorf("look for batches without a job: %w", err)
	}
	return nil
}
