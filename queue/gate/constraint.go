package gate

import (
	"jetstep/queue/gcra"
	"jetstep/queue/heap"
	"jetstep/state"
)

// constraint counts one key of one limit, with those who wait for it.
type constraint struct {
	key   Key
	name  string
	used  int     // slots taken
	lines []*line // of functions that allow different numbers; mostly one
	dirty bool    // among the gate's dirty ones

	// Of throttles:
	rateKey state.GateKey
	tat     float64 // milliseconds
	roomAt  int64   // milliseconds, while it has a timer
	timer   int     // position in the gate's timers
}

// Before implements heap.Element.
func (c *constraint) Before(d *constraint) bool { return c.roomAt < d.roomAt }

// At implements heap.Element.
func (c *constraint) At(i int) { c.timer = i }

// line is where buckets wait for a constraint. Each number that is allowed has
// a line of its own: when a slot is given back, whole lines have room or not.
type line struct {
	on      *constraint // nil for the line of those who try
	limit   int
	rate    gcra.Limit
	waiting heap.Heap[*bucket]
	buckets int // that may wait here
}

// free is how many may pass.
func (l *line) free(now int64) int {
	if l.on.key.Kind != Throttled {
		return l.limit - l.on.used
	}
	return l.rate.Remaining(float64(now), l.on.tat)
}

// room tells whether one more may pass.
func (l *line) room(now int64) bool {
	if l.on.key.Kind != Throttled {
		return l.on.used < l.limit
	}
	_, ok, _ := l.rate.Admit(float64(now), l.on.tat)
	return ok
}

// waited tells whether anyone waits for the constraint.
func (c *constraint) waited() bool {
	for _, l := range c.lines {
		if len(l.waiting) > 0 {
			return true
		}
	}
	return false
}

// constraintOf finds or makes what a rule counts for these keys.
func (g *Gate) constraintOf(r *rule, keys []state.FlowKey) *constraint {
	key := r.key
	key.Value = r.value(keys)
	c := g.constraints[key]
	if c == nil {
		c = &constraint{key: key, name: r.name, timer: heap.Nowhere}
		if key.Kind == Throttled {
			c.rateKey = key.rateKey()
			c.tat = g.rates(c.rateKey, r.rate)
		}
		g.constraints[key] = c
	}
	return c
}

// lineOf finds or makes the line of a constraint for what a rule allows.
func (c *constraint) lineOf(r *rule) *line {
	for _, l := range c.lines {
		if l.limit == r.limit && l.rate == r.rate {
			return l
		}
	}
	l := &line{on: c, limit: r.limit, rate: r.rate}
	c.lines = append(c.lines, l)
	return l
}

// dropUnused forgets a constraint that counts nothing and nobody waits for.
func (g *Gate) dropUnused(c *constraint) {
	if c.used > 0 || len(c.lines) > 0 {
		return
	}
	if c.timer != heap.Nowhere {
		g.timers.Remove(c.timer)
	}
	if g.constraints[c.key] == c {
		delete(g.constraints, c.key)
	}
}
