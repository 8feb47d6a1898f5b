package drain

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
	"jetstep/function"
)

// Counts are what is left in the Redis.
type Counts struct {
	Items  int64 // jobs in the queue: due, later, and being executed
	Runs   int64
	Pauses int64
}

// None tells that nothing is left to do. Waits of runs that have ended are left
// to their time.
func (c Counts) None() bool { return c.Items == 0 && c.Runs == 0 }

const (
	// lookEvery is how often it is counted what is left, and waitEvery when
	// nothing is.
	lookEvery = 2 * time.Second
	waitEvery = 30 * time.Second
	// scanShare bounds how much of the time runs are counted, which looks at every
	// key: one part in so many.
	scanShare = 20
)

// Left counts what is left in the Redis, and says when nothing is. It is safe for
// concurrent use.
type Left struct {
	redis redis.UniversalClient
	log   *slog.Logger
	empty func(bool)

	latest  atomic.Pointer[Counts]
	trouble atomic.Pointer[error]
	drained bool
	scanAt  time.Time // not to be counted by keys before
}

// NewLeft counts in Run. empty is told whether anything is left.
func NewLeft(client redis.UniversalClient, empty func(bool), log *slog.Logger) *Left {
	return &Left{redis: client, log: log, empty: empty}
}

// Counts are the latest numbers; known is false when there are none yet.
func (l *Left) Counts() (c Counts, known bool) {
	if latest := l.latest.Load(); latest != nil {
		return *latest, true
	}
	return c, false
}

// Any tells whether the Redis is in reach, and something is left there, as far as is
// known.
func (l *Left) Any() bool {
	counts, known := l.Counts()
	return known && !counts.None() && l.Trouble() == nil
}

// Trouble is why it cannot be counted, nil when it can.
func (l *Left) Trouble() error {
	if err := l.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// Run counts until ctx ends.
func (l *Left) Run(ctx context.Context) {
	for {
		next := l.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
	}
}

// look counts, tells, and says when to look again.
func (l *Left) look(ctx context.Context) time.Duration {
	counts, err := l.count(ctx)
	if err != nil {
		if ctx.Err() == nil {
			if l.trouble.Swap(&err) == nil {
				l.log.Warn("redis is not in reach: its runs go on when it is", "error", err)
			}
		}
		return lookEvery
	}
	if l.trouble.Swap(nil) != nil {
		l.log.Info("redis is in reach again")
	}
	l.latest.Store(&counts)
	none := counts.None()
	if none != l.drained {
		l.drained = none
		if none {
			l.log.Info("redis is drained: all its runs have ended, and it is not needed any more")
		} else {
			l.log.Info("redis is not drained: it has work again", "items", counts.Items, "runs", counts.Runs)
		}
	}
	l.empty(none)
	if none {
		return waitEvery
	}
	return lookEvery
}

// items is how many jobs there are but ticks, which NATS has, and how many of these
// only look whether a run is late.
func (l *Left) items(ctx context.Context) (items, timeouts int64, err error) {
	var all, late *redis.IntCmd
	var ticks [3]*redis.IntCmd
	err = pipeline.Do(ctx, l.redis, func(p redis.Pipeliner) {
		all, late = p.HLen(ctx, format.ItemsKey), p.ZCard(ctx, format.ReadyKey(format.QueueCancel))
		for i, queue := range []string{format.QueueCron(function.EnvironmentID), format.QueueCronSync, format.QueueCronHealthCheck} {
			ticks[i] = p.ZCard(ctx, format.ReadyKey(queue))
		}
	})
	if err = cmp.Or(err, all.Err()); err != nil {
		return 0, 0, err
	}
	items = all.Val()
	for _, n := range ticks {
		items -= n.Val()
	}
	return max(items, 0), late.Val(), nil
}

// count counts jobs; runs and pauses less often while there are jobs, since that
// takes a look at every key.
func (l *Left) count(ctx context.Context) (c Counts, err error) {
	if latest := l.latest.Load(); latest != nil {
		c = *latest
	}
	items, timeouts, err := l.items(ctx)
	if err != nil {
		return c, fmt.Errorf("count items: %w", err)
	}
	defer func() {
		if c.Items = items; c.Runs == 0 {
			c.Items = max(items-timeouts, 0) // they are of runs that have ended
		}
	}()
	began := time.Now()
	if began.Before(l.scanAt) {
		return c, nil
	}
	c.Runs, c.Pauses = 0, 0
	err = pipeline.EachKey(ctx, l.redis, "{estate*", scanned, func(names []string) error {
		for _, name := range names {
			switch {
			case strings.HasPrefix(name, "{estate}:pauses:"):
				c.Pauses++
			case strings.Contains(name, "}:metadata:"):
				c.Runs++
			}
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("count runs: %w", err)
	}
	l.scanAt = time.Now().Add(scanShare * time.Since(began))
	return c, nil
}
