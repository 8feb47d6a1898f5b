package projector

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// Where the machine has nothing left, projecting would take from execution what
// it needs. It then rests after each batch, so that it takes a small part of one
// processor, and catches up when there is less to do; but not for so long that
// nobody sees what happens.
const (
	// busyShare is from what part of all processors on a machine is busy.
	busyShare = 0.9
	// restFactor is how long a rest is, in times of the work before it, and
	// restMost the longest. Work of less than restFrom is no burden.
	restFactor = 3
	restMost   = 2 * time.Second
	restFrom   = 40 * time.Millisecond
	// maxLag is how old what waits may be while projecting rests.
	maxLag = 10 * time.Second
	// batchDelay is how long a batch waits for more messages. Where the machine is
	// busy it is batchDelayBusy: a run that begins and ends within a batch has
	// fewer rows, and a row costs less the more are written together.
	batchDelay     = 90 * time.Millisecond
	batchDelayBusy = time.Second
	// loadEvery is how often the load is asked for.
	loadEvery = 500 * time.Millisecond
)

// restAfter is how long to rest after work, when what waits has that age.
func restAfter(work, age time.Duration, load float64) time.Duration {
	if load < busyShare || age > maxLag || work < restFrom {
		return 0
	}
	return min(restFactor*work, restMost)
}

// pacer is the pace of all sources of a process. Few of them write at once: more
// would only make a database on the same machine slow for who reads.
type pacer struct {
	turns chan struct{} // a token for each source that may write

	mu    sync.Mutex
	asked time.Time
	meter loadMeter
	load  float64 // 0 … 1, of all processors
}

// newPacer lets so many sources write at once.
func newPacer(writers int) *pacer {
	p := &pacer{turns: make(chan struct{}, writers)}
	for range writers {
		p.turns <- struct{}{}
	}
	return p
}

// writers is how many sources write at once: half of the processors, for while
// one writes another translates.
func writers() int { return max(runtime.GOMAXPROCS(0)/2, 1) }

// delay is how long a batch is collected for.
func (p *pacer) delay() time.Duration {
	if p.current(time.Now()) >= busyShare {
		return batchDelayBusy
	}
	return batchDelay
}

// begin waits for a turn, which end gives back; it fails when ctx ends.
func (p *pacer) begin(ctx context.Context) error {
	select {
	case <-p.turns:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end keeps the turn for a rest, if need be, after work that took so long.
func (p *pacer) end(ctx context.Context, work, age time.Duration) {
	if rest := restAfter(work, age, p.current(time.Now())); rest > 0 {
		pause(ctx, rest)
	}
	p.turns <- struct{}{}
}

func (p *pacer) current(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.asked) >= loadEvery {
		p.asked, p.load = now, p.meter.sample()
	}
	return p.load
}
