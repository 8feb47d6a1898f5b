package engine

import (
	"sync"

	"jetstep/compat/redis/format"
)

// maxRefusals is of how many jobs a process remembers what refused them.
const maxRefusals = 10_000

// refusals remember which limit refused a job when it was last asked, for those
// who look on.
type refusals struct {
	mu    sync.Mutex
	byJob map[string]format.Constraint
}

func (r *refusals) note(job string, by format.Constraint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byJob == nil || len(r.byJob) >= maxRefusals {
		r.byJob = map[string]format.Constraint{} // those that still wait are refused again
	}
	r.byJob[job] = by
}

func (r *refusals) forget(job string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byJob, job)
}

// Refused is the limit that refused a job when this process last asked.
func (n *Node) Refused(job string) (by format.Constraint, ok bool) {
	n.refusals.mu.Lock()
	defer n.refusals.mu.Unlock()
	by, ok = n.refusals.byJob[job]
	return by, ok
}
