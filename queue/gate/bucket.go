package gate

import (
	"slices"

	"jetstep/queue/heap"
)

// bucket holds the waiting jobs that are limited alike.
type bucket struct {
	key   string
	plan  *Plan
	start bool // whether the limits of start jobs count
	needs []*line
	slots *slots
	jobs  heap.Heap[item]
	live  int // jobs that were not forgotten

	in    *line // where it waits
	pos   int   // there
	since int64 // it waits for its turn, milliseconds since 1970
	turn  uint64
}

// item is a job in a bucket. It is dead when the gate knows the job no longer,
// or as a later one.
type item struct {
	ref      Ref
	score    int64
	seq      uint64
	priority int
}

// Before implements heap.Element.
func (i item) Before(j item) bool {
	return i.score < j.score || i.score == j.score && i.seq < j.seq
}

// At implements heap.Element.
func (item) At(int) {}

// rank is the bucket's place in line: since when it waits for its turn, moved
// by the priority of its first job.
func (b *bucket) rank() int64 { return b.since - int64(b.jobs[0].priority)*1000 }

// Before implements heap.Element.
func (b *bucket) Before(c *bucket) bool {
	r, s := b.rank(), c.rank()
	return r < s || r == s && b.turn < c.turn
}

// At implements heap.Element.
func (b *bucket) At(i int) { b.pos = i }

// bucketOf finds or makes the bucket of a job.
func (g *Gate) bucketOf(plan *Plan, job *Job) *bucket {
	start := job.Start && plan.starts
	key := append(g.key[:0], plan.Function[:]...)
	if start {
		key = append(key, 's')
	}
	if job.Foreign {
		key = append(key, 'f')
	}
	for i := range plan.rules {
		if r := &plan.rules[i]; r.counts(start) && r.key.Expr != "" {
			key = append(append(key, ' '), r.value(job.Keys)...)
		}
	}
	g.key = key
	if b := g.buckets[string(key)]; b != nil {
		return b
	}
	b := &bucket{key: string(key), plan: plan, start: start, slots: &slots{function: plan.Function}, pos: heap.Nowhere}
	for i := range plan.rules {
		r := &plan.rules[i]
		if !r.counts(start) {
			continue
		}
		c := g.constraintOf(r, job.Keys)
		l := c.lineOf(r)
		l.buckets++
		b.needs = append(b.needs, l)
		if r.key.Kind == Steps {
			b.slots.on = append(b.slots.on, c)
		}
	}
	g.buckets[b.key] = b
	return b
}

func (b *bucket) add(i item) {
	b.jobs.Push(i)
	b.live++
}

// take takes the first job out. The first one is alive.
func (b *bucket) take(g *Gate) item {
	first := b.jobs.Pop()
	b.live--
	b.prune(g)
	return first
}

// forget notes that a job of the bucket is no longer waiting.
func (b *bucket) forget(g *Gate, ref Ref) {
	b.live--
	if b.jobs[0].ref == ref {
		b.prune(g)
		if len(b.jobs) > 0 {
			b.moved()
		}
		return
	}
	if dead := len(b.jobs) - b.live; dead > 64 && dead > b.live {
		b.jobs = slices.DeleteFunc(b.jobs, func(i item) bool { return !g.waits(i) })
		b.jobs.Order()
	}
}

// prune drops dead jobs from the front.
func (b *bucket) prune(g *Gate) {
	for len(b.jobs) > 0 && !g.waits(b.jobs[0]) {
		b.jobs.Pop()
	}
}

// waits tells whether an item's job is still held.
func (g *Gate) waits(i item) bool {
	p, known := g.jobs[i.ref]
	return known && p.bucket != nil && p.seq == i.seq
}

// stand puts the bucket in a line, at its place.
func (b *bucket) stand(l *line) {
	b.in = l
	l.waiting.Push(b)
}

// leave takes the bucket out of its line.
func (b *bucket) leave() {
	if b.in != nil {
		b.in.waiting.Remove(b.pos)
		b.in = nil
	}
}

// moved puts the bucket at its place in its line again.
func (b *bucket) moved() {
	if b.in != nil {
		b.in.waiting.Fix(b.pos)
	}
}

// dropEmpty forgets a bucket without jobs, with what only it needed.
func (g *Gate) dropEmpty(b *bucket) bool {
	if b.live > 0 {
		return false
	}
	b.leave()
	if g.buckets[b.key] == b {
		delete(g.buckets, b.key)
	}
	for _, l := range b.needs {
		if l.buckets--; l.buckets == 0 {
			l.on.lines = slices.DeleteFunc(l.on.lines, func(m *line) bool { return m == l })
		}
		g.dropUnused(l.on)
	}
	b.needs = nil
	return true
}
