package engine

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// outage follows whether Redis does what the loops of a node ask of it. While it
// does not, they try again, ever more seldom; the log has one line when that begins,
// and one when it has ended.
type outage struct {
	log     *slog.Logger
	changed func(away bool) // nil for nobody

	mu     sync.Mutex
	failed map[string]int // failures in a row, by what was tried
	since  time.Time
	last   error // nil while all is well
}

// What is tried.
const (
	triesQueue    = "queue"
	triesLeases   = "leases"
	triesCapacity = "capacity"
	triesBacklogs = "backlogs"
)

// note says how something went, and gives the pause before it is tried again.
func (o *outage) note(what string, err error) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		delete(o.failed, what)
		if o.last != nil && len(o.failed) == 0 {
			o.last = nil
			o.log.Info("Redis does again what it is asked", "after", time.Since(o.since).Round(time.Millisecond).String())
			o.tell(false)
		}
		return 0
	}
	if o.failed == nil {
		o.failed = map[string]int{}
	}
	o.failed[what]++
	if o.last == nil {
		o.since = time.Now()
		o.log.Error("Redis does not do what it is asked: it is tried again until it does", "trying", what, "error", err)
		o.tell(true)
	}
	o.last = err
	return backoff(o.failed[what])
}

func (o *outage) tell(away bool) {
	if o.changed != nil {
		o.changed(away)
	}
}

// backoff is how long to wait after so many failures in a row: processes that lost
// Redis at one moment do not come back at one.
func backoff(failures int) time.Duration {
	const most = 5 * time.Second
	pause := most
	if failures < 6 {
		pause = tick << failures
	}
	return pause/2 + rand.N(pause/2)
}

// Trouble is why Redis does not do what it is asked at present; nil when it does.
func (n *Node) Trouble() error {
	n.outage.mu.Lock()
	defer n.outage.mu.Unlock()
	return n.outage.last
}
