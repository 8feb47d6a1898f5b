package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	leaseRenewal = LeaseTTL / 3
	// leaseRetry is how often a waiting process tries again if it was not told
	// that the lease is free: a lease that runs out is not announced.
	leaseRetry = LeaseTTL / 10
)

// Lease is the right to own a partition for as long as it is renewed. It only
// keeps processes from fighting: what excludes a stale owner is the log.
type Lease struct {
	kv       jetstream.KeyValue
	key      string
	value    []byte        // a holder
	ttl      time.Duration // without renewal
	hesitate func() time.Duration
	revision uint64
	began    atomic.Pointer[time.Time] // of the last renewal
	cancel   context.CancelFunc
	lost     chan struct{}
	ended    chan struct{}
}

// AcquireLease waits until partition p is free and takes it for node. When it is,
// others that wait for it have the time that hesitate tells to take it first; nil for
// none.
func (b *Bus) AcquireLease(ctx context.Context, p int, node string, hesitate func() time.Duration) (*Lease, error) {
	if hesitate == nil {
		hesitate = func() time.Duration { return 0 }
	}
	l, err := b.acquireLease(ctx, p, node, hesitate)
	if err != nil {
		return nil, fmt.Errorf("lease of partition %d: %w", p, err)
	}
	return l, nil
}

func (b *Bus) acquireLease(ctx context.Context, p int, node string, hesitate func() time.Duration) (*Lease, error) {
	kv, err := b.leases(ctx)
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(holder{Node: node, Lease: nats.NewInbox()})
	if err != nil {
		return nil, err
	}
	bucket, err := kv.Status(ctx)
	if err != nil {
		return nil, err
	}
	l := &Lease{
		kv: kv, ttl: bucket.TTL(), key: leasePrefix + strconv.Itoa(p), value: value, hesitate: hesitate, lost: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := l.take(ctx); err != nil {
		return nil, err
	}
	renewing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	go l.renew(renewing)
	return l, nil
}

// leases is the bucket of leases. It is in memory, and gone when the NATS that
// had it was started anew: then it is made again.
func (b *Bus) leases(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := b.control.js.KeyValue(ctx, clusterBucket)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	if err := b.makeBucket(ctx, b.cfg.clusterConfig()); err != nil {
		return nil, err
	}
	return b.control.js.KeyValue(ctx, clusterBucket)
}

// take tries until the lease is free: at once when it is released, and now and
// then because it may run out.
func (l *Lease) take(ctx context.Context) error {
	err := l.create(ctx)
	if err == nil {
		return nil
	}
	watcher, err := l.kv.Watch(ctx, l.key, jetstream.UpdatesOnly(), jetstream.MetaOnly())
	if err != nil {
		return err
	}
	defer func() { _ = watcher.Stop() }() // the connection may be gone: nothing to undo
	retry := time.NewTicker(leaseRetry)
	defer retry.Stop()
	for {
		if err = l.create(ctx); err == nil {
			return nil
		}
		for wait := true; wait; {
			select {
			case entry, ok := <-watcher.Updates():
				// Renewals are announced as well.
				wait = !ok || entry == nil || entry.Operation() == jetstream.KeyValuePut
				if !ok {
					return nats.ErrConnectionClosed
				}
			case <-retry.C:
				wait = false
			case <-ctx.Done():
				return fmt.Errorf("%w: last attempt: %w", context.Cause(ctx), err)
			}
		}
	}
}

// create takes the lease if it is free, after the time that others have for it. Its
// life counts from this request, not from when the wait for it began.
func (l *Lease) create(ctx context.Context) error {
	if pause := l.hesitate(); pause > 0 {
		_, err := l.kv.Get(ctx, l.key)
		if err == nil {
			return jetstream.ErrKeyExists
		}
		if !errors.Is(err, jetstream.ErrKeyNotFound) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	asked := time.Now()
	revision, err := l.kv.Create(ctx, l.key, l.value)
	if err != nil {
		return err
	}
	l.revision = revision
	l.began.Store(&asked)
	return nil
}

// Lost is closed when the lease could not be renewed in time.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Held tells whether the lease cannot have run out. A process that was paused
// learns it from its clocks, before any renewal could fail.
func (l *Lease) Held() bool {
	began, now := l.began.Load(), time.Now()
	// The monotonic clock stands still while a machine sleeps, the other can be
	// set back.
	return now.Sub(*began) < l.ttl && now.Round(0).Sub(began.Round(0)) < l.ttl
}

// renew keeps the lease until ctx ends. Its life counts from before the
// request that began it, since the server's clock started no earlier.
func (l *Lease) renew(ctx context.Context) {
	defer close(l.ended)
	ticker := time.NewTicker(leaseRenewal)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		asked := time.Now()
		ok, err := l.extend(ctx, l.began.Load().Add(l.ttl))
		switch {
		case ok:
			l.began.Store(&asked)
		case ctx.Err() != nil:
			return
		case err == nil || !l.Held():
			close(l.lost)
			return
		}
	}
}

// extend renews the lease once. Neither ok nor an error means that it is
// someone else's, or ran out.
func (l *Lease) extend(ctx context.Context, deadline time.Time) (ok bool, err error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	ctx, cancelAttempt := context.WithTimeout(ctx, leaseRenewal)
	defer cancelAttempt()
	revision, err := l.kv.Update(ctx, l.key, l.value, l.revision)
	if isWrongSequence(err) {
		// A renewal whose answer was lost has moved the revision on.
		entry, getErr := l.kv.Get(ctx, l.key)
		if errors.Is(getErr, jetstream.ErrKeyNotFound) || getErr == nil && !bytes.Equal(entry.Value(), l.value) {
			return false, nil
		}
		if getErr != nil {
			return false, getErr
		}
		revision, err = l.kv.Update(ctx, l.key, l.value, entry.Revision())
	}
	if err != nil {
		return false, err
	}
	l.revision = revision
	return true, nil
}

// Release gives the partition up at once, so that a peer need not wait.
func (l *Lease) Release(ctx context.Context) error {
	l.cancel()
	<-l.ended
	err := l.kv.Purge(ctx, l.key, jetstream.LastRevision(l.revision))
	if isWrongSequence(err) {
		err = l.releaseRenewed(ctx)
	}
	if err != nil {
		return fmt.Errorf("release %s: %w", l.key, err)
	}
	return nil
}

// releaseRenewed gives up a lease that is not what was last known of it: the
// renewal that Release has ended may have come through all the same. One that
// is someone else's by now stays.
func (l *Lease) releaseRenewed(ctx context.Context) error {
	entry, err := l.kv.Get(ctx, l.key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound) || err == nil && !bytes.Equal(entry.Value(), l.value):
		return nil
	case err != nil:
		return err
	}
	if err = l.kv.Purge(ctx, l.key, jetstream.LastRevision(entry.Revision())); isWrongSequence(err) {
		return nil // it ran out meanwhile, and someone took it
	}
	return err
}
