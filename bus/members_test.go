package bus

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Who takes partitions, and who has them, is known to all for as long as it is said.
func TestCluster(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	one, two := n.open(nil), n.open(nil)
	require.True(t, one.Shared())
	ctx := t.Context()
	c, err := one.Attend(ctx, "a host/1 *>")
	require.NoError(t, err)
	require.Equal(t, Cluster{Nodes: []string{"a host/1 *>"}, Holders: map[int]string{}}, c)

	lease, err := two.AcquireLease(ctx, 3, "b", nil)
	require.NoError(t, err)
	_, err = two.AcquireLease(ctx, 11, "a host/1 *>", nil)
	require.NoError(t, err)
	kv, err := one.leases(ctx)
	require.NoError(t, err)
	for _, strange := range []string{"else", "lease.x", "lease.5"} {
		_, err = kv.PutString(ctx, strange, "no JSON")
		require.NoError(t, err)
	}
	c, err = two.Attend(ctx, "b")
	require.NoError(t, err)
	require.Equal(t, Cluster{Nodes: []string{"a host/1 *>", "b"}, Holders: map[int]string{3: "b", 11: "a host/1 *>"}}, c)

	require.NoError(t, lease.Release(ctx))
	require.NoError(t, two.Leave(ctx, "b"))
	c, err = one.Attend(ctx, "a host/1 *>")
	require.NoError(t, err)
	require.Equal(t, Cluster{Nodes: []string{"a host/1 *>"}, Holders: map[int]string{11: "a host/1 *>"}}, c)

	eventually(t, func() bool {
		c, err := one.Attend(ctx, "another")
		return err == nil && len(c.Nodes) == 1
	}, "who says no more that it takes partitions is forgotten")
}

func TestNobodySharesWhatIsEmbedded(t *testing.T) {
	t.Parallel()
	require.False(t, open(t, Config{StoreDir: t.TempDir(), Partitions: 1}).Shared())
}

func TestClusterReportsErrors(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(nil)
	b.Close()
	_, err := b.Attend(t.Context(), "one")
	require.ErrorContains(t, err, "join the cluster: ")
	require.ErrorContains(t, b.Leave(t.Context(), "one"), "leave the cluster: ")
}

// A free lease is left to others for as long as one hesitates, and no longer.
func TestLeaseIsLeftToOthers(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(nil)
	hesitate := func(d time.Duration) func() time.Duration { return func() time.Duration { return d } }
	first, err := b.AcquireLease(t.Context(), 0, "one", hesitate(time.Millisecond))
	require.NoError(t, err, "nobody else wants it")

	ctx, cancel := context.WithCancel(t.Context())
	polite := make(chan error, 1)
	go func() {
		_, err := b.AcquireLease(ctx, 0, "polite", hesitate(time.Hour))
		polite <- err
	}()
	next := acquire(t, b, "next")
	require.NoError(t, first.Release(t.Context()))
	l := <-next
	require.NoError(t, l.Release(t.Context()))
	require.True(t, (<-acquire(t, b, "again")).Held())
	cancel()
	require.ErrorIs(t, <-polite, context.Canceled)
}
