package partition

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

// walkBytes is about how much Walk shows at once.
const walkBytes = 256 << 10

var errPosition = errors.New("no position of a walk")

// Walk shows everything that another engine could take over, in an order that
// stays the same while nothing happens, and after each page the position behind it. It
// begins after a position; "" is the beginning. All partitions must be served here.
// It ends with the error of visit. Claims that are no idempotency keys are shown
// too: who knows the functions can tell.
func (n *Node) Walk(ctx context.Context, after string, visit func(page []state.Moved, after string) error) error {
	p, run, err := readPosition(after)
	if err != nil {
		return err
	}
	for ; p < len(n.owners); p++ {
		if err := n.walk(ctx, p, run, visit); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
		run = ulid.ULID{}
	}
	return nil
}

// readPosition reads a partition and the last run that was shown of it, zero for
// none.
func readPosition(text string) (p int, run ulid.ULID, err error) {
	if text == "" {
		return 0, run, nil
	}
	partition, id, runs := strings.Cut(text, " ")
	if p, err = strconv.Atoi(partition); err == nil && runs {
		run, err = ulid.ParseStrict(id)
	}
	if err != nil || p < 0 {
		return 0, run, fmt.Errorf("%q: %w", text, errPosition)
	}
	return p, run, nil
}

func (n *Node) walk(ctx context.Context, p int, after ulid.ULID, visit func([]state.Moved, string) error) error {
	o := n.owner(p)
	if o == nil {
		return ErrNotOwner
	}
	o.mu.Lock()
	walk := o.index.Carry()
	o.mu.Unlock()
	if !after.IsZero() {
		walk.After(after)
	}
	position := strconv.Itoa(p)
	ops := o.walkOn(walk)
	for ctx.Err() == nil {
		if len(ops) == 0 {
			return nil
		}
		page := pageOf(ops, n.now())
		if put, ok := ops[len(ops)-1].(*state.RunPut); ok {
			position = strconv.Itoa(p) + " " + put.Run.ID.String()
		}
		if ops = o.walkOn(walk); len(ops) == 0 {
			position = strconv.Itoa(p + 1)
		}
		if err := n.addWatches(ctx, page); err != nil {
			return err
		}
		if err := visit(page, position); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// walkOn is the next part of a walk.
func (o *Owner) walkOn(walk *state.Carry) []state.Op {
	o.mu.Lock()
	defer o.mu.Unlock()
	return walk.Next(walkBytes)
}

// pageOf is what of the facts can be taken over elsewhere.
func pageOf(ops []state.Op, now int64) (page []state.Moved) {
	for _, op := range ops {
		if m, ok := movable(op, now); ok {
			page = append(page, m)
		}
	}
	return page
}

// movable is a fact as something to be taken over elsewhere.
func movable(op state.Op, now int64) (m state.Moved, ok bool) {
	switch op := op.(type) {
	case *state.RunPut:
		m.Function = op.Run.FunctionID
	case *state.KeyClaimed:
		if op.Expires <= now {
			return m, false
		}
	case *state.RateCharged:
		if op.Expires <= now {
			return m, false
		}
	case *state.CronTicked:
		m.Function = op.FunctionID
	case *state.DebouncePut:
		m.Function = op.Debounce.Start.FunctionID
	case *state.BatchPut:
		m.Function = op.Batch.Start.FunctionID
		m.Apart = op.Batch.Key == apartKey(&op.Batch)
	default:
		return m, false
	}
	m.Fact = op
	return m, true
}

// addWatches finds what the runs among them look out for, in the partitions of
// the events and signals.
func (n *Node) addWatches(ctx context.Context, all []state.Moved) error {
	wanted := make([][]state.Moved, len(n.owners))
	for i := range all {
		put, ok := all[i].Fact.(*state.RunPut)
		if !ok {
			continue
		}
		all[i].Watches = watchesOf(&put.Run)
		for _, w := range all[i].Watches {
			p := n.partitionOf(w.Event)
			wanted[p] = append(wanted[p], state.Moved{Fact: &state.WatchPut{Watch: w}})
		}
		for _, w := range put.Run.Waits {
			if w.Kind == state.WaitSignal {
				p := n.partitionOf(signalKey(w.Name))
				wanted[p] = append(wanted[p], state.Moved{Fact: &state.SignalPut{Name: w.Name}})
			}
		}
	}
	found, holders := map[string]state.Watch{}, map[string]state.SignalPut{}
	for p, some := range wanted {
		if len(some) == 0 {
			continue
		}
		got, err := n.findIn(ctx, p, some)
		if err != nil {
			return err
		}
		for i := range got {
			switch put := got[i].Fact.(type) {
			case *state.WatchPut:
				found[put.Watch.ID] = put.Watch
			case *state.SignalPut:
				holders[put.Name] = *put
			}
		}
	}
	for i := range all {
		for j, w := range all[i].Watches {
			if armed, ok := found[w.ID]; ok {
				all[i].Watches[j] = armed
			}
		}
		if put, ok := all[i].Fact.(*state.RunPut); ok {
			all[i].Watches = append(all[i].Watches, signalsOf(&put.Run, holders)...)
		}
	}
	return nil
}

// signalsOf are watches for those signals that the run waits for and holds.
func signalsOf(run *state.Run, holders map[string]state.SignalPut) (watches []state.Watch) {
	for _, w := range run.Waits {
		if h := holders[w.Name]; w.Kind == state.WaitSignal && h.RunID == run.ID && h.Step == w.Step {
			watches = append(watches, state.Watch{RunID: run.ID, Step: w.Step})
		}
	}
	return watches
}

// watchesOf are the watches that a run has, without what only the watch knows.
func watchesOf(run *state.Run) (watches []state.Watch) {
	for _, wait := range run.Waits {
		if wait.Kind == state.WaitEvent {
			watches = append(watches, state.Watch{ID: state.WatchID(run.ID, wait.Step), Event: wait.Name, RunID: run.ID, Step: wait.Step})
		}
	}
	for i, event := range run.Cancels {
		watches = append(watches, state.Watch{ID: state.CancelWatchID(run.ID, i), Event: event, RunID: run.ID})
	}
	return watches
}

// Kept is how many things there are about that Walk shows.
func (n *Node) Kept() (count int) {
	for p := range n.owners {
		if o := n.owner(p); o != nil {
			o.mu.Lock()
			count += o.index.Kept()
			o.mu.Unlock()
		}
	}
	return count
}
