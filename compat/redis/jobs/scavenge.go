package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

// scavengeSize is how many partitions, and items of each, are looked at.
const scavengeSize = 100

// Scavenge puts items back whose lease has ended: whoever had them is gone
// (redis-queue §14). It tells how many. Attempts do not count.
func (q *Queue) Scavenge(ctx context.Context, now time.Time) (int, error) {
	due := &redis.ZRangeBy{Min: "-inf", Max: decimal(now.UnixMilli()), Count: scavengeSize}
	partitions, err := q.redis.ZRangeByScore(ctx, format.LeasedKey, due).Result()
	if err != nil {
		return 0, fmt.Errorf("scavenge: %w", err)
	}
	recovered := 0
	var failed error
	for _, partition := range partitions {
		ids, err := q.redis.ZRangeByScore(ctx, format.ScavengerKey(partition), due).Result()
		if IsWrongType(err) {
			_, err = q.Mend(ctx, partition)
		}
		if err != nil {
			return recovered, fmt.Errorf("scavenge partition %s: %w", partition, err)
		}
		for _, id := range ids {
			done, err := q.recover(ctx, partition, id, now, func(end int64) bool { return end > now.UnixMilli() })
			failed = errors.Join(failed, err)
			if done {
				recovered++
			}
		}
		if len(ids) == 0 { // it is not as it should be: nothing in it is due
			if _, err := q.remove(ctx, "", "", partition, nil); err != nil {
				return recovered, err
			}
		}
	}
	return recovered, failed
}

// recover puts an item back unless its lease, by its end in milliseconds, lasts.
func (q *Queue) recover(ctx context.Context, partition, id string, now time.Time, lasts func(end int64) bool) (bool, error) {
	text, err := q.redis.HGet(ctx, format.ItemsKey, id).Result()
	if errors.Is(err, redis.Nil) {
		_, err := q.remove(ctx, id, "", partition, nil)
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("scavenge item %s: %w", id, err)
	}
	e, err := entryOf(id, text)
	if err != nil {
		_, removeErr := q.remove(ctx, id, text, partition, err)
		return false, errors.Join(err, removeErr)
	}
	if e.Item.LeaseID != nil && lasts(format.LeaseExpiry(*e.Item.LeaseID)) {
		return false, nil // extended since it was listed
	}
	_, err = q.Requeue(ctx, e, now, func(i *format.Item) {
		i.Scavenged++
		i.At = now.UnixMilli()
	})
	if errors.Is(err, ErrGone) || errors.Is(err, ErrChanged) {
		return false, nil
	}
	return err == nil, err
}
