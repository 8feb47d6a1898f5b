package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

// Peek reads ready items of a partition that are due within a second, in order,
// from the offset on; those of one run and score in the order of their time. How
// many stand in line there is told too: fewer than the limit means that there are
// no more. Items that are leased or gone are left out, and those that cannot be
// read are set aside: damaged tells of them.
func (q *Queue) Peek(ctx context.Context, partition string, now time.Time, offset, limit int64) (entries []*Entry, inLine int64, damaged, err error) {
	until := now.Truncate(time.Second).Add(lookAhead).UnixMilli()
	line, err := q.redis.ZRangeByScoreWithScores(ctx, format.ReadyKey(partition),
		&redis.ZRangeBy{Min: "-inf", Max: decimal(until), Offset: offset, Count: limit}).Result()
	if err != nil {
		return nil, 0, nil, fmt.Errorf("peek partition %s: %w", partition, err)
	}
	if len(line) == 0 {
		return nil, 0, nil, nil
	}
	ids := make([]string, len(line))
	for i, z := range line {
		ids[i] = z.Member.(string)
	}
	texts, err := q.redis.HMGet(ctx, format.ItemsKey, ids...).Result()
	if err != nil {
		return nil, 0, nil, fmt.Errorf("peek partition %s: %w", partition, err)
	}
	for i, id := range ids {
		text, there := texts[i].(string)
		if !there {
			if _, err := q.remove(ctx, id, "", partition, nil); err != nil {
				return nil, 0, damaged, err
			}
			continue
		}
		e, err := entryOf(id, text)
		if err != nil {
			damaged = errors.Join(damaged, err)
			if _, err := q.remove(ctx, id, text, partition, err); err != nil {
				return nil, 0, damaged, err
			}
			continue
		}
		if leased(e.Item.LeaseID, now) {
			continue
		}
		e.score = int64(line[i].Score)
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.Item.At, b.Item.At))
	})
	return entries, int64(len(line)), damaged, nil
}

// leased tells whether a lease lasts. One that ends in the far future was written
// by nobody whose clock works.
func leased(lease *ulid.ULID, now time.Time) bool {
	return format.Leased(lease, now.UnixMilli()) && !format.Leased(lease, now.Add(FarFuture).UnixMilli())
}

// Lease leases an item that is as it was read, and that nobody has leased.
func (q *Queue) Lease(ctx context.Context, e *Entry, now time.Time) (*Entry, error) {
	one := q.LeaseMany(ctx, []*Entry{e}, now)[0]
	return one.Entry, one.Err
}

// peeked is an item that is about to be leased.
func peeked(e *Entry, now time.Time) *Entry {
	next := *e
	if pt := next.Item.EarliestPeek; pt == 0 || pt > now.UnixMilli() {
		next.Item.EarliestPeek = now.UnixMilli()
	}
	return &next
}

// Extend makes the lease of an item last from now on. When the item was changed
// by somebody, but has the same lease still, it is extended as it is then.
func (q *Queue) Extend(ctx context.Context, e *Entry, now time.Time) (*Entry, error) {
	for {
		next := *e
		o, err := leaseOperation(e, &next, now)
		err = q.one(ctx, "extend the lease of", e, o, err)
		if err == nil {
			return &next, nil
		}
		if !errors.Is(err, ErrChanged) {
			return nil, err
		}
		again, getErr := q.Get(ctx, e.Item.ID)
		if getErr != nil {
			return nil, getErr
		}
		if !SameLease(&again.Item, &e.Item) {
			return nil, err
		}
		again.score = e.score
		e = again
	}
}

// SameLease tells whether two readings of an item are of one lease.
func SameLease(a, b *format.Item) bool {
	return a.LeaseID != nil && b.LeaseID != nil && *a.LeaseID == *b.LeaseID
}

// leaseOperation gives an item as it was read a lease, which next has then.
func leaseOperation(e, next *Entry, now time.Time) (o operation, err error) {
	lease := newLease(now.Add(ItemLease))
	next.Item.LeaseID = &lease
	if next.text, err = format.Encode(next.Item); err != nil {
		return o, err
	}
	partition := e.Item.Partition()
	keys := []string{format.ItemsKey, format.ReadyKey(partition), format.ScavengerKey(partition), format.LeasedKey}
	return operation{scriptLeaseItem, keys, []any{e.Item.ID, e.text, next.text, format.LeaseExpiry(lease), partition}}, nil
}

// TakeRole takes a role that nobody has, or keeps the one that own is the lease
// of. It gives the lease, or a zero one while another has the role.
func (q *Queue) TakeRole(ctx context.Context, role string, own ulid.ULID, now time.Time) (ulid.ULID, error) {
	holder, err := q.redis.Get(ctx, role).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return ulid.ULID{}, fmt.Errorf("take role %s: %w", role, err)
	}
	ended := ""
	if end := format.LeaseText(holder); end < now.UnixMilli() || end > now.Add(FarFuture).UnixMilli() {
		ended = holder
	}
	mine := ""
	if own != (ulid.ULID{}) {
		mine = own.String()
	}
	lease := newLease(now.Add(RoleLease))
	code, err := scriptTakeRole.Run(ctx, q.redis, []string{role}, lease.String(), mine, ended).Int()
	if err != nil {
		return ulid.ULID{}, fmt.Errorf("take role %s: %w", role, err)
	}
	if code == 1 {
		return ulid.ULID{}, nil
	}
	return lease, nil
}
