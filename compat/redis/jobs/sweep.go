package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
)

// FarFuture is how long no lease lasts that a server with a clock has taken: they
// last seconds, and are renewed.
const FarFuture = 10 * time.Minute

// farScore is later than any job is due, in milliseconds: the year 2248. Infinite
// scores are beyond it, and milliseconds that were written as microseconds.
const farScore = 8_800_000_000_000

// sweepSize is how many partitions are looked at in one round trip, and how many
// items of each are put right.
const sweepSize = 100

// Sweep looks at every partition once, and puts right what a visit would never
// find: a partition that no pointer leads to, or one too late for its first item;
// items with a lease of the far future, or a score beyond all time. It tells how
// much that was. Its cost grows with the number of functions, not with that of runs.
func (q *Queue) Sweep(ctx context.Context, now time.Time) (int, error) {
	total := 0
	var failed error
	for cursor := uint64(0); ; {
		fields, next, err := q.redis.HScan(ctx, format.PartitionsKey, cursor, "", sweepSize).Result()
		if err != nil {
			return total, fmt.Errorf("sweep: %w", err)
		}
		var names, texts []string
		for i := 0; i+1 < len(fields); i += 2 {
			names, texts = append(names, fields[i]), append(texts, fields[i+1])
		}
		n, err := q.sweep(ctx, names, texts, now)
		total += n
		if failed = errors.Join(failed, err); err != nil && !IsDefect(err) {
			return total, failed
		}
		if cursor = next; cursor == 0 {
			n, err := q.sweepCapacity(ctx, now)
			return total + n, errors.Join(failed, err)
		}
	}
}

// sweepCapacity gives back what leases of the far future hold.
func (q *Queue) sweepCapacity(ctx context.Context, now time.Time) (int, error) {
	leases, err := q.FarCapacity(ctx, now)
	for i, l := range leases {
		if err := q.EndCapacity(ctx, l); err != nil {
			return i, err
		}
		q.Observer.putRight("capacity")
	}
	return len(leases), err
}

// look is what is asked of a partition.
type look struct {
	far, late *redis.StringSliceCmd
}

func (q *Queue) sweep(ctx context.Context, names, texts []string, now time.Time) (int, error) {
	if len(names) == 0 {
		return 0, nil
	}
	looks := make([]look, len(names))
	far := &redis.ZRangeBy{Min: decimal(now.Add(FarFuture).UnixMilli()), Max: "+inf", Count: sweepSize}
	late := &redis.ZRangeBy{Min: decimal(farScore), Max: "+inf", Count: sweepSize}
	err := pipeline.Do(ctx, q.redis, func(p redis.Pipeliner) {
		for i, name := range names {
			looks[i] = look{p.ZRangeByScore(ctx, format.ScavengerKey(name), far), p.ZRangeByScore(ctx, format.ReadyKey(name), late)}
		}
	})
	if err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	total := 0
	var failed error
	for i, name := range names {
		n, err := q.sweepOne(ctx, name, texts[i], looks[i], now)
		total += n
		if failed = errors.Join(failed, err); err != nil && !IsDefect(err) {
			return total, failed
		}
	}
	return total, failed
}

func (q *Queue) sweepOne(ctx context.Context, name, text string, l look, now time.Time) (int, error) {
	if IsWrongType(l.far.Err()) || IsWrongType(l.late.Err()) {
		if _, err := q.Mend(ctx, name); err != nil {
			return 0, err
		}
	}
	total := 0
	for _, id := range l.far.Val() {
		done, err := q.recover(ctx, name, id, now, func(end int64) bool { return end <= now.Add(FarFuture).UnixMilli() })
		if err != nil && !IsDefect(err) {
			return total, err
		}
		if done {
			total++
			q.Observer.putRight("lease")
		}
	}
	for _, id := range l.late.Val() {
		done, err := q.rescore(ctx, name, id)
		if err != nil && !IsDefect(err) {
			return total, err
		}
		if done {
			total++
			q.Observer.putRight("score")
		}
	}
	pointed, err := q.pointBack(ctx, name, text, now)
	if pointed {
		total++
		q.Observer.putRight("pointer")
	}
	return total, err
}

// rescore gives an item the score of its time, if that is one.
func (q *Queue) rescore(ctx context.Context, partition, id string) (bool, error) {
	text, err := q.redis.HGet(ctx, format.ItemsKey, id).Result()
	if errors.Is(err, redis.Nil) {
		_, err = q.remove(ctx, id, "", partition, nil)
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("sweep item %s: %w", id, err)
	}
	e, err := entryOf(id, text)
	if err != nil {
		_, removeErr := q.remove(ctx, id, text, partition, err)
		return false, removeErr
	}
	if e.Item.At >= farScore {
		return false, nil
	}
	err = q.redis.ZAddXX(ctx, format.ReadyKey(partition), redis.Z{Score: float64(e.Item.At), Member: id}).Err()
	return err == nil, err
}

// pointerSlack is by how many seconds a pointer may be later than the first item:
// visits are put off when limits refuse (redis-queue §12.3).
const pointerSlack = 120

// pointBack makes a pointer lead to a partition that has items, when it should.
func (q *Queue) pointBack(ctx context.Context, name, text string, now time.Time) (bool, error) {
	return q.pointing(ctx, name, text, now, true)
}

// pointing tells whether a pointer is wrong, and makes it right if it is to.
func (q *Queue) pointing(ctx context.Context, name, text string, now time.Time, apply bool) (bool, error) {
	p := readPartition(name, text)
	fresh, err := freshen(&p)
	if err != nil {
		return false, err
	}
	keys, account := pointerKeys(p.AccountID)
	keys = append(keys, format.ReadyKey(name), format.ScavengerKey(name), format.MigrateLockKey(functionOf(&p)))
	code, err := scriptPointBack.Run(ctx, q.redis, keys, name, account, fresh, now.UnixMilli(), pointerSlack,
		now.Add(time.Hour).UnixMilli(), apply).Int()
	if err != nil {
		return false, fmt.Errorf("sweep partition %s: %w", name, err)
	}
	return code == 1, nil
}

// PointBack is the part of Sweep that concerns the pointer of one partition,
// which is made from its first item if it is not there. It tells whether there was
// something to be put right.
func (q *Queue) PointBack(ctx context.Context, partition string, now time.Time) (bool, error) {
	text, err := q.redis.HGet(ctx, format.PartitionsKey, partition).Result()
	if errors.Is(err, redis.Nil) {
		made, err := q.restorePartition(ctx, partition)
		if err != nil || !made {
			return false, err
		}
		if _, err = q.pointBack(ctx, partition, "", now); err != nil {
			return false, err
		}
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read partition %s: %w", partition, err)
	}
	return q.pointBack(ctx, partition, text, now)
}
