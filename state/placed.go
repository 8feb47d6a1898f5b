package state

import "github.com/oklog/ulid/v2"

// RunPlaced says, in the partition that a run's id names, in which other one the
// run lives. Ids that were made here name the partition of their run; those of
// runs that were taken over say nothing.
type RunPlaced struct {
	RunID     ulid.ULID
	Partition int
}

func (o *RunPlaced) tag() uint8              { return tagRunPlaced }
func (o *RunPlaced) code(c *coder)           { c.ulid(&o.RunID); c.int(&o.Partition) }
func (o *RunPlaced) apply(x *Index, _ int64) { x.placed[o.RunID] = int32(o.Partition) }

// RunForgotten takes a RunPlaced back: the run has ended.
type RunForgotten struct{ RunID ulid.ULID }

func (o *RunForgotten) tag() uint8              { return tagRunForgotten }
func (o *RunForgotten) code(c *coder)           { c.ulid(&o.RunID) }
func (o *RunForgotten) apply(x *Index, _ int64) { delete(x.placed, o.RunID) }

// Placed is the partition of a run whose id names this one and that lives
// elsewhere.
func (x *Index) Placed(id ulid.ULID) (partition int, ok bool) {
	p, ok := x.placed[id]
	return int(p), ok
}
