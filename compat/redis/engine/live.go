package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/queue"
)

// What is known here and now, for those who look on.

// Executing tells whether a call of the run is being made by this process, and
// since when.
func (n *Node) Executing(run ulid.ULID) (since time.Time, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.held {
		if h.call && h.run() == run && (!ok || h.since.Before(since)) {
			since, ok = h.since, true
		}
	}
	return since, ok
}

// Depths counts the calls of each function that this process makes. How many wait
// only Redis knows.
func (n *Node) Depths() map[uuid.UUID]queue.Depth {
	n.mu.Lock()
	defer n.mu.Unlock()
	depths := make(map[uuid.UUID]queue.Depth, len(n.calls))
	for function, out := range n.calls {
		depths[function] = queue.Depth{Out: out}
	}
	return depths
}

// Leased is how many jobs this process executes.
func (n *Node) Leased() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.held)
}

// Items is how many items the queue has, of all processes and kinds.
func (n *Node) Items(ctx context.Context) (int64, error) {
	items, err := n.Redis.HLen(ctx, format.ItemsKey).Result()
	if err != nil {
		return 0, fmt.Errorf("count items: %w", err)
	}
	return items, nil
}

// ItemsOf is how many jobs of a function are not being executed.
func (n *Node) ItemsOf(ctx context.Context, function uuid.UUID) (int64, error) {
	items, err := n.Redis.ZCard(ctx, format.ReadyKey(function.String())).Result()
	if err != nil {
		return 0, fmt.Errorf("count items of %s: %w", function, err)
	}
	return items, nil
}

// EachRun visits the runs of a function that live all the time, each once.
func (n *Node) EachRun(ctx context.Context, function uuid.UUID, visit func(ulid.ULID) error) error {
	seen := map[ulid.ULID]struct{}{}
	return n.jobs.EachOf(ctx, function.String(), func(e *jobs.Entry) error {
		run := e.Item.Data.Identifier.RunID
		if _, again := seen[run]; again || run.IsZero() {
			return nil
		}
		seen[run] = struct{}{}
		return visit(run)
	})
}
