package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
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
	answers, err := scriptDue.Run(ctx, q.redis, []string{format.PointersKey, format.PartitionsKey}, until, limit,
		format.MigrateLockPrefix).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	var due []format.Partition
	for i := 0; i+2 < len(answers); i += 3 {
		name, text, lock := answers[i], answers[i+1], answers[i+2]
		if format.LeaseText(lock) > now.UnixMilli() {
			continue
		}
		if text == "" {
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
