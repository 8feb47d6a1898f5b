package engine

import (
	"context"
	"slices"
	"time"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
	"jetstep/compat/redis/script"
	"jetstep/state"
)

// onlyEnds tells whether a transition ends its run and does nothing else in Redis.
func onlyEnds(t *state.Transition) bool {
	return t.Finish != nil && t.Job != "" && t.ResetJob == "" &&
		len(t.Saves)+len(t.Jobs)+len(t.DropJobs)+len(t.Waits)+len(t.Unwaits)+len(t.Defers)+len(t.AbortDefers) == 0
}

// endAtOnce stores such a transition: if the job is as this process has leased it, it
// takes the right to end the run and reads it in one round trip. It tells whether it
// did; if not, nobody has been told of anything.
func (n *Node) endAtOnce(ctx context.Context, t *state.Transition) (bool, error) {
	entry, before := n.heldFor(t)
	if entry == nil || !onlyEnds(t) {
		return false, nil
	}
	id := &before.Metadata.ID
	ref := runs.Ref{Run: id.RunID, Function: id.FunctionID}
	by := byJob + t.Job
	operations := append([]script.Operation{
		jobs.UnchangedOperation(entry), runs.FinalizeOperation(id.AccountID, idempotencyKey(id), endToken(id.RunID, by)),
	}, readOperations(ref)...)
	answers, mine, err := n.across.Do(ctx, operations...)
	if isAway(err) || !mine {
		return false, ifAway(err) // what else is wrong says who does it piece by piece
	}
	s, damaged, err := n.readFrom(ctx, ref, answers[2:], append(slices.Clone(before.items), entry), before)
	if err != nil || damaged != nil {
		return false, ifAway(err)
	}
	c := &commit{Node: n, Transition: t, stored: s, now: time.Now(), own: entry, saved: map[string]runs.Saved{}}
	facts := c.facts()
	c.mark(s)
	return true, n.end(ctx, s, t.Finish, by, facts...)
}

// ifAway is an error that means that Redis does not do what it is asked.
func ifAway(err error) error {
	if isAway(err) {
		return err
	}
	return nil
}

// heldFor is the item that a transition concludes, and its run as it was loaded; nil
// when this process has not got them.
func (n *Node) heldFor(t *state.Transition) (*jobs.Entry, *stored) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h, ok := n.held[t.Job]
	if !ok || h.loaded == nil || h.run() != t.RunID {
		return nil, nil
	}
	if kind, _ := kindOf(h.entry.Item.Data.Kind); kind != t.Kind {
		return nil, nil
	}
	return h.entry, h.loaded
}

// removeAtOnce is remove of a run that has neither pauses nor other jobs than those
// that are known: as one script, which gives back what they had of limits, too. It
// tells whether it did.
func (n *Node) removeAtOnce(ctx context.Context, id *format.Identifier, known []*jobs.Entry) (bool, error) {
	for _, s := range id.Semaphores {
		if s.Release == format.ReleaseManual {
			return false, nil
		}
	}
	drop, err := jobs.DropOperations(id.RunID, known)
	if err != nil {
		return false, err
	}
	operations := append(runs.DeleteOperations(id), drop...)
	gives := len(operations)
	capacities := n.capacitiesOf(known)
	for _, c := range capacities {
		give, err := c.ReleaseOperation()
		if err != nil {
			return false, err
		}
		give.Always = true
		operations = append(operations, give)
	}
	answers, done, err := n.across.Do(ctx, operations...)
	if err != nil || !done {
		return false, ifAway(err)
	}
	given := map[*jobs.Capacity]bool{}
	for i, c := range capacities {
		given[c] = jobs.Given(answers[gives+i])
	}
	for _, e := range known {
		n.letGoGiven(e.Item.ID, given)
	}
	return true, nil
}

// capacitiesOf are what items that this process has leased have of limits.
func (n *Node) capacitiesOf(items []*jobs.Entry) []*jobs.Capacity {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*jobs.Capacity
	for _, e := range items {
		if h, ok := n.held[e.Item.ID]; ok && h.capacity != nil {
			all = append(all, h.capacity)
		}
	}
	return all
}

// letGoGiven is letGo of an item whose capacity may be given back by now. One that was
// extended meanwhile is another.
func (n *Node) letGoGiven(item string, given map[*jobs.Capacity]bool) {
	n.mu.Lock()
	if h, ok := n.held[item]; ok && given[h.capacity] {
		h.capacity = nil
	}
	n.mu.Unlock()
	n.letGo(item)
}
