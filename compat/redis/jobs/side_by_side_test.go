package jobs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
)

// TestLeaseMany: what keeps an item from being leased is the same as for one.
func TestLeaseMany(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		until time.Time // that of the lease which the first item has; zero for none
		want  error
	}{
		"free":                        {},
		"its lease has ended":         {until: start.Add(-time.Second)},
		"leased":                      {until: start.Add(time.Second), want: jobs.ErrChanged},
		"leased until the far future": {until: start.Add(jobs.FarFuture + time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			s.enqueue(start, newItem("a", format.KindEdge, runAt(start), start), newItem("b", format.KindEdge, runAt(start), start))
			entries := s.peek(start)
			require.Len(t, entries, 2)
			if !c.until.IsZero() {
				changed, err := s.Change(t.Context(), entries[0], func(i *format.Item) {
					lease := runAt(c.until)
					i.LeaseID = &lease
				})
				require.NoError(t, err)
				entries[0] = changed
			}
			leased, err := s.LeaseMany(t.Context(), entries, start, nil)
			require.NoError(t, err)
			require.Len(t, leased, 2)
			require.NoError(t, leased[1].Err)
			require.Equal(t, start.Add(jobs.ItemLease).UnixMilli(), format.LeaseExpiry(*leased[1].Entry.Item.LeaseID))
			if c.want != nil {
				require.ErrorIs(t, leased[0].Err, c.want)
				require.Nil(t, leased[0].Entry)
				return
			}
			require.NoError(t, leased[0].Err)
			require.Equal(t, start.Add(jobs.ItemLease).UnixMilli(), format.LeaseExpiry(*leased[0].Entry.Item.LeaseID))
			s.consistent()
		})
	}
}

// TestAcquireMany: a request that cannot be made takes nothing, and keeps no other
// from being granted.
func TestAcquireMany(t *testing.T) {
	t.Parallel()
	s := open(t)
	item := newItem("a", format.KindEdge, runAt(start), start)
	good, bad := jobs.Ask(item, nil), jobs.Ask(item, []format.Constraint{{Kind: format.ConstraintThrottle}})
	acquired := s.AcquireMany(t.Context(), []*jobs.Asked{good, bad, good}, start)
	require.Len(t, acquired, 3)
	require.ErrorContains(t, acquired[1].Err, "constraint of kind 3 without")
	require.Nil(t, acquired[1].Capacity)
	for _, a := range []jobs.Acquired{acquired[0], acquired[2]} {
		require.NoError(t, a.Err)
		require.NotNil(t, a.Capacity)
	}
	require.EqualValues(t, 2, s.client.ZCard(t.Context(), format.CapacityLeasesKey(account)).Val())
}
