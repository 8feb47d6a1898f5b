package drain

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"jetstep/compat/redis/format"
	"jetstep/queue"
	"jetstep/state"
)

// Owners count the limits of functions; see partition.Node.
type Owners interface {
	// CountedIn is the partition that counts a function's limits; limited is false
	// when it has none.
	CountedIn(fn uuid.UUID) (partition int, limited bool)
	// ReportForeign tells a partition what this process executes and would like
	// to, and returns the ids of what it may.
	ReportForeign(ctx context.Context, partition int, r *queue.ForeignReport) ([]string, error)
}

const (
	// reportEvery is how often a partition is told of what is executed.
	reportEvery = 500 * time.Millisecond
	// reportWithin is how long an answer counts: a later one may be of an owner
	// whose successor knows nothing of it.
	reportWithin = time.Second
	// askedFor is how long a job that nobody asks for again stays in line.
	askedFor = 12 * time.Second
	// collectWithin is how soon a job that was granted has to be begun.
	collectWithin = 3 * time.Second
	// lineLength is how many jobs with the same values of keys wait at once: the
	// others are behind them anyway.
	lineLength = 16
)

// Charges ask for jobs of the Redis to be executed within the limits that others
// count. It is safe for concurrent use.
type Charges struct {
	owners Owners
	from   string
	log    *slog.Logger

	mu    sync.Mutex
	jobs  map[string]*charge
	lines map[string]int // waiting jobs, by function and keys
	parts map[int]*part
	visit func(function uuid.UUID) // a job of it may be executed now
	poked chan struct{}
}

// charge is a job that is executed, or asked for.
type charge struct {
	queue.ForeignJob
	line      string
	partition int // -1: nothing limits it
	since     time.Time
	granted   bool // and not begun yet
}

// part is what a partition was told last.
type part struct {
	turn  chan struct{} // has room for the one report that is under way
	n     uint64
	dirty bool // it has not been told the latest
}

// nowhere is the partition of jobs without limits.
const nowhere = -1

// NewCharges makes Charges for a process of that name. visit is told of functions
// that have a job which was granted late.
func NewCharges(owners Owners, from string, visit func(function uuid.UUID), log *slog.Logger) *Charges {
	return &Charges{
		owners: owners, from: from, log: log, visit: visit,
		jobs: map[string]*charge{}, lines: map[string]int{}, parts: map[int]*part{}, poked: make(chan struct{}, 1),
	}
}

// Waits tells that a job cannot be executed now: it waits in line, or the line is
// full. all tells that this is so for every job of its function but starts.
func (c *Charges) Waits(item *format.Item) (waits, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.jobs[item.ID]; have != nil {
		if waits = !have.granted && !have.Running && have.partition != nowhere; waits {
			have.since = time.Now()
		}
		return waits, false
	}
	job := foreign(item)
	if c.lines[lineOf(&job)] < lineLength {
		return false, false
	}
	return true, len(job.Keys) == 0 && !job.Start
}

// May tells whether a job may be executed now. One that may counts until Over;
// one that may not is in line.
func (c *Charges) May(ctx context.Context, item *format.Item) bool {
	c.mu.Lock()
	have := c.jobs[item.ID]
	if have == nil {
		job := foreign(item)
		have = &charge{ForeignJob: job, line: lineOf(&job), since: time.Now()}
		have.partition = c.partitionOf(job.FunctionID)
		c.jobs[item.ID] = have
		c.lines[have.line]++
		c.note(have.partition)
	}
	p := have.partition
	if !have.Running && !have.granted && p != nowhere {
		c.mu.Unlock()
		c.report(ctx, p, item.ID)
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if c.jobs[item.ID] != have {
		return false // it was over meanwhile
	}
	if have.partition == nowhere || have.granted {
		c.begin(have)
	}
	return have.Running
}

// begin notes that a job is executed. mu is held.
func (c *Charges) begin(have *charge) {
	if !have.Running {
		have.Running, have.granted = true, false
		c.leaveLine(have)
	}
}

// Drops tells which jobs of the system are dropped: ticks, since new runs are made
// elsewhere, by whoever has the schedules.
func (c *Charges) Drops(kind string) bool {
	return kind == format.KindCron || kind == format.KindCronSync || kind == format.KindCronHealthCheck
}

// Over says that a job is executed no more, or not wanted.
func (c *Charges) Over(item string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.jobs[item]; have != nil {
		c.drop(have)
		c.poke()
	}
}

// drop forgets a job. mu is held.
func (c *Charges) drop(have *charge) {
	delete(c.jobs, have.ID)
	if !have.Running {
		c.leaveLine(have)
	}
	c.note(have.partition)
}

func (c *Charges) leaveLine(have *charge) {
	if c.lines[have.line]--; c.lines[have.line] == 0 {
		delete(c.lines, have.line)
	}
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

func (c *Charges) partitionOf(fn uuid.UUID) int {
	if p, limited := c.owners.CountedIn(fn); limited {
		return p
	}
	return nowhere
}

// Granted makes the charges look for what was granted.
func (c *Charges) Granted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		p.dirty = true
	}
	c.poke()
}

func (c *Charges) poke() {
	select {
	case c.poked <- struct{}{}:
	default:
	}
}

// Run tells partitions what they have to know until ctx ends, and at last that
// nothing is executed any more.
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

// tidy drops what nobody wants any more, and follows functions whose limits
// changed.
func (c *Charges) tidy(now time.Time) {
	c.mu.Lock()
	free := map[uuid.UUID]struct{}{}
	for _, have := range c.jobs {
		switch waited := now.Sub(have.since); {
		case have.Running:
		case have.granted && waited > collectWithin, !have.granted && waited > askedFor:
			c.drop(have)
			continue
		}
		if p := c.partitionOf(have.FunctionID); p != have.partition {
			c.note(have.partition)
			have.partition = p
			c.note(p)
			if p == nowhere && !have.Running {
				free[have.FunctionID] = struct{}{}
			}
		}
	}
	c.mu.Unlock()
	for fn := range free {
		c.visit(fn)
	}
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
	if len(r.Jobs) == 0 {
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

// Count is how many jobs wait for a limit.
func (c *Charges) Count() (waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.lines {
		waiting += n
	}
	return waiting
}

// foreign is an item as those who count limits see it.
func foreign(item *format.Item) queue.ForeignJob {
	id := &item.Data.Identifier
	job := queue.ForeignJob{
		ID: item.ID, RunID: id.RunID, FunctionID: item.FunctionID, Due: item.At,
		// A retry has paid.
		Start: item.Data.Kind == format.KindStart && item.Data.Attempt == 0,
	}
	if id.Priority != nil {
		job.Priority = int(*id.Priority)
	}
	job.Keys = flowKeys(item)
	return job
}

// flowKeys are the values of the keys that an item was scheduled with
// (redis-queue §10.5, §10.6).
func flowKeys(item *format.Item) []state.FlowKey {
	var keys []state.FlowKey
	evaluated := item.Data.Identifier.Concurrency
	if len(evaluated) == 0 {
		evaluated = item.Data.Concurrency
	}
	for _, k := range evaluated {
		if parts := strings.SplitN(k.Key, ":", 3); len(parts) == 3 {
			keys = append(keys, state.FlowKey{Expr: k.Hash, Value: parts[2]})
		}
	}
	if t := item.Data.Throttle; t != nil {
		if _, value, keyed := strings.Cut(t.Key, "-"); keyed {
			keys = append(keys, state.FlowKey{Expr: t.ExpressionHash, Value: value})
		}
	}
	return keys
}

// lineOf is what jobs have in common that wait for the same.
func lineOf(job *queue.ForeignJob) string {
	line := append([]byte(nil), job.FunctionID[:]...)
	if job.Start {
		line = append(line, 's')
	}
	for _, k := range job.Keys {
		line = append(append(line, ' '), k.Value...)
	}
	return string(line)
}
