package drain

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"jetstep/queue"
)

const (
	// reportEvery is how often a partition is told of what is executed.
	reportEvery = 500 * time.Millisecond
	// reportWithin is how long an answer counts: a later one may be of an owner
	// whose successor knows nothing of it.
	reportWithin = time.Second
)

// part is what a partition was told last.
type part struct {
	turn  chan struct{} // has room for the one report that is under way
	n     uint64
	dirty bool // it has not been told the latest
}

// note says that a partition has to be told something new. mu is held.
func (c *Charges) note(partition int) {
	if partition == nowhere {
		return
	}
	p := c.parts[partition]
	if p == nil {
		// Numbers go on from those of an earlier part, of which a report may
		// still be under way.
		p = &part{turn: make(chan struct{}, 1), n: uint64(time.Now().UnixNano())}
		c.parts[partition] = p
	}
	p.dirty = true
}

// Run tells partitions what they have to know until ctx ends. What they hear
// nothing of after that is over for them by and by.
func (c *Charges) Run(ctx context.Context) {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-c.poked:
		case <-ticker.C:
			all = true
			c.tidy(time.Now())
		}
		var told sync.WaitGroup
		for _, p := range c.toTell(all) {
			told.Go(func() { c.report(ctx, p, "") })
		}
		told.Wait()
	}
}

// toTell are the partitions that are to be told something.
func (c *Charges) toTell(all bool) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []int
	for id, p := range c.parts {
		if all || p.dirty {
			list = append(list, id)
		}
	}
	return list
}

// report tells a partition everything, and takes what it grants. asking is the job
// that its caller asks for, "" for none.
func (c *Charges) report(ctx context.Context, id int, asking string) {
	c.mu.Lock()
	p := c.parts[id]
	c.mu.Unlock()
	if p == nil {
		return
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return
	}
	r := c.reportOf(id, p)
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	granted, err := c.owners.ReportForeign(within, id, r)
	if err == nil && time.Since(began) > reportWithin {
		err = context.DeadlineExceeded
	}
	if err != nil {
		c.log.Debug("limits cannot be asked for: it is tried again", "partition", id, "error", err)
		c.mu.Lock()
		p.dirty = true
		c.mu.Unlock()
		return
	}
	c.take(id, p, granted, asking)
	if len(r.Jobs)+len(r.Runs) == 0 {
		c.leave(id, p)
	}
}

func (c *Charges) reportOf(id int, p *part) *queue.ForeignReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.n++
	p.dirty = false
	r := &queue.ForeignReport{From: c.from, N: p.n}
	for _, have := range c.jobs {
		if have.partition == id {
			job := have.ForeignJob
			job.Running = job.Running || have.granted
			r.Jobs = append(r.Jobs, job)
		}
	}
	for _, run := range c.runs {
		if run.partition == id {
			r.Runs = append(r.Runs, run.ForeignRun)
		}
	}
	slices.SortFunc(r.Jobs, func(a, b queue.ForeignJob) int { return int(a.Due - b.Due) })
	return r
}

// leave forgets a partition that was told of nothing, unless there is something
// new.
func (c *Charges) leave(id int, p *part) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !p.dirty && c.parts[id] == p {
		delete(c.parts, id)
	}
}

// take notes what was granted, and has others look for it than who asked.
func (c *Charges) take(id int, p *part, granted []string, asking string) {
	var visits []uuid.UUID
	c.mu.Lock()
	for _, item := range granted {
		have := c.jobs[item]
		if have == nil || have.partition != id {
			p.dirty = true // it is not wanted any more
			continue
		}
		if !have.granted && !have.Running {
			have.granted, have.since = true, time.Now()
			if item != asking {
				visits = append(visits, have.FunctionID)
			}
		}
	}
	c.mu.Unlock()
	slices.SortFunc(visits, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	for _, fn := range slices.Compact(visits) {
		c.visit(fn)
	}
}
