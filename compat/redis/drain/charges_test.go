package drain_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/drain"
	"jetstep/compat/redis/format"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// fakeOwners admit what a test allows.
type fakeOwners struct {
	mu      sync.Mutex
	room    int // how many may be executed
	limited bool
	err     error
	slow    time.Duration
	latest  queue.ForeignReport
	reports int
	granted map[string]bool
}

func (o *fakeOwners) CountedIn(uuid.UUID) (int, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return 3, o.limited
}

func (o *fakeOwners) ReportForeign(ctx context.Context, p int, r *queue.ForeignReport) (granted []string, err error) {
	o.mu.Lock()
	slow := o.slow
	o.mu.Unlock()
	time.Sleep(slow)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return nil, o.err
	}
	if p != 3 || r.N <= o.latest.N {
		return nil, fmt.Errorf("partition %d, report %d after %d", p, r.N, o.latest.N)
	}
	o.latest = *r
	o.reports++
	listed := map[string]bool{}
	for _, j := range r.Jobs {
		listed[j.ID] = o.granted[j.ID] || j.Running
	}
	o.granted = listed
	used := 0
	for _, has := range listed {
		if has {
			used++
		}
	}
	for _, j := range r.Jobs {
		if !listed[j.ID] && used < o.room {
			listed[j.ID] = true
			used++
		}
		if listed[j.ID] && !j.Running {
			granted = append(granted, j.ID)
		}
	}
	return granted, nil
}

func (o *fakeOwners) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

func (o *fakeOwners) listed() (ids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, j := range o.latest.Jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

// told is the latest report, and how many there were.
func (o *fakeOwners) told() (queue.ForeignReport, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.latest, o.reports
}

var fn = uuid.UUID{15: 7}

func itemOf(n int, keys ...format.ConcurrencyKey) *format.Item {
	item := &format.Item{ID: fmt.Sprint("i", n), FunctionID: fn, At: int64(n)}
	item.Data.Kind = format.KindEdge
	item.Data.Identifier = format.Identifier{RunID: ulid.ULID{15: byte(n)}, FunctionID: fn, Concurrency: keys}
	return item
}

type desk struct {
	*drain.Charges
	owners *fakeOwners
	visits chan uuid.UUID
}

// within runs a test in virtual time.
func within(t *testing.T, room int, test func(t *testing.T, d *desk)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{owners: &fakeOwners{room: room, limited: true}, visits: make(chan uuid.UUID, 100)}
		d.Charges = drain.NewCharges(d.owners, "me", func(fn uuid.UUID) { d.visits <- fn }, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { d.Run(ctx); close(done) }()
		test(t, d)
		stop()
		<-done
	})
}

func TestChargesWithinLimits(t *testing.T) {
	within(t, 2, func(t *testing.T, d *desk) {
		require.True(t, d.May(t.Context(), itemOf(1)))
		require.True(t, d.May(t.Context(), itemOf(1)), "it is executed already")
		require.True(t, d.May(t.Context(), itemOf(2)))
		require.False(t, d.May(t.Context(), itemOf(3)))
		waits, all := d.Waits(itemOf(3))
		require.True(t, waits)
		require.False(t, all)
		waits, _ = d.Waits(itemOf(1))
		require.False(t, waits)
		require.Equal(t, 1, d.Count())
		d.Over("i1", true)
		require.Equal(t, fn, <-d.visits, "somebody may look again")
		waits, _ = d.Waits(itemOf(3))
		require.False(t, waits)
		require.True(t, d.May(t.Context(), itemOf(3)))
		d.Over("i2", true)
		d.Over("i3", true)
		d.Over("unknown", true)
		require.Zero(t, d.Count())
		time.Sleep(2 * time.Second)
		require.Empty(t, d.owners.listed())
		_, before := d.owners.told()
		time.Sleep(time.Minute)
		_, after := d.owners.told()
		require.Equal(t, before, after, "there is nothing to tell")
	})
}

func TestChargesAreRenewed(t *testing.T) {
	within(t, 1, func(t *testing.T, d *desk) {
		require.True(t, d.May(t.Context(), itemOf(1)))
		_, before := d.owners.told()
		time.Sleep(10 * time.Second)
		latest, after := d.owners.told()
		require.InDelta(t, 20, after-before, 2)
		require.True(t, latest.Jobs[0].Running)
		require.Equal(t, "me", latest.From)
	})
}

// What nobody collects, or asks for any more, does not stay in the way of others.
func TestChargesThatNobodyWants(t *testing.T) {
	within(t, 1, func(t *testing.T, d *desk) {
		require.True(t, d.May(t.Context(), itemOf(1)))
		require.False(t, d.May(t.Context(), itemOf(2)))
		require.False(t, d.May(t.Context(), itemOf(3)))
		d.Over("i1", true)
		<-d.visits
		time.Sleep(5 * time.Second)
		require.Equal(t, []string{"i3"}, d.owners.listed(), "2 was not collected")
		<-d.visits
		time.Sleep(5 * time.Second)
		require.Empty(t, d.owners.listed())

		require.True(t, d.May(t.Context(), itemOf(1)))
		require.False(t, d.May(t.Context(), itemOf(2)))
		time.Sleep(10 * time.Second)
		d.Waits(itemOf(2))
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"i1", "i2"}, d.owners.listed(), "it was asked for again")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"i1"}, d.owners.listed())
	})
}

// An owner that cannot be asked grants nothing, nor one that answers late.
func TestChargesWithoutAnOwner(t *testing.T) {
	within(t, 1, func(t *testing.T, d *desk) {
		d.owners.set(func() { d.owners.err = errors.New("not owner") })
		require.False(t, d.May(t.Context(), itemOf(1)))
		d.owners.set(func() { d.owners.err = nil })
		<-d.visits
		require.True(t, d.May(t.Context(), itemOf(1)))
		d.Over("i1", true)
		d.owners.set(func() { d.owners.slow = 1500 * time.Millisecond })
		require.False(t, d.May(t.Context(), itemOf(2)))
		d.owners.set(func() { d.owners.slow = 0 })
		<-d.visits
		require.True(t, d.May(t.Context(), itemOf(2)))
	})
}

// Lines are short: those behind wait anyway.
func TestChargesLines(t *testing.T) {
	within(t, 0, func(t *testing.T, d *desk) {
		key := func(value string) format.ConcurrencyKey {
			return format.ConcurrencyKey{Key: function.ConcurrencyKey(function.ScopeFunction, fn, value), Hash: "h"}
		}
		asked := 0
		for n := range 100 {
			if waits, _ := d.Waits(itemOf(n)); !waits {
				asked++
				require.False(t, d.May(t.Context(), itemOf(n)))
			}
		}
		require.Equal(t, 16, asked)
		_, all := d.Waits(itemOf(99))
		require.True(t, all)
		start := itemOf(99)
		start.Data.Kind = format.KindStart
		start.Data.Throttle = &format.Throttle{Key: "f-v", ExpressionHash: "th"}
		waits, _ := d.Waits(start)
		require.False(t, waits, "its throttle may let it pass, and that of others not")
		require.False(t, d.May(t.Context(), start))
		keyed := itemOf(100, key("a"))
		waits, all = d.Waits(keyed)
		require.False(t, waits || all)
		pf := int64(5)
		keyed.Data.Identifier.Priority = &pf
		require.False(t, d.May(t.Context(), keyed))
		latest, _ := d.owners.told()
		last := latest.Jobs[len(latest.Jobs)-1]
		require.Equal(t, queue.ForeignJob{
			ID: "i100", RunID: ulid.ULID{15: 100}, FunctionID: fn, Due: 100, Priority: 5,
			Keys: []state.FlowKey{{Expr: "h", Value: function.Hash("a")}},
		}, last)
		throttled := latest.Jobs[len(latest.Jobs)-2]
		require.True(t, throttled.Start)
		require.Equal(t, []state.FlowKey{{Expr: "th", Value: "v"}}, throttled.Keys)
	})
}

// A function whose limits go needs no one's leave, and one that gets some is told.
func TestChargesFollowLimits(t *testing.T) {
	within(t, 1, func(t *testing.T, d *desk) {
		d.owners.set(func() { d.owners.limited = false })
		require.True(t, d.May(t.Context(), itemOf(1)))
		require.True(t, d.May(t.Context(), itemOf(2)))
		_, reports := d.owners.told()
		require.Zero(t, reports)
		d.owners.set(func() { d.owners.limited = true })
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"i1", "i2"}, d.owners.listed())
		require.False(t, d.May(t.Context(), itemOf(3)))
		d.owners.set(func() { d.owners.limited = false })
		time.Sleep(2 * time.Second)
		require.Empty(t, d.owners.listed())
		waits, _ := d.Waits(itemOf(3))
		require.False(t, waits)
		require.True(t, d.May(t.Context(), itemOf(3)))
	})
}

func TestChargesDropTicks(t *testing.T) {
	t.Parallel()
	c := drain.NewCharges(&fakeOwners{}, "me", nil, nil)
	for kind, dropped := range map[string]bool{
		format.KindCron: true, format.KindCronSync: true, format.KindCronHealthCheck: true,
		format.KindDebounce: false, format.KindBatch: false, format.KindCancel: false,
	} {
		require.Equal(t, dropped, c.Drops(kind), kind)
	}
	c.Granted()
}
