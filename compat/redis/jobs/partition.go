package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
)

// For how long leases last (redis-queue §12.1).
const (
	PartitionLease = 4 * time.Second
	ItemLease      = 30 * time.Second
	RoleLease      = 10 * time.Second
)

// lookAhead is how much before its time a partition is visited, and an item read.
const lookAhead = time.Second

// newLease is a lease that ends then.
func newLease(end time.Time) ulid.ULID {
	return ulid.MustNew(ulid.Timestamp(end), ulid.DefaultEntropy())
}

// Due lists the partitions that are to be visited now, the most overdue first,
// but for functions that are being moved (redis-queue §20). A pointer to nothing is
// removed; a partition whose data are lost, but not its items, is made again. A
// partition that cannot be read is taken as new: what matters of it is its name.
func (q *Queue) Due(ctx context.Context, now time.Time, limit int64) ([]format.Partition, error) {
	until := (now.Add(lookAhead).UnixMilli() + 999) / 1000
	names, err := q.redis.ZRangeByScore(ctx, format.PointersKey,
		&redis.ZRangeBy{Min: "-inf", Max: decimal(until), Count: limit}).Result()
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	if len(names) == 0 {
		return nil, nil
	}
	locks := make([]string, len(names))
	for i, name := range names {
		id, _ := format.ParseUUID(name) // nobody locks a system queue, or no function
		locks[i] = format.MigrateLockKey(id)
	}
	var read, held *redis.SliceCmd
	err = pipeline.Do(ctx, q.redis, func(p redis.Pipeliner) {
		read, held = p.HMGet(ctx, format.PartitionsKey, names...), p.MGet(ctx, locks...)
	})
	if err = cmp.Or(err, read.Err(), held.Err()); err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	texts, locked := read.Val(), held.Val()
	var due []format.Partition
	for i, name := range names {
		if lock, ok := locked[i].(string); ok && format.LeaseText(lock) > now.UnixMilli() {
			continue
		}
		text, ok := texts[i].(string)
		if !ok {
			if _, err := q.restorePartition(ctx, name); err != nil && !IsDefect(err) {
				return nil, err
			}
			continue // if it was made again, it is due the next time
		}
		p := readPartition(name, text)
		if p.ForceAt <= until*1000 {
			due = append(due, p)
		}
	}
	return due, nil
}

// restorePartition makes a partition again that has items and no data, from what
// its first item says, or else removes the pointer to nothing. It tells whether
// there is one now.
func (q *Queue) restorePartition(ctx context.Context, name string) (bool, error) {
	p := readPartition(name, "")
	var err error
	if p.AccountID, err = q.accountOf(ctx, name); err != nil {
		return false, err
	}
	fresh, err := freshen(&p)
	if err != nil {
		return false, err
	}
	keys, _ := pointerKeys(p.AccountID)
	keys = append(keys, format.ReadyKey(name), format.ScavengerKey(name), format.ShadowKey(name))
	made, err := scriptRestore.Run(ctx, q.redis, keys, name, fresh).Int()
	if err != nil {
		return false, fmt.Errorf("restore partition %s: %w", name, err)
	}
	if made == 1 {
		q.Observer.putRight("partition")
	}
	return made == 1, nil
}

// functionOf is the function of a partition, zero for a system queue.
func functionOf(p *format.Partition) uuid.UUID {
	if p.FunctionID == nil {
		return uuid.Nil
	}
	return *p.FunctionID
}

func readPartition(name, text string) format.Partition {
	p, err := format.Decode[format.Partition](format.Place{Key: format.PartitionsKey, Member: name}, text)
	if err == nil {
		p.ID = name
		return p
	}
	if id, err := format.ParseUUID(name); err == nil {
		p = format.Partition{ID: name, FunctionID: &id}
		return p
	}
	return format.SystemPartition(name)
}

// Partition reads a partition; ErrGone when it is not there.
func (q *Queue) Partition(ctx context.Context, name string) (format.Partition, error) {
	text, err := q.redis.HGet(ctx, format.PartitionsKey, name).Result()
	if errors.Is(err, redis.Nil) {
		err = ErrGone
	}
	if err != nil {
		return format.Partition{}, fmt.Errorf("read partition %s: %w", name, err)
	}
	return readPartition(name, text), nil
}

// freshen is a partition without what visits leave in it.
func freshen(p *format.Partition) (string, error) {
	fresh := format.Partition{ID: p.ID, Queue: p.Queue, FunctionID: p.FunctionID, AccountID: p.AccountID}
	return format.Encode(fresh)
}

// LeasePartition makes the visit of a partition the caller's. It tells whether
// it is: a partition may be gone, or another's.
func (q *Queue) LeasePartition(ctx context.Context, p *format.Partition, now time.Time) (bool, error) {
	fresh, err := freshen(p)
	if err != nil {
		return false, err
	}
	keys, account := pointerKeys(p.AccountID)
	end := now.Add(PartitionLease)
	code, err := scriptLeasePartition.Run(ctx, q.redis, keys, p.ID, newLease(end).String(), now.UnixMilli(),
		end.Unix(), account, fresh, now.Add(FarFuture).UnixMilli()).Int()
	if err != nil {
		return false, fmt.Errorf("lease partition %s: %w", p.ID, err)
	}
	return code == 0, nil
}

// RequeuePartition ends a visit: the next is then, or when the first ready item is
// due; with force not before then, whatever is enqueued. A partition without
// items goes.
func (q *Queue) RequeuePartition(ctx context.Context, p *format.Partition, at time.Time, force bool) error {
	fresh, err := freshen(p)
	if err != nil {
		return err
	}
	keys, account := pointerKeys(p.AccountID)
	keys = append(keys, format.ReadyKey(p.ID), format.ScavengerKey(p.ID), format.ShadowKey(p.ID))
	err = scriptRequeuePartition.Run(ctx, q.redis, keys, p.ID, at.UnixMilli(), force, account, fresh).Err()
	if err != nil {
		return fmt.Errorf("requeue partition %s: %w", p.ID, err)
	}
	return nil
}
