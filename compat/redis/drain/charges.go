package drain

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/queue"
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
	// askedFor is how long a job that nobody asks for again stays in line.
	askedFor = 12 * time.Second
	// collectWithin is how soon a job that was granted has to be begun.
	collectWithin = 3 * time.Second
	// lineLength is how many jobs with the same values of keys wait at once: the
	// others are behind them anyway.
	lineLength = 16
)

// Charges ask for jobs of the Redis to be executed within the limits that others
// count, and tell which of its runs have their place among those of their function.
// It is safe for concurrent use.
type Charges struct {
	owners Owners
	from   string
	log    *slog.Logger

	mu    sync.Mutex
	jobs  map[string]*charge
	lines map[string]int // waiting jobs, by function and keys
	runs  map[ulid.ULID]*inProgress
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
	holds     bool // a start whose run has its place until it ends
}

// nowhere is the partition of jobs without limits.
const nowhere = -1

// NewCharges makes Charges for a process of that name. visit is told of functions
// that have a job which was granted late.
func NewCharges(owners Owners, from string, visit func(function uuid.UUID), log *slog.Logger) *Charges {
	return &Charges{
		owners: owners, from: from, log: log, visit: visit,
		jobs: map[string]*charge{}, lines: map[string]int{}, runs: map[ulid.ULID]*inProgress{}, parts: map[int]*part{},
		poked: make(chan struct{}, 1),
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
		have = &charge{ForeignJob: job, line: lineOf(&job), since: time.Now(), holds: job.Start && holdsPlace(item)}
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
		if have.holds {
			c.begun(&queue.ForeignRun{RunID: have.RunID, FunctionID: have.FunctionID, Keys: have.Keys})
		}
	}
}

// Drops tells which jobs of the system are dropped: ticks, since new runs are made
// elsewhere, by whoever has the schedules.
func (c *Charges) Drops(kind string) bool {
	return kind == format.KindCron || kind == format.KindCronSync || kind == format.KindCronHealthCheck
}

// Over says that a job is executed no more, or not wanted; begun, that it was
// executed.
func (c *Charges) Over(item string, begun bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.jobs[item]; have != nil {
		if have.holds && have.Running && !begun {
			c.ended(have.RunID) // its start will be another one
		}
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
	c.tidyRuns()
	c.mu.Unlock()
	for fn := range free {
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
