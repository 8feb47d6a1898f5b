package partition

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// records are all that the logs hold, in order.
func (s *site) records() (all []*state.Record) {
	s.t.Helper()
	s.settled()
	for p := range s.bus.Partitions() {
		log, err := s.bus.OpenLog(p)
		require.NoError(s.t, err)
		err = log.Replay(s.t.Context(), func(_ uint64, payload []byte) error {
			return state.Decode(payload, func(r *state.Record) error { all = append(all, r); return nil })
		})
		log.Close()
		require.NoError(s.t, err)
	}
	return all
}

// facts are what the logs say about a run for the history, in order. Times of
// its end are 1 when they are told, so that they can be compared.
func (s *site) facts(id ulid.ULID) (facts []state.Op) {
	s.t.Helper()
	for _, r := range s.records() {
		for _, op := range r.Ops {
			var about ulid.ULID
			switch op := op.(type) {
			case *state.Called:
				about = op.RunID
			case *state.Reported:
				about = op.RunID
			case *state.StepEnded:
				about = op.RunID
			case *state.RunSkipped:
				about = op.RunID
			case *state.RunFinished:
				about = op.RunID
				op.QueuedAt, op.StartedAt = min(op.QueuedAt, 1), min(op.StartedAt, 1)
			}
			if about == id && !id.IsZero() {
				facts = append(facts, op)
			}
		}
	}
	return facts
}

// eventID is the internal id of the only event of that name.
func (s *site) eventID(name string) (id ulid.ULID) {
	s.t.Helper()
	s.eventually(func() bool { return s.rec.count(s.rec.events, name) == 1 })
	for _, r := range s.records() {
		for _, op := range r.Ops {
			if sent, ok := op.(*state.Sent); ok && sent.Message.Event != nil && sent.Message.Event.Name == name {
				id = sent.Message.Event.InternalID
			}
		}
	}
	require.NotZero(s.t, id)
	return id
}

func fnID(slug string) uuid.UUID { return function.FunctionID(slug, slug) }

// finished is the end of the run that e started.
func finished(run *state.Run, status state.Status, change func(*state.RunFinished)) *state.RunFinished {
	op := &state.RunFinished{RunID: run.ID, Status: status, FunctionID: run.FunctionID, QueuedAt: 1, EventIDs: run.EventIDs, Idempotency: run.Idempotency}
	if change != nil {
		change(op)
	}
	return op
}

func cancelledFact(run *state.Run, by ulid.ULID) *state.RunFinished {
	return finished(run, state.Cancelled, func(op *state.RunFinished) { op.CancelledBy = by })
}

func resumed(run *state.Run, kind state.WaitKind, event, child ulid.ULID) *state.StepEnded {
	return &state.StepEnded{RunID: run.ID, FunctionID: run.FunctionID, Step: "w", Kind: kind, EventID: event, ChildRunID: child, About: run.About()}
}

// Whatever makes or ends a run or a step leaves what a trace needs to show it.
func TestFactsOfSituations(t *testing.T) {
	t.Parallel()
	none := ulid.ULID{}
	for name, situation := range map[string]func(s *site) (run ulid.ULID, want []state.Op){
		"cancelled by hand": func(s *site) (ulid.ULID, []state.Op) {
			s.register(on("fn", "begin"))
			run := s.load(s.begin("begin").RunID)
			require.NoError(s.t, s.node.Cancel(s.t.Context(), run.ID))
			return run.ID, []state.Op{cancelledFact(run, none)}
		},
		"cancelled by an event": func(s *site) (ulid.ULID, []state.Op) {
			s.register(cancelledBy("fn", "begin", function.Cancel{Event: "stop"}))
			run := s.load(s.begin("begin").RunID)
			s.eventually(func() bool { return s.node.Stats().Watches == 1 })
			stop := s.send("stop", `{}`)
			return run.ID, []state.Op{cancelledFact(run, stop.InternalID)}
		},
		"cancelled in bulk": func(s *site) (ulid.ULID, []state.Op) {
			s.register(on("fn", "begin"))
			run := s.load(s.begin("begin").RunID)
			s.cancelAll("", time.Time{}, time.Now())
			return run.ID, []state.Op{cancelledFact(run, s.bus.Registry().Catalog().AllCancellations()[0].ID)}
		},
		"cancelled in bulk before it began": func(s *site) (ulid.ULID, []state.Op) {
			s.register(on("fn", "begin"))
			s.cancelAll("", time.Time{}, time.Now().Add(time.Hour))
			e := s.send("begin", `{}`)
			run := &state.Run{ID: runIDOf(s, "fn", e), FunctionID: fnID("fn"), EventIDs: []ulid.ULID{e.InternalID}}
			run.Idempotency = function.IdempotencyKey(fnID("fn"), e.InternalID.String())
			return run.ID, []state.Op{cancelledFact(run, s.bus.Registry().Catalog().AllCancellations()[0].ID)}
		},
		"displaced by the next run": func(s *site) (ulid.ULID, []state.Op) {
			s.register(singleton(function.SingletonCancel, ""))
			run := s.load(s.begin("e").RunID)
			next := s.send("e", `{}`)
			return run.ID, []state.Op{cancelledFact(run, next.InternalID)}
		},
		"not started in time": func(s *site) (ulid.ULID, []state.Op) {
			s.register(timed("1h", ""))
			s.send("e", `{}`)
			run := s.only("fn")
			s.advance(2 * time.Hour)
			return run.ID, []state.Op{cancelledFact(run, none)}
		},
		"not finished in time": func(s *site) (ulid.ULID, []state.Op) {
			s.register(timed("", "1h"))
			lease := s.begin("e")
			run := s.load(lease.RunID)
			s.sleeping(lease)
			s.advance(2 * time.Hour)
			return run.ID, []state.Op{finished(run, state.Cancelled, func(op *state.RunFinished) { op.StartedAt = 1 })}
		},
		"skipped": func(s *site) (ulid.ULID, []state.Op) {
			s.register(singleton(function.SingletonSkip, ""))
			run := s.load(s.begin("e").RunID)
			e := s.send("e", `{}`)
			s.eventually(func() bool { return len(s.skips()) == 1 })
			skipped := s.skips()[0].RunID
			return skipped, []state.Op{&state.RunSkipped{
				RunID: skipped, FunctionID: fnID("fn"), FunctionVersion: 1, Slug: "fn", EventIDs: []ulid.ULID{e.InternalID},
				Trigger: "e", Reason: state.SkipSingleton, Existing: run.ID,
			}}
		},
		"resumed by an event": func(s *site) (ulid.ULID, []state.Op) {
			s.register(on("fn", "begin"))
			lease := s.begin("begin")
			run := s.load(lease.RunID)
			s.commit(waitForEvent(lease, run, "go", "", s.now().Add(time.Hour)))
			s.eventually(func() bool { return s.node.Stats().Watches == 1 })
			return run.ID, []state.Op{resumed(run, state.WaitEvent, s.send("go", `{}`).InternalID, none)}
		},
		"resumed by an event that was there": func(s *site) (ulid.ULID, []state.Op) {
			s.register(on("fn", "begin"))
			lease := s.begin("begin")
			run := s.load(lease.RunID)
			early := s.send("go", `{}`)
			s.passed()
			s.commit(waitForEvent(lease, run, "go", "", s.now().Add(time.Hour)))
			return run.ID, []state.Op{resumed(run, state.WaitEvent, early.InternalID, none)}
		},
		"resumed by a signal": func(s *site) (ulid.ULID, []state.Op) {
			run := s.waitingForSignal("sig", false)
			_, err := s.node.Signal(s.t.Context(), "sig", nil)
			require.NoError(s.t, err)
			return run.ID, []state.Op{resumed(run, state.WaitSignal, none, none)}
		},
		"a signal that another waits for": func(s *site) (ulid.ULID, []state.Op) {
			s.waitingForSignal("sig", false)
			run := s.waitingForSignal("sig", false)
			return run.ID, []state.Op{finished(run, state.Failed, func(op *state.RunFinished) {
				op.Output = json.RawMessage(`{"message":"Signal conflict; signal wait already exists for another run","name":"Error"}`)
			})}
		},
		"resumed by the invoked run": func(s *site) (ulid.ULID, []state.Op) {
			s.register(on("caller", "begin"), on("callee", "never"))
			run := invoking(s, "callee")
			child := s.call()
			s.commit(complete(child, `1`))
			return run.ID, []state.Op{resumed(run, state.WaitInvoke, s.eventID(state.EventFinished), child.RunID)}
		},
		"invoke of a run that is cancelled": func(s *site) (ulid.ULID, []state.Op) {
			s.register(on("caller", "begin"), on("callee", "never"))
			run := invoking(s, "callee")
			child := s.call()
			require.NoError(s.t, s.node.Cancel(s.t.Context(), child.RunID))
			return run.ID, []state.Op{resumed(run, state.WaitInvoke, s.eventID(state.EventFinished), child.RunID)}
		},
		"invoke of an unknown function": func(s *site) (ulid.ULID, []state.Op) {
			s.register(on("caller", "begin"))
			run := invoking(s, "nope")
			return run.ID, []state.Op{resumed(run, state.WaitInvoke, s.eventID(state.EventFinished), none)}
		},
		"invoke over the rate limit": func(s *site) (ulid.ULID, []state.Op) {
			s.register(on("caller", "begin"), limited("callee", "once", func(fn *function.Function) {
				fn.RateLimit = &function.RateLimit{Limit: 1, Period: "1h"}
			}))
			s.begin("once")
			run := invoking(s, "callee")
			return run.ID, []state.Op{resumed(run, state.WaitInvoke, s.eventID(state.EventFinished), none)}
		},
		"invoke that is skipped": func(s *site) (ulid.ULID, []state.Op) {
			s.register(on("caller", "begin"), on("fn", "never"))
			s.pause("fn", true)
			run := invoking(s, "fn")
			return run.ID, []state.Op{resumed(run, state.WaitInvoke, none, none)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			run, want := situation(s)
			s.eventually(func() bool { return len(s.facts(run)) >= len(want) })
			require.Equal(t, want, s.facts(run))
		})
	}
}

// waitingForSignal begins a run that waits for a signal in step "w".
func (s *site) waitingForSignal(name string, replace bool) *state.Run {
	s.t.Helper()
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	run := s.load(lease.RunID)
	t := waitForEvent(lease, run, name, "", s.now().Add(time.Hour))
	t.Waits[0].Wait.Kind, t.Waits[0].Replace = state.WaitSignal, replace
	s.commit(t)
	s.eventually(func() bool {
		var taken bool
		s.in(s.node.partitionOf(signalKey(name)), func(o *Owner) { _, taken = o.index.Signal(name) })
		return taken
	})
	return run
}

// What an executor tells stands in front of what follows from it, in the same
// record; of what is void nothing does.
func TestFactsOfATransition(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	id := lease.RunID
	run := s.load(id)
	reported := &state.Reported{RunID: id, FunctionID: run.FunctionID, JobID: lease.Job.ID, Ops: []state.CalledOp{{Op: "StepRun", ID: "a"}}}
	save := []state.Save{{Step: "a", Memo: json.RawMessage(`1`)}}
	for range 2 { // its answer was lost
		s.commit(&state.Transition{RunID: id, Saves: save, Reported: reported})
	}

	t1 := complete(lease, ``)
	t1.Finish, t1.Jobs = nil, []state.Job{{ID: "z", Kind: state.JobSleep, Step: "z"}}
	t1.Called = &state.Called{RunID: id, FunctionID: run.FunctionID, Job: lease.Job, Ops: []state.CalledOp{{Op: "Sleep", ID: "z"}}}
	s.commit(t1)
	s.commit(t1) // its acknowledgement was lost
	wake := s.lease(queue.LaneWake)
	t2 := complete(wake, ``)
	t2.Finish, t2.Saves = nil, []state.Save{{Step: "z", Memo: json.RawMessage(`null`)}}
	t2.Jobs = []state.Job{{ID: "next", Kind: state.JobEdge, Outgoing: "z"}}
	t2.Ended = &state.StepEnded{RunID: id, FunctionID: run.FunctionID, Step: "z"}
	s.commit(t2)
	last := s.call()
	t3 := complete(last, `"done"`)
	t3.HasAI = true
	t3.Called = &state.Called{RunID: id, FunctionID: run.FunctionID, Job: last.Job, Result: state.CallDone}
	s.commit(t3)
	require.ErrorIs(t, s.node.Commit(t.Context(), t3), state.ErrRunNotFound)
	require.ErrorIs(t, s.node.Commit(t.Context(), &state.Transition{RunID: id, Saves: save, Reported: reported}), state.ErrRunNotFound)

	require.Equal(t, []state.Op{reported, t1.Called, t2.Ended, t3.Called, finished(run, state.Completed, func(op *state.RunFinished) {
		op.Output, op.HasAI = json.RawMessage(`"done"`), true
	})}, s.facts(id))
	for _, r := range s.records() {
		for i, op := range r.Ops {
			switch op.(type) {
			case *state.Called, *state.Reported, *state.StepEnded:
				require.Less(t, i+1, len(r.Ops))
				require.IsType(t, &state.RunChanged{}, r.Ops[i+1], "what follows is in the same record")
			}
		}
	}
}

// What a run was is in the record of its end.
func TestFactsOfARunsOrigin(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(limited("fn", "e", func(fn *function.Function) { fn.EventBatch = &function.EventBatch{MaxSize: 2, Timeout: "1h"} }))
	s.numbered("e", ``, 1, 2)
	lease := s.call()
	run := s.load(lease.RunID)
	require.NotZero(t, run.Flow.BatchID)
	s.commit(complete(lease, `1`))
	require.Equal(t, []state.Op{finished(run, state.Completed, func(op *state.RunFinished) {
		op.BatchID, op.Output = run.Flow.BatchID, json.RawMessage(`1`)
	})}, s.facts(run.ID))
	require.Len(t, run.EventIDs, 2)
}

// State that was known before is told apart, so that nothing is shown twice.
func TestFactsOfACompaction(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.populate(8)
	s.delivered()
	before := len(s.records())
	s.in(0, func(o *Owner) {
		o.compact.bytes = 1 << 30
		o.compactSome(t.Context())
		for o.compact.walk != nil {
			o.compactSome(t.Context())
		}
	})
	s.eventually(func() bool { return len(s.records()) != before })
	carried := 0
	for _, r := range s.records() {
		if _, ok := r.Ops[0].(*state.Carried); ok {
			require.Greater(t, len(r.Ops), 1)
			carried++
		}
	}
	require.Positive(t, carried)
}
