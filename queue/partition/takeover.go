package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"jetstep/function"
	"jetstep/state"
)

// What is taken over at once: under one hold of an owner's lock, in one record.
const (
	takenAtOnce = 256
	takenBytes  = 256 << 10
)

// TakeOver hands things of another engine to the owners of their partitions, in this
// process or elsewhere, and returns when all is durable. What is there already stays as
// it is: whatever was interrupted is to be repeated, and then completed. After an
// error it is unknown how much was taken over.
func (n *Node) TakeOver(ctx context.Context, all []state.Moved) ([]state.TakeOutcome, error) {
	homes := n.takenHomes(all)
	// Where a run lives must be known before anything can be sent to it.
	if err := n.placeTaken(ctx, all, homes); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	outcomes := make([]state.TakeOutcome, len(all))
	if err := n.takeIn(ctx, homes, all, outcomes); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	if err := n.forgetEnded(ctx, all, homes, outcomes); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	return outcomes, nil
}

// takenHomes are the partitions that things belong to.
func (n *Node) takenHomes(all []state.Moved) []int {
	known := n.functionHashes()
	homes := make([]int, len(all))
	for i := range all {
		homes[i] = n.takenHome(&all[i], known)
	}
	return homes
}

func (n *Node) takenHome(m *state.Moved, known map[string]uuid.UUID) int {
	switch op := m.Fact.(type) {
	case *state.RunPut:
		if home, shared := n.flowHome(op.Run.FunctionID); shared {
			return home
		}
		return n.partitionOfRun(op.Run.ID)
	case *state.KeyClaimed:
		if m.Function != uuid.Nil { // of an event of a batch
			home, _ := n.flowHome(m.Function)
			return home
		}
		text := state.Idempotency(op.Key)
		of, _, _ := strings.Cut(text, "-")
		if fn, ok := known[of]; ok {
			if home, shared := n.flowHome(fn); shared {
				return home
			}
		}
		return n.partitionOf(text) // as sendStart has it
	case *state.CronTicked:
		return n.partitionOf(op.FunctionID.String())
	case *state.DebouncePut:
		home, _ := n.flowHome(op.Debounce.Start.FunctionID)
		return home
	case *state.BatchPut:
		home, _ := n.flowHome(op.Batch.Start.FunctionID)
		return home
	}
	home, _ := n.flowHome(m.Function)
	return home
}

// flowHome is the partition in which what belongs to a function's flow control is
// kept; shared tells that its runs are, too. Of a function that is not known
// they are: perhaps it has flow control.
func (n *Node) flowHome(fn uuid.UUID) (home int, shared bool) {
	found, _, ok := n.bus.Registry().Catalog().Executable(fn)
	if !ok {
		return n.partitionOf(fn.String()), true
	}
	spread, shared := found.FlowPartitionKey()
	if !shared {
		spread = fn.String()
	}
	return n.partitionOf(spread), shared
}

// functionHashes are the functions by what idempotency keys say of them.
func (n *Node) functionHashes() map[string]uuid.UUID {
	known := map[string]uuid.UUID{}
	for app := range n.bus.Registry().Catalog().All() {
		for _, list := range [...][]function.Function{app.Functions, app.Archived} {
			for i := range list {
				known[function.Hash(list[i].ID.String())] = list[i].ID
			}
		}
	}
	return known
}

// placeTaken tells the partitions that ids of runs name where the runs will live.
func (n *Node) placeTaken(ctx context.Context, all []state.Moved, homes []int) error {
	var places []state.Moved
	var named []int
	for i := range all {
		put, ok := all[i].Fact.(*state.RunPut)
		if !ok || n.namedBy(put.Run.ID) == homes[i] {
			continue
		}
		places = append(places, state.Moved{Fact: &state.RunPlaced{RunID: put.Run.ID, Partition: homes[i]}})
		named = append(named, n.namedBy(put.Run.ID))
	}
	return n.takeIn(ctx, named, places, make([]state.TakeOutcome, len(places)))
}

// forgetEnded takes back where runs live that have ended.
func (n *Node) forgetEnded(ctx context.Context, all []state.Moved, homes []int, outcomes []state.TakeOutcome) error {
	var ended []state.Moved
	var named []int
	for i := range all {
		put, ok := all[i].Fact.(*state.RunPut)
		gone := outcomes[i].Result == state.TakenEnded || outcomes[i].Result == state.TakenNot
		if !ok || !gone || n.namedBy(put.Run.ID) == homes[i] {
			continue
		}
		ended = append(ended, state.Moved{Fact: &state.RunForgotten{RunID: put.Run.ID}})
		named = append(named, n.namedBy(put.Run.ID))
	}
	return n.takeIn(ctx, named, ended, make([]state.TakeOutcome, len(ended)))
}

// takeIn hands things to partitions, in parallel to that of each.
func (n *Node) takeIn(ctx context.Context, homes []int, all []state.Moved, outcomes []state.TakeOutcome) error {
	byHome := make([][]int, len(n.owners))
	for i, home := range homes {
		byHome[home] = append(byHome[home], i)
	}
	failed := make(chan error, len(byHome))
	for home, indexes := range byHome {
		go func() { failed <- n.takeSome(ctx, home, indexes, all, outcomes) }()
	}
	var errs []error
	for range byHome {
		errs = append(errs, <-failed)
	}
	return errors.Join(errs...)
}

// takeSome hands those with these indexes to the owner of a partition.
func (n *Node) takeSome(ctx context.Context, p int, indexes []int, all []state.Moved, outcomes []state.TakeOutcome) error {
	for len(indexes) > 0 {
		count, size := 0, 0
		for count < min(len(indexes), takenAtOnce) && (count == 0 || size+all[indexes[count]].Size() <= takenBytes) {
			size += all[indexes[count]].Size()
			count++
		}
		some := make([]state.Moved, count)
		for i, index := range indexes[:count] {
			some[i] = all[index]
		}
		got, err := n.takeAt(ctx, p, some)
		if err != nil {
			return err
		}
		for i, index := range indexes[:count] {
			outcomes[index] = got[i]
		}
		indexes = indexes[count:]
	}
	return nil
}

// takeAt hands things to the owner of a partition, here or elsewhere.
func (n *Node) takeAt(ctx context.Context, p int, some []state.Moved) ([]state.TakeOutcome, error) {
	if o := n.owner(p); o != nil {
		return o.takeHere(ctx, some)
	}
	request := state.MarshalMoved(some)
	if len(some) == 1 && len(request) > n.bus.MaxPayload()/2 {
		reason := fmt.Sprintf("%d bytes are too many to be handed to another process", len(request))
		return []state.TakeOutcome{{Result: state.TakenNot, Reason: reason}}, nil
	}
	a, err := n.ask(ctx, p, question{Kind: askTake, Moved: request})
	if err == nil && len(a.Outcomes) != len(some) {
		err = fmt.Errorf("partition %d answers for %d of %d", p, len(a.Outcomes), len(some))
	}
	return a.Outcomes, err
}

func (o *Owner) takeHere(ctx context.Context, some []state.Moved) (outcomes []state.TakeOutcome, err error) {
	err = o.do(ctx, func(t *tx) error {
		outcomes = t.takeAll(some)
		return nil
	})
	return slices.Clip(outcomes), err
}

func (o *Owner) considerMoved(ctx context.Context, q *question) (answer, error) {
	moved, err := state.UnmarshalMoved(q.Moved)
	if err != nil {
		return answer{}, fmt.Errorf("question: %w", err)
	}
	if q.Kind == askFind {
		return answer{Moved: state.MarshalMoved(o.found(moved))}, nil
	}
	outcomes, err := o.takeHere(ctx, moved)
	return answer{Outcomes: outcomes}, err
}
