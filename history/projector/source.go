package projector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"jetstep/history/database"
)

// feed is a stream that is projected.
type feed interface {
	// bounds are the first and last sequence that it holds; first is last + 1
	// when it holds nothing.
	bounds(ctx context.Context) (first, last uint64, err error)
	// follow delivers what comes after a sequence, in order, until stop.
	follow(ctx context.Context, after uint64, deliver func(message)) (stop func(), err error)
	// translate adds a message's rows to a batch; an error sets it aside.
	translate(b *batch, m message) error
}

// message is what a feed delivers.
type message struct {
	seq  uint64
	at   time.Time // when it was stored
	size int       // bytes
	body any
}

// A batch is written when it has so many rows or bytes, or some time after its
// first message (pacer.delay).
const (
	batchRows  = 10_000
	batchBytes = 8 << 20
)

// readAhead is how many messages wait to be translated.
const readAhead = 256

// checkEvery is how often a stream's end is compared with what was read of it.
const checkEvery = 5 * time.Second

// source is one stream on its way to the database.
type source struct {
	projector *Projector
	stream
	position atomic.Uint64 // up to here it is in the database

	mu     sync.Mutex
	last   uint64    // of the stream, as far as is known
	oldest time.Time // when the oldest message was stored that is not in the database
	err    error
}

// run projects until ctx ends. A session ends when the stream or the database
// is not as it was thought to be.
func (s *source) run(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > backOffMax {
			attempt = 0
		}
		s.failed("reading", err)
		pause(ctx, backOff(attempt))
	}
}

const (
	backOffMin = 100 * time.Millisecond
	backOffMax = 5 * time.Second
)

// backOff is how long to wait after so many failures, give or take a quarter.
func backOff(attempt int) time.Duration {
	d := min(backOffMin<<min(attempt, 10), backOffMax)
	return d*3/4 + rand.N(d/2)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// session reads from where the database was left.
func (s *source) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start, err := s.start(ctx)
	if err != nil {
		return err
	}
	s.position.Store(start.position)
	messages := make(chan message, readAhead)
	stop, err := s.feed.follow(ctx, start.position, func(m message) {
		select {
		case messages <- m:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	defer cancel() // before stop, which waits for deliver
	s.healthy()
	return s.write(ctx, messages, start)
}

// write puts messages into batches, and these into the database.
func (s *source) write(ctx context.Context, messages <-chan message, start place) error {
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-check.C:
			if err := s.check(ctx); err != nil {
				return err
			}
		case first := <-messages:
			batch, to := s.collect(ctx, first, messages, start.again)
			if err := s.store(ctx, batch, to); err != nil {
				return err
			}
		}
	}
}

// collect translates messages until there are enough for a batch.
func (s *source) collect(ctx context.Context, first message, more <-chan message, again uint64) (b *batch, to uint64) {
	b = newBatch(s.projector.config.Functions, first.seq <= again || s.projector.config.Instance != "")
	b.rows = *spare.Get().(*database.Records)
	s.waiting(first.at)
	delay := time.NewTimer(s.projector.pace.delay())
	defer delay.Stop()
	for m, bytes := first, 0; ; {
		if err := s.feed.translate(b, m); err != nil {
			s.projector.metrics.poison.WithLabelValues(s.name).Inc()
			s.projector.log.Error("message cannot be projected; it is left out", "source", s.name, "seq", m.seq, "error", err)
		}
		to, bytes = m.seq, bytes+m.size
		if b.size() >= batchRows || bytes >= batchBytes {
			return b, to
		}
		select {
		case m = <-more:
		case <-delay.C:
			return b, to
		case <-ctx.Done():
			return b, to
		}
	}
}

// store writes a batch, for as long as it takes. It fails when the position in
// the database is another one: someone else has written.
func (s *source) store(ctx context.Context, b *batch, to uint64) error {
	b.seal()
	b.rows.Source, b.rows.From, b.rows.To, b.rows.Again = s.name, s.position.Load(), to, b.again || b.recalls
	for attempt := 0; ; attempt++ {
		if err := s.projector.pace.begin(ctx); err != nil {
			return err
		}
		began := time.Now()
		_, _ = s.look(ctx) // only for what is told; check says what is wrong
		err := s.tryStore(ctx, b, attempt)
		if err == nil {
			took, age := time.Since(began), s.lag(began).Age
			s.stored(b, to, took)
			s.projector.pace.end(ctx, took, age)
			return nil
		}
		s.projector.pace.end(ctx, 0, 0)
		var position *database.PositionError
		if errors.As(err, &position) || ctx.Err() != nil {
			return err
		}
		s.failed("writing", err)
		pause(ctx, backOff(attempt))
	}
}

// tryStore writes a batch once. When the database refuses a row for what is in
// it, the rows are written one by one.
func (s *source) tryStore(ctx context.Context, b *batch, attempt int) error {
	// A database that is too slow for a batch gets more time for the next try.
	ctx, cancel := context.WithTimeout(ctx, writeTimeout<<min(attempt, 6))
	defer cancel()
	err := s.projector.config.Store.Write(ctx, &b.rows)
	if !database.Refused(err) {
		return err
	}
	dropped, err := s.projector.config.Store.WriteEach(ctx, &b.rows)
	for _, d := range dropped {
		s.projector.metrics.poison.WithLabelValues(s.name).Inc()
		s.projector.log.Error("row refused by the database; it is left out, or what it holds", "source", s.name,
			"after", b.rows.From, "up_to", b.rows.To, "table", d.Table, "run_id", d.RunID, "kept", d.Kept, "error", d.Err)
	}
	return err
}

// writeTimeout is after what time a transaction is tried again, at first.
const writeTimeout = time.Minute

func (s *source) stored(b *batch, to uint64, took time.Duration) {
	s.position.Store(to)
	s.mu.Lock()
	s.last = max(s.last, to)
	s.mu.Unlock()
	s.healthy()
	m := s.projector.metrics
	m.batches.WithLabelValues(s.name).Inc()
	m.rows.WithLabelValues(s.name).Add(float64(b.rows.Len()))
	m.duration.WithLabelValues(s.name).Observe(took.Seconds())
	s.projector.committed(b.touched())
	b.recycle()
}

// healthy notes that all is well: nothing waits to be written, as far as is
// known.
func (s *source) healthy() {
	s.mu.Lock()
	recovered := s.err != nil
	s.err, s.oldest = nil, time.Time{}
	s.mu.Unlock()
	if recovered {
		s.projector.log.Info("projection goes on", "source", s.name, "position", s.position.Load())
	}
}

// failed notes why nothing gets on. It is said once until it gets on again.
func (s *source) failed(doing string, err error) {
	s.projector.metrics.errors.WithLabelValues(s.name).Inc()
	s.mu.Lock()
	first := s.err == nil
	s.err = fmt.Errorf("%s: %s: %w", s.name, doing, err)
	if s.oldest.IsZero() {
		s.oldest = time.Now()
	}
	s.mu.Unlock()
	if first {
		s.projector.log.Warn("projection stopped; it is tried again", "source", s.name, "error", err)
	}
}

// waiting notes since when there is something to write.
func (s *source) waiting(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oldest.IsZero() {
		s.oldest = since
	}
}

func (s *source) lag(now time.Time) Lag {
	s.mu.Lock()
	defer s.mu.Unlock()
	lag := Lag{Err: s.err}
	position := s.position.Load()
	lag.Messages = max(s.last, position) - position
	if !s.oldest.IsZero() {
		lag.Age = max(now.Sub(s.oldest), 0)
	}
	return lag
}
