package runs

import (
	"context"
	"errors"
	"time"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

// Batch are operations that are sent together. Each is done by itself: a crash
// may leave some done and others not.
type Batch struct {
	store      *Store
	now        time.Time
	operations []script.Operation
	err        error // of making them
}

// Batch is an empty batch.
func (s *Store) Batch(now time.Time) *Batch { return &Batch{store: s, now: now} }

func (b *Batch) add(o script.Operation, err error) {
	b.operations = append(b.operations, o)
	b.err = errors.Join(b.err, err)
}

// Create is Store.Create; it answers 1 for a run that was there before.
func (b *Batch) Create(n *New) { b.add(CreateOperation(n)) }

// SavePending is Store.SavePending.
func (b *Batch) SavePending(ref Ref, steps []string) { b.add(pendingOperation(ref, steps), nil) }

// SaveDefer is Store.SaveDefer.
func (b *Batch) SaveDefer(ref Ref, d Defer) { b.add(deferOperation(ref, d)) }

// SavePause is Store.SavePause without taking a signal from others; it answers -2
// for one that another run waits for, -1 for a pause that was there before.
// displaced is a pause whose signal another run has taken: it is saved without.
func (b *Batch) SavePause(p *format.Pause, displaced bool) {
	o, err := pauseOperation(p, b.now, false)
	if displaced && err == nil {
		o.Args[argSignal] = ""
	}
	b.add(o, err)
}

// Exec does the operations and gives their answers in order.
func (b *Batch) Exec(ctx context.Context) ([]int, error) {
	if b.err != nil || len(b.operations) == 0 {
		return nil, b.err
	}
	codes := make([]int, len(b.operations))
	for i, command := range script.SideBySide(ctx, b.store.redis, b.operations...) {
		var err error
		if codes[i], err = command.Int(); err != nil {
			return nil, err
		}
	}
	return codes, nil
}
