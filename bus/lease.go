package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Lease is the right to own a partition for as long as it is renewed. It only
// keeps processes from fighting: what excludes a stale owner is the log.
type Lease struct {
	kv       jetstream.KeyValue
	key      string
	value    []byte
	revision uint64
	cancel   context.CancelFunc
	lost     chan struct{}
	ended    chan struct{}
}

// AcquireLease waits until partition p is free and takes it for node.
func (b *Bus) AcquireLease(ctx context.Context, p int, node string) (*Lease, error) {
	kv, err := b.control.js.KeyValue(ctx, clusterBucket)
	if err != nil {
		return nil, fmt.Errorf("lease of partition %d: %w", p, err)
	}
	value, err := json.Marshal(map[string]string{"node": node})
	if err != nil {
		return nil, err
	}
	l := &Lease{kv: kv, key: "lease." + strconv.Itoa(p), value: value, lost: make(chan struct{}), ended: make(chan struct{})}
	retry := time.NewTicker(LeaseTTL / 6)
	defer retry.Stop()
	for {
		l.revision, err = kv.Create(ctx, l.key, value)
		if err == nil {
			break
		}
		if !isWrongSequence(err) {
			b.log.Debug("lease not taken", "partition", p, "error", err)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("lease of partition %d: %w", p, context.Cause(ctx))
		}
	}
	renewing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	go l.renew(renewing)
	return l, nil
}

// Lost is closed when the lease could not be renewed in time.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

func (l *Lease) renew(ctx context.Context) {
	defer close(l.ended)
	ticker := time.NewTicker(LeaseTTL / 3)
	defer ticker.Stop()
	good := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		attempt, cancel := context.WithTimeout(ctx, LeaseTTL/3)
		revision, err := l.kv.Update(attempt, l.key, l.value, l.revision)
		cancel()
		switch {
		case err == nil:
			l.revision, good = revision, time.Now()
		case isWrongSequence(err) || errors.Is(err, jetstream.ErrKeyNotFound) || time.Since(good) > LeaseTTL:
			close(l.lost)
			return
		}
	}
}

// Release gives the partition up at once, so that a peer need not wait.
func (l *Lease) Release(ctx context.Context) error {
	l.cancel()
	<-l.ended
	if err := l.kv.Purge(ctx, l.key, jetstream.LastRevision(l.revision)); err != nil && !isWrongSequence(err) {
		return fmt.Errorf("release %s: %w", l.key, err)
	}
	return nil
}
