package partition

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

// Find looks for things that have been taken over, wherever their partitions are.
// wanted says of each what names it: the id of a run, debounce or batch, a key, or a
// function and a schedule; of a batch also the function. The Fact of what is not
// there is nil.
func (n *Node) Find(ctx context.Context, wanted []state.Moved) ([]state.Moved, error) {
	found := make([]state.Moved, len(wanted))
	byHome := make([][]int, len(n.owners))
	for i, home := range n.takenHomes(wanted) {
		switch op := wanted[i].Fact.(type) {
		case *state.RunPut:
			home = n.partitionOfRun(op.Run.ID)
			if n.owner(home) == nil {
				var err error
				if found[i], err = n.findRun(ctx, op.Run.ID); err != nil {
					return nil, err
				}
				continue
			}
		case *state.DebouncePut:
			if op.Debounce.Start.FunctionID == uuid.Nil {
				for home := range byHome {
					byHome[home] = append(byHome[home], i)
				}
				continue
			}
		}
		byHome[home] = append(byHome[home], i)
	}
	for home, indexes := range byHome {
		if len(indexes) == 0 {
			continue
		}
		some := make([]state.Moved, len(indexes))
		for i, index := range indexes {
			some[i] = wanted[index]
		}
		got, err := n.findIn(ctx, home, some)
		if err != nil {
			return nil, err
		}
		for i, index := range indexes {
			if got[i].Fact != nil {
				found[index] = got[i]
			}
		}
	}
	return found, n.addWatches(ctx, found)
}

// findRun asks another process for a run.
func (n *Node) findRun(ctx context.Context, id ulid.ULID) (state.Moved, error) {
	run, err := n.Load(ctx, id)
	if errors.Is(err, state.ErrRunNotFound) {
		return state.Moved{}, nil
	}
	if err != nil {
		return state.Moved{}, err
	}
	return state.Moved{Fact: &state.RunPut{Run: *run}, Function: run.FunctionID}, nil
}

// findIn looks for things in one partition, here or elsewhere.
func (n *Node) findIn(ctx context.Context, p int, wanted []state.Moved) ([]state.Moved, error) {
	if o := n.owner(p); o != nil {
		return o.found(wanted), nil
	}
	var found []state.Moved
	for len(wanted) > 0 {
		some := wanted[:min(len(wanted), takenAtOnce)]
		a, err := n.ask(ctx, p, question{Kind: askFind, Moved: state.MarshalMoved(some)})
		if err != nil {
			return nil, err
		}
		got, err := state.UnmarshalMoved(a.Moved)
		if err != nil {
			return nil, err
		}
		found, wanted = append(found, got...), wanted[len(some):]
	}
	return found, nil
}

// found looks things up; the Fact of what is not there is nil.
func (o *Owner) found(wanted []state.Moved) []state.Moved {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.node.now()
	found := make([]state.Moved, len(wanted))
	for i := range wanted {
		op := o.lookUp(wanted[i].Fact)
		switch op.(type) {
		case *state.WatchPut, *state.SignalPut:
			found[i].Fact = op
		default:
			found[i], _ = movable(op, now)
		}
	}
	return found
}

// lookUp is the fact as it is now that another one names, nil if there is none.
func (o *Owner) lookUp(fact state.Op) state.Op {
	switch op := fact.(type) {
	case *state.RunPut:
		if run, ok := o.index.View(op.Run.ID); ok {
			return &state.RunPut{Run: *run}
		}
	case *state.WatchPut:
		if w, ok := o.index.Watch(op.Watch.ID); ok {
			return &state.WatchPut{Watch: *w}
		}
	case *state.SignalPut:
		if s, ok := o.index.Signal(op.Name); ok {
			return &s
		}
	case *state.KeyClaimed:
		if c, ok := o.index.Claim(op.Key); ok {
			return &c
		}
	case *state.RateCharged:
		if c, ok := o.index.Charge(op.Key); ok {
			return &c
		}
	case *state.CronTicked:
		if at, ok := o.index.Cron(state.CronKey{FunctionID: op.FunctionID, Expr: op.Expr}); ok {
			return &state.CronTicked{FunctionID: op.FunctionID, Expr: op.Expr, At: at}
		}
	case *state.DebouncePut:
		for d := range o.index.Debounces() {
			if d.ID == op.Debounce.ID {
				return &state.DebouncePut{Debounce: *d}
			}
		}
	case *state.BatchPut:
		for b := range o.index.Batches() {
			if b.ID == op.Batch.ID {
				return &state.BatchPut{Batch: *b}
			}
		}
	}
	return nil
}

// Live tells which of the runs are live.
func (n *Node) Live(ctx context.Context, runs []ulid.ULID) ([]bool, error) {
	live := make([]bool, len(runs))
	for i, id := range runs {
		if o := n.owner(n.partitionOfRun(id)); o != nil {
			o.mu.Lock()
			live[i] = o.index.Live(id)
			o.mu.Unlock()
			continue
		}
		found, err := n.findRun(ctx, id)
		if err != nil {
			return nil, err
		}
		live[i] = found.Fact != nil
	}
	return live, nil
}
