package engine_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// outcome is what counts of a run, in an order.
type outcome struct {
	Run     *state.Run
	Started int // runs that it invoked
	Ended   *state.Finish
}

func (s *site) outcome(lease queue.Lease) outcome {
	s.t.Helper()
	o := outcome{}
	run, err := s.Load(s.t.Context(), lease.RunID)
	if !errors.Is(err, state.ErrRunNotFound) {
		require.NoError(s.t, err)
		slices.SortFunc(run.Waits, func(a, b state.Wait) int { return cmp.Compare(a.Step, b.Step) })
		var jobs []state.Job
		for _, job := range run.Jobs {
			job.ID, job.Due, job.Group = job.Kind.String()+job.Step+job.Outgoing, 0, ""
			jobs = append(jobs, job)
		}
		slices.SortFunc(jobs, func(a, b state.Job) int { return cmp.Compare(a.ID, b.ID) })
		o.Run = &state.Run{
			Version: run.Version, StartedAt: run.StartedAt, ForcePlan: run.ForcePlan, HasAI: run.HasAI, Steps: run.Steps,
			Pending: run.Pending, Waits: run.Waits, Defers: run.Defers, Jobs: jobs,
		}
	}
	live, err := s.client.Keys(s.t.Context(), "*}:metadata:*").Result()
	require.NoError(s.t, err)
	o.Started = len(live)
	s.mu.Lock()
	o.Ended = s.ended[lease.RunID]
	s.mu.Unlock()
	return o
}

// TestInterruptedCommits: a transition whose storing breaks off at any command,
// and which is stored again, comes to the same as one that did not.
func TestInterruptedCommits(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*state.Run, *state.Transition){
		"steps, jobs and waits": everything,
		"the end": func(_ *state.Run, t *state.Transition) {
			t.Saves = []state.Save{{Step: "a", Memo: json.RawMessage("1")}}
			t.Finish = &state.Finish{Status: state.Failed, Error: json.RawMessage(`{"message":"m"}`)}
		},
		"a retry": func(_ *state.Run, t *state.Transition) {
			t.Then, t.RetryAt = state.JobRetry, time.Now().Add(time.Hour).UnixMilli()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := redistest.Open(t)
			want, commands := interrupted(t, database, make, -1, false)
			require.Greater(t, commands, 1)
			for _, after := range []bool{false, true} {
				for n := range commands {
					got, _ := interrupted(t, database, make, n, after)
					require.Equal(t, want, got, "broken off at command %d, after it: %v", n, after)
				}
			}
		})
	}
}

// everything is a transition that has something of everything.
func everything(run *state.Run, t *state.Transition) {
	version, later := 2, time.Now().Add(time.Hour).UnixMilli()
	t.Version, t.StartedAt, t.ForcePlan, t.HasAI = &version, 100, true, true
	t.Pending = []string{"p", "q"}
	t.Saves = []state.Save{{Step: "a", Memo: json.RawMessage("1")}, {Step: "b", Memo: json.RawMessage("[]")}}
	group := function.CoalesceKey(run.ID.String(), t.Pending)
	for _, step := range t.Pending {
		t.Jobs = append(t.Jobs, state.Job{
			ID: function.PlanJob(run.Key(), step), Kind: state.JobEdge, Due: later, MaxAttempts: 5, Step: step, Group: group,
		})
	}
	for step, kind := range map[string]state.WaitKind{"w1": state.WaitEvent, "w2": state.WaitSignal, "w3": state.WaitInvoke} {
		w := state.NewWait{
			Wait: state.Wait{Kind: kind, Step: step, Name: slug},
			Timeout: state.Job{
				ID: function.PauseTimeoutJob(run.Key(), step), Kind: state.JobPause, Due: later, MaxAttempts: 5, Step: step,
			},
		}
		if kind == state.WaitInvoke {
			correlation := function.CorrelationID(run.ID.String(), step)
			w.Invoke = &state.Outgoing{
				Name: "inngest/function.invoked",
				Data: json.RawMessage(`{"_inngest":{"correlation_id":"` + correlation + `","fn_id":"` + slug + `"}}`),
			}
		}
		t.Waits = append(t.Waits, w)
	}
	slices.SortFunc(t.Waits, func(a, b state.NewWait) int { return cmp.Compare(a.Wait.Step, b.Wait.Step) })
	t.Defers = []state.Defer{{ID: "d", Slug: "later", Status: state.DeferAfterRun, Input: json.RawMessage(`{}`)}}
	t.Discoveries = []state.Discovery{{Always: true, Job: state.Job{
		ID: function.DiscoveryJob(run.Key(), "b"), Kind: state.JobEdge, Due: later, MaxAttempts: 5, Outgoing: "b",
	}}}
}

// interrupted stores a transition, breaking off at a command and beginning again;
// -1 breaks off nowhere. It gives what came of it and how many commands it took.
func interrupted(t *testing.T, database *redis.Client, make func(*state.Run, *state.Transition), at int, after bool) (outcome, int) {
	t.Helper()
	require.NoError(t, database.FlushDB(t.Context()).Err())
	client := redis.NewClient(database.Options())
	defer func() { _ = client.Close() }()
	f := redistest.NewFaults(after)
	client.AddHook(f)
	s := openOn(t, client, engine.Limits{})
	defer s.Close()
	s.begin()
	lease := s.lease(queue.LaneCall)
	run, err := s.Load(t.Context(), lease.RunID)
	require.NoError(t, err)
	tr := concluded(lease)
	make(run, tr)
	if at >= 0 {
		f.Arm(at)
		// The error may be the process's alone: some answers are not waited for.
		_ = s.Commit(redistest.Marked(t.Context()), tr)
	}
	f.Arm(-1)
	err = s.Commit(redistest.Marked(t.Context()), tr)
	if tr.Finish == nil {
		require.NoError(t, err)
	} else if err != nil {
		require.ErrorIs(t, err, state.ErrRunNotFound)
	}
	return s.outcome(lease), f.Commands()
}
