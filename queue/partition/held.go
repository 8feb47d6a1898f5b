package partition

import "github.com/oklog/ulid/v2"

// HeldJobs names the limits that jobs of a run wait for, by job id, as Held
// does for the run; nil when none waits, or the run is not served here.
func (n *Node) HeldJobs(id ulid.ULID) map[string]string {
	o := n.owner(n.partitionOfRun(id))
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.admission.gate.Len() == 0 {
		return nil
	}
	run, live := o.index.View(id)
	if !live {
		return nil
	}
	var limits map[string]string
	for i := range run.Jobs {
		limit, held := o.admission.gate.Reason(jobRef{Run: id, Job: run.Jobs[i].ID})
		if !held {
			continue
		}
		if limits == nil {
			limits = map[string]string{}
		}
		limits[run.Jobs[i].ID] = limit
	}
	return limits
}
