package gate

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// Waiting is how many jobs of a function wait for a limit.
type Waiting struct {
	Function uuid.UUID
	Limit    string // as Reason names it
	Jobs     int
}

// Len is how many jobs are held.
func (g *Gate) Len() int { return g.held }

// Admitted tells whether the job may be executed.
func (g *Gate) Admitted(ref Ref) bool {
	p, known := g.jobs[ref]
	return known && p.bucket == nil
}

// Reason names the limit that a held job waits for: what it counts, over what,
// and the key expression ("throttle", "concurrency of the environment by
// event.data.team", "runs"). A job behind others of its bucket waits for the
// same.
func (g *Gate) Reason(ref Ref) (limit string, held bool) {
	p := g.jobs[ref]
	if p.bucket == nil || p.bucket.in.on == nil {
		return "", false
	}
	return p.bucket.in.on.name, true
}

// Waiting counts the held jobs by function and limit, in a stable order. It
// looks at every bucket.
func (g *Gate) Waiting() []Waiting {
	type group struct {
		function uuid.UUID
		limit    string
	}
	counts := map[group]int{}
	for _, b := range g.buckets {
		if b.in != nil && b.in.on != nil {
			counts[group{b.slots.function, b.in.on.name}] += b.live
		}
	}
	list := make([]Waiting, 0, len(counts))
	for k, n := range counts {
		list = append(list, Waiting{k.function, k.limit, n})
	}
	slices.SortFunc(list, func(a, b Waiting) int {
		return cmp.Or(slices.Compare(a.Function[:], b.Function[:]), cmp.Compare(a.Limit, b.Limit))
	})
	return list
}

// Idle tells whether the gate holds no job, and no job or run holds a slot.
func (g *Gate) Idle() bool { return len(g.jobs) == 0 && len(g.runs) == 0 && len(g.constraints) == 0 }
