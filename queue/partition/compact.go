package partition

import (
	"context"
	"math"
	"time"

	"jetstep/state"
)

const (
	// compactBytes is how much a log grows, at least, before it is compacted.
	compactBytes = 32 << 20
	// carryBytes is how much live state is carried forward at a time, so that
	// decisions in between do not wait.
	carryBytes = 256 << 10
)

// purgePause is how long an owner waits, in ms, after a purge that failed, or
// that removed only what the history had read so far.
const purgePause = 1000

// tellKept is how often, in ms, it is told that a log is kept for the history.
const tellKept = 600_000

// compaction keeps the log in proportion to the live state. When enough was
// appended it walks over everything alive, appends it anew, and then purges
// what lay before the walk began, as far as the history has read it. mu of the
// owner guards it.
type compaction struct {
	bytes int // appended, or found at loading, since the last purge
	walk  *state.Carry
	// alive is how much the last walk wrote, and walked what this one has so far.
	// An index does not know how large it is: what is alive besides runs counts
	// from the second walk on.
	alive, walked int
	// cut is what the walk, or the last one, makes superfluous; nil when that
	// is gone.
	cut  *cut
	last <-chan error // of the walk's last record
	// floor is where the log ended at loading, or after the last walk. Until the
	// history is there, another walk would let nothing more be purged.
	floor uint64
}

// cut is the part of the inputs and the log that a walk makes superfluous.
type cut struct {
	log      uint64 // last sequence
	commands uint64 // last command
	bytes    int    // about
	purged   uint64 // up to which the log is purged so far
	trying   bool
	next     int64 // when to try again, in milliseconds
	tell     int64 // when to tell that it has to wait, in milliseconds
}

func (c *compaction) appended(n int) { c.bytes += n }

// compactSome begins a walk when it is time, or goes on with one, or with the
// purge after it. ctx ends with the owner.
func (o *Owner) compactSome(ctx context.Context) {
	c := &o.compact
	switch {
	case c.walk != nil:
		o.walkSome()
	case c.cut != nil:
		o.purgeSome(ctx)
	case o.compactionDue():
		// All that was sent to the log is in the index. What is not durable yet
		// will be when the walk's last record is.
		c.cut = &cut{log: o.writer.log.End(), commands: o.index.Commands(), bytes: c.bytes, tell: o.node.now() + tellKept}
		c.walk = o.index.Carry()
		o.walkSome()
	}
}

// compactionDue tells whether the log is large for what is alive, and another walk
// would let it become smaller.
func (o *Owner) compactionDue() bool {
	c := &o.compact
	alive := max(o.index.Size()+512*o.index.RunCount(), c.alive)
	return c.bytes >= max(o.node.compactBytes, 2*alive) && o.projected() >= c.floor
}

// projected is the sequence up to which the history has read the log.
func (o *Owner) projected() uint64 {
	if o.node.projected == nil {
		return math.MaxUint64
	}
	return o.node.projected(o.id)
}

// walkSome carries some of what is alive forward.
func (o *Owner) walkSome() {
	c := &o.compact
	ops := c.walk.Next(carryBytes)
	if len(ops) == 0 {
		c.walk, c.floor = nil, o.writer.log.End()
		c.alive, c.walked = c.walked, 0
		return
	}
	done := make(chan error, 1)
	record := &state.Record{At: o.node.now(), Ops: append([]state.Op{&state.Carried{}}, ops...)}
	c.walked += o.writer.carry(record, func(err error) {
		done <- err
		o.poke()
	})
	c.last = done
}

// purgeSome removes the log's oldest part once the walk's last record is
// durable, and what is ready to go before the history has read all of it. An
// owner that ends leaves it: whoever loads next compacts again.
func (o *Owner) purgeSome(ctx context.Context) {
	c, cut := &o.compact, o.compact.cut
	select {
	case err := <-c.last:
		if err != nil {
			return // the owner fails
		}
		c.last = nil
	default:
		if c.last != nil {
			return
		}
	}
	upTo, now := min(cut.log, o.projected()), o.node.now()
	if upTo < cut.log && now >= cut.tell {
		cut.tell = now + tellKept
		o.log.Warn("log is kept for the history, which is behind", "projected_to", upTo, "purge_to", cut.log, "bytes", cut.bytes)
	}
	if cut.trying || now < cut.next || upTo <= cut.purged && upTo < cut.log {
		return
	}
	cut.trying = true
	o.done.Go(func() {
		err := o.purge(ctx, upTo, cut.commands)
		o.mu.Lock()
		defer o.mu.Unlock()
		cut.trying = false
		if err == nil {
			cut.purged = upTo
		}
		if cut.purged < cut.log || err != nil {
			cut.next = o.node.now() + purgePause
			return
		}
		c.bytes -= cut.bytes
		c.cut = nil
		if hook := o.node.observer.Compacted; hook != nil {
			hook(cut.bytes)
		}
		o.log.Debug("log compacted", "purged_to", cut.log)
	})
}

// purge removes the log, and the commands that were consumed before the walk
// began, up to these sequences.
func (o *Owner) purge(ctx context.Context, upTo, commands uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := o.writer.log.Purge(ctx, upTo)
	if err == nil && commands > 0 {
		err = o.node.bus.PurgeCommands(ctx, o.id, commands)
	}
	if err != nil && ctx.Err() == nil {
		o.log.Warn("log not purged; it will be tried again", "purge_to", upTo, "error", err)
	}
	return err
}
