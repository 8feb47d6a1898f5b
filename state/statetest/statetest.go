// Package statetest is the conformance suite of state.Store: what the executor
// relies on, whatever keeps the runs.
//
// It knows an implementation only through the contracts in state and queue and
// a Harness, commits the transitions that the executor would, and guarantees
// nothing about speed. It must not know how runs are stored.
package statetest

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/queue"
	"jetstep/state"
)

// Harness is a store and the queue that belongs to it, alone in the world, and
// the little that lets runs begin and the world act on them. Its one function
// has four retries and no flow control.
type Harness interface {
	state.Store
	queue.Queue

	// Start starts a run of the function by an event with that data and
	// returns its id once it is there: it can be loaded, if it has not ended.
	Start(t *testing.T, data json.RawMessage) ulid.ULID
	// Publish accepts an event. It is durable, and perhaps not yet matched,
	// when Publish returns. It must be safe for concurrent use.
	Publish(t *testing.T, name string, data json.RawMessage)
	// Signal gives a signal to whoever waits for it and returns whose run that
	// is; the error is of a signal that nobody waits for.
	Signal(t *testing.T, name string, data json.RawMessage) (ulid.ULID, error)
	// Waiter is the run that waits for a signal, as far as is known.
	Waiter(t *testing.T, signal string) (run ulid.ULID, ok bool)
	// Jobs are the jobs of a live run, due or not, leased or not, in no order.
	Jobs(t *testing.T, run ulid.ULID) []state.Job
	// Ended is how a run ended; ok is false while it lives.
	Ended(t *testing.T, run ulid.ULID) (status state.Status, output json.RawMessage, ok bool)
	// StopLeasing closes the queue: it hands out no more work.
	StopLeasing()
}

// Run runs the suite. open makes a harness of its own for each test and cleans
// up when that test ends.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for name, test := range map[string]func(*suite){
		"a new run":                                   newRun,
		"a run that is not there":                     noRun,
		"a step and the call after it":                step,
		"views do not change":                         views,
		"flags of a run":                              flags,
		"the first memo wins":                         firstMemo,
		"a retry":                                     retry,
		"committing twice":                            twice,
		"the end of a sleep":                          sleepEnds,
		"jobs are known by their ids":                 jobsByID,
		"steps reported while a call lasts":           checkpoint,
		"size is what events and memos take":          size,
		"defers":                                      defers,
		"a run always goes on":                        goesOn,
		"a finished run":                              finished,
		"a failed run":                                failed,
		"transitions after the end are void":          void,
		"parallel steps of version 2":                 coalesced,
		"parallel steps of version 1":                 uncoalesced,
		"a failing parallel step":                     failingParallel,
		"a race does not wait":                        race,
		"parallel steps that end at once":             concurrent,
		"sleeps and waits among parallel steps":       mixed,
		"a wait and its event":                        waitMatches,
		"a wait and its timeout":                      waitTimesOut,
		"a wait whose event came during the call":     waitLooksBack,
		"event and timeout race for a wait":           waitRace,
		"a wait that was asked for twice":             waitTwice,
		"a signal":                                    signal,
		"a signal that is waited for already":         signalConflict,
		"a signal wait that displaces another":        signalReplace,
		"a signal name is free again":                 signalFreed,
		"an invoked function that does not exist":     invokeUnknown,
		"an invoke that takes too long":               invokeTimesOut,
		"no wait of a run outlives it":                waitsEnd,
		"what the function was called with is stable": stableInput,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&suite{T: t, Harness: open(t)})
		})
	}
}

// suite is one test with its harness.
type suite struct {
	*testing.T
	Harness
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func (s *suite) eventually(condition func() bool, what string) {
	s.Helper()
	require.Eventually(s, condition, patience, time.Millisecond, what)
}

func (s *suite) lease(lane queue.Lane) queue.Lease {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	lease, err := s.Lease(ctx, lane)
	require.NoError(s, err, "no job in time")
	return lease
}

// begin starts a run and leases its first job.
func (s *suite) begin() queue.Lease {
	s.Helper()
	id := s.Start(s.T, json.RawMessage(`{"n":1}`))
	lease := s.lease(queue.LaneCall)
	require.Equal(s, id, lease.RunID)
	return lease
}

func (s *suite) load(run ulid.ULID) *state.Run {
	s.Helper()
	r, err := s.Load(s.Context(), run)
	require.NoError(s, err)
	return r
}

func (s *suite) commit(t *state.Transition) {
	s.Helper()
	require.NoError(s, s.Commit(s.Context(), t))
}

// outcome is the transition that concludes a lease, to be filled in.
func outcome(lease queue.Lease) *state.Transition {
	return &state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation, Mark: lease.Mark,
	}
}

// versioned is outcome with a request version.
func versioned(lease queue.Lease, version int) *state.Transition {
	t := outcome(lease)
	t.Version = &version
	return t
}

// jobIDs are the ids of the run's jobs, sorted.
func (s *suite) jobIDs(run ulid.ULID) []string {
	s.Helper()
	var ids []string
	for _, job := range s.Jobs(s.T, run) {
		ids = append(ids, job.ID)
	}
	slices.Sort(ids)
	return ids
}

// steps are the ids of the finished steps in order.
func (s *suite) steps(run ulid.ULID) []string {
	s.Helper()
	var ids []string
	for _, step := range s.load(run).Steps {
		ids = append(ids, step.ID)
	}
	return ids
}

// memo waits for a step's memo.
func (s *suite) memo(run ulid.ULID, step string) string {
	s.Helper()
	var memo json.RawMessage
	s.eventually(func() bool {
		var ok bool
		memo, ok = s.load(run).Memo(step)
		return ok
	}, "step "+step+" did not finish")
	return string(memo)
}

// end waits for a run's end.
func (s *suite) end(run ulid.ULID) (state.Status, string) {
	s.Helper()
	var status state.Status
	var output json.RawMessage
	s.eventually(func() bool {
		var ok bool
		status, output, ok = s.Ended(s.T, run)
		return ok
	}, "the run did not end")
	return status, string(output)
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }

func now() int64 { return time.Now().UnixMilli() }

func in(d time.Duration) int64 { return time.Now().Add(d).UnixMilli() }

func hour() int64 { return in(time.Hour) }
