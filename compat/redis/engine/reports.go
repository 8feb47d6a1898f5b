package engine

// since is the position above which an event counts for a wait that the
// transition adds: what was known when the job was leased, or when the same call
// last reported a finished step.
func (c *commit) since() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	reported, known := c.reports[c.RunID]
	if c.Job != "" {
		delete(c.reports, c.RunID)
		return max(c.Mark, reported)
	}
	c.reports[c.RunID] = c.recent.last
	if len(c.reports)%keptReports == 0 {
		c.forgetReports()
	}
	if !known {
		return c.recent.last
	}
	return reported
}

// keptReports is how many runs' reports are remembered before those are forgotten
// after which more events came than are.
const keptReports = 1024

// forgetReports forgets runs that have not reported for long: they may have ended
// elsewhere. The caller has the lock.
func (n *Node) forgetReports() {
	for run, at := range n.reports {
		if at+2*keptEvents < n.recent.last {
			delete(n.reports, run)
		}
	}
}
