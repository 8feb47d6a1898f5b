package partition

import (
	"context"
	"sync"
	"time"

	"jetstep/bus"
	"jetstep/state"
)

const (
	// maxInFlight is how many log messages wait for acknowledgement at once;
	// what is decided meanwhile is packed into the next one.
	maxInFlight = 4
	// maxBatch bounds a packed message, in bytes.
	maxBatch = 1 << 20
	// maxBacklog bounds what is decided and not yet sent; inputs wait above it.
	maxBacklog = 8 << 20
	// appendTimeout is how long an append may stay unacknowledged.
	appendTimeout = 10 * time.Second
)

// logKey is the subject of all records. A subject for each run would cost NATS
// 200 bytes of memory a run, and under load records share messages anyway.
const logKey = "_"

// writer appends records to the log in the order of decision. While few
// messages are in flight each record goes at once; under load those decided
// meanwhile share a message. All methods but drain are called with the owner's
// lock held.
type writer struct {
	o   *Owner
	log *bus.Log

	encoder  state.Encoder
	buffered []written // in encoder
	inFlight int
	drained  *sync.Cond
}

// written is a record on its way.
type written struct {
	record *state.Record
	quiet  bool        // it carries state forward: nothing follows from it
	done   func(error) // may be nil
	// concluded is the job that an executor is done with once this is durable.
	concluded jobRef
}

func newWriter(o *Owner, log *bus.Log) *writer {
	return &writer{o: o, log: log, drained: sync.NewCond(&o.mu)}
}

// idle tells whether nothing is on its way.
func (w *writer) idle() bool { return w.inFlight == 0 && len(w.buffered) == 0 }

func (w *writer) append(r *state.Record, concluded jobRef, done func(error)) {
	w.add(written{record: r, concluded: concluded, done: done})
}

// carry appends a record of state that is known already, and returns how many
// bytes it takes.
func (w *writer) carry(r *state.Record, done func(error)) (size int) {
	return w.add(written{record: r, done: done, quiet: true})
}

func (w *writer) add(item written) (size int) {
	before := w.encoder.Len()
	w.encoder.Add(item.record)
	size = w.encoder.Len() - before
	w.buffered = append(w.buffered, item)
	if w.inFlight < maxInFlight || w.encoder.Len() >= maxBatch {
		w.flush()
	}
	return size
}

// flush sends what is buffered as one message.
func (w *writer) flush() {
	if len(w.buffered) == 0 {
		return
	}
	batch := w.buffered
	w.buffered = nil
	w.o.compact.appended(w.encoder.Len())
	w.inFlight++
	size, sent := w.encoder.Len(), time.Now()
	w.log.Append(logKey, w.encoder.Bytes(), func(_ uint64, err error) {
		if hook := w.o.node.observer.Appended; hook != nil && err == nil {
			hook(size, len(batch), time.Since(sent))
		}
		w.acknowledged(batch, err)
	})
	w.encoder.Reset() // the connection has copied it
}

// acknowledged releases the effects of a message's records. It runs in the
// order of the appends.
func (w *writer) acknowledged(batch []written, err error) {
	if err != nil {
		for _, item := range batch {
			if item.done != nil {
				item.done(err)
			}
		}
		// Not here: a synchronous refusal comes while the lock is held.
		go w.failed(err)
		return
	}
	o := w.o
	o.mu.Lock()
	w.inFlight--
	if w.inFlight < maxInFlight {
		w.flush()
	}
	if o.failed == nil {
		o.refreshLimits()
		for _, item := range batch {
			if !item.quiet {
				o.effects(item.record)
			}
			if item.concluded != (jobRef{}) {
				o.executed(item.concluded)
			}
		}
		if !o.closing {
			o.admit()
		}
	}
	if w.idle() || w.encoder.Len() < maxBacklog {
		w.drained.Broadcast()
	}
	o.mu.Unlock()
	for _, item := range batch {
		if !item.quiet {
			o.node.durable(o, item.record)
		}
		if item.done != nil {
			item.done(nil)
		}
	}
}

// failed ends everything that waits for this writer.
func (w *writer) failed(err error) {
	w.o.fail(err)
	w.o.mu.Lock()
	waiting := w.buffered
	w.buffered = nil
	w.inFlight = 0
	w.drained.Broadcast()
	w.o.mu.Unlock()
	for _, item := range waiting {
		if item.done != nil {
			item.done(err)
		}
	}
}

// full tells whether too much is decided but not sent.
func (w *writer) full() bool { return w.encoder.Len() >= maxBacklog }

// backpressure waits while too much is decided but not sent.
func (w *writer) backpressure() {
	for w.encoder.Len() >= maxBacklog && w.o.failed == nil {
		w.drained.Wait()
	}
}

// drain waits until everything appended is durable.
func (w *writer) drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		w.o.mu.Lock()
		defer w.o.mu.Unlock()
		w.drained.Broadcast()
	})
	defer stop()
	w.o.mu.Lock()
	defer w.o.mu.Unlock()
	w.flush()
	for !w.idle() && w.o.failed == nil {
		if err := ctx.Err(); err != nil {
			return w.o.errorf("records not yet durable: %w", err)
		}
		w.drained.Wait()
	}
	return w.o.failed
}
