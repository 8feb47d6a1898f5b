package partition

import (
	"context"
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

// compaction keeps the log in proportion to the live state. When enough was
// appended it walks over everything alive, appends it anew, and then purges
// what lay before the walk began. mu of the owner guards it.
type compaction struct {
	bytes int // appended, or found at loading, since the last purge
	walk  *state.Carry
	cut   uint64 // last sequence to purge
	input uint64 // last command to purge
	since int    // value of bytes when the walk began
	last  chan error
}

func (c *compaction) appended(n int) { c.bytes += n }

// compactSome begins a walk when it is time, or goes on with one. ctx ends with
// the owner.
func (o *Owner) compactSome(ctx context.Context) {
	c := &o.compact
	if c.walk == nil {
		if c.bytes < max(o.node.compactBytes, 2*(o.index.Size()+512*o.index.RunCount())) {
			return
		}
		// All that was sent to the log is in the index. What is not durable yet
		// will be when the walk's last record is.
		c.cut, c.input = o.writer.log.End(), o.index.Commands()
		c.walk, c.since = o.index.Carry(), c.bytes
	}
	ops := c.walk.Next(carryBytes)
	if len(ops) == 0 {
		c.walk = nil
		o.purge(ctx, c.cut, c.input)
		c.bytes -= c.since
		return
	}
	done := make(chan error, 1)
	o.writer.carry(&state.Record{At: o.node.now(), Ops: append([]state.Op{&state.Carried{}}, ops...)}, func(err error) {
		done <- err
		o.poke()
	})
	c.last = done
}

// purge removes the log's oldest part once the walk's last record is durable,
// and the commands that were consumed before it began. An owner that ends does
// not wait for it: whoever loads next compacts again.
func (o *Owner) purge(ctx context.Context, cut, commands uint64) {
	last := o.compact.last
	o.done.Go(func() {
		if last != nil {
			select {
			case err := <-last:
				if err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		if err := o.writer.log.Purge(ctx, cut); err != nil {
			o.log.Warn("log not purged; the next compaction will", "error", err)
			return
		}
		if commands > 0 {
			if err := o.node.bus.PurgeCommands(ctx, o.id, commands); err != nil {
				o.log.Warn("commands not purged; the next compaction will", "error", err)
			}
		}
		o.log.Debug("log compacted", "purged_to", cut)
	})
}
