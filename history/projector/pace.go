package projector

import (
	"context"
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

// pacer is the pace of all sources of a process.
type pacer struct {
	turn chan struct{} // holds a token, which is taken while all rest

	mu    sync.Mutex
	asked time.Time
	meter loadMeter
	load  float64 // 0 … 1, of all processors
}

func newPacer() *pacer {
	p := &pacer{turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p
}

// begin waits while another source makes all rest.
func (p *pacer) begin(ctx context.Context) {
	select {
	case token := <-p.turn:
		p.turn <- token
	case <-ctx.Done():
	}
}

// end rests if need be, after work that took so long.
func (p *pacer) end(ctx context.Context, work, age time.Duration) {
	rest := restAfter(work, age, p.current(time.Now()))
	if rest == 0 {
		return
	}
	select {
	case token := <-p.turn:
		pause(ctx, rest)
		p.turn <- token
	case <-ctx.Done():
	}
}

func (p *pacer) current(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.asked) >= loadEvery {
		p.asked, p.load = now, p.meter.sample()
	}
	return p.load
}
