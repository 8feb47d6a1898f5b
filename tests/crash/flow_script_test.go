package crash_test

import (
	"maps"
	"time"
)

// The functions with flow control, each of one kind. Most are limited by key:
// the k of the event.
const (
	keyed     = "keyed"     // concurrency of each key
	bounded   = "bounded"   // concurrency of each key and of all
	sharedA   = "shared-a"  // concurrency of both
	sharedB   = "shared-b"  // functions together
	occupied  = "occupied"  // runs of each key in progress
	throttled = "throttled" // runs that start in a period
	limited   = "limited"   // events that are not dropped in a period
	gathered  = "gathered"  // batches of each key
	debounced = "debounced" // by key
	single    = "single"    // singleton of each key that skips
	replaced  = "replaced"  // singleton of each key that cancels
	hurried   = "hurried"   // one call at a time, and a time to start
	shortened = "shortened" // a time to finish that is shorter than its sleep
)

// witness has all the events of the others. Its run tells that an event was
// looked at, which may have made none of another function.
const witness = "witness"

// flowEvents begins the names of their events.
const flowEvents = "crash/flow."

// The limits.
const (
	keyLimit  = 2 // calls of one key, where keys are limited
	allLimit  = 3 // calls of bounded
	pairLimit = 2 // calls of sharedA and sharedB
	runLimit  = 2 // runs of occupied of one key

	throttleCapacity = 8 // limit and burst
	throttleEmission = 400 * time.Millisecond
	rateCapacity     = 2 // 1 + limit/10
	rateEmission     = 4 * time.Second

	batchSize      = 5
	batchTimeout   = 2 * time.Second
	debouncePeriod = 2 * time.Second
	startTimeout   = time.Second
	finishTimeout  = 1500 * time.Millisecond
)

// byKey is the key expression of limits.
const byKey = "event.data.k"

type object = map[string]any

// flows are the functions with flow control.
var flows = map[string]script{
	keyed:     {steps: brief, flow: object{"concurrency": object{"limit": keyLimit, "key": byKey}}},
	bounded:   {steps: brief, flow: object{"concurrency": []object{{"limit": keyLimit, "key": byKey}, {"limit": allLimit}}}},
	sharedA:   {steps: brief, flow: object{"concurrency": object{"limit": pairLimit, "scope": "env", "key": `"pair"`}}},
	sharedB:   {steps: brief, flow: object{"concurrency": object{"limit": pairLimit, "scope": "env", "key": `"pair"`}}},
	occupied:  {steps: brief, flow: object{"concurrency": object{"fn": []object{{"limit": runLimit, "key": byKey}}}}},
	throttled: {steps: brief, flow: object{"throttle": object{"limit": 5, "burst": 3, "period": "2s"}}},
	limited:   {steps: brief, flow: object{"rateLimit": object{"limit": 10, "period": "40s", "key": byKey}}},
	gathered:  {steps: brief, flow: object{"batchEvents": object{"maxSize": batchSize, "timeout": batchTimeout.String(), "key": byKey}}},
	debounced: {steps: brief, flow: object{"debounce": object{"period": debouncePeriod.String(), "key": byKey}}},
	single:    {steps: brief, flow: object{"singleton": object{"mode": "skip", "key": byKey}}},
	replaced:  {steps: brief, flow: object{"singleton": object{"mode": "cancel", "key": byKey}}},
	hurried:   {steps: brief, flow: object{"concurrency": 1, "timeouts": object{"start": startTimeout.String()}}},
	shortened: {steps: []step{code("a"), {"sleep", sleepLong}}, flow: object{"timeouts": object{"finish": finishTimeout.String()}}},
}

// brief are the steps of a run that lasts about a second.
var brief = []step{code("a"), {"nap", nap}, code("b")}

// withFlows adds the functions with flow control to the others.
func withFlows(others map[string]script) map[string]script {
	maps.Copy(others, map[string]script{witness: {trigger: flowEvents + "*"}})
	for function, fn := range flows {
		fn.trigger = flowEvents + function
		others[function] = fn
	}
	return others
}

func sleepLong(int) opcode { return opcode{Op: "Sleep", Name: "1h"} }

// flowDuration is how long a call of a function with flow control takes, so
// that calls meet.
func flowDuration(n int) time.Duration { return time.Duration(20+n*17%60) * time.Millisecond }
