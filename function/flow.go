package function

import "slices"

// sharedPartitionKey is of all functions that count over more than themselves.
const sharedPartitionKey = "account"

// FlowPartitionKey is what decides in which partition the function's runs are:
// one owner sees all runs that are counted together (DESIGN §2). Functions with
// a limit over the environment or the account share one key; with other flow
// control, each has its own. Without any, ok is false and runs are spread by
// their events.
func (f *Function) FlowPartitionKey() (key string, ok bool) {
	switch {
	case f.Concurrency.crossesFunctions():
		return sharedPartitionKey, true
	case f.hasFlowControl():
		return f.ID.String(), true
	}
	return "", false
}

// crossesFunctions tells whether a limit counts steps of other functions too.
// It accepts nil.
func (c *Concurrency) crossesFunctions() bool {
	return c != nil && slices.ContainsFunc(c.Steps, func(l StepLimit) bool { return l.Scope != ScopeFunction })
}

// hasFlowControl tells whether all runs of the function must be decided by one
// partition owner.
func (f *Function) hasFlowControl() bool {
	return !f.Concurrency.IsZero() || f.Throttle != nil || f.RateLimit != nil || f.Debounce != nil ||
		f.EventBatch != nil || f.Singleton != nil || (f.Priority != nil && f.Priority.Run != "")
}
