package function

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// at is a ULID whose time is so many milliseconds after 1970.
func at(ms uint64) (id ulid.ULID) {
	_ = id.SetTime(ms)
	return id
}

func TestCancellationCovers(t *testing.T) {
	t.Parallel()
	from, to := time.UnixMilli(1000).Add(300*time.Microsecond), time.UnixMilli(2000).Add(300*time.Microsecond)
	for name, c := range map[string]struct {
		cancellation Cancellation
		run          uint64
		want         bool
	}{
		"before the span":          {Cancellation{StartedAfter: from, StartedBefore: to}, 999, false},
		"in its first millisecond": {Cancellation{StartedAfter: from, StartedBefore: to}, 1000, true},
		"in its last millisecond":  {Cancellation{StartedAfter: from, StartedBefore: to}, 2000, true},
		"after the span":           {Cancellation{StartedAfter: from, StartedBefore: to}, 2001, false},
		"no lower bound":           {Cancellation{StartedBefore: to}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, c.cancellation.Covers(at(c.run)))
		})
	}
}

func TestControlForgetsOldCancellations(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 22, 0, 0, 0, time.UTC)
	made := func(ago time.Duration) Cancellation {
		t := now.Add(-ago)
		return Cancellation{ID: at(uint64(t.UnixMilli())), CreatedAt: t}
	}
	old, young := made(CancellationLifetime), made(CancellationLifetime-time.Second)
	before := Control{Paused: true, Cancellations: []Cancellation{old, young}}
	require.Equal(t, []Cancellation{young}, before.Current(now))
	require.Empty(t, before.Current(now.Add(time.Second)))
	require.Empty(t, (*Control)(nil).Current(now))

	after := before.WithCancellation(made(0))
	require.Equal(t, []Cancellation{young, made(0)}, after.Cancellations, "old ones go when one is added")
	require.True(t, after.Paused)
	require.Equal(t, []Cancellation{old, young}, before.Cancellations, "what others hold does not change")
}

func TestControlWithoutCancellation(t *testing.T) {
	t.Parallel()
	a, b := Cancellation{ID: at(1)}, Cancellation{ID: at(2)}
	before := Control{Cancellations: []Cancellation{a, b}}
	after, ok := before.WithoutCancellation(a.ID)
	require.True(t, ok)
	require.Equal(t, []Cancellation{b}, after.Cancellations)
	require.Equal(t, []Cancellation{a, b}, before.Cancellations, "what others hold does not change")
	_, ok = after.WithoutCancellation(a.ID)
	require.False(t, ok)
}
