package partition

import (
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

// cancelAll stores a bulk cancellation of fn.
func (s *site) cancelAll(condition string, after, before time.Time) {
	s.t.Helper()
	require.NoError(s.t, s.bus.Registry().AddCancellation(s.t.Context(), function.Cancellation{
		ID: ulid.Make(), FunctionID: function.FunctionID("fn", "fn"), If: condition, StartedAfter: after, StartedBefore: before, CreatedAt: time.Now(),
	}))
}

// More runs than are looked at at once, some of them encoded; those of other
// functions, of another time or with other data stay.
func TestBulkCancellation(t *testing.T) {
	t.Parallel()
	const runs = 2*sweptAtOnce + 10
	s := newSite(t, 2)
	s.register(on("fn", "e"), on("other", "e"))
	for n := range runs {
		s.numbered("e", ``, n)
	}
	s.decided(fmt.Sprintf("success:%d", 2*runs))
	for p := range s.bus.Partitions() {
		s.in(p, func(o *Owner) {
			for id := range o.index.RunIDs() {
				if id[15]%2 == 0 {
					o.index.Freeze(id)
				}
			}
		})
	}
	s.cancelAll(`event.data.n >= 5`, time.Time{}, time.Now())
	s.eventually(func() bool { return s.node.Stats().Runs == runs+5 })
	s.numbered("e", ``, runs)
	s.decided(fmt.Sprintf("success:%d", 2*runs+2))
	require.Equal(t, runs+5+2, s.node.Stats().Runs, "a later run is none of it")
	s.eventually(func() bool { return s.rec.count(s.rec.events, state.EventCancelled) == runs-5 })
	s.reload()
	s.passed()
	require.Equal(t, runs+5+2, s.node.Stats().Runs)
}

func TestBulkCancellationOfASpan(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "e"))
	s.numbered("e", ``, 1)
	run := s.only("fn")
	at := ulid.Time(run.ID.Time())
	s.cancelAll("", at.Add(time.Millisecond), at.Add(time.Hour))
	s.cancelAll("", time.Time{}, at.Add(-time.Millisecond))
	s.cancelAll("event.data.nope == 1", time.Time{}, at)
	s.cancelAll("event.data.n", time.Time{}, at) // is no condition
	s.passed()
	s.load(run.ID)
	s.cancelAll("", at, at)
	require.Equal(t, state.Cancelled, s.ended(run.ID).status)
}

// A start that comes late is recorded and cancelled at once, with the events of
// any cancelled run.
func TestBulkCancellationOfALateStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(singleton(function.SingletonCancel, ""))
	s.numbered("e", ``, 1)
	holder := s.only("fn")
	late := testRunID(7)
	require.NoError(t, late.SetTime(uint64(time.Now().Add(-time.Hour).UnixMilli())))
	s.cancelAll(`event.data.n == 7`, time.Time{}, time.Now().Add(-time.Minute))
	s.in(0, func(o *Owner) {
		tx := o.begin()
		tx.handleStart(&state.Start{RunID: late, FunctionID: holder.FunctionID, Events: raws(`{"data":{"n":7}}`), EventIDs: []ulid.ULID{late}, Trigger: "e"})
		tx.commit(nil)
	})
	require.Equal(t, ending{state.Cancelled, "", 1}, s.ended(late))
	s.eventually(func() bool { return s.rec.count(s.rec.events, state.EventCancelled) == 1 })
	s.load(holder.ID)
	s.in(0, func(o *Owner) {
		id, held := o.index.Singleton(state.NewValueKey(state.OfSingleton, holder.FunctionID, "", ""))
		require.True(t, held, "the singleton is still taken")
		require.Equal(t, holder.ID, id)
	})
	s.commit(complete(s.call(), `1`))
	s.ended(holder.ID)
	require.Zero(t, s.node.Stats().Ready)
}

// A cancellation that is taken back stops where it is.
func TestBulkCancellationIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "e"))
	s.numbered("e", ``, 1)
	run := s.only("fn")
	s.in(0, func(o *Owner) {
		s.cancelAll("", time.Time{}, time.Now())
		o.sweeps.refresh(o)
		require.Len(t, o.sweeps.open, 1)
		require.Equal(t, []ulid.ULID{run.ID}, o.sweeps.open[0].runs)
		require.NoError(t, s.bus.Registry().RemoveCancellation(t.Context(), o.sweeps.open[0].cancellation.ID))
		require.False(t, o.sweepSome())
		require.Empty(t, o.sweeps.open)
	})
	s.load(run.ID)
}
