package partition

import (
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/state"
)

// A call began, its event came and was matched, and then the partition's owner
// was replaced: its memory of the last events is gone, the event still counts.
func TestWaitFindsEventMatchedByAnEarlierOwner(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 3} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, partitions)
			s.register(on("waiter", "begin"))
			lease := s.begin("begin")
			event := s.send("go", `{"k":1}`)
			s.passed()
			s.settled()
			for p := range partitions {
				s.replaceOwner(p)
			}
			s.commit(waitForEvent(lease, s.load(lease.RunID), "go", "async.data.k == 1", time.Now().Add(time.Hour)))
			s.eventually(func() bool {
				memo, ok := s.load(lease.RunID).Memo("w")
				return ok && json.Valid(memo)
			}, "the event was missed")
			memo, _ := s.load(lease.RunID).Memo("w")
			require.Contains(t, string(memo), event.ID)
		})
	}
}

// Wait and event meet in the same moment, in both orders: none is missed.
func TestWaitAndEventInTheSameMoment(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 3} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
			t.Parallel()
			const runs = 150
			s := newSite(t, partitions)
			s.register(on("waiter", "begin"))
			var done sync.WaitGroup
			var ids []ulid.ULID
			for i := range runs {
				s.send("begin", `{}`)
				lease := s.call()
				for lease.Job.Kind != state.JobStart {
					lease = s.call() // of a run that was resumed
				}
				ids = append(ids, lease.RunID)
				name := fmt.Sprint("go/", i%7)
				wait := waitForEvent(lease, s.load(lease.RunID), name, fmt.Sprintf("async.data.k == %d", i), time.Now().Add(time.Hour))
				done.Go(func() {
					for range i % 100 {
						runtime.Gosched() // moves the two against each other
					}
					s.commit(wait)
				})
				done.Go(func() { s.send(name, fmt.Sprintf(`{"k":%d}`, i)) })
			}
			done.Wait()
			for i, id := range ids {
				s.eventually(func() bool { _, ok := s.load(id).Memo("w"); return ok }, "run %d was missed", i)
				memo, _ := s.load(id).Memo("w")
				require.Contains(t, string(memo), fmt.Sprintf(`{"data":{"k":%d}`, i))
			}
			require.Eventually(t, func() bool { return s.node.Stats().Watches == 0 }, 10*time.Second, time.Millisecond)
		})
	}
}

func TestEventBeforeTheCallDoesNotCount(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("waiter", "begin"))
	s.send("go", `{"early":true}`)
	lease := s.begin("begin")
	s.commit(waitForEvent(lease, s.load(lease.RunID), "go", "", time.Now().Add(time.Hour)))
	s.eventually(func() bool { return s.node.Stats().Watches == 1 })
	_, ok := s.load(lease.RunID).Memo("w")
	require.False(t, ok)
	s.send("go", `{"early":false}`)
	s.eventually(func() bool { _, ok := s.load(lease.RunID).Memo("w"); return ok })
	memo, _ := s.load(lease.RunID).Memo("w")
	require.Contains(t, string(memo), `"early":false`)
}

// So many events came between that memory does not reach back.
func TestLookBackThroughTheStream(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("waiter", "begin"))
	lease := s.begin("begin")
	s.send("go", `{"k":1}`)
	s.send("go", `{"k":2}`)
	s.send("go", `{"k":2,"second":true}`)
	var others []*bus.Event
	for range recentLimit + 1 {
		others = append(others, newEvent(s.nameIn(bus.PartitionOf("go", 2), "other"), `{}`))
	}
	s.publish(others...)
	s.passed()
	s.in(bus.PartitionOf("go", 2), func(o *Owner) {
		_, ok := o.recent.after("go", lease.Mark)
		require.False(t, ok)
	})
	s.commit(waitForEvent(lease, s.load(lease.RunID), "go", "async.data.k == 2", time.Now().Add(time.Hour)))
	s.eventually(func() bool { _, ok := s.load(lease.RunID).Memo("w"); return ok })
	memo, _ := s.load(lease.RunID).Memo("w")
	require.Contains(t, string(memo), `"k":2}`, "the first that satisfies")
}

// A call that reports steps while it lasts is younger than its lease: what
// came before the last report does not count for its waits.
func TestLookBackBeginsAtTheLastReport(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("waiter", "begin"))
	lease := s.begin("begin")
	s.send("go", `{"k":1}`)
	s.commit(&state.Transition{RunID: lease.RunID, Saves: []state.Save{{Step: "a", Memo: json.RawMessage(`{}`)}}})
	s.send("go", `{"k":2}`)
	s.passed()
	s.commit(waitForEvent(lease, s.load(lease.RunID), "go", "", time.Now().Add(time.Hour)))
	s.eventually(func() bool { _, ok := s.load(lease.RunID).Memo("w"); return ok })
	memo, _ := s.load(lease.RunID).Memo("w")
	require.Contains(t, string(memo), `{"k":2}`)
	s.in(s.node.partitionOfRun(lease.RunID), func(o *Owner) { require.Empty(t, o.checkpoints) })
}

func TestRecentEvents(t *testing.T) {
	t.Parallel()
	event := func(seq uint64, size int) *bus.Delivery {
		return &bus.Delivery{Seq: seq, Name: fmt.Sprint("n", seq%2), Body: make([]byte, size)}
	}
	seqs := func(list []*bus.Delivery) (out []uint64) {
		for _, d := range list {
			out = append(out, d.Seq)
		}
		return out
	}
	r := recentEvents{from: 10}
	for seq := uint64(11); seq <= 20; seq++ {
		r.add(event(seq, 1))
	}
	for _, c := range []struct {
		after uint64
		ok    bool
		want  []uint64
	}{{9, false, nil}, {10, true, []uint64{12, 14, 16, 18, 20}}, {15, true, []uint64{16, 18, 20}}, {19, true, []uint64{20}}, {20, true, nil}, {99, true, nil}} {
		got, ok := r.after("n0", c.after)
		require.Equal(t, c.ok, ok, "after %d", c.after)
		require.Equal(t, c.want, seqs(got), "after %d", c.after)
	}
	for seq := uint64(21); seq <= 3*recentLimit; seq++ {
		r.add(event(seq, 1))
	}
	_, ok := r.after("n0", 2*recentLimit-1)
	require.False(t, ok)
	got, ok := r.after("n0", 2*recentLimit)
	require.True(t, ok)
	require.Len(t, got, recentLimit/2)
	require.LessOrEqual(t, len(r.ring), 2*recentLimit+1, "its memory is bounded")

	r.add(event(3*recentLimit+1, recentBytes))
	got, ok = r.after("n1", 3*recentLimit)
	require.True(t, ok)
	require.Len(t, got, 1, "one event is kept however large it is")
	_, ok = r.after("n0", 3*recentLimit-1)
	require.False(t, ok)
}
