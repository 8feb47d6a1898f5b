package bus

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// acquire takes partition 0 in the background.
func acquire(t *testing.T, b *Bus, node string) <-chan *Lease {
	t.Helper()
	taken := make(chan *Lease, 1)
	go func() {
		l, err := b.AcquireLease(t.Context(), 0, node, nil)
		if err == nil {
			taken <- l
		}
	}()
	return taken
}

func TestLeaseExcludes(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	one, two := n.open(nil), n.open(nil)
	first, err := one.AcquireLease(t.Context(), 0, "one", nil)
	require.NoError(t, err)
	other, err := two.AcquireLease(t.Context(), 1, "two", nil)
	require.NoError(t, err, "partitions are leased one by one")

	ctx, cancel := context.WithTimeout(t.Context(), LeaseTTL+leaseRenewal)
	defer cancel()
	_, err = two.AcquireLease(ctx, 0, "two", nil)
	require.ErrorIs(t, err, context.DeadlineExceeded, "it is renewed")
	require.ErrorContains(t, err, "lease of partition 0")
	for _, l := range []*Lease{first, other} {
		select {
		case <-l.Lost():
			require.Fail(t, "lost")
		default:
		}
		require.NoError(t, l.Release(t.Context()))
	}
}

func TestLeaseIsFreeAtOnceWhenReleased(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	one, two := n.open(nil), n.open(nil)
	for range 5 {
		first, err := one.AcquireLease(t.Context(), 0, "one", nil)
		require.NoError(t, err)
		waiting := acquire(t, two, "two")
		eventually(t, func() bool {
			info, err := one.findStream(t.Context(), "KV_"+clusterBucket)
			return err == nil && info.State.Consumers > 0
		}, "the other waits")
		start := time.Now()
		require.NoError(t, first.Release(t.Context()))
		second := wait(t, waiting)
		require.Less(t, time.Since(start), LeaseTTL/2)
		require.NoError(t, second.Release(t.Context()))
	}
}

// A process that died takes its lease along for no longer than LeaseTTL.
func TestLeaseIsTakenOverAfterACrash(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	one, two := n.open(nil), n.open(nil)
	_, err := one.AcquireLease(t.Context(), 0, "one", nil)
	require.NoError(t, err)
	one.Close() // without releasing
	start := time.Now()
	second := wait(t, acquire(t, two, "two"))
	require.Less(t, time.Since(start), LeaseTTL+2*leaseRetry)
	require.True(t, second.Held(), "its life begins when it is taken")
	taken := second.began.Load()
	eventually(t, func() bool { return second.began.Load() != taken }, "it is renewed")
	require.True(t, second.Held())
	require.NoError(t, second.Release(t.Context()))
}

func TestLeaseLost(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	kv, err := b.control.js.KeyValue(t.Context(), clusterBucket)
	require.NoError(t, err)
	for name, steal := range map[string]func() error{
		"taken":   func() error { _, err := kv.Put(t.Context(), "lease.0", []byte(`{"node":"thief"}`)); return err },
		"removed": func() error { return kv.Purge(t.Context(), "lease.0") },
	} {
		l, err := b.AcquireLease(t.Context(), 0, "one", nil)
		require.NoError(t, err)
		require.NoError(t, steal())
		wait(t, l.Lost())
		require.NoError(t, l.Release(t.Context()), "%s: releasing what is lost does no harm", name)
		if name == "taken" {
			entry, err := kv.Get(t.Context(), "lease.0")
			require.NoError(t, err)
			require.JSONEq(t, `{"node":"thief"}`, string(entry.Value()))
			require.NoError(t, kv.Purge(t.Context(), "lease.0"))
		}
	}
}

// A process that was paused, or whose machine slept, knows that its lease may
// have run out before it can ask.
func TestLeaseHeld(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := &Lease{ttl: LeaseTTL}
	for name, tc := range map[string]struct {
		began time.Time
		held  bool
	}{
		"just renewed":   {now, true},
		"almost run out": {now.Add(time.Second - LeaseTTL), true},
		"run out":        {now.Add(-LeaseTTL), false},
		"slept":          {now.Add(-LeaseTTL).Round(0), false},
	} {
		l.began.Store(&tc.began)
		require.Equal(t, tc.held, l.Held(), name)
	}
}

// Nobody can take over from a process that has its NATS inside, so that a
// machine which stands still for a while costs it nothing.
func TestLeaseOfAnEmbeddedServerOutlastsAStall(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l, err := b.AcquireLease(t.Context(), 0, "one", nil)
	require.NoError(t, err)
	l.cancel()
	<-l.ended
	late := time.Now().Add(-3 * LeaseTTL)
	l.began.Store(&late)
	require.True(t, l.Held())
	renewing, cancel := context.WithCancel(t.Context())
	l.cancel, l.ended = cancel, make(chan struct{})
	go l.renew(renewing)
	eventually(t, func() bool { return l.began.Load() != &late }, "it is renewed")
	require.NoError(t, l.Release(t.Context()))
}

// Without a server the holder knows in time that others may have taken over.
func TestLeaseIsLostWithoutServer(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(nil)
	l, err := b.AcquireLease(t.Context(), 0, "one", nil)
	require.NoError(t, err)
	start := time.Now()
	n.stop()
	wait(t, l.Lost())
	require.Less(t, time.Since(start), LeaseTTL+leaseRenewal)
	n.start()
}

// A renewal whose answer was lost does not cost the lease.
func TestLeaseRenewalAfterALostAnswer(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l, err := b.AcquireLease(t.Context(), 0, "one", nil)
	require.NoError(t, err)
	l.cancel()
	<-l.ended
	_, err = l.kv.Update(t.Context(), l.key, l.value, l.revision) // it never learns the new revision
	require.NoError(t, err)
	ok, err := l.extend(t.Context(), time.Now().Add(LeaseTTL))
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, l.Release(t.Context()))
	ok, err = l.extend(t.Context(), time.Now().Add(LeaseTTL))
	require.NoError(t, err)
	require.False(t, ok)
}

// A renewal that Release cut short may have come through: the lease is free at
// once all the same, and not when it runs out.
func TestReleaseDuringARenewal(t *testing.T) {
	t.Parallel()
	b := startNATS(t, nil).open(nil)
	l, err := b.AcquireLease(t.Context(), 0, "one", nil)
	require.NoError(t, err)
	l.cancel()
	<-l.ended
	renewed, err := l.kv.Update(t.Context(), l.key, l.value, l.revision)
	require.NoError(t, err)
	require.NoError(t, l.Release(t.Context()))
	_, err = l.kv.Get(t.Context(), l.key)
	require.ErrorIs(t, err, jetstream.ErrKeyNotFound)

	next, err := b.AcquireLease(t.Context(), 0, "two", nil)
	require.NoError(t, err)
	l.revision = renewed
	require.NoError(t, l.Release(t.Context()), "again, and late")
	entry, err := l.kv.Get(t.Context(), l.key)
	require.NoError(t, err)
	require.Equal(t, next.value, entry.Value(), "the lease of another stays")
}

func TestAcquireLeaseReportsErrors(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	b.Close()
	_, err := b.AcquireLease(t.Context(), 0, "one", nil)
	require.ErrorContains(t, err, "lease of partition 0")
}

// A server that was restarted has lost what it kept in memory only.
func TestLeasesAreThereAgainAfterTheServersRestart(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(nil)
	before, err := b.AcquireLease(t.Context(), 0, "one", nil)
	require.NoError(t, err)
	n.restart()
	wait(t, before.Lost())
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		after, err := b.AcquireLease(ctx, 0, "one", nil)
		return err == nil && after.Release(ctx) == nil
	}, patience, 10*time.Millisecond)
}
