package bench

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"time"
)

// delays are times from one moment to another of numbered events.
type delays struct {
	mu    sync.Mutex
	from  map[int]time.Time
	taken []time.Duration
}

func newDelays() *delays { return &delays{from: map[int]time.Time{}} }

// begin notes the first moment of event n, which may lie ahead.
func (d *delays) begin(n int, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.from[n] = at
}

// end takes the time of an event whose data is given, once.
func (d *delays) end(data []byte) {
	now := time.Now()
	n, ok := eventNumber(data)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if from, begun := d.from[n]; begun {
		d.taken = append(d.taken, now.Sub(from))
		delete(d.from, n)
	}
}

func (d *delays) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.taken)
}

// percentile is in milliseconds.
func (d *delays) percentile(p int) float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.taken) == 0 {
		return 0
	}
	slices.Sort(d.taken)
	return float64(d.taken[len(d.taken)*p/100].Microseconds()) / 1000
}

// eventNumber is the "n" of canonical event data.
func eventNumber(data []byte) (n int, ok bool) {
	const member = `"n":`
	i := bytes.Index(data, []byte(member))
	if i < 0 {
		return 0, false
	}
	digits := data[i+len(member):]
	if end := bytes.IndexAny(digits, ",}"); end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.Atoi(string(digits))
	return n, err == nil
}
