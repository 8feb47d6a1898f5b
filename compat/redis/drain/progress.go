package drain

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/pipeline"
	"jetstep/queue"
)

// inProgress is a run that has its place among the runs of its function.
type inProgress struct {
	queue.ForeignRun
	partition int // as of a charge
}

// Begun says that a run has its place among the runs of its function, until Ended.
func (c *Charges) Begun(run *queue.ForeignRun) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs[run.RunID] == nil {
		c.begun(run)
		c.poke()
	}
}

// begun notes a run. mu is held.
func (c *Charges) begun(run *queue.ForeignRun) {
	p := c.partitionOf(run.FunctionID)
	c.runs[run.RunID] = &inProgress{*run, p}
	c.note(p)
}

// Ended says that a run has no place any more.
func (c *Charges) Ended(run ulid.ULID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended(run) {
		c.poke()
	}
}

// ended forgets a run, if it is known. mu is held.
func (c *Charges) ended(run ulid.ULID) bool {
	have := c.runs[run]
	if have == nil {
		return false
	}
	delete(c.runs, run)
	c.note(have.partition)
	return true
}

// InProgress are the runs that are known to have their places.
func (c *Charges) InProgress() []ulid.ULID {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]ulid.ULID, 0, len(c.runs))
	for run := range c.runs {
		list = append(list, run)
	}
	return list
}

// tidyRuns follows functions whose limits changed. mu is held.
func (c *Charges) tidyRuns() {
	for _, run := range c.runs {
		if p := c.partitionOf(run.FunctionID); p != run.partition {
			c.note(run.partition)
			run.partition = p
			c.note(p)
		}
	}
}

// Places knows from the Redis which runs have their places among the runs of their
// functions: what other processes began, and what was begun before.
type Places struct {
	redis   redis.UniversalClient
	account uuid.UUID
	jobs    *jobs.Queue
	charges *Charges
}

// NewPlaces tells charges.
func NewPlaces(client redis.UniversalClient, account uuid.UUID, charges *Charges) *Places {
	return &Places{redis: client, account: account, jobs: jobs.NewQueue(client), charges: charges}
}

// Load looks for runs that have places. It reads the jobs of those functions of
// which a run has one.
func (p *Places) Load(ctx context.Context) error {
	functions, err := p.taken(ctx)
	if err != nil {
		return fmt.Errorf("read which limits on runs are used: %w", err)
	}
	for fn := range functions {
		err := p.jobs.EachOf(ctx, fn, func(e *jobs.Entry) error {
			if run, ok := begun(&e.Item, time.Now().UnixMilli()); ok {
				p.charges.Begun(&run)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read the runs in progress of function %s: %w", fn, err)
		}
	}
	return p.Refresh(ctx)
}

// taken are the functions, by their partitions, that may have runs with a place. A
// limit with a key does not say whose it is (redis-queue §11): then it is any.
func (p *Places) taken(ctx context.Context) (map[string]struct{}, error) {
	functions, keyed := map[string]struct{}{}, false
	prefix, _, _ := strings.Cut(format.SemaphoreUsageKey(p.account, "", ""), ":usage")
	err := eachString(ctx, p.redis, format.SemaphoreUsageKey(p.account, "fn*", "*"), func(name, text string) {
		if used, err := strconv.ParseFloat(text, 64); err != nil || used <= 0 {
			return
		}
		id, ofAll := strings.CutPrefix(strings.TrimPrefix(name, prefix), "fn:")
		if fn, _, _ := strings.Cut(id, ":"); ofAll {
			functions[fn] = struct{}{}
		} else {
			keyed = true
		}
	})
	if err != nil || !keyed {
		return functions, err
	}
	partitions, err := p.redis.HKeys(ctx, format.PartitionsKey).Result()
	if err != nil {
		return nil, err
	}
	for _, id := range partitions {
		if _, err := format.ParseUUID(id); err == nil {
			functions[id] = struct{}{}
		}
	}
	return functions, nil
}

// Refresh asks which of the runs in progress are still there.
func (p *Places) Refresh(ctx context.Context) error {
	runs := p.charges.InProgress()
	live, err := liveRuns(ctx, p.redis, runs)
	if err != nil {
		return fmt.Errorf("read which runs are in progress: %w", err)
	}
	for i, run := range runs {
		if !live[i] {
			p.charges.Ended(run)
		}
	}
	return nil
}

// liveRuns tells of each run whether it is there. Of one that cannot be read it is
// assumed.
func liveRuns(ctx context.Context, client redis.UniversalClient, runs []ulid.ULID) ([]bool, error) {
	reads := make([]*redis.BoolCmd, len(runs))
	err := pipeline.Do(ctx, client, func(pipe redis.Pipeliner) {
		for i, run := range runs {
			reads[i] = pipe.HExists(ctx, format.MetadataKey(run), format.FieldID)
		}
	})
	live := make([]bool, len(runs))
	for i, read := range reads {
		live[i] = read.Err() != nil || read.Val()
	}
	return live, err
}

// scanned is how many keys are looked at, and read, at once.
const scanned = 1000

// eachString reads all strings whose names match the pattern.
func eachString(ctx context.Context, client redis.UniversalClient, pattern string, fn func(name, text string)) error {
	return pipeline.EachKey(ctx, client, pattern, scanned, func(names []string) error {
		texts := make([]*redis.StringCmd, len(names))
		err := pipeline.Do(ctx, client, func(pipe redis.Pipeliner) {
			for i, name := range names {
				texts[i] = pipe.Get(ctx, name)
			}
		})
		if err != nil {
			return err
		}
		for i, name := range names {
			text, err := texts[i].Result()
			switch {
			case errors.Is(err, redis.Nil): // gone meanwhile
			case err != nil:
				return fmt.Errorf("read %s: %w", name, err)
			default:
				fn(name, text)
			}
		}
		return nil
	})
}
