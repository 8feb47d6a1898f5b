package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

const (
	// toldMost is how much waits to be stored, in bytes, before those who tell
	// more have to wait.
	toldMost = 4 << 20
	// toldPatience is how long nothing can be stored before they wait no longer:
	// what they tell is lost then.
	toldPatience = 10 * time.Second
	// A payload that was not stored is tried again after toldPause, at first.
	toldPause    = 50 * time.Millisecond
	toldPauseMax = 2 * time.Second
	// toldPurge is how often that is removed which the history has.
	toldPurge = 30 * time.Second
)

// toldStore keeps what is told until the history has it. A *bus.Bus is one.
type toldStore interface {
	PublishTold(ctx context.Context, writer string, data []byte) error
	PurgeTold(ctx context.Context, upTo uint64) error
}

// teller stores what the Redis path tells of its runs, many records at a time, and
// shows it once it is durable. What happens meanwhile is collected; nobody waits
// for it but who asks to.
type teller struct {
	store  toldStore
	show   func(*state.Record)
	log    *slog.Logger
	writer string
	// projected is up to where the history has TOLD; nil when others need that too.
	projected func() uint64

	mu     sync.Mutex
	next   *bundle       // is being collected
	flying *bundle       // is being stored, nil for none
	taken  chan struct{} // closed when next begins anew
	since  time.Time     // since when nothing can be stored, zero when it can
	err    error         // why
	lost   int           // records

	kick    chan struct{}
	stop    context.CancelFunc
	working sync.WaitGroup
}

// bundle are records that are stored together.
type bundle struct {
	payload state.Encoder
	records []*state.Record
	done    chan struct{} // closed once they are durable
}

func newBundle() *bundle { return &bundle{done: make(chan struct{})} }

// newTeller makes a teller that works until Close.
func newTeller(store toldStore, projected func() uint64, show func(*state.Record), log *slog.Logger) *teller {
	t := &teller{
		store: store, show: show, log: log, writer: ulid.Make().String(), projected: projected,
		next: newBundle(), taken: make(chan struct{}), kick: make(chan struct{}, 1),
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	t.working.Go(func() { t.work(ctx) })
	if projected != nil {
		t.working.Go(func() { t.purge(ctx) })
	}
	return t
}

// Tell takes facts that hold together. When too much waits it waits, too, unless
// nothing can be stored: then they are lost, and counted.
func (t *teller) Tell(ctx context.Context, r *state.Record) {
	t.mu.Lock()
	for t.next.payload.Len() >= toldMost {
		taken, away := t.taken, t.away()
		t.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			away = true
		case <-time.After(toldPause):
		}
		t.mu.Lock()
		if away && t.next.payload.Len() >= toldMost {
			t.lost++
			t.mu.Unlock()
			return
		}
	}
	t.next.payload.Add(r)
	t.next.records = append(t.next.records, r)
	t.mu.Unlock()
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// away tells that nothing could be stored for long; mu is held.
func (t *teller) away() bool { return !t.since.IsZero() && time.Since(t.since) > toldPatience }

// errNotTold is what those get who wait for what cannot be stored.
var errNotTold = errors.New("what happened cannot be stored for the history")

// Sync returns once all that was told before is durable. It fails when ctx ends,
// or when nothing could be stored for long.
func (t *teller) Sync(ctx context.Context) error {
	for {
		t.mu.Lock()
		last, away, err := t.next, t.away(), t.err
		if len(last.records) == 0 {
			last = t.flying
		}
		t.mu.Unlock()
		if last == nil {
			return nil
		}
		if away {
			return fmt.Errorf("%w: %w", errNotTold, err)
		}
		select {
		case <-last.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errNotTold, context.Cause(ctx))
		case <-time.After(toldPatience):
		}
	}
}

// Close stores what was told, if that is possible soon, and ends the teller.
func (t *teller) Close(ctx context.Context) {
	if err := t.Sync(ctx); err != nil {
		t.log.Warn("the history will lack what happened last", "error", err)
	}
	t.stop()
	t.working.Wait()
}

func (t *teller) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.kick:
		}
		for t.take() {
			if err := t.storeAll(ctx, t.flying); err != nil {
				return
			}
		}
	}
}

// take makes what was collected what is stored next; false when that is nothing.
func (t *teller) take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying = nil
	if len(t.next.records) == 0 {
		return false
	}
	t.flying, t.next = t.next, newBundle()
	close(t.taken)
	t.taken = make(chan struct{})
	return true
}

// storeAll stores a bundle, however long that takes. It fails when ctx ends.
func (t *teller) storeAll(ctx context.Context, b *bundle) error {
	for pause := toldPause; ; pause = min(2*pause, toldPauseMax) {
		err := t.store.PublishTold(ctx, t.writer, b.payload.Bytes())
		t.outcome(err)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	for _, r := range b.records {
		t.show(r)
	}
	close(b.done)
	return nil
}

// outcome notes whether something can be stored, and says so when that changes.
func (t *teller) outcome(err error) {
	t.mu.Lock()
	began, lost := t.err == nil && err != nil, t.lost
	ended := t.err != nil && err == nil
	switch {
	case began:
		t.since = time.Now()
	case ended:
		t.since, t.lost = time.Time{}, 0
	}
	t.err = err
	t.mu.Unlock()
	switch {
	case began:
		t.log.Warn("what happens cannot be stored for the history; it is tried again", "error", err)
	case ended && lost > 0:
		t.log.Error("the history lacks some of what happened", "records", lost)
	case ended:
		t.log.Info("what happens is stored for the history again")
	}
}

// purge removes what the history has, now and then.
func (t *teller) purge(ctx context.Context) {
	ticker := time.NewTicker(toldPurge)
	defer ticker.Stop()
	for purged := uint64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		upTo := t.projected()
		if upTo <= purged {
			continue
		}
		if err := t.store.PurgeTold(ctx, upTo); err != nil {
			if ctx.Err() == nil {
				t.log.Warn("what the history has is not removed; it is tried again", "error", err)
			}
			continue
		}
		purged = upTo
	}
}
