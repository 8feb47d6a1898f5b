package partition

import "github.com/google/uuid"

// QueueSize counts the jobs that the runs of a function have in this process.
// It looks at every run, so that only tests should ask.
func (n *Node) QueueSize(fn uuid.UUID) int {
	jobs := 0
	for p := range n.owners {
		o := n.owner(p)
		if o == nil {
			continue
		}
		o.mu.Lock()
		for run := range o.index.Runs() {
			if run.FunctionID == fn {
				jobs += len(run.Jobs)
			}
		}
		o.mu.Unlock()
	}
	return jobs
}
