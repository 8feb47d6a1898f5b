package drain

import (
	"strings"

	"jetstep/compat/redis/format"
	"jetstep/queue"
	"jetstep/state"
)

// foreign is an item as those who count limits see it.
func foreign(item *format.Item) queue.ForeignJob {
	id := &item.Data.Identifier
	job := queue.ForeignJob{
		ID: item.ID, RunID: id.RunID, FunctionID: item.FunctionID, Due: item.At,
		// A retry has paid.
		Start: item.Data.Kind == format.KindStart && item.Data.Attempt == 0,
	}
	if id.Priority != nil {
		job.Priority = int(*id.Priority)
	}
	job.Keys = flowKeys(item)
	return job
}

// flowKeys are the values of the keys that an item was scheduled with
// (redis-queue §10.5, §10.6, §11).
func flowKeys(item *format.Item) []state.FlowKey {
	var keys []state.FlowKey
	evaluated := item.Data.Identifier.Concurrency
	if len(evaluated) == 0 {
		evaluated = item.Data.Concurrency
	}
	for _, k := range evaluated {
		if parts := strings.SplitN(k.Key, ":", 3); len(parts) == 3 {
			keys = append(keys, state.FlowKey{Expr: k.Hash, Value: parts[2]})
		}
	}
	if t := item.Data.Throttle; t != nil {
		if _, value, keyed := strings.Cut(t.Key, "-"); keyed {
			keys = append(keys, state.FlowKey{Expr: t.ExpressionHash, Value: value})
		}
	}
	for _, s := range semaphoresOf(item) {
		if s.Value != "" {
			keys = append(keys, state.FlowKey{Expr: s.ID, Value: s.Value})
		}
	}
	return keys
}

// semaphoresOf are those that the item's run holds from its start to its end: later
// items have only the identifier's copy.
func semaphoresOf(item *format.Item) []format.Semaphore {
	all := item.Data.Identifier.Semaphores
	if len(all) == 0 {
		all = item.Data.Semaphores
	}
	held := make([]format.Semaphore, 0, len(all))
	for _, s := range all {
		if s.Release == format.ReleaseManual {
			held = append(held, s)
		}
	}
	return held
}

// holdsPlace tells whether an item's run has a place among the runs of its function
// from its start on.
func holdsPlace(item *format.Item) bool { return len(semaphoresOf(item)) > 0 }

// begun is the run of an item if that has taken its place: its start was tried, or
// somebody executes it.
func begun(item *format.Item, now int64) (run queue.ForeignRun, ok bool) {
	switch item.Data.Kind {
	case format.KindStart:
		ok = item.Data.Attempt > 0 || format.Leased(item.LeaseID, now)
	case format.KindEdge, format.KindEdgeError, format.KindSleep, format.KindPause:
		ok = true
	}
	if !ok || !holdsPlace(item) {
		return run, false
	}
	return queue.ForeignRun{RunID: item.Data.Identifier.RunID, FunctionID: item.FunctionID, Keys: flowKeys(item)}, true
}

// lineOf is what jobs have in common that wait for the same.
func lineOf(job *queue.ForeignJob) string {
	line := append([]byte(nil), job.FunctionID[:]...)
	if job.Start {
		line = append(line, 's')
	}
	for _, k := range job.Keys {
		line = append(append(line, ' '), k.Value...)
	}
	return string(line)
}
