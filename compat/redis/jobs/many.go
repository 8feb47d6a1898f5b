package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
	"jetstep/compat/redis/script"
)

// OfRuns is OfRun of several runs, in two round trips. It also gives items that
// further ids name, by which items are found that no index has: more are those of
// each run, nil for none. Unlike OfRun's, what cannot be read is the run's own.
func (q *Queue) OfRuns(ctx context.Context, runs []ulid.ULID, more [][]string) (there [][]*Entry, damaged []error, err error) {
	indexes := make([]*redis.ZSliceCmd, len(runs))
	err = pipeline.Do(ctx, q.redis, func(p redis.Pipeliner) {
		for i, run := range runs {
			indexes[i] = p.ZRangeWithScores(ctx, format.RunIndexKey(run), 0, -1)
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list items of %d runs: %w", len(runs), err)
	}
	texts := make([]*redis.SliceCmd, len(runs))
	err = pipeline.Do(ctx, q.redis, func(p redis.Pipeliner) {
		for i, index := range indexes {
			if names := namesOf(index.Val(), more[i]); len(names) > 0 {
				texts[i] = p.HMGet(ctx, format.ItemsKey, names...)
			}
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read items of %d runs: %w", len(runs), err)
	}
	there, damaged = make([][]*Entry, len(runs)), make([]error, len(runs))
	for i, command := range texts {
		if err := indexes[i].Err(); err != nil {
			damaged[i] = fmt.Errorf("%s: %w", format.RunIndexKey(runs[i]), err)
		}
		if command == nil {
			continue
		}
		names := namesOf(indexes[i].Val(), more[i])
		for k, text := range command.Val() {
			s, ok := text.(string)
			if !ok {
				continue
			}
			e, err := entryOf(names[k], s)
			if err != nil {
				damaged[i] = errors.Join(damaged[i], err)
				continue
			}
			e.score = e.Item.At
			if k < len(indexes[i].Val()) {
				e.score = int64(indexes[i].Val()[k].Score)
			}
			there[i] = append(there[i], e)
		}
	}
	return there, damaged, nil
}

func namesOf(index []redis.Z, more []string) []string {
	names := make([]string, 0, len(index)+len(more))
	for _, z := range index {
		names = append(names, z.Member.(string))
	}
	return append(names, more...)
}

// Score is the item's place among the ready ones, in milliseconds.
func (e *Entry) Score() int64 { return e.score }

// Restore is to put an item back that was in another queue, with the times and
// the place in line that it had there, unless it is there; score 0 gives it the place of a new item.
// What had leased it there has not any more. It answers with an [Enqueued].
func (b *Batch) Restore(item *format.Item, score int64) { b.add(restoreOperation(item, score, b.now)) }

func restoreOperation(asked *format.Item, score int64, now time.Time) (script.Operation, error) {
	item, ms := *asked, now.UnixMilli()
	item.LeaseID, item.EarliestPeek, item.Capacity = nil, 0, nil
	item.RefilledFrom, item.RefilledAt = "", 0
	item.Generation = max(item.Generation, 1)
	if item.EnqueuedAt == 0 {
		item.EnqueuedAt, item.WallTime = ms, item.At
	}
	if score == 0 {
		score = place(&item, ms)
	}
	return insertOperation(&item, score, max(score, ms)/1000, now, inserting{again: true})
}
