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
// (redis-queue §10.5, §10.6).
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
	return keys
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
