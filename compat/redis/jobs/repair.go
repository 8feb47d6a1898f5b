package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

// What package inspect needs to put right what nobody comes across.

// SetTextAside is SetAside of an item that cannot be read, with the text that it
// has. It tells whether it did: not if the item has changed.
func (q *Queue) SetTextAside(ctx context.Context, id, text, partition string, reason error) (bool, error) {
	if partition == "" {
		if m := functionInItem.FindStringSubmatch(text); m != nil {
			partition = m[1]
		}
	}
	return q.remove(ctx, id, text, partition, reason)
}

// EndLease puts an item back whose lease ends in the far future. It tells whether it
// did.
func (q *Queue) EndLease(ctx context.Context, partition, id string, now time.Time) (bool, error) {
	return q.recover(ctx, partition, id, now, func(end int64) bool {
		return end > now.UnixMilli() && end <= now.Add(FarFuture).UnixMilli()
	})
}

// LineUp puts an item into the line of its partition that has that text and is not
// leased. It tells whether it did.
func (q *Queue) LineUp(ctx context.Context, id, text string, now time.Time) (bool, error) {
	e, err := entryOf(id, text)
	if err != nil || leased(e.Item.LeaseID, now) {
		return false, err
	}
	_, err = q.Release(ctx, e, now)
	if LostRace(err) {
		return false, nil
	}
	return err == nil, err
}

// Refresh writes a partition's data as new, if they have that text. It tells whether
// it did.
func (q *Queue) Refresh(ctx context.Context, partition, text string) (bool, error) {
	p := readPartition(partition, text)
	if p.AccountID == uuid.Nil {
		if account, err := q.accountOf(ctx, partition); err != nil {
			return false, err
		} else {
			p.AccountID = account
		}
	}
	fresh, err := freshen(&p)
	if err != nil {
		return false, err
	}
	code, err := scriptChange.Run(ctx, q.redis, []string{format.PartitionsKey}, partition, text, fresh).Int()
	if err != nil {
		return false, fmt.Errorf("refresh partition %s: %w", partition, err)
	}
	return code == 0, nil
}

// accountOf is the account of a partition's first item, zero for none.
func (q *Queue) accountOf(ctx context.Context, partition string) (uuid.UUID, error) {
	first, err := q.redis.ZRange(ctx, format.ReadyKey(partition), 0, 0).Result()
	if err != nil && !IsWrongType(err) {
		return uuid.Nil, fmt.Errorf("read partition %s: %w", partition, err)
	}
	if len(first) == 0 {
		return uuid.Nil, nil
	}
	entries, _, err := q.read(ctx, first)
	if err != nil || entries[0] == nil {
		return uuid.Nil, err
	}
	return entries[0].Item.Data.Identifier.AccountID, nil
}

// Misled tells whether PointBack would put something right about a partition with
// those data.
func (q *Queue) Misled(ctx context.Context, partition, text string, now time.Time) (bool, error) {
	return q.pointing(ctx, partition, text, now, false)
}

// Lease is a lease of capacity.
type Lease struct {
	Account uuid.UUID
	Lease   string
}

// FarCapacity lists leases of capacity that end in the far future, a thousand of
// each account at most: nobody has them.
func (q *Queue) FarCapacity(ctx context.Context, now time.Time) ([]Lease, error) {
	accounts, err := q.redis.ZRange(ctx, format.ConstraintAccountsKey, 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list accounts with capacity: %w", err)
	}
	far := &redis.ZRangeBy{Min: decimal(now.Add(FarFuture).UnixMilli()), Max: "+inf", Count: 1000}
	var leases []Lease
	for _, name := range accounts {
		account, err := format.ParseUUID(name)
		if err != nil {
			continue
		}
		found, err := q.redis.ZRangeByScore(ctx, format.CapacityLeasesKey(account), far).Result()
		if err != nil && !IsWrongType(err) {
			return nil, fmt.Errorf("list leases of capacity: %w", err)
		}
		for _, lease := range found {
			leases = append(leases, Lease{account, lease})
		}
	}
	return leases, nil
}

// EndCapacity gives back what a lease of capacity took.
func (q *Queue) EndCapacity(ctx context.Context, l Lease) error {
	return q.scavengeLease(ctx, l.Account, l.Lease)
}
