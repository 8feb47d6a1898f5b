package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

// leased tells whether a lease lasts. One that ends in the far future was written
// by nobody whose clock works.
func leased(lease *ulid.ULID, now time.Time) bool {
	return format.Leased(lease, now.UnixMilli()) && !format.Leased(lease, now.Add(FarFuture).UnixMilli())
}

// Lease leases an item that is as it was read, and that nobody has leased.
func (q *Queue) Lease(ctx context.Context, e *Entry, now time.Time) (*Entry, error) {
	if leased(e.Item.LeaseID, now) {
		return nil, fmt.Errorf("lease item %s: %w", e.Item.ID, ErrChanged)
	}
	next := peeked(e, now)
	o, err := leaseOperation(e, next, now)
	if err = q.one(ctx, "lease", e, o, err); err != nil {
		return nil, err
	}
	return next, nil
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
func leaseOperation(e, next *Entry, now time.Time) (o script.Operation, err error) {
	lease := newLease(now.Add(ItemLease))
	next.Item.LeaseID = &lease
	if next.text, err = format.Encode(next.Item); err != nil {
		return o, err
	}
	partition := e.Item.Partition()
	keys := []string{format.ItemsKey, format.ReadyKey(partition), format.ScavengerKey(partition), format.LeasedKey}
	return scriptLeaseItem.On(keys, e.Item.ID, e.text, next.text, format.LeaseExpiry(lease), partition), nil
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
