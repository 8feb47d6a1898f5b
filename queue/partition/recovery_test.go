package partition

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// image is all that a partition's index says, one fact a line, in a fixed
// order. What is consumed and confirmed is left out: it goes on by itself.
func (s *site) image(p int) (lines []string) {
	s.t.Helper()
	s.in(p, func(o *Owner) {
		walk := o.index.Carry()
		for {
			ops := walk.Next(1)
			if len(ops) == 0 {
				return
			}
			switch op := ops[0].(type) {
			case *state.Marks, *state.Confirmed:
				continue
			case *state.RunPut:
				slices.SortFunc(op.Run.Jobs, func(a, b state.Job) int { return cmp.Compare(a.ID, b.ID) })
			}
			var e state.Encoder
			e.Add(&state.Record{Ops: ops})
			lines = append(lines, fmt.Sprintf("%T %x", ops[0], bytes.Clone(e.Bytes())))
		}
	})
	return lines
}

func (s *site) images() (all []string) {
	for p := range s.bus.Partitions() {
		all = append(all, fmt.Sprint("partition ", p))
		all = append(all, s.image(p)...)
	}
	return all
}

// requireImages compares without showing pages of bytes.
func requireImages(t *testing.T, want, got []string) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		require.Equal(t, want[i], got[i], "fact %d", i)
	}
	require.Len(t, got, len(want))
}

// delivered waits until no message is on its way.
func (s *site) delivered() {
	s.t.Helper()
	s.passed()
	s.eventually(func() bool {
		waiting := 0
		for p := range s.bus.Partitions() {
			s.in(p, func(o *Owner) {
				for _, box := range o.index.Outboxes() {
					waiting += len(box.Waiting)
				}
			})
		}
		return waiting == 0
	}, "messages are not delivered")
	s.settled()
}

// populate makes runs in every state: ended, waiting for each kind of thing,
// sleeping, to be retried, in the middle of a group; with claims and crons.
func (s *site) populate(rounds int) {
	s.t.Helper()
	s.register(on("fn", "begin"), on("callee", "never"), cron("cron", "0 0 1 1 *"))
	hour := time.Now().Add(time.Hour)
	for i := range rounds {
		e := newEvent("begin", fmt.Sprintf(`{"round":%d,"text":"some text that has a usual length"}`, i))
		if i%3 == 0 {
			e.ID = "mine " + e.ID
		}
		s.publish(e)
		lease := s.call()
		run := s.load(lease.RunID)
		version := 2
		t := &state.Transition{
			RunID: run.ID, Job: lease.Job.ID, Kind: lease.Job.Kind, Version: &version, StartedAt: 5,
			Saves: []state.Save{{Step: "a", Memo: json.RawMessage(`{"data":"some output"}`)}},
		}
		wait := waitForEvent(lease, run, fmt.Sprint("go/", i%4), "async.data.k == 1", hour)
		switch i % 8 {
		case 0, 1:
			t.Finish = &state.Finish{Status: state.Completed, Output: json.RawMessage(`1`)}
		case 2:
			t.Waits = wait.Waits
		case 3:
			t.Waits = wait.Waits
			t.Waits[0].Wait.Kind, t.Waits[0].Wait.Name = state.WaitSignal, fmt.Sprint("sig", i)
		case 4:
			t.Jobs = []state.Job{{ID: function.SleepJob(run.Key(), "z"), Kind: state.JobSleep, Due: hour.UnixMilli(), Step: "z"}}
		case 5:
			t.Then, t.RetryAt = state.JobRetry, hour.UnixMilli()
		case 6:
			t.ForcePlan, t.Pending = true, []string{"p", "w"}
			t.Waits = wait.Waits
			t.Waits[0].Wait.Group = "group"
			t.Defers = []state.Defer{{ID: "d", Slug: "later", Status: state.DeferAfterRun, Input: json.RawMessage(`{}`)}}
		case 7:
			t.Finish = &state.Finish{Status: state.Failed, Error: json.RawMessage(`{"message":"m"}`)}
		}
		s.commit(t)
	}
}

// A restarted process, and a replaced owner, have the state that was there.
func TestRestartGivesTheSameState(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 3} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, partitions)
			s.populate(48)
			s.delivered()
			want, stats := s.images(), s.node.Stats()
			for p := range partitions {
				s.replaceOwner(p)
			}
			requireImages(t, want, s.images())
			s.restart()
			requireImages(t, want, s.images())
			require.Equal(t, stats.Runs, s.node.Stats().Runs)
			require.Equal(t, stats.Watches, s.node.Stats().Watches)
			require.Equal(t, stats.Bytes, s.node.Stats().Bytes)

			// And it works: waits still match.
			s.send("go/2", `{"k":1}`)
			next := s.call()
			require.Equal(t, "w", next.Job.Outgoing)
		})
	}
}

// A log that grows is compacted again and again: it stays small, and says the
// same.
func TestCompaction(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 2} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			s := newSiteIn(t, busConfig(t, partitions), func(n *Node) { n.compactBytes = 8 << 10 })
			first := func(p int) uint64 {
				log, err := s.bus.OpenLog(p)
				require.NoError(t, err)
				defer log.Close()
				first, _, err := log.Bounds(t.Context())
				require.NoError(t, err)
				return first
			}
			last := make([]uint64, partitions)
			for range 3 {
				s.populate(16)
				for p := range partitions {
					for rounds := 0; first(p) <= last[p]; rounds++ {
						require.Less(t, rounds, 100, "partition %d is not compacted", p)
						for range 16 {
							s.commit(complete(s.begin("begin"), `"some output"`))
						}
						s.delivered()
					}
					last[p] = first(p)
				}
			}
			s.delivered()
			want := s.images()
			for p := range partitions {
				s.replaceOwner(p)
			}
			requireImages(t, want, s.images())
			s.restart()
			requireImages(t, want, s.images())
			for p := range partitions {
				s.in(p, func(o *Owner) {
					require.Less(t, o.compact.bytes, 6*(8<<10+2*(o.index.Size()+512*o.index.RunCount())), "the log keeps in proportion")
				})
			}
			s.send("go/2", `{"k":1}`)
			require.Equal(t, "w", s.call().Job.Outgoing)
		})
	}
}

// The process ends in the middle of a walk: what was carried already does no
// harm, and the next walk begins anew.
func TestCompactionCutShort(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.populate(40)
	s.delivered()
	want := s.images()
	s.in(0, func(o *Owner) {
		walk := o.index.Carry()
		for range 20 {
			o.writer.carry(&state.Record{At: o.node.now(), Ops: walk.Next(1)}, nil)
		}
	})
	s.settled()
	requireImages(t, want, s.images())
	s.replaceOwner(0)
	requireImages(t, want, s.images())
	s.restart()
	requireImages(t, want, s.images())
}

// What a defect left without anything to go on with is called again when its
// partition is loaded.
func TestStuckRunIsRepaired(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	run := s.load(lease.RunID)
	s.in(0, func(o *Owner) {
		tx := o.begin()
		tx.do(&state.RunChanged{RunID: run.ID, JobsDone: []string{lease.Job.ID}, Steps: []state.Step{{ID: "a", Memo: json.RawMessage(`1`)}}})
		tx.commit(nil)
	})
	require.Empty(t, s.load(run.ID).Jobs)
	s.settled()
	s.restart()
	next := s.call()
	require.Equal(t, run.ID, next.RunID)
	require.Equal(t, "a", next.Job.Outgoing)
	require.Equal(t, function.DefaultRetries+1, next.Job.MaxAttempts)
}

// Everything decided is durable once a node is closed, and what it was doing
// is done again.
func TestCloseKeepsEverything(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	var events []string
	for i := range 50 {
		e := s.send("begin", fmt.Sprint(`{"n":`, i, `}`))
		events = append(events, runIDOf(s, "fn", e).String())
	}
	leased := s.call()
	s.restart()
	seen := map[string]bool{}
	for range events {
		lease := s.call()
		require.False(t, seen[lease.RunID.String()])
		seen[lease.RunID.String()] = true
		require.Zero(t, lease.Job.Attempt)
	}
	require.True(t, seen[leased.RunID.String()])
	for _, id := range events {
		require.True(t, seen[id])
	}
}

// A run that sleeps is kept encoded meanwhile; it wakes as it fell asleep.
func TestSleepersWake(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	run := s.load(lease.RunID)
	soon := time.Now().Add(settleFor*time.Millisecond + 300*time.Millisecond).UnixMilli()
	sleep := state.Job{ID: "z", Kind: state.JobSleep, Due: soon, Step: "z"}
	s.commit(&state.Transition{RunID: run.ID, Job: lease.Job.ID, Kind: lease.Job.Kind, Jobs: []state.Job{sleep}})
	require.Equal(t, run.Events, s.load(run.ID).Events)
	require.Equal(t, []state.Job{sleep}, s.load(run.ID).Jobs)
	wake := s.lease(queue.LaneWake)
	require.Equal(t, run.ID, wake.RunID)
	require.GreaterOrEqual(t, time.Now().UnixMilli(), soon)
	require.Equal(t, sleep, wake.Job)
}

// What was consumed, but not in a durable record, is not purged: it would be
// lost with the record.
func TestCompactionKeepsUnrecordedCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	s.settled()
	o := s.node.owner(0)
	purged := func() bool {
		log, err := s.bus.OpenLog(0)
		require.NoError(t, err)
		defer log.Close()
		first, _, err := log.Bounds(t.Context())
		require.NoError(t, err)
		return first > 1
	}
	o.mu.Lock()
	cancel := state.Command{From: state.Outside, Sent: state.Sent{Message: state.Message{Kind: state.MessageCancel, RunID: lease.RunID}}}
	require.NoError(t, s.bus.SendCommand(t.Context(), 0, "run", "1", cancel.Marshal()))
	o.node.compactBytes, o.compact.bytes = 1, 1<<20
	o.compactSome(t.Context())
	require.NotNil(t, o.compact.walk)
	o.index.ApplyOp(&state.Marks{Commands: 1}, 0) // as a record does that is on its way
	for o.compact.walk != nil {
		o.compactSome(t.Context())
	}
	o.mu.Unlock()
	s.eventually(purged)
	o.fail(errTest) // and is refused
	requireCancelled(s, lease.RunID)
}
