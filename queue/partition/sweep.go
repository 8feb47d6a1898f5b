package partition

import (
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/state"
)

// sweeps carry out the cancellations of many runs at once (flow-control
// §18.3). Each is carried out when an owner first sees it, and again by the
// next owner: what it covers stays covered, so that this does no harm. mu of
// the owner guards it.
type sweeps struct {
	catalog *bus.Catalog
	seen    map[ulid.ULID]struct{}
	open    []sweep
}

// sweep is one cancellation with the runs still to look at.
type sweep struct {
	cancellation function.Cancellation
	runs         []ulid.ULID
}

// refresh follows the registry: it begins what is new, and drops what was
// taken back. Only the ids of runs are looked at here.
func (s *sweeps) refresh(o *Owner) {
	catalog := o.node.bus.Registry().Catalog()
	if catalog == s.catalog {
		return
	}
	s.catalog = catalog
	seen := s.seen
	s.seen = map[ulid.ULID]struct{}{}
	for _, c := range catalog.AllCancellations() {
		s.seen[c.ID] = struct{}{}
		if _, known := seen[c.ID]; known {
			continue
		}
		s.open = append(s.open, sweep{c, coveredBy(&c, o.index)})
	}
	s.open = slices.DeleteFunc(s.open, func(open sweep) bool {
		_, kept := s.seen[open.cancellation.ID]
		return !kept
	})
}

// coveredBy lists the live runs of the span of time, whatever their function.
func coveredBy(c *function.Cancellation, x *state.Index) (runs []ulid.ULID) {
	for id := range x.RunIDs() {
		if c.Covers(id) {
			runs = append(runs, id)
		}
	}
	return runs
}

// sweepPause lets others have the lock between two slices of a sweep.
const sweepPause = time.Millisecond

// sweptAtOnce bounds how many runs are looked at under one hold of the lock.
const sweptAtOnce = 256

// sweepSome looks at some of the runs that cancellations cover; more tells
// that there are others.
func (o *Owner) sweepSome() (more bool) {
	o.sweeps.refresh(o)
	open := o.sweeps.open
	if len(open) == 0 {
		return false
	}
	if o.writer.full() {
		return true
	}
	first := &open[0]
	n := min(sweptAtOnce, len(first.runs))
	for _, id := range first.runs[:n] {
		o.sweepRun(&first.cancellation, id)
	}
	if first.runs = first.runs[n:]; len(first.runs) == 0 {
		o.sweeps.open = slices.Delete(open, 0, 1)
	}
	return len(o.sweeps.open) > 0
}

// sweepRun cancels a run if the cancellation is for it. One that is not is left
// as it is, encoded or not.
func (o *Owner) sweepRun(c *function.Cancellation, id ulid.ULID) {
	view, live := o.index.View(id)
	if !live || view.FunctionID != c.FunctionID || !o.cancels(c, &function.Inputs{Event: view.Events[0]}) {
		return
	}
	if run, live := o.index.Run(id); live {
		t := o.begin()
		t.cancel(run, c.ID)
		t.commit(nil)
	}
}

// cancels tells whether a cancellation is for runs with that event.
func (o *Owner) cancels(c *function.Cancellation, in *function.Inputs) bool {
	ok, err := in.Holds(c.If)
	if err != nil {
		o.log.Debug("cancellation expression failed: the run goes on", "cancellation_id", c.ID, "error", err)
	}
	return ok
}

// cancelledInBulk tells whether a cancellation covers a run that was under way
// to its partition when others were swept.
func (t *tx) cancelledInBulk(s *starting) (cancellation ulid.ULID, covered bool) {
	cancellations := t.o.node.bus.Registry().Catalog().Cancellations(s.FunctionID)
	for i := range cancellations {
		if c := &cancellations[i]; c.Covers(s.RunID) && t.o.cancels(c, &s.in) {
			return c.ID, true
		}
	}
	return ulid.ULID{}, false
}

// createCancelled records a run that ends before anything is done for it, so
// that its history and its events are those of any cancelled run.
func (t *tx) createCancelled(run *state.Run, cancellation ulid.ULID) {
	run.Jobs = nil
	t.do(&state.RunPut{Run: *run})
	if put, ok := t.o.index.Run(run.ID); ok {
		t.cancel(put, cancellation)
	}
}
